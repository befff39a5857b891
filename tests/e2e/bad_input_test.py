#!/usr/bin/env python3
"""What resnetc says of topologies, weights and places that it cannot take: a table of cases with their messages. Each ends
with status 1 within bounds of time and memory and leaves nothing behind."""

import itertools
import json
import os
import struct

import numpy as np
from bounded import Worst, most_megabytes, most_seconds
from safetensors_file import write_safetensors
from support import check, resnetc, temporary_folder

net = {
    "name": "net",
    "input": {"channels": 3, "height": 8, "width": 8},
    "stem": {"channels": 4, "kernel": 3, "stride": 1, "padding": 1},
    "block": "basic",
    "stages": [{"blocks": 1, "channels": 4}],
    "head": {"classes": 2},
}


def tensors():
    """Of that net, by torchvision's names."""
    shapes = {"conv1.weight": (4, 3, 3, 3), "fc.weight": (2, 4), "fc.bias": (2,)}
    shapes |= {f"layer1.0.conv{i}.weight": (4, 4, 3, 3) for i in (1, 2)}
    norms = ["bn1", "layer1.0.bn1", "layer1.0.bn2"]
    shapes |= {f"{a}.{b}": (4,) for a, b in itertools.product(norms, ("weight", "bias", "running_mean", "running_var"))}
    return {name: np.ones(shape, np.float32) for name, shape in shapes.items()}


def changed(path, value):
    """The net's JSON with the value at a dotted path replaced, or removed where it is Ellipsis."""
    result = json.loads(json.dumps(net))
    *parents, last = path.split(".")
    place = result
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(result)


def with_text(part, by):
    """The net's JSON with a part of its text replaced."""
    text = json.dumps(net)
    check(part in text, part)
    return text.replace(part, by)


not_json = "x.json: is not JSON: parse error at line 1, column "
bad_name = "must be a letter followed by up to 63 letters, digits, '_' or '-', for it names files and C functions; got "

known_keys = (
    "name, input, preprocess, stem, block, stride_on, activation, padding, batch_norm, conv_bias, shortcut, groups, "
    "width_per_group, stages, head, weights"
)

