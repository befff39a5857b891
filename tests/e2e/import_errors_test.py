#!/usr/bin/env python3
"""What import says of ONNX files that it cannot take, damaged and hostile ones included: status 1 within bounds of time and
memory, the file, the node and its operation named, nothing left behind."""

import os

import numpy as np
import onnx
from bounded import Worst
from onnx import TensorProto, helper, numpy_helper
from support import resnetc, temporary_folder

taken = (
    "Add, AveragePool, BatchNormalization, Cast, Clip, Conv, Div, Dropout, Flatten, Gemm, GlobalAveragePool, Identity, "
    "MatMul, MaxPool, Mul, Pad, ReduceMean, Relu, Reshape, Slice, Softmax, Squeeze, Sub, Transpose, Unsqueeze"
)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], name=output, **attributes)


def model(nodes=(), shape=("n", 2, 6, 6), opset=13, output="y", **constants):
    """x goes through a convolution to c and then through these nodes."""
    constants = {"w": np.ones((2, 2, 3, 3), np.float32), **constants}
    info = helper.make_tensor_value_info
    graph = helper.make_graph([node("Conv", "x w", "c"), *nodes], "g", [info("x", TensorProto.FLOAT, shape)],
                              [info(output, TensorProto.FLOAT, None)],
                              [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()])  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def changed(change):
    result = model([node("Relu", "c", "y")])
    change(result)
    return result


def external(**entries):
    """The weight lies in another file."""

    def change(m):
        tensor = m.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return changed(change)


def set_dims(*dims):
    def change(m):
        m.graph.initializer[0].ClearField("dims")
        m.graph.initializer[0].dims.extend(dims)

    return changed(change)


def renamed_input(m):
    m.graph.node[1].input[0] = "nothing"


def twice(m):
    m.graph.node.append(m.graph.node[1])


def norm_outputs(m):
    m.graph.node[1].CopyFrom(node("BatchNormalization", "c b b b b", "y"))
    m.graph.node[1].output.extend(["mean", "variance"])
    m.graph.initializer.append(numpy_helper.from_array(ones, "b"))


def mask(m):
    m.graph.node.insert(1, node("Dropout", "c", "d"))
    m.graph.node[1].output.append("m")
    m.graph.node[2].input[0] = "m"


