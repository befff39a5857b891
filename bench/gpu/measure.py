"""Tunes nets for a GPU, checks every logit and measures them beside PyTorch with cuDNN, all in float32 with random weights.

Two times of each: the kernels alone, input and logits on the device; and host to host, from an input in ordinary memory
to logits there. PyTorch runs eagerly and as a CUDA graph, with TF32 off and on, in both memory layouts; the better layout
counts. In each round all take turns; a figure is the median over the rounds of the medians in a round.

Without PyTorch or a GPU of its own (OpenCL on the CPU, say) programs are checked by their --self-test and measured alone.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "tools"))
from files import check_writable, write_whole  # noqa: E402
from process import Failed, machine, output_of, say  # noqa: E402
from table import table  # noqa: E402

# PyTorch on the CPU, where sums run in another order, is the reference.
RELATIVE_BOUND = 1e-4


def parse(words=None):
    parser = argparse.ArgumentParser(prog="bench/gpu/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resnetc", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--models", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", default="host-cuda-cuda_capability_86", help="default: %(default)s")
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--nets", nargs="+", default=["resnet18", "resnet50", "resnet152"], metavar="NET")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 64], metavar="N")
    parser.add_argument("--size", help="another size of the input, HxW, without PyTorch only")
    parser.add_argument("--tune", type=float, default=225, metavar="SECONDS",
                        help="for all tuning, larger nets and batches more of it; default: %(default)s; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=570, metavar="SECONDS",
                        help="for all of it: where it is short there is less tuning, then fewer rounds, one at least; "
                             "default: %(default)s")
    parser.add_argument("--seconds", type=float, default=0.3, help="of one measurement; default: %(default)s")
    parser.add_argument("--db", type=pathlib.Path, help="the file of records to add to and to use")
    parser.add_argument("--json", type=pathlib.Path, help="write all figures, after each cell of the table anew")
    return parser.parse_args(words)


def load_torch():
    """None, and why is said, where there is none to compare with."""
    alone = "programs are checked by their self-test and measured alone"
    try:
        import numpy  # noqa: F401
        import torch
    except (ImportError, OSError, RuntimeError) as problem:  # it is there, and a library of its own is not
        say(f"no PyTorch ({str(problem).strip().splitlines()[0]}): {alone}")
        return None
    if not torch.cuda.is_available():
        say(f"PyTorch sees no GPU: {alone}")
        return None
    torch.backends.cudnn.benchmark = True
    return torch


def versions(torch):
    """What the figures depend on beside the machine."""
    driver = pathlib.Path("/proc/driver/nvidia/version")
    result = {"driver": driver.read_text().splitlines()[0] if driver.exists() else None}
    if torch:
        result |= {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return result


class Budget:
    """What is left of the time for all of it, of which a part is for measuring."""

    for_measuring = 0.3
    for_hung, at_least = 0.15, 0.05  # of all of it, before a process counts as hung

    def __init__(self, seconds):
        self.seconds, self.end = seconds, time.perf_counter() + seconds
        self.beside_tuning = 10  # the most that a cell has taken beside the time it was given

    def left(self):
        return self.end - time.perf_counter()

    def for_tuning(self, cells):
        """The most seconds for tuning so many cells."""
        return self.left() - self.for_measuring * self.seconds - cells * self.beside_tuning

    def for_process(self):
        """The most seconds of a process: one that hangs must cost no other cell its figures."""
        return min(max(self.left(), self.at_least * self.seconds), self.for_hung * self.seconds)


class Cell:
    """One net at one batch size, compiled for the device."""

    def __init__(self, options, budget, net, batch, weights, folder, records):
        self.options, self.budget, self.net, self.batch = options, budget, net, batch
        self.weights, self.records = weights, records
        self.folder = folder / f"{net}.{batch}"
        self.program = self.folder / net
        self.name = f"{net}, batch {batch}"
        self.size = ["--size", options.size] if options.size else []

    def resnetc(self, name, *words, seconds=0):
        command = [self.options.resnetc, name, self.options.models / f"{self.net}.json", *words]
        return output_of(command, seconds + self.budget.for_process())

    def for_device(self):
        return ["--target", self.options.target, "--batch", self.batch, *self.size, "--db", self.records]

    def share(self):
        """What its tuning is worth. A candidate of a large net takes longer to run, and as long to compile, as a small
        one's: the fourth root gives ResNet-152 for 64 images 4.5 times what ResNet-18 has for one."""
        try:
            return (json.loads(self.resnetc("inspect", "--format", "json"))["macs"] * self.batch) ** 0.25
        except Failed:  # as compiling it will, and say so
            return 0

    def tune(self, seconds):
        seconds = max(1, round(seconds))
        self.resnetc("tune", *self.for_device(), "--device", self.options.device, "--budget", f"{seconds}s",
                     seconds=seconds)

    def compile(self):
        self.resnetc("compile", *self.for_device(), "--weights", self.weights, "--emit", "exe", "--output", self.folder)

    def run(self, *words):
        command = [self.program, "--device", self.options.device, "--batch", self.batch, *words]
        return output_of(command, self.budget.for_process())

    def benchmark(self):
        figures = json.loads(self.run("--benchmark", self.options.seconds, "--json"))
        return {"kernels": figures["kernels_ms"], "host to host": figures["latency_ms"]["median"]}


