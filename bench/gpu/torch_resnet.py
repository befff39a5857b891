"""The ResNets of models/ as modules of PyTorch alone, since a machine with PyTorch need not have torchvision: the same
operations, names of tensors and first weights as torchvision's."""

import copy
import json

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

KNOWN = {"name", "input", "preprocess", "stem", "block", "groups", "width_per_group", "stages", "head"}


class NoTorchForm(Exception):
    """A topology that torchvision's ResNets have not."""


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def convolve(convolution, norm, x):
    x = convolution(x)
    return x if norm is None else norm(x)


def relu(x):
    return nn.functional.relu(x, inplace=True)


class Block(nn.Module):
    def add_shortcut(self, inputs, outputs, stride):
        changes = stride != 1 or inputs != outputs
        self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)) if changes else None

    def shortcut(self, x):
        return x if self.downsample is None else self.downsample(x)


class Basic(Block):
    expansion = 1

    def __init__(self, inputs, channels, stride, groups, width_per_group):
        super().__init__()
        if (groups, width_per_group) != (1, 64):
            raise NoTorchForm("basic blocks with groups")
        self.conv1, self.bn1 = conv(inputs, channels, 3, stride), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = conv(channels, channels, 3), nn.BatchNorm2d(channels)
        self.add_shortcut(inputs, channels, stride)

    def forward(self, x):
        y = relu(convolve(self.conv1, self.bn1, x))
        y = convolve(self.conv2, self.bn2, y)
        y += self.shortcut(x)
        return relu(y)


class Bottleneck(Block):
    expansion = 4

    def __init__(self, inputs, channels, stride, groups, width_per_group):
        super().__init__()
        width, outputs = channels * width_per_group // 64 * groups, 4 * channels
        self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride, groups), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.add_shortcut(inputs, outputs, stride)

    def forward(self, x):
        y = relu(convolve(self.conv1, self.bn1, x))
        y = relu(convolve(self.conv2, self.bn2, y))
        y = convolve(self.conv3, self.bn3, y)
        y += self.shortcut(x)
        return relu(y)


class ResNet(nn.Module):
    def __init__(self, topology):
        super().__init__()
        stem, pool = topology["stem"], topology["stem"].get("max_pool")
        if topology.keys() - KNOWN or stem.keys() - {"channels", "kernel", "stride", "padding", "max_pool"} or not pool:
            raise NoTorchForm("no ResNet of torchvision's")
        block = {"basic": Basic, "bottleneck": Bottleneck}[topology["block"]]
        groups, width = topology.get("groups", 1), topology.get("width_per_group", 64)
        channels = stem["channels"]
        self.conv1 = nn.Conv2d(topology["input"]["channels"], channels, stem["kernel"], stem["stride"], stem["padding"],
                               bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(pool["kernel"], pool["stride"], pool["padding"])
        self.stages = []
        for number, stage in enumerate(topology["stages"], 1):
            blocks = []
            for i in range(stage["blocks"]):
                blocks.append(block(channels, stage["channels"], stage.get("stride", 1) if i == 0 else 1, groups, width))
                channels = stage["channels"] * block.expansion
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            self.stages.append(f"layer{number}")
        self.fc = nn.Linear(channels, topology["head"]["classes"])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = self.maxpool(relu(convolve(self.conv1, self.bn1, x)))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


def resnet(file):
    """Of a topology in models/, with random weights, for inference."""
    topology = json.loads(file.read_text())
    try:
        return ResNet(topology).eval()
    except NoTorchForm as problem:
        raise NoTorchForm(f"{file.stem}: {problem}: it has no form in PyTorch here") from None


def folded(model):
    """A copy for inference without batch norms, whose work the convolutions before them do, as in resnetc's programs."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for norm in [name for name, _ in module.named_children() if name.startswith("bn")]:
            convolution = norm.replace("bn", "conv")
            setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)))
            setattr(module, norm, None)
        if isinstance(module, Block) and module.downsample is not None:
            module.downsample = nn.Sequential(fuse_conv_bn_eval(*module.downsample))
    return model
