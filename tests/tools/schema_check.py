#!/usr/bin/env python3
"""docs/topology.schema.json against models/, the documents' examples and resnetc itself.

Usage: schema_check.py RESNETC

What resnetc reads, the schema accepts; what is on the list of broken files, both refuse. And every model with any of its
values removed or replaced: where the schema refuses it, resnetc does too.
"""

import copy
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]

BLOCKS = {
    "name": "net",
    "input": {"channels": 3, "height": 32, "width": 32},
    "preprocess": {"resize": 40, "crop": [32, 32], "mean": [1, 2, 3], "std": [1, 1, 1], "order": "bgr"},
    "stem": {"channels": 16, "kernel": 3, "padding": "same", "max_pool": {"kernel": 3, "stride": 2, "padding": 1}},
    "block": "bottleneck",
    "stages": [{"blocks": 1, "channels": 16}, {"blocks": 2, "channels": 32, "stride": 2}],
    "head": {"classes": 10},
}
GRAPH = {
    "name": "net",
    "input": {"name": "x", "channels": 3, "height": 8, "width": 8},
    "graph": [
        {"name": "w", "op": "weight", "shape": [4, 3, 3, 3], "tensor": "conv.weight", "sha256": "00ff"},
        {"name": "b", "op": "weight", "shape": [4]},
        {"name": "v", "op": "weight", "shape": [5, 4]},
        {"name": "conv", "op": "conv2d", "inputs": ["x", "w", "b"], "stride": 2, "padding": [1, 1, 1, 1], "border": 1,
         "epilogue": [{"op": "relu", "maximum": 6}, {"op": "max_pool", "kernel": 2, "stride": [2, 2]}]},
        {"name": "norm", "op": "batch_norm", "inputs": ["conv", "b", "b", "b", "b"], "epsilon": 0.001},
        {"name": "scale", "op": "scale_shift", "inputs": ["norm", "b", "b"], "relu": True},
        {"name": "relu", "op": "relu", "inputs": ["scale"]},
        {"name": "sum", "op": "add", "inputs": ["relu", "scale"], "subsample": 1},
        {"name": "max", "op": "max_pool", "inputs": ["sum"], "kernel": 2},
        {"name": "mean", "op": "average_pool", "inputs": ["max"], "kernel": 1},
        {"name": "pool", "op": "global_average_pool", "inputs": ["mean"]},
        {"name": "fc", "op": "dense", "inputs": ["pool", "v"]},
        {"name": "u", "op": "weight", "shape": [5, 8, 1, 1]},
        {"name": "c", "op": "weight", "shape": [5]},
        {"name": "joined", "op": "conv2d", "inputs": ["sum", "u", "c"],
         "epilogue": [{"op": "project", "inputs": ["scale"], "stride": 1}]},
        {"name": "average", "op": "global_average_pool", "inputs": ["joined"]},
        {"name": "both", "op": "add", "inputs": ["fc", "average"]},
    ],
    "output": "both",
}
CONV = 3  # its place in GRAPH

