#!/usr/bin/env python3
"""--weights-storage bf16: half the weights, logits near those with f32, the same kernels' bounds; on trained nets and
1,000 images where they are: weights_storage_test.py FOLDER"""

import json
import pathlib
import re
import sys

import numpy as np
from support import check, check_equal_bits, compile_digits, compile_model, logits, models, resnetc, run, temporary_folder
from cifar_check import to_input
from compare_logits import compare
from safetensors_file import write_safetensors

bf16 = ("--weights-storage", "bf16")


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def check_digits(folder):
    said = compile_digits(folder / "f32").stderr
    check("weights as bf16" not in said, said)
    said = compile_digits(folder / "bf16", *bf16).stderr
    plain, stored = report_of(folder / "f32"), report_of(folder / "bf16")
    check(plain["weights_storage"] == "f32" and "weights_difference" not in plain, plain)
    check(stored["weights_storage"] == "bf16", stored)
    check(0 < stored["weights_difference"] < 0.02, stored["weights_difference"])
    percent = float(re.search(r"weights as bf16: logits differ from those with f32 by ([0-9.e+-]+) %", said)[1])
    check(abs(percent / 100 - stored["weights_difference"]) < 0.06 * stored["weights_difference"], said)
    # Biases stay, and so does the padding of blocks.
    check(stored["weight_bytes"] < 0.6 * plain["weight_bytes"], stored["weight_bytes"], plain["weight_bytes"])
    convolutions = [k for k in stored["kernels"] if re.match("conv2d|dense", k["key"])]
    check(convolutions and all("bf16_" in k["key"] for k in convolutions), convolutions)
    check(not any("bf16" in k["key"] for k in plain["kernels"]), plain["kernels"])
    text = (folder / "bf16" / "digits_resnet8.ir").read_text()
    check(re.search(r'= weight ".* as bf16" sha256=[0-9a-f]{64} : bf16\[', text), text[:1000])

    program = folder / "bf16" / "digits_resnet8"
    run(program, "--self-test")
    check("in this file, as bf16" in run(program, "--info").stdout, "--info")
    check("bf16" not in run(folder / "f32" / "digits_resnet8", "--info").stdout, "--info of f32")
    x = np.random.default_rng(1).standard_normal((3, 1, 16, 16)).astype(np.float32)
    check_equal_bits("1 and 2 threads", logits(program, x, "--threads", 1), logits(program, x, "--threads", 2))


def round_to_bf16(values):
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def check_rounding(folder):
    """A net without batch norms: rounding its weights in the file first makes the same net, to the bits of its logits."""
    nodes = [
        {"name": "w", "op": "weight", "shape": [24, 3, 3, 3]},
        {"name": "b", "op": "weight", "shape": [24]},
        {"name": "conv", "op": "conv2d", "inputs": ["input", "w", "b"], "padding": 1},
        {"name": "relu", "op": "relu", "inputs": ["conv"]},
        {"name": "pool", "op": "global_average_pool", "inputs": ["relu"]},
        {"name": "fc", "op": "weight", "shape": [5, 24]},
        {"name": "logits", "op": "dense", "inputs": ["pool", "fc"]},
    ]
    net = {"name": "net", "input": {"channels": 3, "height": 9, "width": 7}, "graph": nodes, "output": "logits"}
    (folder / "net.json").write_text(json.dumps(net))
    shapes = {node["name"]: node["shape"] for node in nodes if node["op"] == "weight"}
    random = np.random.default_rng(2)
    tensors = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    write_safetensors(folder / "plain.safetensors", tensors)
    rounded = {name: round_to_bf16(tensors[name]) for name in ("w", "fc")}
    write_safetensors(folder / "rounded.safetensors", {**tensors, **rounded})
    x = random.standard_normal((2, 3, 9, 7)).astype(np.float32)
    answers = {}
    for name in ("plain", "rounded"):
        compile_model(folder / "net.json", folder / f"{name}.safetensors", folder / name, *bf16, "--winograd", "off")
        answers[name] = logits(folder / name / "net", x)
    check_equal_bits("rounded before and by resnetc", answers["plain"], answers["rounded"])
    check(report_of(folder / "rounded")["weights_difference"] == 0, "rounding twice changes values")
    # A single weight of a graph file.
    nodes[0]["dtype"] = "bf16"
    (folder / "net.json").write_text(json.dumps(net))
    compile_model(folder / "net.json", folder / "plain.safetensors", folder / "one", "--winograd", "off")
    keys = [kernel["key"] for kernel in report_of(folder / "one")["kernels"]]
    check(any("w24x3x3x3bf16" in key for key in keys) and any("w5x24_" in key for key in keys), keys)
    nodes[1]["dtype"] = "bf16"
    (folder / "net.json").write_text(json.dumps(net))
    said = compile_model(folder / "net.json", folder / "plain.safetensors", folder / "two", status=1).stderr
    check("operand 2 must be f32, got bf16[24]" in said, said)


