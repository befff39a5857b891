#!/usr/bin/env python3
"""Writes a ResNet with seeded random weights, and what ONNX Runtime makes of it: the oracle that compiled nets are
compared with. Independent of the compiler: the topologies are written down here a second time, on purpose.

    reference_net.py --net resnet50 --out DIR --batch 8 --seed 1 [--size 160x224] [--classes 10] [--dtype f16] [--json]

leaves in DIR:
    NAME.safetensors   torchvision's tensor names (akamaster's for cifar10_resnet*, timm's for resnetv2_*)
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

@dataclass(frozen=True)
class Net:
    name: str
    block: str  # "basic" or "bottleneck"
    depths: tuple  # blocks of each stage
    channels: tuple  # of each stage's 3x3 convolutions, before groups and width
    size: tuple  # height, width of the input
    classes: int
    stem: str = "7x7"  # and a max pool; "deep": three 3x3 convolutions and a max pool; "3x3": neither stride nor pool
    shortcut: str = "projection"  # "pooled": behind an average pool (ResNet-D); "zero_pad": akamaster's
    names: str = "torchvision"  # or "akamaster", "timm_v2"
    groups: int = 1
    width_per_group: int = 64
    stride_on_1x1: bool = False  # v1, not v1.5
    pre: bool = False  # v2: batch norm and ReLU before each convolution
    stem_activation: bool = True  # batch norm and ReLU after the stem's convolution; may be False with `pre` only
    same: bool = False  # TensorFlow's padding
    norm: bool = True  # batch norms
    shortcut_norm: bool = True
    bias: bool = False  # convolutions have one
    epsilon: float = 1e-5
    stride: int = 2  # of the stages after the first


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
        "resnet50_v1": imagenet("bottleneck", (3, 4, 6, 3), stride_on_1x1=True),
        "resnet50d": imagenet("bottleneck", (3, 4, 6, 3), stem="deep", shortcut="pooled"),
        "preact_resnet18": imagenet("basic", (2, 2, 2, 2), pre=True, shortcut_norm=False),
        "resnetv2_50": imagenet("bottleneck", (3, 4, 6, 3), pre=True, shortcut_norm=False, stem_activation=False,
                                names="timm_v2"),
        # Nets that nobody trained, for what those above leave out.
        "odd_same": Net(name, "bottleneck", (1, 2, 1), (16, 32, 24), (45, 38), 10, same=True, stride_on_1x1=True,
                        groups=2, width_per_group=32, norm=False, shortcut_norm=False, bias=True, stride=3),
        "odd_pooled": Net(name, "basic", (2, 1, 2), (16, 24, 40), (51, 47), 10, stem="deep", shortcut="pooled",
                          pre=True, stem_activation=False, same=True, bias=True, epsilon=1e-3),
        "odd_zero_pad": Net(name, "basic", (1, 2), (16, 20), (19, 26), 10, stem="3x3", shortcut="zero_pad", pre=True,
                            stem_activation=False, same=True, names="akamaster", stride=3),
    }  # fmt: skip
    cifar = re.fullmatch(r"cifar10_(preact_)?resnet(\d+)", name)
    if cifar and int(cifar[2]) >= 8 and int(cifar[2]) % 6 == 2:
        more = dict(shortcut="zero_pad", names="akamaster")
        if cifar[1]:
            more = dict(pre=True, shortcut_norm=False, stem_activation=False)
        return Net(name, "basic", ((int(cifar[2]) - 2) // 6,) * 3, (16, 32, 64), (32, 32), 10, stem="3x3", **more)
    if name not in known:
        sys.exit(f"--net {name}: unknown; known are {', '.join(known)} and cifar10_[preact_]resnetD with D = 6n+2")
    return known[name]


def topology(net):
    """The net as a topology file says it."""
    stem = {"channels": net.channels[0], "kernel": 7 if net.stem == "7x7" else 3, "stride": 1}
    stem["padding"] = "same" if net.same else stem["kernel"] // 2
    if net.stem != "3x3":
        stem.update(stride=2, max_pool={"kernel": 3, "stride": 2, "padding": "same" if net.same else 1})
    if net.stem == "deep":
        stem["deep"] = [net.channels[0] // 2] * 2
    if net.pre and net.stem_activation:
        stem["activation"] = "post"
    text = {"name": net.name, "input": {"channels": 3, "height": net.size[0], "width": net.size[1]}, "stem": stem}
    text["block"] = net.block
    options = {"stride_on": (net.stride_on_1x1, "1x1"), "activation": (net.pre, "pre"), "padding": (net.same, "same"),
               "conv_bias": (net.bias, True), "groups": (net.groups != 1, net.groups),
               "width_per_group": (net.width_per_group != 64, net.width_per_group)}  # fmt: skip
    text.update({key: value for key, (is_set, value) in options.items() if is_set})
    if not net.norm or net.epsilon != 1e-5:
        text["batch_norm"] = {"epsilon": net.epsilon} if net.norm else False
    text["shortcut"] = "zero_pad" if net.shortcut == "zero_pad" else {"kind": "projection"}
    if net.shortcut == "pooled":
        text["shortcut"]["average_pool"] = 2
    if net.shortcut != "zero_pad":
        text["shortcut"]["batch_norm"] = {"epsilon": net.epsilon} if net.shortcut_norm else False
    text["stages"] = [{"blocks": n, "channels": c} for n, c in zip(net.depths, net.channels)]
    for stage in text["stages"][1:]:
        stage["stride"] = net.stride
    text["head"] = {"classes": net.classes}
    if net.names == "akamaster":
        text["weights"] = {"names": "akamaster"}
    return text


def name_in_file(name, names):
    """What the file calls a tensor that torchvision calls by this name."""
    if names == "akamaster":
        return name.replace("fc.", "linear.").replace("downsample.", "shortcut.")
    if names == "torchvision":
        return name
    block = re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", name)
    if block:
        rest = block[3].replace("downsample.0", "downsample.conv").replace("bn", "norm")
        return f"stages.{int(block[1]) - 1}.blocks.{block[2]}.{rest}"
    for torchvision, timm in {"conv1.": "stem.conv.", "bn.": "norm.", "fc.": "head.fc."}.items():
        if name.startswith(torchvision):
            return timm + name[len(torchvision) :]
    sys.exit(f"{name}: has no name in timm's v2 nets")


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
            given = self.given.get(name, np.zeros(0))
            if given.shape not in (shape, shape + (1, 1)) or given.dtype not in (np.float32, np.float16):
                sys.exit(f"--weights: {name}: must be there, F32 or F16, of shape {list(shape)}")
            values = given.astype(np.float32).reshape(shape)
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

    def tensor(self, name, shape, make):
        """A weight: drawn under its name in the file, a constant under torchvision's."""
        return self.constant(name, self.weights.draw(name_in_file(name, self.net.names), shape, make))

    def padding(self, sides):
        return {"auto_pad": "SAME_UPPER"} if self.net.same else {"pads": [sides] * 4}

    def conv(self, x, name, ic, oc, kernel, stride=1, groups=1, input_variance=0.34, gain=1.0):
        """0.34 is the variance of max(0, x) of a normal x."""
        shape = (oc, ic // groups, kernel, kernel)
        deviation = gain / np.sqrt(input_variance * shape[1] * kernel * kernel)
        inputs = [x, self.tensor(name + ".weight", shape, lambda rng: deviation * centred(rng, shape))]
        if self.net.bias:
            inputs.append(self.tensor(name + ".bias", (oc,), lambda rng: 0.2 * gain * rng.standard_normal(oc)))
        return self.node("Conv", inputs, name, kernel_shape=[kernel] * 2, strides=[stride] * 2, group=groups,
                         **self.padding(kernel // 2))  # fmt: skip

    def batch_norm(self, x, name, c, gain=1.0):
        parts = {
            "weight": lambda rng: gain * rng.uniform(0.7, 1.3, c),
            "bias": lambda rng: 0.2 * gain * rng.standard_normal(c),
            "running_mean": lambda rng: 0.2 * rng.standard_normal(c),
            "running_var": lambda rng: rng.uniform(0.6, 1.6, c),
        }
        inputs = [x] + [self.tensor(f"{name}.{part}", (c,), make) for part, make in parts.items()]
        if self.net.names != "akamaster" and self.weights.given is None:
            counter = name_in_file(name + ".num_batches_tracked", self.net.names)
            self.weights.tensors[counter] = np.array(0, np.int64)
        return self.node("BatchNormalization", inputs, name, epsilon=self.net.epsilon)

    def relu(self, x):
        return self.node("Relu", [x], x + ".relu")

    def activation(self, x, name, c):
        return self.relu(self.batch_norm(x, name, c) if self.net.norm else x)

    def zero_pad_shortcut(self, x, name, ic, oc, stride):
        axes = {"starts": [0, 0], "ends": [2**31 - 1] * 2, "axes": [2, 3], "steps": [stride] * 2}
        slices = [self.constant(f"{name}.{k}", np.array(v, np.int64)) for k, v in axes.items()]
        x = self.node("Slice", [x] + slices, name + ".slice")
        sides = np.array([0, (oc - ic) // 2, 0, 0, 0, oc - ic - (oc - ic) // 2, 0, 0], np.int64)
        return self.node("Pad", [x, self.constant(name + ".sides", sides)], name + ".pad")

    def pool(self, x, name, size, stride):
        """A 2x2 average pool as PyTorch's ceil_mode has it: the last windows reach beyond the image."""
        ends = [(-(-side // stride) - 1) * stride + 2 - side for side in size]
        pads = [0, 0] + [max(end, 0) for end in ends]
        return self.node("AveragePool", [x], name, kernel_shape=[2, 2], strides=[stride] * 2, pads=pads)

    def projection(self, x, name, ic, oc, stride, size):
        net, first = self.net, 0
        if net.shortcut == "pooled":
            if stride != 1:
                x = self.pool(x, f"{name}.0", size, stride)
            stride, first = 1, 1
        x = self.conv(x, f"{name}.{first}", ic, oc, 1, stride)
        return self.batch_norm(x, f"{name}.{first + 1}", oc) if net.shortcut_norm else x

    def block(self, x, name, ic, planes, stride, gain, size, activated):
        """size: of the image x. activated: a v2 net's stem has done the first batch norm and ReLU."""
        net = self.net
        width = planes * net.width_per_group // 64 * net.groups
        convs = [(planes, 3, stride, 1), (planes, 3, 1, 1)]
        if net.block == "bottleneck":
            first, second = (stride, 1) if net.stride_on_1x1 else (1, stride)
            convs = [(width, 1, first, 1), (width, 3, second, net.groups), (4 * planes, 1, 1, 1)]
        y, c, oc, before = x, ic, convs[-1][0], x
        for i, (channels, kernel, step, groups) in enumerate(convs):
            last = i + 1 == len(convs)
            if net.pre and not (i == 0 and activated):
                y = self.activation(y, f"{name}.bn{i + 1}", c)
            if net.pre and i == 0:
                before = y
            ends = last and (net.pre or not net.norm)
            y = self.conv(y, f"{name}.conv{i + 1}", c, channels, kernel, step, groups, gain=gain if ends else 1.0)
            c = channels
            if not net.pre and net.norm:
                y = self.batch_norm(y, f"{name}.bn{i + 1}", c, gain if last else 1.0)
            if not net.pre and not last:
                y = self.relu(y)
        if stride != 1 or ic != oc:
            shortcut = before if net.pre else x
            if net.shortcut == "zero_pad":
                x = self.zero_pad_shortcut(shortcut, name + ".shortcut", ic, oc, stride)
            else:
                x = self.projection(shortcut, name + ".downsample", ic, oc, stride, size)
        y = self.node("Add", [y, x], name + ".add")
        return (y if net.pre else self.relu(y)), oc

    def build_stem(self):
        net, c = self.net, self.net.channels[0]
        x, name, ic, variance, stride = "input", "conv1", 3, 1, 1 if net.stem == "3x3" else 2
        if net.stem == "deep":
            for i in (0, 3):
                x = self.conv(x, f"conv1.{i}", ic, c // 2, 3, stride, input_variance=variance)
                x = self.activation(x, f"conv1.{i + 1}", c // 2)
                ic, variance, stride = c // 2, 0.34, 1
            name = "conv1.6"
        x = self.conv(x, name, ic, c, 7 if net.stem == "7x7" else 3, stride, input_variance=variance)
        if net.stem_activation:
            x = self.activation(x, "bn1", c)
        if net.stem != "3x3":
            x = self.node("MaxPool", [x], "maxpool", kernel_shape=[3, 3], strides=[2, 2], **self.padding(1))
        return x, c

    def build(self):
        net = self.net
        x, c = self.build_stem()
        size = net.size if net.stem == "3x3" else [-(-side // 4) for side in net.size]
        # Each residual branch adds 2 / blocks of the trunk's variance: a factor e^2 over the net, however deep.
        gain = np.sqrt(2 / sum(net.depths))
        for stage, (depth, planes) in enumerate(zip(net.depths, net.channels)):
            for i in range(depth):
                stride = net.stride if stage > 0 and i == 0 else 1
                activated = net.stem_activation and stage == 0 and i == 0
                x, c = self.block(x, f"layer{stage + 1}.{i}", c, planes, stride, gain, size, activated)
                size = [-(-side // stride) for side in size]
        if net.pre:
            x = self.activation(x, "bn", c)
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x], "avgpool")], "flatten", axis=1)
        shape = (net.classes, c)
        inputs = [x, self.tensor("fc.weight", shape, lambda r: centred(r, shape) * 4 / np.sqrt(c)),
                  self.tensor("fc.bias", (net.classes,), lambda r: r.standard_normal(net.classes) / 4)]  # fmt: skip
        self.node("Gemm", inputs, "logits", transB=1)
        if net.names == "timm_v2" and self.weights.given is None:
            head = self.weights.tensors["head.fc.weight"]
            self.weights.tensors["head.fc.weight"] = head.reshape(*head.shape, 1, 1)  # as timm has it: a convolution
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
