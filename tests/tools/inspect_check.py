#!/usr/bin/env python3
"""resnetc inspect on every model, in every format; and what it refuses.

Usage: inspect_check.py RESNETC
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"
RESNETC = sys.argv[1]


def run(*arguments, status=0):
    result = subprocess.run([RESNETC, *map(str, arguments)], capture_output=True, timeout=300)
    lines = result.stderr.decode().splitlines(keepends=True)
    error = "".join(line for line in lines if not line.startswith("warning: "))
    assert result.returncode == status, (arguments, result.returncode, error)
    assert (status == 0) == (error == ""), (arguments, error)
    assert status == 0 or (error.startswith("resnetc: ") and result.stdout == b""), (arguments, error)
    return error if status else result.stdout.decode()


def check_dot(text):
    """Quotes and braces match, and every edge joins two nodes."""
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "Q", text)
    assert '"' not in outside and outside.count("{") == outside.count("}"), text[:500]
    nodes = set(re.findall(r'^    ("[^"]+") \[', text, re.MULTILINE))
    edges = re.findall(r'^  ("[^"]+") -> ("[^"]+") \[', text, re.MULTILINE)
    assert edges and all(a in nodes and b in nodes for a, b in edges), text[:500]


def check_model(model, validator, folder):
    run("inspect", model)
    for passes in ("none", "assign_borders", "none,fuse_relu"):
        page = xml.etree.ElementTree.fromstring(run("inspect", model, "--format", "svg", "--after", passes))
        assert page.tag == SVG + "svg" and len(page.findall(f".//{SVG}g")) > 4
        assert float(page.get("width")) < 4000 and float(page.get("height")) < 4000, (model, passes, page.attrib)
    check_dot(run("inspect", model, "--format", "dot"))
    kernels = None
    for last in ("assign_borders", "none"):
        shown = json.loads(run("inspect", model, "--format", "json", "--after", last))
        validator.validate(shown["model"])
        # The graph as a file of its own is the same net.
        file = folder / "again.json"
        file.write_text(json.dumps(shown["model"]))
        again = json.loads(run("inspect", file, "--format", "json", "--after", last))
        assert kernels in (None, shown["kernels"])
        kernels = shown["kernels"]
        assert again["model"] == shown["model"] and again["kernels"] == kernels and again["memory"] == shown["memory"]


def check_options(folder):
    model = ROOT / "models" / "digits_resnet8.json"
    text = run("inspect", model)
    assert run("inspect", model, "--threads", 3, "--target", "x86-64-linux-sse41") != ""
    assert "# output      7 classes" in run("inspect", model, "--classes", 7)
    assert "# output      4×4×64" in run("inspect", model, "--no-head")
    assert "# input       32×24×1" in run("inspect", model, "--size", "32x24")
    assert "sha256=" not in text
    assert "sha256=" in run("inspect", model, "-w", model.with_suffix(".safetensors"))
    assert "sha256=" in run("inspect", model, "--weights", "random:1")

    # A device has a plan of its own.
    for target, alignment in (("host", 64), ("host-opencl", 512), ("host-cuda", 512)):
        plan = json.loads(run("inspect", model, "--format", "json", "--target", target))["memory"]
        offsets = [tensor["offset"] for tensor in plan["tensors"]]
        assert all(offset % alignment == 0 for offset in offsets), (target, offsets)
        assert any(offset % 512 for offset in offsets) == (target == "host"), (target, offsets)
        assert any(t["border_shared"] for t in plan["tensors"]) == (target == "host"), (target, plan)
        assert f"# memory plan: {plan['arena_bytes']} bytes" in run("inspect", model, "--target", target), target

    output = folder / "out.txt"
    output.write_text("old")
    before = set(os.listdir(folder))
    assert run("inspect", model, "-o", output) == ""
    assert output.read_text() == text and set(os.listdir(folder)) == before
    assert "No such file" in run("inspect", model, "-o", folder / "none" / "x", status=1)
    assert "there is no such file" in run("inspect", folder / "none.json", status=1)
    assert "--classes" in run("inspect", model, "--classes", 0, status=2)
    assert "none,fold_batch_norm" in run("inspect", model, "--after", "fold", status=2).replace(", ", ",")
    assert "--format" in run("inspect", model, "--format", "png", status=2)
    assert "--after" in run("inspect", model, "--after", "none,fuse_relu", status=2)
    with open("/dev/full", "wb") as full:
        result = subprocess.run([RESNETC, "inspect", model], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == 1 and b"standard output" in result.stderr, result


def main():
    schema = json.loads((ROOT / "docs" / "topology.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        models = sorted((ROOT / "models").glob("*.json"))
        assert models
        for model in models:
            check_model(model, validator, folder)
        check_options(folder)
        picture = ROOT / "docs" / "resnet18.svg"
        xml.etree.ElementTree.fromstring(picture.read_text())
    print(f"{len(models)} models")


if __name__ == "__main__":
    main()