ones = np.ones(2, np.float32)
beside = "keep the data beside the model"
weight = 'initializer "w": '
cases = {
    # name: (model, message behind the file's name)
    "unknown": (model([node("LSTM", "c", "y")]), f'node "y" (LSTM): this operation is not taken; taken are {taken}'),
    "domain": (model([node("Relu", "c", "y", domain="com.x")]),
               'node "y" (Relu): is of domain "com.x"; only ONNX\'s own operations are taken'),
    "attribute": (model([node("Relu", "c", "y", slope=1)]), 'node "y" (Relu): attribute "slope" is not taken'),
    "opset": (model([node("Relu", "c", "y")], opset=6),
              "is of opset 6; opsets from 7 on are taken: export it with opset_version=13"),
    "cycle": (model([node("Add", "c y", "z"), node("Relu", "z", "y")]),
              'node "z" (Add): input "y" is computed by a later node, or the nodes make a cycle; sort them'),
    "no_such": (changed(renamed_input), 'node "y" (Relu): input "nothing" is computed by no node'),
    "twice": (changed(twice), 'node "y" (Relu): "y" is defined twice'),
    "no_output": (model([node("Relu", "c", "z")]), 'output "y" is computed by no node'),
    "symbolic": (model([node("Relu", "c", "y")], shape=("n", 2, "h", 6)),
                 'input "x": dimension 2 has no fixed size; export the model with one, and only the batch dynamic'),
    "huge_input": (model([node("Relu", "c", "y")], shape=("n", 2, 10**12, 6)),
                   'input "x": dimension 2 must be from 1 to 8192, got 1000000000000'),
    "flat_input": (model([node("Relu", "c", "y")], shape=("n", 72)),
                   'input "x": has shape [n,72]; images have 4 dimensions'),
    "huge_weight": (set_dims(10**12, 10**12, 3, 3),
                    weight + "has shape [1000000000000,1000000000000,3,3], more than 2^31 elements"),
    "negative_weight": (set_dims(-2, 2, 3, 3), weight + "has shape [-2,2,3,3] with a negative side"),
    "short_weight": (set_dims(2, 2, 3, 4), weight + "has 144 bytes for 48 elements of 4"),
    "many_dimensions": (set_dims(*[1] * 1000), weight + "has 1000 dimensions, at most 8 are possible"),
    "outside": (external(location="../secret"), weight + 'external data: "../secret": is refused, for it leads out of the '
                f"model's folder; {beside}"),
    "absolute": (external(location="/etc/passwd"), weight + 'external data: "/etc/passwd": is refused, for it leads out of '
                 f"the model's folder; {beside}"),
    "link": (external(location="link"), weight + 'external data: "link": is refused, for it is a link out of the model\'s '
             f"folder; {beside}"),
    "device": (external(location="pipe"), weight + 'external data: "pipe": is no file'),
    "gone": (external(location="gone"), weight + f'external data: "gone": No such file or directory; {beside}'),
    "short_data": (external(location="data", offset="1"), weight + 'external data: "data" has 144 bytes, but 144 at 1 are '
                   "needed; the file is cut short"),
    "far_data": (external(location="data", offset="18446744073709551615"), weight + 'external data: "data" has 144 bytes, '
                 "but 144 at 18446744073709551615 are needed; the file is cut short"),
    "bad_offset": (external(location="data", offset="-1"), weight + 'external data: offset is "-1", which is no number'),
    "bad_length": (external(location="data", length="9"),
                   weight + "external data: length is 9, but the shape takes 144 bytes"),
    "softmax": (model(
                      [node("ReduceMean", "c", "p", axes=[2, 3], keepdims=0), node("Softmax", "p", "s"),
                       node("Relu", "s", "y")]),
                'node "y" (Relu): reads the result of a Softmax; only the last node of a model may be one'),
    "clip": (model([node("Clip", "c a b", "y")], a=np.float32(-1), b=np.float32(1)),
             'node "y" (Clip): from -1 to 1 is not taken; the bounds must be 0 and none or an integer, as Clip(0, 6) has them'),
    "flatten": (model([node("Flatten", "c", "f"), node("Gemm", "f d", "y")], d=np.ones((32, 3), np.float32)),
                'node "f" (Flatten): cannot make [n,-1] of [n,2,4,4]; only an image of one pixel can become a vector, such as '
                "a global average pool makes"),
    "mean_image": (model([node("Sub", "c m", "y")], m=np.ones((1, 2, 4, 4), np.float32)),
                   'node "y" (Sub): constant "m" of shape [1,2,4,4] is no number for each channel of [n,2,4,4]'),
    "training": (model([node("BatchNormalization", "c b b b b", "y", training_mode=1)], opset=14, b=ones),
                 'node "y" (BatchNormalization): training_mode=1 is not taken, only 0'),
    "trained": (changed(norm_outputs),
                'node "y" (BatchNormalization): has the outputs of training; export the model for inference'),
    "mask": (changed(mask), 'node "y" (Relu): input "m" is not its node\'s first result; only those are taken'),
    "pads": (model([node("Pad", "c p", "d"), node("AveragePool", "d", "y", kernel_shape=[2, 2], pads=[1] * 4)],
                   p=np.array([0, 0, 1, 1] * 2)),
             'node "y" (AveragePool): input 0, "d", is padded, whose zeros count, while the pool\'s own padding does not'),
    "no_elements": (model([node("Reshape", "c s", "y", allowzero=1)], opset=14, s=np.array([0, 2, 4, 4])),
                    'node "y" (Reshape): cannot make [0,2,4,4] of [n,2,4,4]'),
    "infinite": (model([node("BatchNormalization", "c i b b b", "y")], b=ones, i=np.array([1, np.inf], np.float32)),
                 'node "y" (BatchNormalization): element 1 of "i" is inf, which is not finite; repair or train the weights '
                 "again"),
    "reflect": (model([node("Pad", "c p", "y", mode="reflect")], p=np.zeros(8, np.int64)),
                'node "y" (Pad): mode="reflect" is not taken, only constant'),
    "huge_fold": (model([node("ConstantOfShape", "s", "z"), node("Add", "c z", "y")], s=np.array([10**5, 10**5])),
                  'node "z" (ConstantOfShape): has shape [100000,100000], more than 2^31 elements'),
    "large_fold": (model([node("ConstantOfShape", "s", "z"), node("Add", "c z", "y")], s=np.array([4096, 2049])),
                   'node "z" (ConstantOfShape): makes a constant [4096,2049] of more than 32 MiB'),
    "outer_product": (model([node("Mul", "s t", "z"), node("Add", "c z", "y")], s=np.ones((4096, 1)), t=np.ones((1, 5000))),
                      'node "z" (Mul): makes a constant [4096,5000] of more than 32 MiB'),
    "many_folds": (model(
                         [*(node("ConstantOfShape", "s", f"z{i}") for i in range(9)), node("Add", "c z0", "y")],
                         s=np.array([2, 1000, 1000])),
                   'node "z4" (ConstantOfShape): and the nodes before it make constants of 38 MiB; export the model with '
                   "constants folded"),
    "unlike": (model([node("Mul", "s t", "z"), node("Add", "c z", "y")], s=np.ones((2, 3)), t=np.ones(2)),
               'node "z" (Mul): of constants [2,3] and [2], which do not go together'),
    "half_mean": (model([node("ReduceMean", "c", "m", axes=[3], keepdims=0), node("Gemm", "m d", "y")],
                        d=np.ones((4, 3), np.float32)),
                  'node "y" (Gemm): input 0, "m", has shape [n,2,4]; it must be N x C, such as a global average pool and '
                  "Flatten make"),
    "kernel": (model([node("Conv", "c v", "y")], v=np.ones((2, 2, 5, 5), np.float32)),
               'node "y" (Conv): node %y: conv2d: kernel 5 (dilation 1) does not fit height 4 padded by 0 and 0; make the '
               "input larger or the kernel smaller"),
}  # fmt: skip


