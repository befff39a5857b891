#!/usr/bin/env python3
"""Writes a torchvision or timm model as files that resnetc compiles: NAME.json, NAME.safetensors and, where class names
are known, NAME.txt.

    export_torch.py resnet50 -o imported                        torchvision's default weights, downloaded where missing
    export_torch.py resnet50 --weights IMAGENET1K_V1 -o imported
    export_torch.py timm/resnet50d.ra2_in1k -o imported         a model of timm
    export_torch.py resnet18 --checkpoint flowers.pth --labels flowers.txt -o imported

A checkpoint is a state_dict, alone or under "state_dict" or "model", saved by torch.save or safetensors; its last layer
says how many classes there are. Image preprocessing and class names are those of the weights' own metadata.

From Python, for a model that is already there:

    from export_torch import export
    export(model, "imported", "flowers", preprocess=preprocess_of(ResNet18_Weights.DEFAULT.transforms()), labels=names)

A ResNet is written in the block form of docs/topology.md. Any other model becomes ONNX, which `resnetc import` makes a
graph file of. Needs torch 1.13 or later, and torchvision or timm.
"""

import argparse
import inspect
import json
import os
import pathlib
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile

import torch
from resnet_blocks import NoBlockForm, block_form

root = pathlib.Path(__file__).resolve().parents[1]


class ExportError(Exception):
    """What is wrong and how to mend it."""


# ---- Preprocessing, labels and tensors


def checked_interpolation(name):
    name = str(getattr(name, "value", name)).lower()
    if name not in ("nearest", "bilinear", "bicubic"):
        raise ExportError(f"images are resized by {name}; give --preprocess FILE with nearest, bilinear or bicubic")
    return name


def preprocess_of(transforms):
    """The preprocess object of a topology file, from torchvision's transforms of a classifier's weights."""
    names = ("crop_size", "resize_size", "mean", "std", "interpolation")
    if not all(hasattr(transforms, name) for name in names):
        kind = type(transforms).__name__
        raise ExportError(f"transforms of type {kind} say neither crop, mean nor std: give --preprocess FILE")

    def one(value):
        value = list(value) if isinstance(value, (list, tuple)) else value
        return value[0] if isinstance(value, list) and len(value) == 1 else value

    return {"resize": one(transforms.resize_size), "crop": one(transforms.crop_size),
            "interpolation": checked_interpolation(transforms.interpolation), "scale": 1 / 255,
            "mean": list(transforms.mean), "std": list(transforms.std), "order": "rgb"}  # fmt: skip


def timm_preprocess(config):
    """The same from timm.data.resolve_model_data_config: the shorter side becomes size / crop_pct, rounded down."""
    _, height, width = config["input_size"]
    crop_mode = config.get("crop_mode", "center")
    if crop_mode != "center" or height != width:
        raise ExportError(f"images of {height}x{width} are cropped by {crop_mode!r}: give --preprocess FILE")
    return {"resize": int(height / config["crop_pct"]), "crop": height,
            "interpolation": checked_interpolation(config["interpolation"]), "scale": 1 / 255,
            "mean": list(config["mean"]), "std": list(config["std"]), "order": "rgb"}  # fmt: skip


safetensors_types = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def tensors_of(model, renames):
    tensors = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        for old, new in renames.items():
            if name.startswith(old):
                name = new + name[len(old) :]
        tensor = tensor.detach().cpu().contiguous()
        tensors[name] = tensor if tensor.dtype in safetensors_types else tensor.float()
    return tensors


def write_safetensors(path, tensors):
    """8 bytes of header length, a header in JSON padded to 8 bytes, the values; widest types first, so aligned."""
    order = sorted(tensors, key=lambda name: -tensors[name].element_size())
    header, offset = {}, 0
    for name in order:
        end = offset + tensors[name].numel() * tensors[name].element_size()
        header[name] = {"dtype": safetensors_types[tensors[name].dtype], "shape": list(tensors[name].shape),
                        "data_offsets": [offset, end]}  # fmt: skip
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            values = tensors[name]
            file.write((values.view(torch.int16) if values.element_size() == 2 else values).numpy().tobytes())