class Torch:
    """The same net in PyTorch, for the batches asked for."""

    def __init__(self, torch, models, net, folder):
        from safetensors_file import write_safetensors
        from torch_resnet import NoTorchForm, resnet

        self.torch = torch
        torch.manual_seed(1)
        try:
            self.model = resnet(models / f"{net}.json")
        except NoTorchForm as problem:
            raise Failed(problem) from None
        self.weights = folder / f"{net}.safetensors"
        state = self.model.state_dict()
        write_safetensors(self.weights, {name: tensor.numpy() for name, tensor in state.items() if tensor.ndim > 0})

    def check(self, cell):
        """The largest difference of any logit, relative to the largest |logit|."""
        import numpy as np

        x = self.torch.randn(cell.batch, 3, 224, 224)
        with self.torch.inference_mode():
            expected = self.model.cpu().to(memory_format=self.torch.contiguous_format)(x).numpy()
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
                model = self.model.cuda().to(memory_format=memory)
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


def median_of_each(sample):
    return {name: statistics.median(ms) for name, ms in sample.items()}


class Failures:
    """What went wrong, said at once: a GPU may be at hand but once, so the other cells are measured all the same."""

    def __init__(self):
        self.texts = []

    def note(self, where, problem):
        self.texts.append(f"{where}: {problem}")
        say(f"FAILED: {self.texts[-1]}")


def prepare_cell(budget, cell, nets, wanted, most, is_first):
    """Tunes, compiles and checks it; returns what the check gave. wanted: seconds of tuning, `most` that there are."""
    start = time.perf_counter()
    seconds, tuned = min(wanted, most), False
    if seconds >= min(5, wanted) > 0:
        try:
            cell.tune(seconds)
            tuned = True
        except Failed as problem:  # as where a busy machine left no time to measure a kernel
            say(f"{cell.name}: takes the schedules that there are, for tuning failed: {problem}")
    else:
        seconds = 0
    cell.compile()
    if cell.net in nets:
        checked = f"logits differ from PyTorch's by {nets[cell.net].check(cell):.1e} of the largest"
    else:
        checked = cell.run("--self-test").strip()
    spent = time.perf_counter() - start
    budget.beside_tuning = max(0 if is_first else budget.beside_tuning, spent - seconds)
    how = f"tuned for {seconds:.0f} s and" if tuned else "not tuned,"
    say(f"{cell.name}: {how} compiled, in {spent:.0f} s; {checked}")
    return checked


def known_nets(options, failures):
    known = [net for net in options.nets if (options.models / f"{net}.json").exists()]
    for net in options.nets:
        if net not in known:
            failures.note(net, "there is no such net")
    return known


def torch_nets(torch, options, known, folder, failures):
    """By name, but for those that have no form in PyTorch: programs of theirs check themselves and are measured alone."""
    nets = {}
    for net in known if torch else []:
        try:
            nets[net] = Torch(torch, options.models, net, folder)
        except (Failed, OSError, RuntimeError) as problem:
            failures.note(f"{net}, PyTorch", problem)
    return nets