# What to set, and to what; REMOVED takes the key away.
REMOVED = object()
GOOD = [
    (BLOCKS, ["head"], None),
    (BLOCKS, ["stem"], REMOVED),
    (BLOCKS, ["stem", "deep"], [8, 8]),
    (BLOCKS, ["activation"], "pre"),
    (BLOCKS, ["stride_on"], "1x1"),
    (BLOCKS, ["padding"], [0, 0, 2, 2]),
    (BLOCKS, ["padding"], "same"),
    (BLOCKS, ["batch_norm"], False),
    (BLOCKS, ["batch_norm"], {"epsilon": 0.001}),
    (BLOCKS, ["batch_norm"], {}),
    (BLOCKS, ["conv_bias"], True),
    (BLOCKS, ["shortcut"], {"kind": "projection", "average_pool": 2, "batch_norm": True, "conv_bias": True}),
    (BLOCKS, ["shortcut"], {"kind": "zero_pad"}),
    (BLOCKS, ["groups"], 4),
    (BLOCKS, ["weights"], {"names": "akamaster"}),
    (BLOCKS, ["weights"], {"names": {"^stage": "layer"}}),
    (BLOCKS, ["preprocess"], {"resize": [32, 32], "interpolation": "nearest", "scale": 1}),
    (GRAPH, ["input", "border"], [0, 1, 2, 3]),
    (GRAPH, ["input", "channels"], 3),
    (GRAPH, ["graph", CONV, "dilation"], [1, 1]),
    (GRAPH, ["graph", CONV, "groups"], 1),
    (GRAPH, ["graph", CONV, "interleave"], 1),
    (GRAPH, ["graph", CONV, "epilogue"], []),
    (GRAPH, ["preprocess"], {"resize": 8}),
]
BROKEN = [
    (BLOCKS, ["name"], REMOVED),
    (BLOCKS, ["name"], "9net"),
    (BLOCKS, ["name"], "a/b"),
    (BLOCKS, ["name"], "x" * 65),
    (BLOCKS, ["name"], "while"),
    (BLOCKS, ["name"], "thread-local"),
    (BLOCKS, ["name"], ""),
    (BLOCKS, ["input"], REMOVED),
    (BLOCKS, ["input", "channels"], 0),
    (BLOCKS, ["input", "channels"], 65537),
    (BLOCKS, ["input", "height"], 8193),
    (BLOCKS, ["input", "depth"], 1),
    (BLOCKS, ["input", "name"], "x"),
    (BLOCKS, ["preprocess"], None),
    (BLOCKS, ["preprocess", "resize"], [1, 2, 3]),
    (BLOCKS, ["preprocess", "std"], [0, 1, 1]),
    (BLOCKS, ["preprocess", "mean"], []),
    (BLOCKS, ["preprocess", "order"], "rbg"),
    (BLOCKS, ["preprocess", "normalise"], True),
    (BLOCKS, ["stem"], None),
    (BLOCKS, ["stem", "kernel"], 65),
    (BLOCKS, ["stem", "padding"], "valid"),
    (BLOCKS, ["stem", "padding"], [1, 1]),
    (BLOCKS, ["stem", "deep"], []),
    (BLOCKS, ["stem", "max_pool", "stride"], REMOVED),
    (BLOCKS, ["block"], REMOVED),
    (BLOCKS, ["block"], "bottle"),
    (BLOCKS, ["stages"], []),
    (BLOCKS, ["stages", 0, "blocks"], 10001),
    (BLOCKS, ["stages", 1, "stride"], 0),
    (BLOCKS, ["stages", 1, "stride"], "2"),
    (BLOCKS, ["stages", 1, "strides"], 2),
    (BLOCKS, ["head"], REMOVED),
    (BLOCKS, ["head"], {}),
    (BLOCKS, ["head", "classes"], 0),
    (BLOCKS, ["head", "labels"], ""),
    (BLOCKS, ["activation"], "gelu"),
    (BLOCKS, ["stride_on"], 3),
    (BLOCKS, ["padding"], 3),
    (BLOCKS, ["batch_norm"], {"eps": 1e-5}),
    (BLOCKS, ["batch_norm"], {"epsilon": 0}),
    (BLOCKS, ["conv_bias"], 1),
    (BLOCKS, ["shortcut"], "identity"),
    (BLOCKS, ["shortcut"], {"kind": "zero_pad", "conv_bias": True}),
    (BLOCKS, ["shortcut"], {"average_pool": 2}),
    (BLOCKS, ["groups"], 0),
    (BLOCKS, ["weights"], {"names": "timm"}),
    (BLOCKS, ["weights"], {"names": {"": "x"}}),
    (BLOCKS, ["weights"], {"names": {"a": 1}}),
    (BLOCKS, ["weights"], {"file": "x.safetensors"}),
    (BLOCKS, ["graphs"], []),
    (BLOCKS | {"block": "basic"}, ["groups"], 2),
    (BLOCKS | {"block": "basic"}, ["stride_on"], "1x1"),
    (GRAPH, ["stages"], BLOCKS["stages"]),
    (GRAPH, ["graph"], []),
    (GRAPH, ["graph"], {}),
    (GRAPH, ["output"], REMOVED),
    (GRAPH, ["output"], ["fc"]),
    (GRAPH, ["output"], "f c"),
    (GRAPH, ["labels"], 1),
    (GRAPH, ["input", "name"], "x/y"),
    (GRAPH, ["input", "border"], -1),
    (GRAPH, ["graph", 0, "name"], REMOVED),
    (GRAPH, ["graph", 0, "shape"], REMOVED),
    (GRAPH, ["graph", 0, "shape"], [4, 0, 3, 3]),
    (GRAPH, ["graph", 0, "shape"], [1, 4, 3, 3, 3]),
    (GRAPH, ["graph", 0, "inputs"], ["x"]),
    (GRAPH, ["graph", 0, "values"], [1]),
    (GRAPH, ["graph", CONV, "op"], REMOVED),
    (GRAPH, ["graph", CONV, "op"], "conv"),
    (GRAPH, ["graph", CONV, "op"], "input"),
    (GRAPH, ["graph", CONV, "name"], "a b"),
    (GRAPH, ["graph", CONV, "inputs"], REMOVED),
    (GRAPH, ["graph", CONV, "inputs"], "x"),
    (GRAPH, ["graph", CONV, "inputs"], ["x", "w"]),
    (GRAPH, ["graph", CONV, "inputs"], ["x", "w", "b", "b"]),
    (GRAPH, ["graph", CONV, "stride"], 0),
    (GRAPH, ["graph", CONV, "stride"], [1, 2, 3]),
    (GRAPH, ["graph", CONV, "padding"], "same"),
    (GRAPH, ["graph", CONV, "padding"], [1, 1]),
    (GRAPH, ["graph", CONV, "groups"], 0),
    (GRAPH, ["graph", CONV, "interleave"], 0),
    (GRAPH, ["graph", CONV, "pad"], 1),
    (GRAPH, ["graph", CONV, "epilogue"], ["relu"]),
    (GRAPH, ["graph", CONV, "epilogue", 0, "op"], "dense"),
    (GRAPH, ["graph", CONV, "epilogue", 0, "inputs"], ["x"]),
    (GRAPH, ["graph", CONV, "epilogue", 0], {"op": "add"}),
    (GRAPH, ["graph", CONV, "epilogue", 0], {"op": "project"}),
    (GRAPH, ["graph", CONV, "epilogue", 0], {"op": "project", "inputs": ["x"], "subsample": 1}),
    (GRAPH, ["graph", 4, "epsilon"], -1),
    (GRAPH, ["graph", 4, "inputs"], ["conv", "b", "b", "b"]),
    (GRAPH, ["graph", 5, "relu"], 1),
    (GRAPH, ["graph", 6, "epilogue"], []),
    (GRAPH, ["graph", 7, "inputs"], ["relu"]),
    (GRAPH, ["graph", 7, "subsample"], 0),
    (GRAPH, ["graph", 8, "kernel"], []),
    (GRAPH, ["graph", 11, "global_average"], "yes"),
]


