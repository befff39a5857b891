#!/usr/bin/env python3
"""Nets of models/, written as ONNX and imported, against the block form that they come from: the same kernels by the same
keys, and the same bits.

    import_models_test.py [--size HxW] NET...     --size: for those with an input of 224x224
"""

import argparse
import json

import numpy as np
import onnx
import onnxruntime
from support import check, check_close, check_equal_bits, compile_model, logits, models, resnetc, run, temporary_folder
from graph_to_onnx import graph_to_onnx, random_tensors
from safetensors_file import write_safetensors


def inspected(topology, *more):
    return json.loads(run(resnetc(), "inspect", topology, "--format", "json", *more).stdout)


def kernels(inspection):
    """Key -> how often it is called."""
    return {kernel["key"]: len(kernel["nodes"]) for kernel in inspection["kernels"]}


def compare(net, size, folder):
    sized = ["--size", size] if size else []
    written = inspected(models / f"{net}.json", "--after", "none", *sized)["model"]
    tensors = random_tensors(written, seed=9)
    write_safetensors(folder / "blocks.safetensors", tensors)
    onnx.save(graph_to_onnx(written, tensors), folder / f"{net}.onnx")
    run(resnetc(), "import", folder / f"{net}.onnx", "-o", folder / "imported")
    imported = folder / "imported" / f"{net}.json"

    wanted, got = kernels(inspected(models / f"{net}.json", *sized)), kernels(inspected(imported))
    check(got == wanted, f"{net}: kernels differ:", set(got) ^ set(wanted))
    compile_model(net, folder / "blocks.safetensors", folder / "a", "--emit", "exe", *sized)
    compile_model(imported, imported.with_suffix(".safetensors"), folder / "b", "--emit", "exe")
    shape = [written["input"][key] for key in ("channels", "height", "width")]
    x = np.random.default_rng(1).standard_normal((2, *shape)).astype(np.float32)
    by_blocks, by_import = logits(folder / "a" / net, x), logits(folder / "b" / net, x)
    check_equal_bits(f"{net}: the imported net", by_import, by_blocks)
    session = onnxruntime.InferenceSession(folder / f"{net}.onnx", providers=["CPUExecutionProvider"])
    check_close(f"{net}: {len(got)} equal keys, the same bits; against ONNX Runtime", by_import,
                session.run(None, {"input": x})[0])  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size")
    parser.add_argument("nets", nargs="+")
    args = parser.parse_args()
    for net in args.nets:
        topology = json.loads((models / f"{net}.json").read_text())
        with temporary_folder() as folder:
            compare(net, args.size if topology["input"]["height"] == 224 else None, folder)


main()
