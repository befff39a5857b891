#!/usr/bin/env python3
"""Graph files that no block form says, compiled: the emitted program's self-test compares with the reference evaluator."""

import json

from support import check, compile_model, run, temporary_folder


def conv(name, x, kernel, channels, **attributes):
    """A convolution of 4 channels, 3 where it reads the input."""
    shape = [channels, 3 if x == "input" else 4, kernel, kernel]
    weight = {"name": f"{name}.weight", "op": "weight", "shape": shape}
    return [weight, {"name": name, "op": "conv2d", "inputs": [x, f"{name}.weight"], "padding": kernel // 2, **attributes}]


def relu(name, x):
    return [{"name": name, "op": "relu", "inputs": [x]}]


def add(name, *inputs):
    return [{"name": name, "op": "add", "inputs": inputs}]


def pool(name, x):
    return [{"name": name, "op": "max_pool", "inputs": [x], "kernel": 3, "stride": 2, "padding": 1}]


start = conv("c", "input", 3, 4) + relu("r", "c")
branches = [node for i in range(4) for node in conv(f"b{i}", "r", 1, 4) + relu(f"s{i}", f"b{i}")]
nets = {
    # A convolution takes two of these sums as its residuals.
    "sums": start + branches + conv("last", "r", 3, 4) + add("a0", "last", "s0") + add("a1", "a0", "s1")
    + add("a2", "s2", "a1") + add("a3", "a2", "s3"),
    # What follows the stem's max pool stays outside of its epilogue.
    "after_pool": conv("c", "input", 3, 4) + pool("p", "c") + relu("r", "p") + pool("q", "r") + add("a", "q", "q"),
    "same_twice": start + conv("d", "r", 3, 4) + add("a", "d", "d") + relu("out", "a"),
}  # fmt: skip


def main():
    with temporary_folder() as folder:
        for name, nodes in nets.items():
            net = {"name": name, "input": {"channels": 3, "height": 9, "width": 7}, "graph": nodes}
            net["output"] = nodes[-1]["name"]
            (folder / f"{name}.json").write_text(json.dumps(net))
            compile_model(folder / f"{name}.json", "random:1", folder / name, "--emit", "exe,ir")
            for threads, batch in ((1, 1), (3, 2)):
                done = run(folder / name / name, "--self-test", "--threads", threads, "--batch", batch)
            print(done.stdout, end="")
        text = (folder / "sums" / "sums.ir").read_text()
        check(" | add(%s0) | add(%s1) : " in text, "no convolution has taken two sums:", text)


main()
