#!/usr/bin/env python3
"""Writes a ResNet with seeded random weights, and what ONNX Runtime makes of it: the oracle that compiled nets are
compared with. Independent of the compiler: the topologies are written down here a second time, on purpose.

    reference_net.py --net resnet50 --out DIR --batch 8 --seed 1 [--size 160x224] [--classes 10] [--dtype f16] [--json]

leaves in DIR:
    NAME.safetensors   torchvision's tensor names (akamaster's for cifar10_*)
    NAME.onnx          opset 17, symbolic batch, float32; batch norms stay nodes of their own, so that folding is tested
    input.npy          N x C x H x W float32, random normal
    logits.npy         N x classes float32, from one ONNX Runtime run of all N, its graph optimisations off
    NAME.json          with --json: the topology file, without preprocessing and labels

With --weights FILE the tensors come from that file (safetensors, F32 or F16), with --input FILE the input does.
Needs tests/requirements.txt.
"""

import argparse
import json
import pathlib
import re
import sys
import zlib
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors_file import read_safetensors, write_safetensors

EPSILON = 1e-5


@dataclass(frozen=True)
class Net:
    name: str
    block: str  # "basic" or "bottleneck"
    depths: tuple  # blocks of each stage
    channels: tuple  # of each stage's 3x3 convolutions, before groups and width
    size: tuple  # height, width of the input
    classes: int
    imagenet: bool = True  # 7x7 stem and max pool, projections, "fc"; else akamaster's CIFAR form
    groups: int = 1
    width_per_group: int = 64