def check_refusals(folder):
    for command in (("compile", "-w", "random:1", "-o", folder / "gpu"), ("tune",), ("inspect",)):
        said = run(resnetc(), command[0], models / "digits_resnet8.json", *command[1:], *bf16, "--target", "host-opencl",
                   status=1).stderr  # fmt: skip
        check("--weights-storage bf16: kernels for a GPU read weights as f32" in said, said)
    said = compile_digits(folder / "bad", "--weights-storage", "f16", status=2).stderr
    check("--weights-storage" in said, said)
    check(not (folder / "bad").exists() and not (folder / "gpu").exists(), "something was written")


def check_inspect():
    said = run(resnetc(), "inspect", models / "digits_resnet8.json", *bf16).stdout
    check(": bf16[" in said and "as bf16" in said, said[:2000])
    said = run(resnetc(), "inspect", models / "digits_resnet8.json", "--after", "store_weights").stdout
    check("bf16[" not in said, "bf16 without being asked for")


def check_tune(folder):
    db = folder / "records.jsonl"
    model = models / "digits_resnet8.json"
    run(resnetc(), "tune", model, *bf16, "--db", db, "--threads", 2, "--budget", "6s", "--kernels", "^conv2d")
    keys = {json.loads(line)["key"] for line in db.read_text().splitlines()}
    check(keys and all("bf16_" in key for key in keys), keys)
    compile_digits(folder / "tuned", *bf16, "--db", db, "--threads", 2)
    used = {kernel["key"]: kernel["record"] or "" for kernel in report_of(folder / "tuned")["kernels"]}
    check(any(used[key].startswith(db.name) for key in keys), used)
    run(folder / "tuned" / "digits_resnet8", "--self-test")


def check_trained_nets(data, folder):
    """What docs/reference.md says of them."""
    if not (data / "models").exists():
        print(f"trained nets: not checked, there is no {data / 'models'}")
        return
    images = np.load(data / "images" / "cifar10_test1000_u8.npy")
    labels = np.load(data / "images" / "cifar10_test1000_labels_u8.npy")
    for net in ("cifar10_resnet20", "cifar10_resnet20b", "cifar10_mlperftiny_resnet8"):
        weights = data / "models" / f"{net}.safetensors"
        x = to_input(images, net)
        answers = {}
        for storage in ("f32", "bf16"):
            compile_model(net, weights, folder / storage, "--emit", "exe", "--weights-storage", storage)
            run(folder / storage / net, "--self-test")
            answers[storage] = logits(folder / storage / net, x)
        figures = compare(answers["bf16"], answers["f32"])
        accuracy = {storage: float((y.argmax(1) == labels).mean()) for storage, y in answers.items()}
        print(f"{net}: 1,000 images, logits differ by {figures['absolute']:.3g}, {figures['relative']:.2%} of the "
              f"largest; top-1 differs in {figures['top1_differs']}; accuracy {accuracy['f32']:.1%} and "
              f"{accuracy['bf16']:.1%}")  # fmt: skip
        check(0 < figures["relative"] < 0.02, net, figures)
        check(figures["top1_differs"] <= 10, net, figures)


def main():
    with temporary_folder() as folder:
        check_digits(folder)
        check_rounding(folder)
        check_refusals(folder)
        check_inspect()
        check_tune(folder)
        check_trained_nets(pathlib.Path(sys.argv[1]), folder)


main()