# (what is wrong, the file's text or bytes, the message)
topologies = [
    ("empty", "", not_json + "1: syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal"),
    ("cut short", json.dumps(net)[:60], not_json + "61: syntax error while parsing object key - invalid string: missing closing quote; last read: '\"width'; expected string literal"),
    ("not UTF-8", with_text('"net"', '"n\\xffet"').encode("latin1").replace(b"\\xff", b"\xff"), not_json + "12: syntax error while parsing value - invalid string: ill-formed UTF-8 byte"),
    ("zero byte", json.dumps(net) + "\0", "x.json: is not JSON: it holds a zero byte"),
    ("binary", bytes(range(256)), "x.json: is not JSON: it holds a zero byte"),
    ("two documents", json.dumps(net) + "{}", not_json + "216: syntax error while parsing value - unexpected '{'; expected end of input"),
    ("comment", "// a net\n" + json.dumps(net), not_json + "1: syntax error while parsing value - invalid literal; last read: '/'"),
    ("an array", "[]", "x.json: must be an object, got an array"),
    ("deep arrays", "[" * 100_000 + "]" * 100_000, "x.json: is nested deeper than 64"),
    ("deep objects", '{"a":' * 100_000 + "1" + "}" * 100_000, "x.json: is nested deeper than 64"),
    ("huge", json.dumps(net) + " " * (17 << 20), "x.json: is larger than 16 MB"),
    ("a long string", changed("name", "n" * (15 << 20)), f'x.json: name: {bad_name}"{"n" * 120}…"'),
    ("a long key", "{\"" + "k" * (15 << 20) + '": 1}', 'x.json: ["' + "k" * 120 + '…"]: is an unknown key; known here: ' + known_keys),
    ("many keys", json.dumps({str(i): i for i in range(100_000)}), "x.json: has more than 256 keys"),
    ("many numbers", json.dumps({**net, "stages": [1] * 1_900_000}), "x.json: stages: must have 1 to 64 elements, got 1900000"),
    ("a key twice", with_text('"block"', '"block": "basic", "block"'), "x.json: block: is given twice"),
    ("a key twice, escaped", with_text('"stem": {', '"stem": {"\\u006bernel": 3, '), "x.json: stem.kernel: is given twice"),
    ("an unknown key", changed("colour", 1), "x.json: colour: is an unknown key; known here: " + known_keys),
    ("no name", changed("name", ...), "x.json: name: is required, but missing"),
    ("null", changed("stem", None), "x.json: stem: must be an object, got null"),
    ("text for an integer", changed("stem.channels", "4"), 'x.json: stem.channels: must be an integer, got "4"'),
    ("a fraction", changed("stem.kernel", 3.0), "x.json: stem.kernel: must be an integer, got 3.0"),
    ("true", changed("stem.kernel", True), "x.json: stem.kernel: must be an integer, got true"),
    ("negative", changed("stem.kernel", -1), "x.json: stem.kernel: must be at least 1, got -1"),
    ("2^63", changed("input.height", 2**63), "x.json: input.height: must be at most 8192, got 9223372036854775808"),
    ("2^64", changed("input.height", 2**64), "x.json: input.height: must be an integer, got 1.8446744073709552e+19"),
    ("1e999", with_text('"height": 8', '"height": 1e999'), "x.json: is not JSON: number overflow parsing '1e999'"),
    ("no stages", changed("stages", []), "x.json: stages: must have 1 to 64 elements, got 0"),
    ("a stage of text", changed("stages", ["3"]), 'x.json: stages[0]: must be an object, got "3"'),
    ("blocks", changed("stages.0.blocks", 10_001), "x.json: stages[0].blocks: must be at most 10000, got 10001"),
    ("channels", changed("stages.0.channels", 65_537), "x.json: stages[0].channels: must be at most 65536, got 65537"),
    ("stride", changed("stages.0.stride", 17), "x.json: stages[0].stride: must be at most 16, got 17"),
    ("side", changed("input.width", 8193), "x.json: input.width: must be at most 8192, got 8193"),
    ("classes", changed("head.classes", 65_537), "x.json: head.classes: must be at most 65536, got 65537"),
    ("no such block", changed("block", "dense"), 'x.json: block: must be "basic" or "bottleneck", got "dense"'),
    ("labels outside", changed("head.labels", "/dev/zero"), "/dev/zero: is larger than 16 MB"),
    ("no labels", changed("head.labels", "../gone/labels.txt"), "../gone/labels.txt: there is no such file"),
    ("many arrays", '{"a": [' + "[]," * 5_000_000 + "0]}", "x.json: holds more than 2000000 values"),
    ("many objects", '{"name": [' + "{}," * 1_900_000 + '0]}', "x.json: name: must be a string, got an array"),
    ("too small an image", changed("stem.padding", 0).replace('"kernel": 3', '"kernel": 9'), "x.json: node %conv1: conv2d: kernel 9 (dilation 1) does not fit height 8 padded by 0 and 0; make the input larger or the kernel smaller"),
    *(
        (f"the name {name[:9]!r}", changed("name", name), f"x.json: name: {bad_name}{json.dumps(name, ensure_ascii=False)}")
        for name in ("", "../net", "/etc/net", "a/b", "a\\b", ".", "a.b", "a b", "it's", 'a"b', "$(id)", "a;b", "`id`", "-rf", "9a", "é", "a\nb", "n" * 65)
    ),
    ("a keyword", changed("name", "int"), 'x.json: name: "int" is a keyword of C; choose another name'),
]  # fmt: skip

too_many = "at most 2147483648 are possible; make the input smaller or the stages narrower"

# (what is wrong, what is other in the topology, more arguments, the message)
absurd = [
    ("parameters", {"stages": [{"blocks": 10_000, "channels": 65_536}] * 3}, [],
     "x.json: the net has 2319251552338038 parameters, at most 2147483648 are possible; give it fewer blocks or channels"),
    ("blocks in all", {"stages": [{"blocks": 10_000, "channels": 1}] * 5}, [],
     "x.json: stages: must have at most 40000 blocks in all, got 50000"),
    ("the input", {"input": {"channels": 65_536, "height": 8192, "width": 8192}}, [],
     f"x.json: node %input: f32[n,8192,8192,65536] holds 4398046511104 elements, {too_many}"),
    ("one convolution", {"stem": {"channels": 65_536, "kernel": 3}}, ["--size", "8192x8192"],
     f"x.json: node %conv1: f32[n,8190,8190,65536] holds 4395899289600 elements, {too_many}"),
]  # fmt: skip


def raw(header, data=b"", length=None):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(dtype="F32", shape=(2,), offsets=(0, 8), data=8):
    """A file of one tensor, x."""
    return raw({"x": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}, bytes(data))


def weights_of(change):
    """Bytes of a file that fits the net, but for what change makes of its tensors."""
    all_tensors = tensors()
    change(all_tensors)
    with temporary_folder() as folder:
        write_safetensors(folder / "w", all_tensors)
        return (folder / "w").read_bytes()


