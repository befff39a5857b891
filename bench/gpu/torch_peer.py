"""PyTorch, as bench/gpu/measure.py checks and measures it."""

import statistics
import time

from process import Failed

# PyTorch on the CPU, where sums run in another order, is the reference.
RELATIVE_BOUND = 1e-4


class Torch:
    """The same net in PyTorch: for the check as it is written, on the CPU; for the clock with its batch norms folded."""

    def __init__(self, torch, models, net, folder):
        from safetensors_file import write_safetensors
        from torch_resnet import NoTorchForm, folded, resnet

        self.torch = torch
        torch.manual_seed(1)
        try:
            self.model = resnet(models / f"{net}.json")
        except NoTorchForm as problem:
            raise Failed(problem) from None
        self.timed = folded(self.model)
        self.weights = folder / f"{net}.safetensors"
        state = self.model.state_dict()
        write_safetensors(self.weights, {name: tensor.numpy() for name, tensor in state.items() if tensor.ndim > 0})

    def check(self, cell):
        """The largest difference of any logit, relative to the largest |logit|."""
        import numpy as np

        x = self.torch.randn(cell.batch, 3, 224, 224)
        with self.torch.inference_mode():
            expected = self.model(x).numpy()
        np.save(cell.folder / "x.npy", x.numpy())
        cell.run("--input", cell.folder / "x.npy", "--output", cell.folder / "y.npy")
        logits = np.load(cell.folder / "y.npy")
        if logits.shape != expected.shape:
            raise Failed(f"logits of shape {logits.shape}, PyTorch {expected.shape}")
        difference = float(np.abs(logits - expected).max() / np.abs(expected).max())
        if not difference <= RELATIVE_BOUND:
            raise Failed(f"logits differ by {difference:.2g} of the largest; the bound is {RELATIVE_BOUND:g}")
        return difference

    def median_ms(self, run, seconds):
        times = []
        start = time.perf_counter()
        while len(times) < 3 or time.perf_counter() - start < seconds:
            before = time.perf_counter()
            run()
            self.torch.cuda.synchronize()
            times.append(time.perf_counter() - before)
        return statistics.median(times) * 1e3

    def measure(self, batch, seconds):
        torch, figures = self.torch, {}
        for tf32 in (False, True):
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
            for layout, memory in (("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)):
                model = self.timed.cuda().to(memory_format=memory)
                host = torch.randn(batch, 3, 224, 224)
                x = host.cuda().contiguous(memory_format=memory)
                with torch.inference_mode():
                    side = torch.cuda.Stream()
                    with torch.cuda.stream(side):  # warms up, as recording wants it
                        for _ in range(3):
                            model(x)
                    torch.cuda.current_stream().wait_stream(side)
                    graph = torch.cuda.CUDAGraph()
                    with torch.cuda.graph(graph):
                        result = model(x)
                    graph.replay()
                    model(x)

                    def host_to_host():
                        x.copy_(host)
                        graph.replay()
                        return result.cpu()

                    for kind, run in (("eager", lambda: model(x)), ("graph", graph.replay), ("host to host", host_to_host)):
                        name = f"{kind}, {'TF32' if tf32 else 'float32'}, {layout}"
                        figures[name] = self.median_ms(run, seconds)
        return figures