def find_net(name):
    def imagenet(block, depths, **more):
        return Net(name, block, depths, (64, 128, 256, 512), (224, 224), 1000, **more)

    known = {
        "resnet18": imagenet("basic", (2, 2, 2, 2)),
        "resnet34": imagenet("basic", (3, 4, 6, 3)),
        "resnet50": imagenet("bottleneck", (3, 4, 6, 3)),
        "resnet101": imagenet("bottleneck", (3, 4, 23, 3)),
        "resnet152": imagenet("bottleneck", (3, 8, 36, 3)),
        "resnext50_32x4d": imagenet("bottleneck", (3, 4, 6, 3), groups=32, width_per_group=4),
        "wide_resnet50_2": imagenet("bottleneck", (3, 4, 6, 3), width_per_group=128),
    }
    cifar = re.fullmatch(r"cifar10_resnet(\d+)", name)
    if cifar and int(cifar[1]) >= 8 and int(cifar[1]) % 6 == 2:
        return Net(name, "basic", ((int(cifar[1]) - 2) // 6,) * 3, (16, 32, 64), (32, 32), 10, imagenet=False)
    if name not in known:
        sys.exit(f"--net {name}: unknown; known are {', '.join(known)} and cifar10_resnetD with D = 6n+2")
    return known[name]


def topology(net):
    """The net as a topology file says it."""
    stem = {"channels": net.channels[0], "kernel": 3, "stride": 1, "padding": 1}
    if net.imagenet:
        stem = {"channels": 64, "kernel": 7, "stride": 2, "padding": 3}
        stem["max_pool"] = {"kernel": 3, "stride": 2, "padding": 1}
    stages = [{"blocks": n, "channels": c} for n, c in zip(net.depths, net.channels)]
    for stage in stages[1:]:
        stage["stride"] = 2
    text = {"name": net.name, "input": {"channels": 3, "height": net.size[0], "width": net.size[1]}, "stem": stem}
    text["block"] = net.block
    if net.groups != 1:
        text["groups"] = net.groups
    if net.width_per_group != 64:
        text["width_per_group"] = net.width_per_group
    if not net.imagenet:
        text["shortcut"] = "zero_pad"
    text["stages"] = stages
    text["head"] = {"classes": net.classes}
    if not net.imagenet:
        text["weights"] = {"names": "akamaster"}
    return text


def round_bf16(values):
    """The nearest bfloat16 of each finite float32, ties to even, as uint16."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


@dataclass
class Weights:
    """Named tensors, drawn when first asked for. A tensor depends on the seed, its name and shape alone."""

    seed: int
    dtype: str
    given: dict = None  # tensors of --weights
    tensors: dict = field(default_factory=dict)  # name -> array as stored: float32, float16, uint16 (bf16), int64

    def draw(self, name, shape, make):
        """The float32 value of the stored tensor."""
        if self.given is not None:
            if name not in self.given or self.given[name].shape != shape or self.given[name].dtype == np.uint16:
                sys.exit(f"--weights: {name}: must be there, F32 or F16, of shape {list(shape)}")
            values = self.given[name].astype(np.float32)
        else:
            values = make(np.random.default_rng([self.seed, zlib.crc32(name.encode())])).astype(np.float32)
        if self.dtype == "f16":
            self.tensors[name] = values.astype(np.float16)
            return self.tensors[name].astype(np.float32)
        if self.dtype == "bf16":
            self.tensors[name] = round_bf16(values)
            return (self.tensors[name].astype(np.uint32) << 16).view(np.float32)
        self.tensors[name] = values
        return values


def centred(rng, shape):
    """Normal weights, each filter summing to zero: the mean of the activations, which is the same for every input,
    would drown what differs between inputs."""
    w = rng.standard_normal(shape)
    return w - w.mean(axis=tuple(range(1, len(shape))), keepdims=True)


class Builder:
    """Walks a net once, drawing its weights and listing its ONNX nodes. Values are ONNX names."""

    def __init__(self, net, weights):
        self.net, self.weights = net, weights
        self.nodes, self.initializers = [], []

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name, values):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def conv(self, x, name, ic, oc, kernel, stride=1, padding=0, groups=1, input_variance=0.34):
        """0.34 is the variance of max(0, x) of a normal x."""
        shape = (oc, ic // groups, kernel, kernel)
        deviation = 1 / np.sqrt(input_variance * shape[1] * kernel * kernel)
        weight = self.weights.draw(name + ".weight", shape, lambda rng: deviation * centred(rng, shape))
        weight = self.constant(name + ".weight", weight)
        return self.node("Conv", [x, weight], name, kernel_shape=[kernel] * 2, strides=[stride] * 2,
                         pads=[padding] * 4, group=groups)

    def batch_norm(self, x, name, c, gain=1.0):
        parts = {
            "weight": lambda rng: gain * rng.uniform(0.7, 1.3, c),
            "bias": lambda rng: 0.2 * gain * rng.standard_normal(c),
            "running_mean": lambda rng: 0.2 * rng.standard_normal(c),
            "running_var": lambda rng: rng.uniform(0.6, 1.6, c),
        }
        inputs = [x]
        for part, make in parts.items():
            inputs.append(self.constant(f"{name}.{part}", self.weights.draw(f"{name}.{part}", (c,), make)))
        if self.net.imagenet and self.weights.given is None:
            self.weights.tensors[f"{name}.num_batches_tracked"] = np.array(0, np.int64)
        return self.node("BatchNormalization", inputs, name, epsilon=EPSILON)

    def relu(self, x):
        return self.node("Relu", [x], x + ".relu")

    def zero_pad_shortcut(self, x, name, ic, oc, stride):
        axes = {"starts": [0, 0], "ends": [2**31 - 1] * 2, "axes": [2, 3], "steps": [stride] * 2}
        slices = [self.constant(f"{name}.{k}", np.array(v, np.int64)) for k, v in axes.items()]
        x = self.node("Slice", [x] + slices, name + ".slice")
        sides = np.array([0, (oc - ic) // 2, 0, 0, 0, oc - ic - (oc - ic) // 2, 0, 0], np.int64)
        return self.node("Pad", [x, self.constant(name + ".sides", sides)], name + ".pad")

    def block(self, x, name, ic, planes, stride, gain):
        net = self.net
        if net.block == "basic":
            oc = planes
            y = self.conv(x, name + ".conv1", ic, planes, 3, stride, 1)
            y = self.relu(self.batch_norm(y, name + ".bn1", planes))
            y = self.batch_norm(self.conv(y, name + ".conv2", planes, planes, 3, 1, 1), name + ".bn2", planes, gain)
        else:
            oc, width = 4 * planes, planes * net.width_per_group // 64 * net.groups
            y = self.relu(self.batch_norm(self.conv(x, name + ".conv1", ic, width, 1), name + ".bn1", width))
            y = self.conv(y, name + ".conv2", width, width, 3, stride, 1, net.groups)
            y = self.relu(self.batch_norm(y, name + ".bn2", width))
            y = self.batch_norm(self.conv(y, name + ".conv3", width, oc, 1), name + ".bn3", oc, gain)
        if stride != 1 or ic != oc:
            if net.imagenet:
                x = self.conv(x, name + ".downsample.0", ic, oc, 1, stride)
                x = self.batch_norm(x, name + ".downsample.1", oc)
            else:
                x = self.zero_pad_shortcut(x, name + ".shortcut", ic, oc, stride)
        return self.relu(self.node("Add", [y, x], name + ".add")), oc

    def build(self):
        net = self.net
        c = net.channels[0]
        x = self.conv("input", "conv1", 3, c, *((7, 2, 3) if net.imagenet else (3, 1, 1)), input_variance=1)
        x = self.relu(self.batch_norm(x, "bn1", c))
        if net.imagenet:
            x = self.node("MaxPool", [x], "maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        # Each residual branch adds 2 / blocks of the trunk's variance: a factor e^2 over the net, however deep.
        gain = np.sqrt(2 / sum(net.depths))
        for stage, (depth, planes) in enumerate(zip(net.depths, net.channels)):
            for i in range(depth):
                stride = 2 if stage > 0 and i == 0 else 1
                x, c = self.block(x, f"layer{stage + 1}.{i}", c, planes, stride, gain)
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x], "avgpool")], "flatten", axis=1)
        head = "fc" if net.imagenet else "linear"
        shape = (net.classes, c)
        w = self.weights.draw(head + ".weight", shape, lambda r: centred(r, shape) * 4 / np.sqrt(c))
        b = self.weights.draw(head + ".bias", (net.classes,), lambda r: r.standard_normal(net.classes) / 4)
        inputs = [x, self.constant(head + ".weight", w), self.constant(head + ".bias", b)]
        self.node("Gemm", inputs, "logits", transB=1)
        return self.model()

    def model(self):
        def value(name, *dims):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)

        graph = helper.make_graph(self.nodes, self.net.name, [value("input", "n", 3, *self.net.size)],
                                  [value("logits", "n", self.net.classes)], self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
                                 producer_name="reference_net")


def random_input(rng, n, h, w):
    """Normal values. The quarters of each image and channel have levels of their own: independent pixels would
    average out in the pool, and all images would look alike to the head."""
    levels = rng.standard_normal((n, 3, 2, 2))[:, :, np.arange(h) * 2 // h][..., np.arange(w) * 2 // w]
    return (0.8 * levels + 0.6 * rng.standard_normal((n, 3, h, w))).astype(np.float32)


def run(path, x, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # The oracle computes the graph as written.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--name", help="file stem and model name (default: the net's)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", help="HxW of the input")
    parser.add_argument("--classes", type=int)
    parser.add_argument("--dtype", choices=["f32", "f16", "bf16"], default="f32", help="of NAME.safetensors")
    parser.add_argument("--weights", type=pathlib.Path)
    parser.add_argument("--input", type=pathlib.Path)
    parser.add_argument("--json", action="store_true", help="also write NAME.json")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    net = find_net(args.net)
    if args.size:
        net = replace(net, size=tuple(int(side) for side in args.size.split("x")))
    net = replace(net, name=args.name or net.name, classes=args.classes or net.classes)
    weights = Weights(args.seed, args.dtype, read_safetensors(args.weights) if args.weights else None)
    model = Builder(net, weights).build()
    onnx.checker.check_model(model, full_check=True)

    args.out.mkdir(parents=True, exist_ok=True)
    onnx.save(model, args.out / f"{net.name}.onnx")
    write_safetensors(args.out / f"{net.name}.safetensors", weights.tensors)
    if args.json:
        (args.out / f"{net.name}.json").write_text(json.dumps(topology(net), indent=2) + "\n")
    if args.input:
        x = np.load(args.input).astype(np.float32)
    else:
        x = random_input(np.random.default_rng([args.seed, 0]), args.batch, *net.size)
    np.save(args.out / "input.npy", x)
    logits = run(args.out / f"{net.name}.onnx", x, args.threads)
    if not np.isfinite(logits).all():
        sys.exit(f"{net.name}: logits are not finite")
    np.save(args.out / "logits.npy", logits)

    trained = ("weight", "bias")
    parameters = sum(t.size for name, t in weights.tensors.items() if name.rsplit(".", 1)[1] in trained)
    between = f", of one class over the inputs {logits.std(axis=0).mean():.3g}" if len(x) > 1 else ""
    print(f"{net.name}: {parameters} parameters; {len(x)} inputs; largest |logit| {np.abs(logits).max():.4g}, "
          f"standard deviation {logits.std():.3g}{between}")


if __name__ == "__main__":
    main()
