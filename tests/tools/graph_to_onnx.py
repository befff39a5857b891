"""Writes a model of the graph form (docs/graph_files.md) as ONNX, node by node, with the weights of a safetensors file:
what a framework's export of the same net would be."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def pair(value):
    return list(value) if isinstance(value, list) else [value, value]


def sides(value):
    return list(value) if isinstance(value, list) else [value] * 4


class Writer:
    def __init__(self, model, tensors):
        self.model, self.tensors = model, tensors
        self.channels = {"input": model["input"]["channels"]}
        self.nodes, self.initializers = [], []

    def constant(self, name, values):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def zero_pad_shortcut(self, x, name, add, channels):
        """Every subsample-th row and column, with zero channels before and behind."""
        step, before = add.get("subsample", 1), add.get("channels_before", 0)
        axes = {"starts": [0, 0], "ends": [2**31 - 1] * 2, "axes": [2, 3], "steps": [step] * 2}
        x = self.node("Slice", [x] + [self.constant(f"{name}.{k}", np.array(v, np.int64)) for k, v in axes.items()],
                      name + ".slice")  # fmt: skip
        pads = np.array([0, before, 0, 0, 0, channels - before - self.channels[add["inputs"][1]], 0, 0], np.int64)
        return self.node("Pad", [x, self.constant(name + ".pads", pads)], name + ".pad")

    def write_node(self, node):
        op, name, inputs = node["op"], node["name"], node.get("inputs", [])
        of_input = self.channels[inputs[0]] if inputs else None
        channels, result = of_input, name
        window = {}
        if op in ("conv2d", "max_pool", "average_pool"):
            window = {"strides": pair(node.get("stride", 1)), "pads": sides(node.get("padding", 0))}
        if op in ("max_pool", "average_pool"):
            window["kernel_shape"] = pair(node["kernel"])
        if op == "weight":
            channels = node["shape"][0]
            self.constant(name, self.tensors[node.get("tensor", name)])
        elif op == "conv2d":
            channels = self.channels[inputs[1]]
            more = {"dilations": pair(node.get("dilation", 1)), "group": node.get("groups", 1)}
            self.node("Conv", inputs, name, **window, **more)
        elif op == "batch_norm":
            self.node("BatchNormalization", inputs, name, epsilon=node.get("epsilon", 1e-5))
        elif op == "relu":
            self.node("Relu", inputs, name)
        elif op == "add":
            if "subsample" in node or "channels_before" in node:
                inputs = [inputs[0], self.zero_pad_shortcut(inputs[1], name, node, of_input)]
            self.node("Add", inputs, name)
        elif op == "max_pool":
            self.node("MaxPool", inputs, name, **window)
        elif op == "average_pool":
            self.node("AveragePool", inputs, name, **window)
        elif op == "global_average_pool":
            self.node("Flatten", [self.node("GlobalAveragePool", inputs, name + ".pool")], name)
        elif op == "dense":
            channels = self.channels[inputs[1]]
            self.node("Gemm", inputs, name, transB=1)
        else:
            raise ValueError(f"{name}: {op} is not written")
        self.channels[result] = channels


def graph_to_onnx(model, tensors, opset=13):
    """model: the JSON of a graph file. tensors: name -> float32 array. The batch is symbolic."""
    writer = Writer(model, tensors)
    for node in model["graph"]:
        writer.write_node(node)

    def value(name, *dims):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)

    size = model["input"]
    graph = helper.make_graph(writer.nodes, model["name"],
                              [value("input", "n", size["channels"], size["height"], size["width"])],
                              [value(model["output"], "n", writer.channels[model["output"]])], writer.initializers)  # fmt: skip
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(result)
    return result


def random_tensors(model, seed):
    """Weights by which values keep their size through any number of layers."""
    rng = np.random.default_rng(seed)
    tensors, roles = {}, {}
    for node in model["graph"]:
        if node["op"] == "batch_norm":
            roles.update(zip(node["inputs"][1:], ("gamma", "beta", "mean", "variance")))
    for node in model["graph"]:
        if node["op"] != "weight":
            continue
        shape, role = node["shape"], roles.get(node["name"])
        if role in ("gamma", "variance"):
            values = rng.uniform(0.4, 0.8, shape) if role == "gamma" else rng.uniform(0.6, 1.6, shape)
        elif len(shape) == 1:
            values = 0.2 * rng.standard_normal(shape)
        else:
            values = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(1.5 / np.prod(shape[1:])))
        tensors[node.get("tensor", node["name"])] = values.astype(np.float32)
    return tensors