def read_safetensors(path):
    types = {"F64": torch.float64, "I64": torch.int64, **{name: t for t, name in safetensors_types.items()}}
    data = pathlib.Path(path).read_bytes()
    try:
        start = 8 + struct.unpack_from("<Q", data)[0]
        tensors = {}
        for name, entry in json.loads(data[8:start]).items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                values = torch.frombuffer(bytearray(data[start + begin : start + end]), dtype=types[entry["dtype"]])
                tensors[name] = values.reshape(entry["shape"])
        return tensors
    except (ValueError, KeyError, TypeError, struct.error, RuntimeError) as problem:
        raise ExportError(f"{path}: is no safetensors file of float tensors ({problem})") from None


# ---- Files


def publish(staging, folder, names):
    """Moves files into a folder, each in one step; the last only when the others are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        os.replace(staging / name, folder / name)


def find_resnetc():
    builds = [root / "build" / preset / "resnetc" for preset in ("release", "dev")]
    for path in (os.environ.get("RESNETC"), shutil.which("resnetc"), *builds):
        if path and os.access(path, os.X_OK):
            return str(path)
    raise ExportError("resnetc is needed to make a graph file: build it with scripts/build release, or put it on PATH")


def export_graph(model, staging, name, size, preprocess, labels_file):
    """Through ONNX: resnetc import writes the files."""
    more = []
    if preprocess:
        (staging / "preprocess.json").write_text(json.dumps(preprocess))
        more = ["--preprocess", str(staging / "preprocess.json")]
    if labels_file:
        more += ["--labels", str(labels_file)]
    # Later versions of torch have another exporter, which needs packages of its own.
    options = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    torch.onnx.export(model, torch.zeros(1, *size), str(staging / f"{name}.onnx"), input_names=["input"],
                      output_names=["output"], dynamic_axes={"input": {0: "n"}, "output": {0: "n"}}, opset_version=13,
                      **options)  # fmt: skip
    command = [find_resnetc(), "import", str(staging / f"{name}.onnx"), "-o", str(staging / "graph"), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ExportError(done.stderr.strip().replace(f"{staging}/", "").removeprefix("resnetc: "))
    return staging / "graph"


def checked_labels(labels, classes):
    labels = [str(label) for label in labels]
    if len(labels) != classes:
        raise ExportError(f"there are {len(labels)} labels, but {classes} classes")
    for i, label in enumerate(labels):
        if not label.strip() or "\n" in label:
            raise ExportError(f"label {i} is {label!r}: each must be a line")
    return labels


def topology_text(topology):
    """JSON with a line for each key; what is short stays on its line."""
    stages = ",\n".join("    " + json.dumps(stage) for stage in topology["stages"])
    lines = [f'  {json.dumps(key)}: {json.dumps(value)}' if key != "stages" else f'  "stages": [\n{stages}\n  ]'
             for key, value in topology.items()]  # fmt: skip
    return "{\n" + ",\n".join(lines) + "\n}\n"


def export(model, folder, name, preprocess=None, labels=None, size=None):
    """Writes NAME.json and NAME.safetensors, and NAME.txt if there are labels, into a folder; the path of NAME.json.

    preprocess: as docs/topology.md has it. size: (channels, height, width) of the input, by default 3 channels of the
    preprocessing's crop, or 3x224x224.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise ExportError(f"the name {name!r} must be a letter, then up to 63 letters, digits, '_' or '-': give --name")
    if size is None:
        crop = preprocess["crop"] if preprocess and "crop" in preprocess else 224
        size = (3, *crop) if isinstance(crop, (list, tuple)) else (3, crop, crop)
    folder, was_training = pathlib.Path(folder), model.training
    model.eval()
    try:
        form, renames = block_form(model)
    except NoBlockForm as reason:
        print(f"{name}: becomes a graph file, for {reason}", file=sys.stderr)
        form = None
    folder.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent) as temporary:
        staging = pathlib.Path(temporary)
        classes = form["head"]["classes"] if form and form["head"] else None
        if form is None and labels:
            classes = model(torch.zeros(1, *size)).shape[-1]
        labels_name = f"{name}.txt" if labels and classes else ""
        if labels_name:
            (staging / labels_name).write_text("\n".join(checked_labels(labels, classes)) + "\n")
        if form is None:
            made = export_graph(model, staging, name, size, preprocess, staging / labels_name if labels_name else None)
        else:
            made = staging
            topology = {"name": name, "input": dict(zip(("channels", "height", "width"), size))}
            if preprocess:
                topology["preprocess"] = preprocess
            topology.update(form)
            if labels_name:
                topology["head"]["labels"] = labels_name
            write_safetensors(staging / f"{name}.safetensors", tensors_of(model, renames))
            (staging / f"{name}.json").write_text(topology_text(topology))
        publish(made, folder, [f"{name}.safetensors", *([labels_name] if labels_name else []), f"{name}.json"])
    model.train(was_training)
    return folder / f"{name}.json"


