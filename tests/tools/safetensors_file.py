"""Reads and writes safetensors files: 8 bytes of little-endian header length, a JSON header padded with spaces to
8 bytes, then the tensors without gaps. Needs numpy."""

import json
import pathlib
import struct

import numpy as np

WIDTHS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8"}


def write_safetensors(path, tensors, uint16="BF16", metadata=None):
    """tensors: name to float32, float16, int64 or uint16 array; the last is written as the type that uint16 names.
    The widest types come first, so that each tensor is aligned."""
    types = {"float32": "F32", "float16": "F16", "int64": "I64", "uint16": uint16}
    order = sorted(tensors, key=lambda name: -tensors[name].itemsize)
    header, offset = {"__metadata__": metadata or {"format": "pt"}}, 0
    for name in order:
        t = tensors[name]
        end = offset + t.nbytes
        header[name] = {"dtype": types[t.dtype.name], "shape": list(t.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(tensors[name].astype(tensors[name].dtype.newbyteorder("<")).tobytes())


def read_safetensors(path):
    """Name to array; BF16 as uint16."""
    data = pathlib.Path(path).read_bytes()
    start = 8 + struct.unpack_from("<Q", data)[0]
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            raw = data[start + begin : start + end]
            tensors[name] = np.frombuffer(raw, WIDTHS[entry["dtype"]]).reshape(entry["shape"])
    return tensors
