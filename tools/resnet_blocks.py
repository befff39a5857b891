"""The block form (docs/topology.md) of a torchvision or timm ResNet, read off its modules. Whatever is not known to be
what the block form says raises NoBlockForm: shapes do not tell strides, paddings or what a subclass computes."""

import re

from torch import nn


class NoBlockForm(Exception):
    """Why a model is no ResNet that the block form can say."""


def require(condition, place, what):
    if not condition:
        raise NoBlockForm(f"{place.rstrip('.')} {what}")


def square(value, place, what):
    """The one number of a pair such as a kernel's sides."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    require(len(set(pair)) == 1 and isinstance(pair[0], int), place, f"has {what} {value}")
    return pair[0]


def conv_window(conv, place, groups=1):
    """(kernel, stride, padding) of a convolution without bias."""
    require(type(conv) is nn.Conv2d, place, f"is {type(conv).__name__}")
    require(conv.bias is None, place, "has a bias")
    require(conv.groups == groups, place, f"has {conv.groups} groups")
    is_plain = square(conv.dilation, place, "dilation") == 1 and conv.padding_mode == "zeros"
    require(is_plain, place, "is dilated or padded oddly")
    return (square(conv.kernel_size, place, "kernel"), square(conv.stride, place, "stride"),
            square(conv.padding, place, "padding"))  # fmt: skip


def epsilon_of(norm, place):
    # timm's BatchNormAct2d applies its activation too.
    is_norm = type(norm) is nn.BatchNorm2d or type(norm).__name__ == "FrozenBatchNorm2d"
    require(is_norm, place, f"is {type(norm).__name__}")
    is_whole = getattr(norm, "affine", True) and norm.running_mean is not None
    require(is_whole, place, "has no running statistics or no scale")
    return norm.eps


def is_nothing(module):
    """Whether a module passes on what it gets, once trained."""
    if isinstance(module, nn.Sequential):
        return all(map(is_nothing, module))
    names = ("Identity", "Dropout", "DropPath", "DropBlock2d")
    return module is None or type(module).__name__ in names


def require_class(module, place, names):
    """The class itself, of torchvision's or timm's resnet.py: what a subclass computes cannot be known."""
    cls = type(module)
    known = cls.__module__ in ("torchvision.models.resnet", "timm.models.resnet")
    require(known and cls.__name__ in names, place or "it", f"is {cls.__module__}.{cls.__name__}")
    hooks = (*module._forward_hooks, *module._forward_pre_hooks)
    require(not hooks and "forward" not in vars(module), place or "it", "has hooks or a forward of its own")


def require_plain(module, place, known):
    """All that a block or a net has but its known parts does nothing, or is a ReLU."""
    for name, child in module.named_children():
        if name in known or type(child) is nn.ReLU:
            continue
        require(is_nothing(child), f"{place}{name}", f"is {type(child).__name__}")


def stem_of(model):
    deep, conv = [], model.conv1
    if isinstance(conv, nn.Sequential):
        parts = list(conv)
        kinds = [type(part) for part in parts]
        require(len(parts) % 3 == 1 and kinds == ([nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 9)[: len(parts)], "conv1",
                "is no row of convolutions, batch norms and ReLUs")  # fmt: skip
        convs = parts[::3]
        windows = [conv_window(each, "conv1") for each in convs]
        kernel, stride, padding = windows[0]
        require(all(w == (kernel, 1, padding) for w in windows[1:]), "conv1", "has convolutions of several kinds")
        deep, conv = [each.out_channels for each in convs[:-1]], convs[-1]
    else:
        kernel, stride, padding = conv_window(conv, "conv1")
    stem = {"channels": conv.out_channels, "kernel": kernel, "stride": stride, "padding": padding}
    if deep:
        stem["deep"] = deep
    if not is_nothing(model.maxpool):
        pool = model.maxpool
        require(type(pool) is nn.MaxPool2d and not pool.ceil_mode and square(pool.dilation, "maxpool", "dilation") == 1,
                "maxpool", f"is {str(pool).splitlines()[0].rstrip('(')}")  # fmt: skip
        stem["max_pool"] = {key: square(getattr(pool, name), "maxpool", name) for key, name in
                            (("kernel", "kernel_size"), ("stride", "stride"), ("padding", "padding"))}  # fmt: skip
    return stem


def shortcut_of(block, place, stride):
    """The kernel of the average pool before a projection; 0: a plain projection; None: the identity."""
    if is_nothing(block.downsample):
        require(stride == 1, place, "has a stride and no projection")
        return None
    place += "downsample"
    parts = list(block.downsample)
    require(len(parts) in (2, 3), place, "has unknown parts")
    average, conv_stride = 0, stride
    if len(parts) == 3:
        pool = parts.pop(0)
        if isinstance(pool, nn.AvgPool2d):
            average, conv_stride = square(pool.kernel_size, place, "kernel"), 1
            require(square(pool.stride, place, "stride") == stride and square(pool.padding, place, "padding") == 0 and
                    pool.ceil_mode and not pool.count_include_pad, place, f"has {pool}")  # fmt: skip
        else:
            require(is_nothing(pool) and stride == 1, place, f"has {type(pool).__name__}")
            average = -1  # such as timm's of stride 1: tensors are numbered as behind a pool
    require(conv_window(parts[0], place) == (1, conv_stride, 0), place, f"has {parts[0]}")
    return average


def block_of(block, place, epsilons):
    """What a block is, as (kind, channels, groups, stride, where it strides, shortcut)."""
    require_class(block, place, ("BasicBlock", "Bottleneck"))
    is_bottleneck = type(block).__name__ == "Bottleneck"
    names = ["conv1", "conv2"] + ["conv3"] * is_bottleneck
    require_plain(block, place, [*names, "bn1", "bn2", "bn3", "downsample"])
    groups = block.conv2.groups if is_bottleneck else 1
    windows = [conv_window(getattr(block, name), place + name, groups if is_bottleneck and name == "conv2" else 1)
               for name in names]  # fmt: skip
    kernels = [(1, 0), (3, 1), (1, 0)] if is_bottleneck else [(3, 1), (3, 1)]
    require([(kernel, padding) for kernel, _, padding in windows] == kernels, place, "has other kernels or paddings")
    strides = [stride for _, stride, _ in windows]
    stride_at = 1 if is_bottleneck and strides[0] == 1 else 0
    require(all(s == 1 for i, s in enumerate(strides) if i != stride_at), place, f"has strides {strides}")
    epsilons.update(epsilon_of(getattr(block, "bn" + name[-1]), f"{place}bn{name[-1]}") for name in names)
    shortcut = shortcut_of(block, place, strides[stride_at])
    if shortcut is not None:
        epsilons.add(epsilon_of(block.downsample[-1], f"{place}downsample"))
    stride_on = ("1x1", "3x3")[stride_at] if is_bottleneck and strides[stride_at] > 1 else None
    outputs = getattr(block, names[-1]).out_channels
    channels = outputs // 4 if is_bottleneck else outputs
    return is_bottleneck, channels, groups, block.conv2.out_channels, strides[stride_at], stride_on, shortcut


def the_one(values, what, default=None):
    found = {value for value in values if value is not None}
    require(len(found) < 2, "it", f"has {what} of several kinds: {sorted(map(str, found))}")
    return found.pop() if found else default


def head_of(model):
    """(the linear layer or None, the prefix of its tensors)"""
    pool = getattr(model, "avgpool", None) or getattr(model, "global_pool", None)
    averages = isinstance(pool, nn.AdaptiveAvgPool2d) and pool.output_size in (1, (1, 1))
    require(averages or getattr(pool, "pool_type", "") == "avg", "the pool before fc", f"is {type(pool).__name__}")
    if is_nothing(model.fc):
        return None, ""
    layers = [("fc.", model.fc)]
    if type(model.fc) is nn.Sequential:  # Dropout and Linear, say
        layers = [(f"fc.{name}.", each) for name, each in model.fc.named_children() if not is_nothing(each)]
    require(len(layers) == 1 and type(layers[0][1]) is nn.Linear and layers[0][1].bias is not None, "fc",
            "is more than one linear layer with bias")  # fmt: skip
    return layers[0][1], layers[0][0]


def block_form(model):
    """(topology without name, input and preprocess; renamed tensors: prefix -> prefix). Raises NoBlockForm."""
    require_class(model, "", ("ResNet",))
    stages_at = [name for name, _ in model.named_children() if re.fullmatch(r"layer\d+", name)]
    require(stages_at == [f"layer{i + 1}" for i in range(len(stages_at))], "it", f"has stages {stages_at}")
    require_plain(model, "", ["conv1", "bn1", "maxpool", *stages_at, "avgpool", "global_pool", "fc"])
    stem, epsilons = stem_of(model), {epsilon_of(model.bn1, "bn1")}
    epsilons.update(each.eps for each in model.conv1.modules() if isinstance(each, nn.BatchNorm2d))
    blocks, stages, inputs = [], [], stem["channels"]
    for name in stages_at:
        stage = getattr(model, name)
        made = [block_of(block, f"{name}.{i}.", epsilons) for i, block in enumerate(stage)]
        require(len({b[:4] for b in made}) == 1 and all(b[4] == 1 and b[6] is None for b in made[1:]), name,
                "has blocks of several kinds")  # fmt: skip
        is_bottleneck, channels, _, _, stride, _, shortcut = made[0]
        outputs = channels * (4 if is_bottleneck else 1)
        require((shortcut is None) == (stride == 1 and inputs == outputs), name, "has a projection that is not needed")
        require(shortcut is None or (shortcut < 0) <= (stride == 1), name, "has a shortcut of another kind")
        stages.append({"blocks": len(made), "channels": channels, **({"stride": stride} if stride > 1 else {})})
        blocks.append(made[0])
        inputs = outputs

    is_bottleneck = the_one([b[0] for b in blocks], "blocks")
    groups = the_one([b[2] for b in blocks], "groups")
    # width = channels * width_per_group / 64 * groups
    width = the_one([b[3] * 64 / (b[1] * groups) for b in blocks], "widths")
    require(width == int(width) and (is_bottleneck or width == 64), "it", f"has blocks {width} wide of 64")
    average = the_one([b[6] for b in blocks if b[4] > 1], "shortcuts", 0)
    for b, name in zip(blocks, stages_at):
        # Behind an average pool a projection's tensors are numbered from 1, whether or not this stage has the pool.
        require(b[6] is None or b[4] > 1 or (b[6] < 0) == (average > 0), name, "has a shortcut of another kind")
    epsilon = the_one(epsilons, "batch norms")
    linear, prefix = head_of(model)

    form = {"stem": stem, "block": "bottleneck" if is_bottleneck else "basic"}
    if the_one([b[5] for b in blocks], "strides", "3x3") == "1x1":
        form["stride_on"] = "1x1"
    if groups > 1:
        form["groups"] = groups
    if width != 64:
        form["width_per_group"] = int(width)
    if epsilon != 1e-5:
        form["batch_norm"] = {"epsilon": epsilon}
    if average > 0:
        form["shortcut"] = {"kind": "projection", "average_pool": average}
    form["stages"] = stages
    form["head"] = {"classes": linear.out_features} if linear else None
    return form, {prefix: "fc."} if prefix not in ("", "fc.") else {}
