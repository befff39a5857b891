"""Tunes nets for a GPU, checks every logit and measures them beside PyTorch with cuDNN: bench/gpu/run --help."""

import json
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "tools"))
from files import write_whole  # noqa: E402
from gpu_options import parse  # noqa: E402
from process import Failed, machine, output_of, outputs_of, say  # noqa: E402
from table import table  # noqa: E402
from torch_peer import Torch  # noqa: E402
from tuning import plan, tune, tuned_kernels, tuned_text  # noqa: E402


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
        self.file, self.folder = options.models / f"{net}.json", folder / f"{net}.{batch}"
        self.program = self.folder / net
        self.name = f"{net}, batch {batch}"
        self.size = ["--size", options.size] if options.size else []

    def for_device(self):
        return ["--target", self.options.target, "--batch", self.batch, *self.size, "--db", self.records]

    def tune(self, files, seconds):
        """The nets of these files, for this batch. Returns what the tuner says."""
        command = [self.options.resnetc, "tune", *files, *self.for_device(), "--device", self.options.device, "--budget",
                   f"{seconds}s"]
        return outputs_of(command, seconds + self.budget.for_process())[1]

    def compile(self):
        output_of([self.options.resnetc, "compile", self.file, *self.for_device(), "--weights", self.weights, "--emit",
                   "exe", "--output", self.folder], self.budget.for_process())

    def run(self, *words):
        command = [self.program, "--device", self.options.device, "--batch", self.batch, *words]
        return output_of(command, self.budget.for_process())

    def benchmark(self):
        figures = json.loads(self.run("--benchmark", self.options.seconds, "--json"))
        return {"kernels": figures["kernels_ms"], "host to host": figures["latency_ms"]["median"]}


def median_of_each(sample):
    return {name: statistics.median(ms) for name, ms in sample.items()}


class Failures:
    """What went wrong, said at once: a GPU may be at hand but once, so the other cells are measured all the same."""

    def __init__(self):
        self.texts = []

    def note(self, where, problem):
        self.texts.append(f"{where}: {problem}")
        say(f"FAILED: {self.texts[-1]}")


def prepare_cell(budget, cell, nets, is_first):
    """Compiles and checks it; returns what the check gave."""
    start = time.perf_counter()
    cell.compile()
    if cell.net in nets:
        checked = f"logits differ from PyTorch's by {nets[cell.net].check(cell):.1e} of the largest"
    else:
        checked = cell.run("--self-test").strip()
    spent = time.perf_counter() - start
    budget.beside_tuning = max(0 if is_first else budget.beside_tuning, spent)
    cell.tuned = tuned_kernels(cell)
    say(f"{cell.name}: {tuned_text(cell.tuned)}; compiled, in {spent:.0f} s; {checked}")
    return checked


def torch_nets(torch, options, folder, failures):
    """By name, but for those that have no form in PyTorch: programs of theirs check themselves and are measured alone."""
    nets = {}
    for net in options.nets if torch else []:
        try:
            nets[net] = Torch(torch, options.models, net, folder)
        except (Failed, OSError, RuntimeError) as problem:
            failures.note(f"{net}, PyTorch", problem)
    return nets


def prepare(options, budget, torch, folder, records, failures):
    """Cells with what checking them gave, and PyTorch's nets. Those that fail are left out."""
    nets, prepared = torch_nets(torch, options, folder, failures), {}
    left = len(options.nets) * len(options.batches)
    planned = plan(options.batches, len(options.nets), options.tune, budget.for_tuning(left))
    if options.tune > 0 and not planned:
        say("nothing is tuned, for --budget leaves no time")
    batches = sorted(options.batches, key=lambda batch: batch not in planned)  # first those whose records serve others
    for number, batch in enumerate(batches):
        cells = [Cell(options, budget, net, batch, nets[net].weights if net in nets else "random:1", folder, records)
                 for net in options.nets]
        if batch in planned:
            share = planned[batch] / sum(planned.get(later, 0) for later in batches[number:])
            tune(cells, planned[batch], budget.for_tuning(left) * share)
        for cell in cells:
            try:
                prepared[cell.net, batch] = cell, prepare_cell(budget, cell, nets, not prepared)
            except (Failed, OSError) as problem:
                failures.note(cell.name, problem)
            left -= 1
    wanted = [(net, batch) for net in options.nets for batch in options.batches]
    return [prepared[each] for each in wanted if each in prepared], nets


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


def what_it_said(problem):
    """Of a program that failed, without its command line and without where its usage is shown, which is not ours."""
    _, *said = str(problem).splitlines()
    return "\n".join(line for line in said if "--help" not in line) or str(problem)


def find_device(options, budget, folder, records):
    """The device in words. Where it cannot be used that is one message, and not one for each net and batch."""
    probe = Cell(options, budget, "digits_resnet8", 1, "random:1", folder, records)
    probe.size = []
    try:
        probe.compile()
        devices = probe.run("--list-devices").strip().splitlines()
        probe.run("--self-test")
    except Failed as problem:
        raise Failed(what_it_said(problem)) from None
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
        measured = [{"net": cell.net, "batch": cell.batch, "checked": checked, "tuned": cell.tuned,
                     "median_ms": median_of_each(sample)} for (cell, checked), sample in zip(cells, samples)]
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
