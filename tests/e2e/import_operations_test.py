#!/usr/bin/env python3
"""Every operation that import takes, in the forms that exporters write, against ONNX Runtime."""

import shutil

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from support import check, check_close, compile_model, logits, resnetc, run, temporary_folder

rng = np.random.default_rng(4)


class Net:
    """An ONNX graph in the making; values are names."""

    def __init__(self, opset, shape):
        self.opset, self.shape = opset, shape
        self.nodes, self.initializers = [], []

    def constant(self, values):
        values = np.asarray(values)
        if values.dtype == np.float64:
            values = values.astype(np.float32)
        self.initializers.append(numpy_helper.from_array(values, f"c{len(self.initializers)}"))
        return self.initializers[-1].name

    def weight(self, *shape):
        return self.constant(rng.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:]))))

    def node(self, op, *inputs, outputs=1, **attributes):
        """Operands that are no names become constants."""
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        results = [f"v{len(self.nodes)}" + ("" if i == 0 else f".{i}") for i in range(outputs)]
        self.nodes.append(helper.make_node(op, names, results, name=f"{op} {len(self.nodes)}", **attributes))
        return results[0]

    def conv(self, x, ic, oc, kernel, group=1, bias=True, **attributes):
        more = [self.weight(oc)] if bias else []
        return self.node("Conv", x, self.weight(oc, ic // group, kernel, kernel), *more, group=group, **attributes)

    def norm(self, x, c, **attributes):
        parts = [rng.uniform(0.5, 1.5, c), rng.standard_normal(c), rng.standard_normal(c), rng.uniform(0.5, 1.5, c)]
        return self.node("BatchNormalization", x, *parts, **attributes)

    def model(self, output, rank=2, batch="n"):
        info = helper.make_tensor_value_info
        graph = helper.make_graph(self.nodes, "net", [info("x", TensorProto.FLOAT, [batch, *self.shape])],
                                  [info(output, TensorProto.FLOAT, [None] * rank)], self.initializers)  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def windows():
    """auto_pad, asymmetric pads, dilations, groups, ceil_mode, counted padding also as a Pad, Gemm with alpha and beta."""
    net = Net(13, (3, 31, 26))
    x = net.conv("x", 3, 8, 3, auto_pad="SAME_UPPER", strides=[2, 2])
    x = net.node("Relu", net.conv(x, 8, 8, 4, auto_pad="SAME_LOWER", strides=[1, 2]))
    x = net.conv(x, 8, 12, 3, pads=[0, 2, 1, 3], dilations=[1, 2], bias=False)
    x = net.node("MaxPool", x, kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1)
    x = net.conv(x, 12, 12, 3, group=4, pads=[1, 1, 1, 1])
    x = net.node("AveragePool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], count_include_pad=1)
    x = net.node("Pad", x, np.array([0, 0, 1, 0, 0, 0, 2, 1]))
    x = net.node("AveragePool", x, kernel_shape=[3, 2], pads=[0, 1, 1, 0], count_include_pad=1)
    x = net.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    x = net.node("MaxPool", x, kernel_shape=[2, 2], auto_pad="SAME_UPPER")
    x = net.conv(x, 12, 10, 1, auto_pad="VALID")
    x = net.node("ReduceMean", x, axes=[2, 3], keepdims=0)
    return net.model(net.node("Gemm", x, net.weight(10, 7), net.weight(1, 7), alpha=0.5, beta=2.0))


def old_opset():
    """Opset 7: attributes where there are operands today, MatMul and Add, a Softmax at the end."""
    net = Net(7, (3, 16, 16))
    x = net.node("Clip", net.norm(net.conv("x", 3, 8, 3, pads=[1] * 4, bias=False), 8, epsilon=1e-3), min=0.0, max=6.0)
    x = net.node("Pad", x, mode="constant", value=0.0, pads=[0, 0, 1, 0, 0, 0, 2, 1])
    x = net.node("Dropout", net.conv(x, 8, 6, 3, strides=[2, 2]), ratio=0.4)
    x = net.node("Slice", x, starts=[0], ends=[9999], axes=[2])
    x = net.node("Squeeze", net.node("GlobalAveragePool", net.node("Identity", x)), axes=[2, 3])
    x = net.node("Reshape", x, np.array([-1, 6]))
    return net.model(net.node("Softmax", net.node("Add", net.node("MatMul", x, net.weight(6, 5)), net.weight(5)), axis=1))


def channels_last(normalised=False):
    """As tf2onnx and Keras write it: N x H x W x C, transposes around each convolution, paddings of their own."""
    net = Net(13, (22, 18, 3))
    x = "x"
    batch = net.node("Slice", net.node("Shape", x), np.array([0]), np.array([1]))
    if normalised:
        x = net.node("Div", net.node("Sub", net.node("Mul", x, np.float32(0.5)), [3.0, 4.0, 5.0]), [[[2.0, 3.0, 4.0]]])
    x = net.node("Pad", x, np.array([0, 1, 1, 0, 0, 1, 1, 0]), mode="constant")
    x = net.node("Transpose", x, perm=[0, 3, 1, 2])
    x = net.conv(x, 3, 8, 3, bias=False)
    x = net.node("Transpose", x, perm=[0, 2, 3, 1])
    x = net.node("Relu", net.node("Add", x, net.weight(8)))
    x = net.node("Pad", x, np.array([0, 1, 1, 0, 0, 1, 1, 0]))
    x = net.node("MaxPool", net.node("Transpose", x, perm=[0, 3, 1, 2]), kernel_shape=[3, 3], strides=[2, 2])
    y = net.node("Mul", net.node("Transpose", x, perm=[0, 2, 3, 1]), net.weight(1, 1, 8))
    y = net.node("Transpose", y, perm=[0, 3, 1, 2])
    y = net.node("Add", net.conv(net.node("Relu", y), 8, 8, 3, pads=[1] * 4), x)
    y = net.node("ReduceMean", net.node("Transpose", y, perm=[0, 2, 3, 1]), axes=[1, 2])
    y = net.node("Reshape", y, net.node("Concat", batch, np.array([8]), axis=0))
    y = net.node("Add", net.node("MatMul", y, net.weight(8, 4)), net.weight(4))
    return net.model(net.node("Softmax", y))


def shapes():
    """Shapes that are computed: what PyTorch writes for F.pad, x.view(x.size(0), -1) and option-A shortcuts."""
    net = Net(12, (4, 14, 10))
    x = net.node("Relu", net.conv("x", 4, 4, 3, pads=[1] * 4))
    y = net.node("Relu", net.conv(x, 4, 10, 3, strides=[2, 2], pads=[1] * 4))
    short = net.node("Slice", x, np.array([0]), np.array([2**63 - 1]), np.array([2]), np.array([2]))
    short = net.node("Slice", short, np.array([0]), np.array([2**63 - 1]), np.array([3]), np.array([2]))
    zeros = net.node("ConstantOfShape", np.array([2]), value=numpy_helper.from_array(np.array([0], np.int64)))
    pads = net.node("Concat", np.array([0, 0, 0, 0, 3, 3]), zeros, axis=0)
    pads = net.node("Reshape", pads, np.array([-1, 2]))
    pads = net.node("Slice", pads, np.array([-1]), np.array([-(2**63) + 1]), np.array([0]), np.array([-1]))
    pads = net.node("Reshape", net.node("Transpose", pads, perm=[1, 0]), np.array([-1]))
    short = net.node("Pad", short, net.node("Cast", pads, to=TensorProto.INT64), np.float32(0))
    x = net.node("Relu", net.node("Add", short, y))
    x = net.conv(net.node("Slice", x, np.array([0, 0]), np.array([99, 99]), np.array([2, 3]), np.array([2, 2])), 10, 6, 1)
    x = net.node("AveragePool", x, kernel_shape=[4, 3])
    batch = net.node("Gather", net.node("Shape", x), np.array(0))
    target = net.node("Concat", net.node("Unsqueeze", batch, axes=[0]), np.array([-1]), axis=0)
    x = net.node("Reshape", x, target)
    return net.model(net.node("Gemm", net.node("Cast", x, to=TensorProto.FLOAT), net.weight(5, 6), net.weight(5), transB=1))


def new_opset():
    """Opset 18: axes as operands, constants as nodes, a head that is a convolution, batch norms apart from convolutions,
    half weights."""
    net = Net(18, (3, 12, 12))
    x = net.conv("x", 3, 6, 3, pads=[1] * 4)
    half = net.constant(rng.standard_normal((6, 6, 1, 1)).astype(np.float16))
    y = net.node("Conv", x, net.node("Cast", half, to=TensorProto.FLOAT))
    y = net.node("Relu", net.norm(y, 6))
    y = net.node("Pad", y, np.array([2, 0]), "", np.array([2]))
    y = net.node("Clip", net.conv(y, 6, 6, 3, pads=[0, 1, 0, 1]), net.node("Constant", value_float=0.0),
                 net.node("Constant", value=numpy_helper.from_array(np.float32(3))))  # fmt: skip
    y = net.node("Slice", y, np.array([0]), np.array([12]), np.array([-2]))
    x = net.node("Relu", net.norm(net.conv(net.node("Relu", net.norm(x, 6)), 6, 6, 1), 6))
    x = net.node("Pad", x, np.array([0, 0, 1, 0]), "", np.array([2, 3]))
    x = net.node("ReduceMean", net.conv(x, 6, 4, 1), np.array([-1, -2]))
    y = net.node("ReduceMean", net.conv(y, 6, 4, 1), net.node("Constant", value_ints=[2, 3]))
    x = net.node("Reshape", x, np.array([-1, 4]), allowzero=1)
    x = net.node("Add", net.node("Flatten", x), net.node("Squeeze", y, np.array([3, 2])))
    x = net.node("Unsqueeze", net.node("Unsqueeze", x, np.array([2])), np.array([3]))
    return net.model(net.node("Flatten", net.conv(x, 4, 9, 1)))


def written_out():
    """Frozen batch norms whose constants nobody folded, means over width and then height, a large constant of one value."""
    net = Net(13, (3, 13, 10))

    def frozen(x, c):
        scale, shift, mean, variance = (net.constant(rng.uniform(0.5, 1.5, c)) for _ in range(4))
        scale, shift, mean, variance = (net.node("Reshape", each, np.array([1, -1, 1, 1]))
                                        for each in (scale, shift, mean, variance))  # fmt: skip
        scale = net.node("Mul", scale, net.node("Reciprocal", net.node("Sqrt", net.node("Add", variance, np.float32(1e-5)))))
        shift = net.node("Add", shift, net.node("Neg", net.node("Mul", mean, scale)))
        return net.node("Add", net.node("Mul", x, scale), shift)

    x = net.node("Relu", frozen(net.conv("x", 3, 24, 3, bias=False), 24))
    value = numpy_helper.from_array(np.array([0.01], np.float32))
    y = net.node("Conv", x, net.node("ConstantOfShape", np.array([32, 24, 3, 3]), value=value))
    # [32] and [1, 32, 1, 1] and [32, 1, 1] go together as NumPy has it.
    parts = [net.constant(rng.standard_normal(shape)) for shape in ((32, 1, 1), (1, 32, 1, 1), (1, 1))]
    y = net.node("Relu", net.node("Mul", y, net.node("Sub", net.node("Div", *parts[:2]), parts[2])))
    y = frozen(net.node("Conv", y, net.node("Sub", net.weight(32, 32, 1, 1), net.weight(32, 1, 1))), 32)
    a = net.node("ReduceMean", net.node("ReduceMean", y, axes=[3], keepdims=0), axes=[2], keepdims=0)
    b = net.node("ReduceMean", net.node("ReduceMean", net.node("Relu", y), axes=[2]), axes=[-1])
    return net.model(net.node("Gemm", net.node("Add", a, net.node("Flatten", b)), net.weight(32, 5)))


def features():
    """No head: the result is an image. The file's batch is 2, which is the batch of run time like any other."""
    net = Net(13, (3, 9, 7))
    x = net.node("Sub", np.float32(1), net.conv("x", 3, 5, 3, strides=[2, 1]))
    return net.model(net.node("MaxPool", x, kernel_shape=[2, 2], pads=[1, 0, 0, 1]), rank=4, batch=2)


def compare(name, model, folder, *more, given=lambda x: x, softmax=False):
    """given: from the inputs of ONNX Runtime to those of the compiled net."""
    onnx.save(model, folder / f"{name}.onnx")
    said = run(resnetc(), "import", folder / f"{name}.onnx", "-o", folder / name, *more).stderr
    check(("Softmax" in said) == softmax, said)
    topology = folder / name / f"{name}.json"
    compile_model(topology, topology.with_suffix(".safetensors"), folder / "out", "--emit", "exe")
    info = model.graph.input[0].type.tensor_type.shape.dim
    x = 3 * rng.standard_normal((2, *(side.dim_value for side in info[1:]))).astype(np.float32)
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
    got, wanted = logits(folder / "out" / name, given(x)), session.run(None, {"x": x})[0]
    if softmax:
        got = np.exp(got) / np.exp(got).sum(axis=1, keepdims=True)
    check_close(name, got, wanted)


def nchw(x):
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def main():
    with temporary_folder() as folder:
        compare("windows", windows(), folder)
        compare("old_opset", old_opset(), folder, softmax=True)
        compare("channels_last", channels_last(), folder, given=nchw, softmax=True)
        compare("normalised", channels_last(True), folder, given=nchw, softmax=True)
        (folder / "how.json").write_text('{"crop": [22, 18], "scale": 1, "mean": [1, 2, 3], "std": [4, 5, 6]}')
        # In the preprocessing, the net reads what the file's Mul, Sub and Div make.
        compare("normalised_before", channels_last(True), folder, "--preprocess", folder / "how.json", softmax=True,
                given=lambda x: nchw(((0.5 * x - [3, 4, 5]) / [2, 3, 4]).astype(np.float32)))  # fmt: skip
        written = (folder / "normalised_before" / "normalised_before.json").read_text()
        # (u8 - mean) / std, and then as above
        check('"mean": [25.0, 42.0, 63.0], "std": [16.0, 30.0, 48.0]' in written, written[:600])
        compare("shapes", shapes(), folder)
        compare("new_opset", new_opset(), folder)
        compare("written_out", written_out(), folder)
        written = (folder / "written_out" / "written_out.json").read_text()
        check('"average_pool"' not in written and written.count('"global_average_pool"') == 2, "means over both sides")
        compare("features", features(), folder)
        onnx.save(onnx.load(folder / "windows.onnx"), folder / "apart.onnx", save_as_external_data=True, location="data.bin",
                  size_threshold=0)  # fmt: skip
        check((folder / "data.bin").stat().st_size > 10_000, "the data do not lie in a file of their own")
        run(resnetc(), "import", folder / "apart.onnx", "-o", folder / "apart")
        apart, whole = (folder / name / f"{name}.safetensors" for name in ("apart", "windows"))
        check(apart.read_bytes() == whole.read_bytes(), "external data make other weights")
        for odd in ("it's a $HOME; \"folder\" of *", "-o"):
            said = run(resnetc(), "import", folder / "apart.onnx", f"--output={odd}", cwd=folder).stderr
            hint = said.split("compile it with: resnetc ")[1]
            run("sh", "-c", f'"$0" {hint.rstrip()} --emit ir -o made', resnetc(), cwd=folder)
            check((folder / "made" / "apart.ir").exists(), hint)
            shutil.rmtree(folder / "made")


main()