# ---- Models by name


def read_checkpoint(path):
    if not os.path.isfile(path):
        raise ExportError(f"{path}: is no file")
    if str(path).endswith(".safetensors"):
        return read_safetensors(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:
        first = str(problem).strip().splitlines()[0]
        raise ExportError(f"{path}: holds more than tensors, or is damaged ({first}); save it again with "
                          "torch.save(model.state_dict(), FILE)") from None  # fmt: skip
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ExportError(f'{path}: is no state_dict, alone or under "state_dict" or "model"')
    # Wrappers for training put a prefix before every name.
    for prefix in ("module.", "_orig_mod."):
        if all(name.startswith(prefix) for name in state):
            state = {name[len(prefix) :]: value for name, value in state.items()}
    return state


def load_checkpoint(build, path):
    """build({} or {"num_classes": n}) -> model"""
    state = read_checkpoint(path)
    # A head of Dropout and Linear has names like fc.1.weight.
    heads = {match[1] for match in (re.match(r"fc\.(\d+)\.weight$", name) for name in state) if match}
    if len(heads) == 1:
        prefix = f"fc.{heads.pop()}."
        state = {re.sub(f"^{re.escape(prefix)}", "fc.", name): value for name, value in state.items()}
    model = build({})
    own = model.state_dict()
    others = [name for name in own if name in state and own[name].shape != state[name].shape]
    rows = {state[name].shape[0] for name in others if own[name].shape[1:] == state[name].shape[1:]}
    if others and len(rows) == 1 and len(others) <= 2:
        model = build({"num_classes": rows.pop()})
    missing_ok = [name for name in own if name.endswith("num_batches_tracked") and name not in state]
    try:
        model.load_state_dict({**state, **{name: own[name] for name in missing_ok}})
    except RuntimeError as problem:
        lines = [line.strip() for line in str(problem).splitlines()[1:4]]
        raise ExportError(f"{path}: does not fit the model: " + " ".join(line[:200] for line in lines)) from None
    return model


def torchvision_model(name, weights_name, checkpoint):
    """(model, preprocess, labels)"""
    try:
        from torchvision import models
    except ImportError:
        raise ExportError("torchvision is not installed") from None
    try:
        builder, known = models.get_model_builder(name), models.get_model_weights(name)
    except ValueError:
        resnets = [each for each in models.list_models(module=models) if "resne" in each]
        raise ExportError(f"torchvision has no model {name!r}; ResNets are {', '.join(resnets)}, and timm's are "
                          "timm/NAME") from None  # fmt: skip
    try:
        weights = known[weights_name]
    except KeyError:
        raise ExportError(f"--weights {weights_name}: {name} has {', '.join(known.__members__)}") from None
    preprocess = preprocess_of(weights.transforms())
    if checkpoint:
        model = load_checkpoint(lambda more: builder(**more), checkpoint)
        return model, preprocess, weights.meta["categories"]
    try:
        return builder(weights=weights), preprocess, weights.meta["categories"]
    except OSError as problem:
        raise ExportError(f"{weights.url}: cannot be downloaded ({problem}); fetch it elsewhere and give it as "
                          "--checkpoint") from None  # fmt: skip


def timm_model(name, checkpoint):
    try:
        import timm
    except ImportError:
        raise ExportError("timm is not installed: pip install timm") from None
    if not timm.is_model(name):
        raise ExportError(f"timm has no model {name!r}")
    try:
        if checkpoint:
            model = load_checkpoint(lambda more: timm.create_model(name, **more), checkpoint)
        else:
            model = timm.create_model(name, pretrained=True)
    except (RuntimeError, OSError) as problem:
        more = "" if checkpoint else "; if the weights cannot be downloaded, fetch them elsewhere and give --checkpoint"
        raise ExportError(f"timm/{name}: {str(problem).splitlines()[0].rstrip('.')}{more}") from None
    return model, timm_preprocess(timm.data.resolve_data_config({}, model=model)), timm_labels(model)


def timm_labels(model):
    config = model.pretrained_cfg
    if config.get("label_names"):
        return list(config["label_names"])
    if model.num_classes != 1000:
        return None
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return [info.index_to_description(i) for i in range(1000)]


def read_options():
    summary, examples = __doc__.split("\n\n", 1)
    parser = argparse.ArgumentParser(description=summary, epilog=examples,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="a model of torchvision, or timm/NAME")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", type=pathlib.Path)
    parser.add_argument("--weights", default="DEFAULT", help="which of torchvision's for the model (%(default)s)")
    parser.add_argument("--checkpoint", metavar="FILE", help="take the tensors from this file")
    parser.add_argument("--name", help="of files and C functions (MODEL's, with _ for what is no letter or digit)")
    parser.add_argument("--labels", metavar="FILE", help="one label a line, in place of the weights' own")
    parser.add_argument("--preprocess", metavar="FILE",
                        help='JSON as "preprocess" in docs/topology.md, in place of the weights\' own')  # fmt: skip
    return parser.parse_args()


def run(options):
    name = options.name or re.sub(r"[^A-Za-z0-9_-]", "_", options.model.removeprefix("timm/"))
    if options.model.startswith("timm/"):
        model, preprocess, labels = timm_model(options.model.removeprefix("timm/"), options.checkpoint)
    else:
        model, preprocess, labels = torchvision_model(options.model, options.weights, options.checkpoint)
    if options.preprocess:
        preprocess = json.loads(pathlib.Path(options.preprocess).read_text())
        preprocess = preprocess.get("preprocess", preprocess)
    if options.labels:
        labels = pathlib.Path(options.labels).read_text(encoding="utf-8").splitlines()
    elif labels and options.checkpoint:
        # Another number of classes: trained for something else, and the weights' labels are not its own.
        with torch.no_grad():
            size = preprocess.get("crop", 224)
            sides = size if isinstance(size, (list, tuple)) else (size, size)
            classes = model.eval()(torch.zeros(1, 3, *sides)).shape[-1]
        labels = labels if len(labels) == classes else None
    path = export(model, options.output, name, preprocess, labels)
    files = [shlex.quote(f"./{each}" if str(each)[0] == "-" else str(each))
             for each in (path, path.with_suffix(".safetensors"))]  # fmt: skip
    print(f"{path}: written; compile it with: resnetc compile {files[0]} --weights {files[1]}", file=sys.stderr)


def main():
    try:
        run(read_options())
    except (ExportError, OSError, ValueError) as problem:
        sys.exit(f"export_torch.py: {problem}")


if __name__ == "__main__":
    main()
