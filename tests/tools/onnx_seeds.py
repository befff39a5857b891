#!/usr/bin/env python3
"""Writes the seeds of the fuzz target of ONNX files: onnx_seeds.py tests/fuzz/corpus/onnx. Small models with every operation
that is taken, in several opsets and layouts."""

import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def model(opset, shape, nodes, constants, output):
    info = helper.make_tensor_value_info
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", [info("x", 1, ["n", *shape])], [info(output, 1, None)], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], **attributes)


ones = np.ones(2, np.float32)
conv = np.ones((2, 2, 3, 3), np.float32)
seeds = {
    "resnet": model(13, (2, 4, 4), [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1], group=1, strides=[1, 1], dilations=[1, 1]),
        node("BatchNormalization", "c b b b b", "n", epsilon=1e-3), node("Relu", "n", "r"), node("Add", "r x", "a"),
        node("MaxPool", "a", "m", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
        node("AveragePool", "m", "v", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
        node("GlobalAveragePool", "v", "p"), node("Flatten", "p", "f"), node("Gemm", "f d b", "y", transB=1),
    ], {"w": conv, "b": ones, "d": np.ones((2, 2), np.float32)}, "y"),
    "nhwc": model(13, (4, 4, 2), [
        node("Sub", "x b", "s"), node("Mul", "s b", "u"), node("Transpose", "u", "t", perm=[0, 3, 1, 2]),
        node("Pad", "t q", "z"), node("Conv", "z w", "c"), node("Clip", "c lo hi", "r"),
        node("ReduceMean", "r", "m", axes=[2, 3]), node("Squeeze", "m ax", "f"), node("MatMul", "f d", "e"),
        node("Add", "e b", "g"), node("Softmax", "g", "y"),
    ], {"w": conv, "b": ones, "d": np.ones((2, 2), np.float32), "q": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "lo": np.float32(0), "hi": np.float32(6), "ax": np.array([2, 3])}, "y"),
    "shapes": model(12, (2, 4, 4), [
        node("Slice", "x st en ax sp", "s"), node("Pad", "s q", "z"), node("Conv", "x w", "c", strides=[2, 2], pads=[1] * 4),
        node("Add", "c z", "a"), node("Shape", "a", "h"), node("Gather", "h i", "o"), node("Unsqueeze", "o", "k", axes=[0]),
        node("Concat", "k minus", "l", axis=0), node("GlobalAveragePool", "a", "p"), node("Reshape", "p l", "f"),
        node("Cast", "f", "e", to=1), node("Dropout", "e", "j"), node("Identity", "j", "y"),
    ], {"w": np.ones((4, 2, 3, 3), np.float32), "st": np.array([0, 0]), "en": np.array([99, 99]), "ax": np.array([2, 3]),
        "sp": np.array([2, 2]), "q": np.array([0, 1, 0, 0, 0, 1, 0, 0]), "i": np.array(0), "minus": np.array([-1])}, "y"),
    "folds": model(11, (2, 4, 4), [
        node("ConstantOfShape", "two", "zeros", value=numpy_helper.from_array(np.array([0]))),
        node("Concat", "q zeros", "l", axis=0), node("Reshape", "l pair", "m"), node("Slice", "m a b c d", "s"),
        node("Transpose", "s", "t", perm=[1, 0]), node("Reshape", "t minus", "u"), node("Cast", "u", "v", to=7),
        node("Pad", "x v", "z"), node("Constant", "", "k", value=numpy_helper.from_array(conv)), node("Conv", "z k", "y"),
    ], {"two": np.array([2]), "q": np.array([0, 0, 0, 0, 1, 1]), "pair": np.array([-1, 2]), "a": np.array([-1]),
        "b": np.array([-(2**63) + 1]), "c": np.array([0]), "d": np.array([-1]), "minus": np.array([-1])}, "y"),
    "frozen": model(13, (2, 4, 4), [
        node("ConstantOfShape", "four", "w", value=numpy_helper.from_array(np.array([0.5], np.float32))),
        node("Conv", "x w", "c"), node("Add", "b e", "v"), node("Sqrt", "v", "q"), node("Reciprocal", "q", "r"),
        node("Reshape", "r i", "s"), node("Mul", "c s", "d"), node("Neg", "r", "t"), node("Sub", "t o", "u"),
        node("Reshape", "u i", "k"), node("Add", "d k", "f"), node("ReduceMean", "f", "m", axes=[3], keepdims=0),
        node("ReduceMean", "m", "y", axes=[2], keepdims=0),
    ], {"four": np.array([2, 2, 3, 3]), "b": ones, "e": np.float32(1e-5), "i": np.array([1, -1, 1, 1]),
        "o": np.ones((1, 1), np.float32)}, "y"),
}  # fmt: skip

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, seed in seeds.items():
    (folder / f"{name}.onnx").write_bytes(seed.SerializeToString())