def changed(base, path, value):
    net = copy.deepcopy(base)
    inner = net
    for key in path[:-1]:
        inner = inner[key]
    if value is REMOVED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return net


def paths(value, prefix=()):
    """Of every value in a document, the outermost left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield prefix + (key,)
        yield from paths(inner, prefix + (key,))


def examples():
    """The whole model files that the documents show."""
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for text in re.findall(r"```json\n(.*?)```", document.read_text(), re.DOTALL):
            if re.match(r'\s*{\s*"name"', text):
                yield document.name, json.loads(text)


class Check:
    def __init__(self, resnetc):
        schema = json.loads((ROOT / "docs" / "topology.schema.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        self.validator = jsonschema.Draft202012Validator(schema)
        self.resnetc = resnetc
        self.failures = []
        self.folder = tempfile.TemporaryDirectory()
        self.file = pathlib.Path(self.folder.name) / "net.json"

    def fail(self, what, net):
        self.failures.append(f"{what}: {json.dumps(net)[:600]}")

    def is_read(self, net):
        """Whether resnetc reads it; that it ends in order either way."""
        self.file.write_text(json.dumps(net))
        result = subprocess.run([self.resnetc, "inspect", self.file, "--format", "dot", "--threads", "1"],
                                capture_output=True, text=True, timeout=60)
        if result.returncode not in (0, 1) or (result.returncode == 1 and not result.stderr.startswith("resnetc: ")):
            self.fail(f"resnetc ended with {result.returncode}, {result.stderr[:300]}", net)
        return result.returncode == 0

    def accept(self, what, net, read=True):
        for error in self.validator.iter_errors(net):
            self.fail(f"{what}: the schema refuses it at {list(error.path)}: {error.message[:200]}", net)
        if read and not self.is_read(net):
            self.fail(f"{what}: resnetc refuses it", net)

    def refuse(self, what, net):
        if self.validator.is_valid(net):
            self.fail(f"{what}: the schema accepts it", net)
        if self.is_read(net):
            self.fail(f"{what}: resnetc reads it", net)


def main():
    check = Check(sys.argv[1])
    models = sorted((ROOT / "models").glob("*.json"))
    assert models
    for model in models:
        # Its labels are not beside our copy of it; that it is read is tested elsewhere.
        check.accept(model.name, json.loads(model.read_text()), read=False)
    shown = list(examples())
    assert len(shown) >= 4
    for document, net in shown:
        check.accept(document, net, read=False)
    for net, path, value in GOOD:
        check.accept(f"{path}", changed(net, path, value))
    for net, path, value in BROKEN:
        check.refuse(f"{path}", changed(net, path, value))

    tried = 0
    for net in (BLOCKS, GRAPH):
        check.accept("the base", net)
        for path in paths(net):
            for value in (REMOVED, None, 70000, 1.5, "z", [1], {"z": 1}):
                other = changed(net, path, value)
                if not check.validator.is_valid(other):
                    tried += 1
                    if check.is_read(other):
                        check.fail(f"{path}: the schema refuses it, resnetc reads it", other)
    print(f"{len(models)} models, {len(shown)} examples, {len(GOOD)} good and {len(BROKEN)} broken files, "
          f"{tried} changed values")
    for failure in check.failures[:20]:
        print(failure, file=sys.stderr)
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
