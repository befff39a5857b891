#!/usr/bin/env python3
"""Measures an emitted program side by side with OpenVINO and ONNX Runtime on the same net, in float32.

    versus_openvino.py MODEL.onnx PROGRAM --threads 2 [--batch 1] [--rounds 5] [--seconds 2] [--json FILE]

First the logits of all three on the same input must agree. Then come the rounds: in each, one engine after the other
runs in a process of its own with the machine to itself, so that a slow minute of the machine hits all of them. Loading
and --warm-up seconds of runs are not counted. Needs bench/requirements.txt; exits 1 if the logits differ.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

PEERS = ("openvino", "onnxruntime")


def load_openvino(path, threads, batch):
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    shape = model.inputs[0].get_partial_shape()
    shape[0] = batch
    model.reshape({model.inputs[0]: shape})
    # Pinning changes nothing on an idle machine, and on a busy one a pinned thread cannot make way.
    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
              "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    compiled = core.compile_model(model, "CPU", config)
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if precision not in ("f32", "float32"):
        sys.exit(f"OpenVINO runs in {precision}, f32 was asked for")
    request = compiled.create_infer_request()
    dims = [shape[i].get_length() for i in range(len(shape))]
    return openvino.__version__.split("-")[0], dims, lambda x: request.infer([x], share_inputs=True)[compiled.output(0)]


def load_onnxruntime(path, threads, batch):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL

    def session():
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    shape = session().get_inputs()[0].shape
    if isinstance(shape[0], str):
        options.add_free_dimension_override_by_name(shape[0], batch)
    run = session()
    name = run.get_inputs()[0].name
    return onnxruntime.__version__, [batch] + shape[1:], lambda x: run.run(None, {name: x})[0]


def peer(args):
    """The child process of one peer: with args.input it writes its logits, else it times itself. JSON on stdout."""
    version, shape, infer = {"openvino": load_openvino, "onnxruntime": load_onnxruntime}[args.peer](
        args.onnx, args.threads, args.batch
    )
    if args.input:
        np.save(args.output, infer(np.load(args.input)))
        print(json.dumps({"version": version}))
        return
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    times = []
    start = time.perf_counter()
    while True:
        begin = time.perf_counter()
        infer(x)
        end = time.perf_counter()
        if begin - start >= args.warm_up:
            times.append((end - begin) * 1e3)
            if end - start >= args.warm_up + args.seconds:
                break
    latency = {"min": min(times), "median": statistics.median(times), "p99": float(np.percentile(times, 99))}
    print(json.dumps({"version": version, "runs": len(times), "latency_ms": latency}))


def output_of(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"exit status {done.returncode} of {' '.join(map(str, command))}")
    return done.stdout


def peer_command(args, name):
    return [sys.executable, __file__, args.onnx, "-", "--peer", name, "--threads", args.threads, "--batch", args.batch,
            "--seconds", args.seconds, "--warm-up", args.warm_up]


def check_logits(args):
    """The largest difference of our logits from each peer's, relative to the largest |logit|; the peers' versions."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        _, shape, _ = load_onnxruntime(args.onnx, 1, args.batch)
        np.save(folder / "x.npy", np.random.default_rng(1).standard_normal(shape).astype(np.float32))
        files = ["--input", folder / "x.npy", "--output"]
        output_of([args.program, "--threads", args.threads, "--batch", args.batch] + files + [folder / "ours.npy"])
        ours = np.load(folder / "ours.npy")
        differences, versions = {}, {}
        for name in PEERS:
            child = output_of(peer_command(args, name) + files + [folder / f"{name}.npy"])
            versions[name] = json.loads(child)["version"]
            theirs = np.load(folder / f"{name}.npy")
            if ours.shape != theirs.shape:
                sys.exit(f"our logits have shape {ours.shape}, {name}'s {theirs.shape}")
            differences[name] = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            print(f"logits differ from {name}'s by {differences[name]:.2g} of the largest |logit|")
        if not all(difference <= args.relative for difference in differences.values()):
            sys.exit(f"that is more than {args.relative:g}: nothing is measured")
        return differences, versions


