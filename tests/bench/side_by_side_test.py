#!/usr/bin/env python3
"""bench/run side by side, from the command line to table, JSON and chart, with stand-ins for the compiler and the peers:
each configuration's logits are checked, medians and ratios are those of what the engines said, and an engine that fails
or differs ends it with status 1."""

import contextlib
import io
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

import bench_path
import numpy as np
from support import check, temporary_folder

import main
import nets
import options
import peers

STUB = pathlib.Path(__file__).with_name("stub_engine.py")


class Peer:
    settings = "stands in"

    def files(self, stem, threads, batch):
        return [f"{stem}.onnx"]


def write_net(name, folder, batches):
    """In place of a real net: logits of each batch, and what is wrong with others."""
    folder.mkdir(parents=True)
    logits = np.array([[1, -2, 4], [0, 3, 1]], np.float32)
    np.save(folder / "logits.npy", logits)
    for batch in batches:
        np.save(folder / f"logits{batch}.npy", logits[:batch])
    wrong = logits.copy()
    wrong[0, 0] += 1e-3  # of 4: beyond 1e-4
    np.save(folder / "wrong.npy", wrong)
    wrong[0, 0] = np.nan
    np.save(folder / "nan.npy", wrong)
    np.save(folder / "shape.npy", logits[:, :2])
    (folder / "stub.json").write_text(json.dumps(write_net.said))
    (folder / f"{name}.onnx").write_bytes(bytes(1000))
    return nets.Net(name, folder)


def peer_command(net, engine, threads, batch, *what):
    # Where there is an input, it comes before the file for the logits.
    return [sys.executable, "-IS", STUB, engine, net.folder, threads, batch, what[0], *what[2:]]


def run_bench(folder, name="small", faults=None, ms=None, words=(), known=("alpha", "ncnn")):
    """Exit status, standard output, standard error with the reason at its end."""
    write_net.said = {"faults": faults or {}, "ms": ms or {}}
    nets.write_net, nets.peer_command, main.WORK = write_net, peer_command, folder / "work"
    options.MODELS = folder
    (folder / f"{name}.json").touch()
    peers.version = lambda engine: "1.0"
    peers.PEERS.clear()
    peers.PEERS.update({engine: Peer() for engine in known})
    compiler = folder / "resnetc"
    compiler.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {STUB} compiler "$@"\n')
    compiler.chmod(0o755)
    sys.argv = ["bench/run", "--nets", name, "--resnetc", str(compiler), "--threads", "1,2", "--batch", "1,2",
                "--rounds", "1", *words]
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        try:
            main.main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            errors.write(str(end.code))
    return status, printed.getvalue(), errors.getvalue()


def check_good_run(folder):
    ms = {"resnetc": [2, 9, 1], "alpha": [30, 3, 4], "ncnn": [8, 8, 8]}
    status, printed, errors = run_bench(folder, ms=ms, words=["--rounds", "3", "--batch", "2", "--json",
                                                             str(folder / "x.json"), "--svg", str(folder / "x.svg")])
    check(status == 0, errors)
    result = json.loads((folder / "x.json").read_text())
    net, = result["nets"]
    check(result["rounds"] == 3 and net["compile"]["kernels"] == 3 and net["left_out"] == {}, net)
    check([(c["threads"], c["batch"]) for c in net["cells"]] == [(1, 2), (2, 2)], net["cells"])
    for cell in net["cells"]:
        medians = {engine: figures["median_ms"] for engine, figures in cell["engines"].items()}
        check(medians == {"resnetc": 4, "alpha": 8, "ncnn": 16} and len(cell["rounds"]) == 3, cell)
        check(cell["engines"]["resnetc"]["ratio_to_best_peer"] == 0.5 and cell["best_peer"] == "alpha", cell)
    check(net["logits_relative_difference"] == {engine: {"batch 2, 1 threads": 0, "batch 2, 2 threads": 0}
                                                for engine in ("resnetc", "alpha", "ncnn")}, net)
    check("4.000 (0.50x)" in printed and "8.000 (1.00x)" in printed and "alpha 1.0: stands in" in printed, printed)
    costs = net["costs"]["engines"]
    check(costs["alpha"]["model_bytes"] == 1000 and costs["alpha"]["library_bytes"] == 1 << 20, costs)
    check(costs["resnetc"]["memory_bytes"] == 50 << 20 and costs["alpha"]["memory_bytes"] == 20 << 20, costs)
    picture = ElementTree.parse(folder / "x.svg")
    check(len(list(picture.iter("{http://www.w3.org/2000/svg}rect"))) == 3, "bars of the chart")
    check(not (folder / "work" / "small").exists(), "the net was left behind")


