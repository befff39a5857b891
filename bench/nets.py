"""Makes a net for every engine, all with the same weights, in a folder of its own."""

import json
import pathlib
import sys
import time
from dataclasses import dataclass

import peers
from process import Failed, output_of, say

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELATIVE_BOUND = 1e-4


class Unconverted(Failed):
    """A converter that left operators as they were, so that the net gives no output."""


@dataclass
class Net:
    name: str
    folder: pathlib.Path

    @property
    def stem(self):
        return str(self.folder / self.name)

    @property
    def program(self):
        return self.folder / "resnetc" / self.name

    def input(self, batch):
        return self.folder / f"input{batch}.npy"

    def zero_pads(self):
        return self.name.startswith("cifar10_")


def peer_command(net, engine, threads, batch, *what):
    script = pathlib.Path(__file__).with_name("peer_process.py")
    return [sys.executable, script, engine, net.stem, threads, batch, *what]


def answer_command(net, engine, threads, batch, output):
    """A process that reads the input, writes the logits and ends."""
    if engine == "resnetc":
        return [net.program, "--threads", threads, "--batch", batch, "--input", net.input(batch), "--output", output]
    return peer_command(net, engine, threads, batch, "answer", net.input(batch), output)


def time_command(net, engine, threads, batch, seconds):
    if engine == "resnetc":
        return [net.program, "--threads", threads, "--batch", batch, "--benchmark", seconds, "--json"]
    return peer_command(net, engine, threads, batch, "time", net.input(batch), seconds)


def write_net(name, folder, batches):
    """ONNX, safetensors, an input for each batch, and the logits of ONNX Runtime without optimisations."""
    import numpy as np

    output_of([sys.executable, ROOT / "tests/tools/reference_net.py", "--net", name, "--out", folder,
               "--batch", max(batches)])
    net = Net(name, folder)
    x = np.load(folder / "input.npy")
    for batch in batches:
        np.save(net.input(batch), np.ascontiguousarray(x[:batch]))
    return net


def compile_net(net, resnetc):
    """Compiles with an empty cache, then with a full one. Seconds of each."""
    model = ROOT / "models" / f"{net.name}.json"
    seconds = {}
    for cache in ("cold", "warm"):
        start = time.perf_counter()
        output_of([resnetc, "compile", model, "--weights", f"{net.stem}.safetensors", "--output", net.program.parent,
                   "--cache", net.folder / "cache"])
        seconds[cache] = time.perf_counter() - start
    report = json.loads((net.program.parent / "report.json").read_text())
    return {"cold_s": seconds["cold"], "warm_s": seconds["warm"], "kernels": len(report["kernels"])}


def convert_net(net, engine, threads, batches):
    """Seconds of each conversion, by batch and threads."""
    seconds = {}
    for batch in batches:
        for count in threads:
            said = json.loads(output_of(peer_command(net, engine, count, batch, "convert")))
            if said["unconverted"]:
                raise Unconverted(f"{engine}'s converter left {', '.join(said['unconverted'])} unconverted, so that "
                                  "the net gives no output")
            seconds[f"batch {batch}, {count} threads"] = said["seconds"]
    return seconds


def check_logits(net, engine, threads, batches):
    """Of each configuration the largest difference from the reference, relative to its largest |logit|."""
    import numpy as np

    reference = np.load(net.folder / "logits.npy")
    bound = getattr(peers.PEERS.get(engine), "relative_bound", RELATIVE_BOUND)
    differences = {}
    for batch in batches:
        for count in threads:
            where = f"batch {batch}, {count} threads"
            file = net.folder / f"{engine}.npy"
            file.unlink(missing_ok=True)
            output_of(answer_command(net, engine, count, batch, file))
            if not file.exists():
                raise Failed(f"{engine}, {where}: wrote no logits")
            logits, expected = np.load(file), reference[:batch]
            if logits.size != expected.size:
                raise Failed(f"{engine}, {where}: logits of shape {logits.shape}, ONNX Runtime's have {expected.shape}")
            difference = float(np.abs(logits.reshape(expected.shape) - expected).max() / np.abs(expected).max())
            if not difference <= bound:  # nor a NaN
                raise Failed(f"{engine}, {where}: logits differ by {difference:.2g} of the largest |logit|; the bound "
                             f"is {bound:g}")
            differences[where] = difference
    return differences


def prepare(name, folder, threads, batches, resnetc):
    """The net, what making it took, and {engine: why not} for those left out. Every other failure is raised."""
    say(f"{name}: making the net")
    net = write_net(name, folder, batches)
    made = {"compile": compile_net(net, resnetc), "convert_s": {}, "logits_relative_difference": {}, "left_out": {}}
    for engine in ["resnetc", *peers.PEERS]:
        try:
            if engine != "resnetc":
                made["convert_s"][engine] = convert_net(net, engine, threads, batches)
            made["logits_relative_difference"][engine] = check_logits(net, engine, threads, batches)
        except Unconverted as problem:
            # Known: the strided slice of a zero-padded shortcut is lost on the way to ncnn.
            if engine != "ncnn" or not net.zero_pads():
                raise
            made["left_out"][engine] = str(problem)
    return net, made