def put(name, value):
    return lambda all_tensors: all_tensors.__setitem__(name, value)


def drop(*names):
    return lambda all_tensors: [all_tensors.pop(name) for name in names]


none = "w.safetensors: is not a safetensors file"
short = f"{none}, or cut short: its header should have"
belong = "check that the file belongs to the topology"
nan = np.full((2,), np.nan, np.float32)

# (what is wrong, the file's bytes, the message)
weights = [
    ("empty", b"", f"{none}: it has 0 bytes, its header alone takes more"),
    ("7 bytes", bytes(7), f"{none}: it has 7 bytes, its header alone takes more"),
    ("a zip file", b"PK\x03\x04" + bytes(100), f"{short} 67324752 bytes, but the file has 104"),
    ("a header of 2^62 bytes", raw("{}", length=2**62), f"{short} 4611686018427387904 bytes, but the file has 10"),
    ("a header of 2^64 - 1 bytes", raw("{}", length=2**64 - 1), f"{short} 18446744073709551615 bytes, but the file has 10"),
    ("no header", raw(""), f"{none}: its header is not JSON"),
    ("a header of text", raw("hello"), f"{none}: its header is not JSON"),
    ("a header cut short", raw('{"x":'), f"{none}: its header is not JSON at byte 6"),
    ("a deep header", raw('{"x":' * 100_000), 'w.safetensors: tensor "x": "x": is an unknown key'),
    ("a header that is not UTF-8", raw("xxxxxx").replace(b"xxxxxx", b'{"\xff": '), f"{none}: its header is not JSON at byte 3"),
    ("data cut short", one(data=4), 'w.safetensors: tensor "x": data_offsets [0,8] go beyond the 4 bytes of data; the file is cut short, copy it again'),
    ("data too long", one(data=9), "w.safetensors: has 1 bytes after its last tensor that belong to none; write the file again"),
    ("offsets past the end", one(offsets=(2**62, 2**62 + 8)), f'w.safetensors: tensor "x": data_offsets [{2**62},{2**62 + 8}] go beyond the 8 bytes of data; the file is cut short, copy it again'),
    ("offsets backwards", one(offsets=(8, 0)), 'w.safetensors: tensor "x": data_offsets [8,0] end before they begin; write the file again'),
    ("negative offsets", one(offsets=(-8, 0)), 'w.safetensors: tensor "x": data_offsets: must be two integers from 0 to 2^63 - 1'),
    ("a gap", one(shape=(1,), offsets=(4, 8)), 'w.safetensors: tensor "x": data_offsets [4,8] leave a gap after byte 0; write the file again'),
    ("overlapping tensors", raw({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "y": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, bytes(12)), 'w.safetensors: tensor "y": data_offsets [4,12] overlap another tensor, which ends at 8; write the file again'),
    ("a size that overflows", one(shape=(2**62, 2**62)), f'w.safetensors: tensor "x": shape [{2**62},{2**62}] overflows'),
    ("a negative size", one(shape=(-2,)), 'w.safetensors: tensor "x": shape: must be an array of integers from 0 to 2^63 - 1'),
    ("a size of 2^64", one(shape=(2**64,)), 'w.safetensors: tensor "x": shape: must be an array of integers from 0 to 2^63 - 1'),
    ("another size", one(shape=(3,)), 'w.safetensors: tensor "x": data_offsets [0,8] hold 8 bytes, but F32[3] takes 12; write the file again'),
    ("17 dimensions", one(shape=[1] * 17), 'w.safetensors: tensor "x": shape: has more than 16 elements'),
    ("an unknown dtype", one(dtype="F12"), 'w.safetensors: tensor "x": dtype "F12" is unknown; convert it to F32, F16 or BF16'),
    ("a name twice", raw('{"x": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, "x": {}}'), 'w.safetensors: tensor "x": the name is given twice'),
    ("an ugly name", raw('{"\\u001b[2J\\u007f\\u0000": 1}'), r'w.safetensors: tensor "\u001b[2J\u007f\u0000": must be an object'),
    ("a missing tensor", weights_of(drop("fc.bias")), f'w.safetensors: tensor "fc.bias": is missing; the topology needs it as [2]; {belong}'),
    ("missing tensors", weights_of(drop("bn1.weight", "fc.bias")), f'w.safetensors: tensor "bn1.weight": is missing; the topology needs it as [4], and 1 more that are missing too; {belong}'),
    ("an extra tensor", weights_of(put("layer9.weight", nan)), f'w.safetensors: the topology does not use 1 of the tensors: "layer9.weight"; {belong}, or pass --ignore-extra'),
    ("another net's", weights_of(lambda t: (t.clear(), t.update(a=nan))), 'w.safetensors: tensor "conv1.weight": is missing; the topology needs it as [4,3,3,3], and 16 more that are missing too; the file has 1 that the topology does not use ("a"): check that they belong together, and weights.names'),
    ("a misshapen tensor", weights_of(put("conv1.weight", np.ones((4, 3, 5, 5), np.float32))), f'w.safetensors: tensor "conv1.weight": has shape [4,3,5,5], but the topology needs [4,3,3,3]; {belong}'),
    ("other classes", weights_of(put("fc.weight", np.ones((7, 4), np.float32))), 'w.safetensors: tensor "fc.weight": has shape [7,4], but the topology needs [2,4]; give --classes 7 or another file'),
    ("a wrong dtype", weights_of(put("fc.bias", np.ones(2, np.int64))), 'w.safetensors: tensor "fc.bias": has dtype I64; convert it to F32, F16 or BF16'),
    ("NaN", weights_of(put("fc.bias", nan)), 'w.safetensors: tensor "fc.bias": element 0 is nan, which is not finite; repair or train the weights again'),
    ("infinity", weights_of(put("bn1.bias", np.array([1, 1, np.inf, 1], np.float32))), 'w.safetensors: tensor "bn1.bias": element 2 is inf, which is not finite; repair or train the weights again'),
    ("a negative variance", weights_of(put("bn1.running_var", np.array([1, -1, 1, 1], np.float32))), 'w.safetensors: tensor "bn1.running_var": element 1 is -1, but a variance is never negative; repair or train the weights again'),
]  # fmt: skip


def check_topologies(folder):
    worst = Worst()
    for name, text, message in topologies:
        (folder / "x.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        command = [resnetc(), "compile", "x.json", "-w", "random:1", "-o", "out"]
        worst.refused(folder, name, command, f"resnetc: {message}", megabytes=max(most_megabytes, 250))
    for name, change, arguments, message in absurd:
        (folder / "x.json").write_text(json.dumps({**net, **change}))
        command = [resnetc(), "compile", "x.json", "-w", "random:1", "-o", "out", *arguments]
        worst.refused(folder, name, command, f"resnetc: {message}", megabytes=max(most_megabytes, 300))
    (folder / "x.json").unlink()
    os.mkfifo(folder / "x.json")
    nothing = not_json + "1: syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal"
    command = [resnetc(), "compile", "x.json", "-w", "random:1", "-o", "out"]
    worst.refused(folder, "a pipe that nobody writes to", command, f"resnetc: {nothing}")
    os.rename(folder / "x.json", folder / "pipe")
    (folder / "x.json").write_text(changed("head.labels", "pipe"))
    labels = "x.json: head.labels: pipe has 0 labels for 2 classes"
    worst.refused(folder, "labels from a pipe that nobody writes to", command, f"resnetc: {labels}")
    print(f"topologies: {worst}")


def check_weights(folder):
    worst = Worst()
    (folder / "x.json").write_text(json.dumps(net))
    command = [resnetc(), "compile", "x.json", "-w", "w.safetensors", "-o", "out"]
    for name, data, message in weights:
        (folder / "w.safetensors").write_bytes(data)
        worst.refused(folder, name, command, f"resnetc: {message}")
    (folder / "w.safetensors").unlink()
    os.mkfifo(folder / "w.safetensors")
    worst.refused(folder, "a pipe", command, "resnetc: w.safetensors: is not a regular file")
    print(f"weights: {worst}")

    # As many tensors as a header can hold.
    (folder / "w.safetensors").unlink()
    entry = '"{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
    (folder / "w.safetensors").write_bytes(raw("{" + ",".join(entry.format(i) for i in range(1_600_000)) + "}"))
    worst = Worst()
    many = (
        'resnetc: w.safetensors: tensor "conv1.weight": is missing; the topology needs it as [4,3,3,3], and 16 more that are '
        'missing too; the file has 1600000 that the topology does not use ("0", "1", "10", "100", "1000", …): check that '
        "they belong together, and weights.names"
    )
    worst.refused(folder, "many tensors", command, many, megabytes=max(1000, 2 * most_megabytes), seconds=4 * most_seconds)
    print(f"a header of 100 MB: {worst}")


def main():
    for each in (check_topologies, check_weights):
        with temporary_folder() as folder:
            each(folder)


main()