def check_faults(folder):
    """In any configuration, of any engine."""
    for fault, kind, said in (("resnetc answer 1 2", "wrong", "resnetc, batch 2, 1 threads: logits differ by 0.00025"),
                              ("alpha answer 1 1", "wrong", "alpha, batch 1, 1 threads: logits"),
                              ("alpha answer 2 2", "nan", "alpha, batch 2, 2 threads: logits differ by nan"),
                              ("ncnn answer 2 2", "shape", "ncnn, batch 2, 2 threads: logits of shape (2, 2)"),
                              ("alpha answer 1 2", "silent", "alpha, batch 2, 1 threads: wrote no logits"),
                              ("resnetc answer 2 1", "fails", "resnetc cannot do that"),
                              ("ncnn convert 2 1", "fails", "ncnn cannot do that"),
                              ("alpha time 2 2", "fails", "alpha cannot do that")):
        status, printed, errors = run_bench(folder, faults={fault: kind})
        check(status == 1 and said in errors, f"{fault} {kind}: status {status}", errors)
        check("(1.00x)" not in printed, "a table in spite of it", printed)
        check(not (folder / "work" / "small").exists(), "the net was left behind")


def check_left_out(folder):
    """Operators left unconverted, by ncnn's converter alone, of nets with zero-padded shortcuts alone: no other failure."""
    words = ["--threads", "1", "--batch", "1"]
    fault = {"ncnn convert 1 1": "unconverted"}
    said = "ncnn's converter left Tensor.slice unconverted, so that the net gives no output"
    status, printed, errors = run_bench(folder, "cifar10_small", fault, words=words)
    check(status == 0 and "ncnn 1.0" in printed and f"not measured: {said}" in printed, printed, errors)
    status, printed, errors = run_bench(folder, "small", fault, words=words)
    check(status == 1 and said in errors, "ncnn converts all other nets", errors)
    for fault, kind in (("alpha convert 1 1", "unconverted"), ("ncnn convert 1 1", "fails"), ("ncnn answer 1 1", "fails"),
                        ("ncnn answer 1 1", "silent"), ("ncnn answer 1 1", "wrong"), ("ncnn answer 1 1", "nan"),
                        ("ncnn answer 1 1", "shape"), ("ncnn time 1 1", "fails"), ("alpha answer 1 1", "fails")):
        status, printed, errors = run_bench(folder, "cifar10_small", {fault: kind}, words=words)
        check(status == 1 and "not measured" not in printed, f"{fault} {kind} is excused", printed, errors)


def check_unconverted(folder):
    """What is left in a net for ncnn."""
    (folder / "x.ncnn.bin").touch()
    param = folder / "x.ncnn.param"
    head = "7767517\n3 3\nInput      in0   0 1 in0\nConvolution conv_1 1 1 in0 1 0=16 1=3\n"
    param.write_text(head)
    check(peers.Ncnn().convert(folder / "x", 1, 1) == [], "all of it is converted")
    param.write_text(head + "Tensor.slice  slice_0 1 1 1 2 starts=(0,0)\npnnx.Expression e 1 1 2 3\nTensor.slice s 1 1 3 4\n")
    check(peers.Ncnn().convert(folder / "x", 1, 1) == ["Tensor.slice", "pnnx.Expression"], "not all of it is converted")


with temporary_folder() as scratch:
    check_good_run(scratch)
    check_faults(scratch)
    check_left_out(scratch)
    check_unconverted(scratch)
print("side by side: right")