def busy_seconds():
    """CPU seconds of the whole machine, and of our finished children."""
    user, nice, system, _, _, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    machine = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return machine, children.ru_utime + children.ru_stime


def measure(args, engine):
    """The engine's own figures, and "others": how many cores everything else on the machine kept busy meanwhile."""
    command = peer_command(args, engine)
    if engine == "resnetc":
        command = [args.program, "--benchmark", args.seconds, "--json"]
        command += ["--threads", args.threads, "--batch", args.batch]
    machine, children = busy_seconds()
    start = time.perf_counter()
    figures = json.loads(output_of(command))
    wall = time.perf_counter() - start
    machine, children = busy_seconds()[0] - machine, busy_seconds()[1] - children
    return figures | {"others": max(0.0, (machine - children) / wall)}


def summary(rounds, batch):
    """Of each engine: the median over the rounds of each round's median, and how far the rounds' medians range."""
    engines = {}
    for engine in rounds[0]:
        medians = [r[engine]["latency_ms"]["median"] for r in rounds]
        median = statistics.median(medians)
        engines[engine] = {"median_ms": median, "lowest_median_ms": min(medians), "highest_median_ms": max(medians),
                           "min_ms": min(r[engine]["latency_ms"]["min"] for r in rounds),
                           "images_per_second": batch * 1e3 / median}
    best = min(PEERS, key=lambda name: engines[name]["median_ms"])
    for engine in engines.values():
        engine["ratio_to_best_peer"] = engine["median_ms"] / engines[best]["median_ms"]
    return engines, best


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onnx", metavar="MODEL.onnx")
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--warm-up", type=float, default=0.5)
    parser.add_argument("--relative", type=float, default=1e-4, help="bound of the logits' difference")
    parser.add_argument("--json", type=pathlib.Path)
    for hidden in ("--peer", "--input", "--output"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    if args.rounds < 1 or args.seconds <= 0 or args.threads < 1 or args.batch < 1:
        parser.error("--rounds, --seconds, --threads and --batch must be positive")
    args.program = str(pathlib.Path(args.program).resolve())

    differences, versions = check_logits(args)
    rounds = []
    for i in range(args.rounds):
        # The order turns, so that none always follows the same neighbour.
        engines = ["resnetc", *PEERS]
        order = engines[i % 3 :] + engines[: i % 3]
        measured = {engine: measure(args, engine) for engine in order}
        rounds.append({engine: measured[engine] for engine in engines})
        shown = ", ".join(f"{engine} {r['latency_ms']['median']:.3f}" for engine, r in rounds[-1].items())
        print(f"round {i + 1} of {args.rounds}, ms: {shown}", file=sys.stderr)
    others = max(r[engine]["others"] for r in rounds for engine in r)
    engines, best = summary(rounds, args.batch)

    machine = {"cpu": cpu_model(), "cores": len(os.sched_getaffinity(0)), "system": platform.platform()}
    print(f"{pathlib.Path(args.onnx).stem}, f32, {args.threads} threads, batch {args.batch}, {args.rounds} rounds of "
          f"{args.seconds:g} s; {machine['cpu']}, {machine['cores']} cores")
    print(f"{'engine':<24}{'median ms':>10}{'rounds':>18}{'min ms':>10}{'images/s':>10}{'to best peer':>14}")
    for name, e in engines.items():
        between = f"{e['lowest_median_ms']:.3f}…{e['highest_median_ms']:.3f}"
        print(f"{name + ' ' + versions.get(name, ''):<24}{e['median_ms']:>10.3f}{between:>18}{e['min_ms']:>10.3f}"
              f"{e['images_per_second']:>10.1f}{e['ratio_to_best_peer']:>13.3f}x")
    if others > 0.1:
        print(f"WARNING: other processes kept up to {others:.2f} cores busy: measure again on an idle machine")
    if args.json:
        report = {"model": pathlib.Path(args.onnx).stem, "precision": "f32", "threads": args.threads,
                  "batch": args.batch, "seconds": args.seconds, "machine": machine, "versions": versions,
                  "logits_relative_difference": differences, "best_peer": best, "others": others,
                  "engines": engines, "rounds": rounds}
        args.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