def prepare(options, budget, torch, folder, records, failures):
    """Cells with what checking them gave, and PyTorch's nets. Those that fail are left out."""
    known = known_nets(options, failures)
    cells, nets = [], torch_nets(torch, options, known, folder, failures)
    wanted = [Cell(options, budget, net, batch, nets[net].weights if net in nets else "random:1", folder, records)
              for net in known for batch in options.batches]
    shares = [cell.share() for cell in wanted]
    for number, cell in enumerate(wanted):
        share, left, whole = shares[number], sum(shares[number:]) or 1, sum(shares) or 1
        most = budget.for_tuning(len(wanted) - number) * share / left
        try:
            checked = prepare_cell(budget, cell, nets, options.tune * share / whole, most, number == 0)
            cells.append((cell, checked))
        except (Failed, OSError) as problem:
            failures.note(cell.name, problem)
    return cells, nets


def add_figures(sample, figures):
    for name, ms in figures.items():
        sample.setdefault(name, []).append(ms)


def measure_cell(options, cell, nets, sample, failures):
    try:
        add_figures(sample, {f"resnetc, {kind}": ms for kind, ms in cell.benchmark().items()})
    except (Failed, OSError) as problem:
        failures.note(cell.name, problem)
    if cell.net in nets:
        try:
            add_figures(sample, nets[cell.net].measure(cell.batch, options.seconds / 2))
        except RuntimeError as problem:  # CUDA's errors, a lack of memory among them
            failures.note(f"{cell.name}, PyTorch", problem)


def measure(options, budget, cells, nets, failures, after_cell):
    """Samples in milliseconds by net and batch, then by what was timed; after_cell(samples, rounds that are complete) is
    called after each of them, for whoever gave the time may end all of it."""
    samples = [{} for _ in cells]
    longest = 0
    for number in range(options.rounds):
        if number > 0 and budget.left() < longest:
            say(f"{number} of {options.rounds} rounds: there is no time for more")
            break
        start = time.perf_counter()
        for (cell, _), sample in zip(cells, samples):
            if budget.left() <= 0 and number > 0:
                say(f"{number} of {options.rounds} rounds and a part of the next: there is no time for more")
                return samples
            if budget.left() <= 0:
                failures.note(cell.name, "there is no time left to measure it")
                continue
            measure_cell(options, cell, nets, sample, failures)
            after_cell(samples, number)
        longest = max(longest, time.perf_counter() - start)
        say(f"round {number + 1} of {options.rounds} measured")
        after_cell(samples, number + 1)
    return samples


def find_device(options, budget, folder, records):
    """The device in words. Where it cannot be used that is one message, and not one for each net and batch."""
    probe = Cell(options, budget, "digits_resnet8", 1, "random:1", folder, records)
    probe.size = []
    probe.compile()
    try:
        devices = probe.run("--list-devices").strip().splitlines()
        probe.run("--self-test")
    except Failed as problem:
        raise Failed(str(problem).splitlines()[-1]) from None
    return devices[options.device]


def run(options, torch, folder, failures):
    budget = Budget(options.budget)
    records = options.db or folder / "records.jsonl"
    records.touch()
    device = find_device(options, budget, folder, records)
    cells, nets = prepare(options, budget, torch, folder, records, failures)
    beside = {"machine": machine(), "device": device, "versions": versions(torch), "seconds": options.seconds}

    def write(samples, rounds):
        if not options.json:
            return
        measured = [{"net": cell.net, "batch": cell.batch, "checked": checked, "median_ms": median_of_each(sample)}
                    for (cell, checked), sample in zip(cells, samples)]
        result = {**beside, "rounds": rounds, "cells": measured, "failures": failures.texts}
        write_whole(options.json, json.dumps(result, indent=2) + "\n")

    write([{} for _ in cells], 0)
    if not cells:
        return
    samples = measure(options, budget, cells, nets, failures, write)
    say(device)
    print(table(cells, [median_of_each(sample) for sample in samples], bool(nets)))


def main():
    options = parse()
    try:
        if options.json:
            check_writable(options.json)
    except ValueError as problem:
        raise Failed(problem) from None
    torch = load_torch() if "cuda" in options.target and not options.size else None
    if "cuda" not in options.target:
        say(f"{options.target} is not compared with PyTorch: programs are checked by their self-test and measured alone")
    failures = Failures()
    with tempfile.TemporaryDirectory() as name:
        run(options, torch, pathlib.Path(name), failures)
    if failures.texts:
        raise Failed(f"{len(failures.texts)} failed, as said above")


if __name__ == "__main__":
    try:
        main()
    except (Failed, OSError) as problem:
        sys.exit(f"bench/gpu: {problem}")
