"""The other engines: how each converts a net, loads it and runs it, with the settings that made it fastest.

STEM is a path without its ending: a net is STEM.onnx, and convert() leaves what an engine loads beside it. convert()
may take its time, and returns the names of operators that it left unconverted, if any; what load() does counts as time
to the first answer.
"""

import importlib.metadata
import pathlib
import re
import subprocess
import sys


class OnnxRuntime:
    settings = "graph optimised (all levels, this batch) and saved beforehand; sequential; intra-op threads"

    def files(self, stem, threads, batch):
        return [f"{stem}.b{batch}.onnx"]

    def session(self, path, threads, level, change=lambda options: None):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        # A saved graph with this machine's layouts is meant for this machine: no warning of that.
        options.log_severity_level = 3
        change(options)
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def convert(self, stem, threads, batch):
        def change(options):
            options.add_free_dimension_override_by_name("n", batch)
            options.optimized_model_filepath = self.files(stem, threads, batch)[0]

        self.session(f"{stem}.onnx", threads, "ORT_ENABLE_ALL", change)

    def load(self, stem, threads, batch, shape):
        session = self.session(self.files(stem, threads, batch)[0], threads, "ORT_DISABLE_ALL")
        return lambda x: session.run(None, {"input": x})[0]


class OpenVino:
    settings = "LATENCY hint, f32, one stream, no pinning; compiled for these threads and batch and exported beforehand"

    def files(self, stem, threads, batch):
        return [f"{stem}.b{batch}.t{threads}.blob"]

    def config(self, threads):
        # Pinning changes nothing on an idle machine, and on a busy one a pinned thread cannot make way.
        return {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}

    def convert(self, stem, threads, batch):
        import openvino

        core = openvino.Core()
        model = core.read_model(f"{stem}.onnx")
        shape = model.inputs[0].get_partial_shape()
        shape[0] = batch
        model.reshape({model.inputs[0]: shape})
        compiled = core.compile_model(model, "CPU", self.config(threads))
        pathlib.Path(self.files(stem, threads, batch)[0]).write_bytes(compiled.export_model().getbuffer())

    def load(self, stem, threads, batch, shape):
        import openvino

        blob = openvino.tensor_from_file(self.files(stem, threads, batch)[0])
        compiled = openvino.Core().import_model(blob, "CPU", self.config(threads))
        for name, value in (("INFERENCE_PRECISION_HINT", openvino.Type.f32), ("INFERENCE_NUM_THREADS", threads)):
            if compiled.get_property(name) != value:
                sys.exit(f"OpenVINO runs with {name} {compiled.get_property(name)}, {value} was asked for")
        request = compiled.create_infer_request()
        return lambda x: request.infer([x], share_inputs=True)[compiled.output(0)]


class Ncnn:
    settings = "pnnx with fp16=0; packed layout, Winograd, no fp16 or bf16; lightmode; batched input"

    def files(self, stem, threads, batch):
        return [f"{stem}.ncnn.param", f"{stem}.ncnn.bin"]

    def convert(self, stem, threads, batch):
        param, weights = (pathlib.Path(file) for file in self.files(stem, threads, batch))
        if not param.exists():
            import onnx

            dims = onnx.load(f"{stem}.onnx").graph.input[0].type.tensor_type.shape.dim
            sides = ",".join(str(d.dim_value) for d in dims[1:])
            # The package imports PyTorch; its converter is a program of its own.
            folder = importlib.metadata.distribution("pnnx").locate_file("pnnx")
            done = subprocess.run([folder / "pnnx", f"{stem}.onnx", f"inputshape=[1,{sides}]f32", "fp16=0"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
            if done.returncode != 0 or not weights.exists():
                sys.exit(f"pnnx: exit status {done.returncode}: {done.stdout[-500:]}")
        # A layer of ncnn's has a plain name; one with a dot or colon is an operator that pnnx could not convert.
        return sorted(set(re.findall(r"^([\w]+[.:][\w.:]+)\s", param.read_text(), re.MULTILINE)))

    def load(self, stem, threads, batch, shape):
        import ncnn

        net = ncnn.Net()
        net.opt.num_threads = threads
        net.opt.lightmode = True
        net.opt.use_vulkan_compute = False
        net.opt.use_packing_layout = net.opt.use_winograd_convolution = net.opt.use_sgemm_convolution = True
        for kind in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
            setattr(net.opt, "use_" + kind, False)
        param, weights = self.files(stem, threads, batch)
        if net.load_param(param) != 0 or net.load_model(weights) != 0:
            sys.exit("ncnn cannot load what pnnx wrote")

        def run(x):
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(x, batch_index=0))
            status, out = extractor.extract("out0")
            if status != 0:
                sys.exit(f"ncnn gives no output: status {status}")
            return out.numpy(batch_index=0)

        return run


class Mnn:
    settings = "Module API, precision and power high (float32; large Winograd tiles, its default), fixed shape"
    # Its Winograd tiles are larger than the others', and its rounding errors with them.
    relative_bound = 2e-3

    def files(self, stem, threads, batch):
        return [f"{stem}.mnn"]

    def convert(self, stem, threads, batch):
        # The native half of mnnconvert. The script around it installs packages and reports to its makers.
        import _tools

        file = self.files(stem, threads, batch)[0]
        if not pathlib.Path(file).exists():
            words = ["mnnconvert", "-f", "ONNX", "--modelFile", f"{stem}.onnx", "--MNNModel", file, "--bizCode", "x"]
            if not _tools.mnnconvert(words) or not pathlib.Path(file).exists():
                sys.exit("MNN's converter failed")

    def load(self, stem, threads, batch, shape):
        import MNN.expr
        import MNN.nn

        config = {"backend": "CPU", "numThread": threads, "precision": "high", "power": "high"}
        manager = MNN.nn.create_runtime_manager((config,))
        module = MNN.nn.load_module_from_file(self.files(stem, threads, batch)[0], ["input"], ["logits"],
                                              runtime_manager=manager, shape_mutable=False)
        held = {}

        def run(x):
            if id(x) not in held:  # handing an array over copies it element by element
                held.clear()
                held[id(x)] = MNN.expr.const(x, list(x.shape), MNN.expr.NCHW, MNN.expr.float)
            return module.forward(held[id(x)]).read()

        return run


class Idle:
    """No engine: what Python and numpy alone cost."""

    settings = ""

    def files(self, stem, threads, batch):
        return []

    def convert(self, stem, threads, batch):
        pass

    def load(self, stem, threads, batch, shape):
        return lambda x: x


PEERS = {"onnxruntime": OnnxRuntime(), "openvino": OpenVino(), "ncnn": Ncnn(), "mnn": Mnn()}


def version(name):
    return importlib.metadata.version(name)