def main():
    worst = Worst()
    with temporary_folder() as folder:
        (folder / "secret").write_bytes(bytes(144))
        inside = folder / "models"
        inside.mkdir()
        (inside / "data").write_bytes(bytes(144))
        (inside / "link").symlink_to(folder / "secret")
        os.mkfifo(inside / "pipe")

        def refused(name, message, *more):
            file = inside / f"{name}.onnx"
            command = [resnetc(), "import", file, "-o", folder / "out", *more]
            worst.refused(folder, name, command, f"resnetc: {message.format(file=file)}")

        for name, (content, message) in cases.items():
            (inside / f"{name}.onnx").write_bytes(content.SerializeToString())
            refused(name, "{file}: " + message.replace("{", "{{").replace("}", "}}"))
        whole = model([node("Relu", "c", "y")]).SerializeToString()
        (inside / "good.onnx").write_bytes(whole)
        for size in (0, 1, len(whole) // 2, len(whole) - 1):
            (inside / "cut.onnx").write_bytes(whole[:size])
            refused("cut", "{file}: is no ONNX model, or is cut short")
        refused("good", "--preprocess imagenet: needs 3 channels, but the input has 2", "--preprocess", "imagenet")
        (folder / "three.txt").write_text("a\nb\nc\n")
        labels = ["--labels", folder / "three.txt"]
        refused("good", f"--labels {labels[1]}: the output is an image, f32[n,4,4,2], which has no classes; leave it out",
                *labels)  # fmt: skip
        classes = model([node("ReduceMean", "c", "y", axes=[2, 3], keepdims=0)])
        (inside / "classes.onnx").write_bytes(classes.SerializeToString())
        refused("classes", f"--labels: {labels[1]} has 3 labels for 2 classes; give one a line for every class", *labels)
    print(worst)


main()
