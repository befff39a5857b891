#!/usr/bin/env python3
"""tools/export_torch.py against PyTorch: models of torchvision with random and with fine-tuned weights, from checkpoint
files and from Python, become programs that answer as PyTorch does, photographs included.

Runs with a Python that has torch and torchvision (Debian's python3-torch and python3-torchvision); skipped without."""

import json
import re
import shlex
import sys

from support import check, check_close, compile_model, logits, models, resnetc, root, run, skip, temporary_folder

try:
    import torch
    import torchvision
    from torch import nn
    from torchvision.ops import FrozenBatchNorm2d
except ImportError as problem:
    skip(f"{sys.executable} has no torch and torchvision ({problem}): scripts/setup --tests installs them")
import numpy as np
from PIL import Image

sys.path.insert(0, str(root / "tools"))
import export_torch
from resnet_blocks import NoBlockForm, block_form

tool = root / "tools" / "export_torch.py"
photos = sorted((models / "demo" / "photos").glob("*.jpg"))
names = torchvision.models


def random_model(model, seed):
    """Batch norms with statistics of their own, as a trained net has them."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, FrozenBatchNorm2d)):
            nn.init.uniform_(module.weight, 0.4, 0.8)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.6, 1.6)
    return model.eval()


def program_of(topology, folder, *more):
    compile_model(topology, topology.with_suffix(".safetensors"), folder / "out", "--emit", "exe", *more)
    return folder / "out" / topology.stem


def compare(what, model, program, side, classes=None):
    x = np.random.default_rng(3).standard_normal((2, 3, side, side)).astype(np.float32)
    with torch.no_grad():
        wanted = model(torch.from_numpy(x)).numpy()
    check(classes is None or wanted.shape[1] == classes, wanted.shape)
    check_close(what, logits(program, x), wanted)


def block_forms():
    """Every ResNet of torchvision that models/ has is that file, but for the labels."""
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2"):
        written = json.loads((models / f"{name}.json").read_text())
        del written["name"], written["input"], written["preprocess"], written["head"]["labels"]
        with torch.no_grad():
            got = block_form(getattr(names, name)())
            frozen = block_form(getattr(names, name)(norm_layer=FrozenBatchNorm2d))
        check(got == (written, {}) and frozen == got, f"{name}: {got}")

    class Other(names.resnet.BasicBlock):
        def forward(self, x):
            return super().forward(x) * 2

    def changed(change):
        model = names.resnet18()
        change(model)
        return model

    refused = {
        "a subclass": names.ResNet(Other, [1, 1, 1, 1]),
        "dilation": names.resnet50(replace_stride_with_dilation=[False, False, True]),
        "another norm": names.resnet18(norm_layer=lambda c: nn.GroupNorm(8, c)),
        "another activation": changed(lambda m: setattr(m, "relu", nn.GELU())),
        "another pool": changed(lambda m: setattr(m, "avgpool", nn.AdaptiveMaxPool2d(1))),
        "two layers": changed(lambda m: setattr(m, "fc", nn.Sequential(nn.Linear(512, 9), nn.ReLU(), nn.Linear(9, 2)))),
        "a hook": changed(lambda m: m.layer1[0].register_forward_hook(lambda *_: None)),
        "an epsilon": changed(lambda m: setattr(m.layer2[0].bn1, "eps", 1e-3)),
    }
    for what, model in refused.items():
        try:
            check(False, f"{what}: has the block form {block_form(model)}")
        except NoBlockForm as reason:
            print(f"{what}: no block form, for {reason}")


def from_checkpoint(folder):
    """ResNet-18 by the command line: preprocessing and labels of ImageNet's weights, answers to photographs."""
    model = random_model(names.resnet18(), 1)
    with torch.no_grad():
        model.fc.weight *= 100  # so that photographs have classes of their own
    torch.save(model.state_dict(), folder / "r18.pth")
    said = run(sys.executable, tool, "resnet18", "--checkpoint", folder / "r18.pth", "-o", folder / "a" / "it's b").stderr
    topology = folder / "a" / "it's b" / "resnet18.json"
    hint = shlex.split(said.split("compile it with: ")[1])
    check(hint == ["resnetc", "compile", f"{topology}", "--weights", f"{topology.with_suffix('.safetensors')}"], said)
    weights = names.ResNet18_Weights.DEFAULT
    check((topology.parent / "resnet18.txt").read_text().splitlines() == weights.meta["categories"], "labels")
    program = program_of(topology, folder)
    compare("resnet18 from a checkpoint", model, program, 224, 1000)
    for photo, line in zip(photos, run(program, "--json", "--top", 1000, *photos).stdout.splitlines()):
        with torch.no_grad():
            wanted = model(weights.transforms()(Image.open(photo).convert("RGB"))[None]).softmax(1)[0].numpy()
        top = json.loads(line)["top"]
        difference = max(abs(each["probability"] - wanted[each["index"]]) for each in top)
        print(f"{photo.name}: largest probability {wanted.max():.3f}, probabilities differ by {difference:.2g}")
        check(difference <= 1e-4 and top[0]["label"] == weights.meta["categories"][int(wanted.argmax())], line[:200])


def transfer_learning(folder):
    """The head replaced and trained on its own for some steps; from Python, and from a training script's checkpoint."""
    classes = ["daisy", "rose", "tulip"]
    model = random_model(names.resnet18(), 2)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc = nn.Sequential(nn.Dropout(0.3), nn.Linear(512, len(classes)))
    optimiser = torch.optim.SGD(model.fc.parameters(), lr=0.05)
    x, y = torch.randn(12, 3, 64, 64), torch.arange(12) % 3
    model.train()
    losses = []
    for _ in range(8):
        loss = nn.functional.cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    check(losses[-1] < losses[0], losses)
    wrapped = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 8, "state_dict": wrapped}, folder / "flowers.pth")
    preprocess = export_torch.preprocess_of(names.ResNet18_Weights.DEFAULT.transforms())
    topology = export_torch.export(model, folder / "python", "flowers", preprocess, classes)
    check(model.training, "the model is no longer in training")
    (folder / "flowers.txt").write_text("\n".join(classes) + "\n")
    checkpoint = ["--checkpoint", folder / "flowers.pth", "--labels", folder / "flowers.txt", "--name", "flowers"]
    run(sys.executable, tool, "resnet18", *checkpoint, "-o", folder / "command")
    for file in ("flowers.json", "flowers.txt", "flowers.safetensors"):
        check((folder / "python" / file).read_bytes() == (folder / "command" / file).read_bytes(), f"{file} differs")
    program = program_of(topology, folder, "--size", "64x64")
    compare("resnet18 after transfer learning", model.eval(), program, 64, 3)
    line = json.loads(run(program, "--json", photos[0]).stdout)
    check({each["label"] for each in line["top"]} == set(classes), line)


class FrozenWithMeans(names.ResNet):
    """As detectors have their backbones, and the average pool as some write it."""

    def __init__(self):
        super().__init__(names.resnet.BasicBlock, [1, 1, 1, 1], norm_layer=FrozenBatchNorm2d, num_classes=10)
        self.avgpool = nn.Identity()

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(3).mean(2))


def graphs(folder):
    """What is no ResNet of the block form goes through ONNX."""
    cases = {
        "frozen": FrozenWithMeans(),
        "mobilenet_v2": names.mobilenet_v2(num_classes=10),
        "dilated": names.resnet50(replace_stride_with_dilation=[False, False, True], num_classes=10),
    }
    for i, (name, model) in enumerate(cases.items()):
        model = random_model(model, 5 + i)
        topology = export_torch.export(model, folder, name, None, None, (3, 64, 64))
        check("graph" in json.loads(topology.read_text()), "no graph file")
        compare(name, model, program_of(topology, folder), 64, 10)


def models_of_timm(folder):
    """Where timm is installed: block forms with and without a deep stem, a graph, and what is refused."""
    try:
        import timm
    except ImportError:
        print("timm is not installed, and its models are not tested")
        return
    for name, is_graph in (("resnet18", False), ("resnet50d", False), ("resnetv2_50", True)):
        model = random_model(timm.create_model(name, num_classes=10), 7)
        topology = export_torch.export(model, folder, name, None, None, (3, 64, 64))
        check(("graph" in json.loads(topology.read_text())) == is_graph, name)
        compare(f"timm/{name}", model, program_of(topology, folder), 64, 10)
    for name, message in (("resnetblur50", 'mode="reflect" is not taken'), ("seresnet18", r"\(Sigmoid\): this operation is")):
        try:
            export_torch.export(timm.create_model(name), folder, name)
            check(False, f"timm/{name} is taken")
        except export_torch.ExportError as reason:
            check(re.search(message, str(reason)), reason)

    model = random_model(timm.create_model("resnet18"), 8)
    with torch.no_grad():
        model.fc.weight *= 100
    torch.save(model.state_dict(), folder / "timm.pth")
    run(sys.executable, tool, "timm/resnet18", "--checkpoint", folder / "timm.pth", "--name", "pixels", "-o", folder)
    program = program_of(folder / "pixels.json", folder)
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model), is_training=False)
    for photo, line in zip(photos, run(program, "--json", "--top", 1000, *photos).stdout.splitlines()):
        with torch.no_grad():
            wanted = model(transform(Image.open(photo).convert("RGB"))[None]).softmax(1)[0].numpy()
        difference = max(abs(each["probability"] - wanted[each["index"]]) for each in json.loads(line)["top"])
        print(f"timm, {photo.name}: largest probability {wanted.max():.3f}, probabilities differ by {difference:.2g}")
        check(difference <= 1e-4, line[:200])
    said = run(sys.executable, tool, "timm/resnet19", "-o", folder / "none", status=1).stderr
    check(said == "export_torch.py: timm has no model 'resnet19'\n", said)


def errors(folder):
    def refused(message, *options):
        said = run(sys.executable, tool, *options, "-o", folder / "none", status=1).stderr
        check(re.search(message, said) and said.startswith("export_torch.py: ") and said.count("\n") == 1, said)
        check(not (folder / "none").exists(), "files were left")

    torch.save(names.resnet18(num_classes=2).state_dict(), folder / "two.pth")
    torch.save(names.resnet18(num_classes=2), folder / "pickle.pth")
    (folder / "cut.pth").write_bytes((folder / "two.pth").read_bytes()[:1000])
    (folder / "cut.safetensors").write_bytes(b"\xff" * 20)
    (folder / "one.txt").write_text("one\n")
    refused("torchvision has no model 'resnet19'; ResNets are resnet101", "resnet19")
    refused("--weights X: resnet18 has IMAGENET1K_V1", "resnet18", "--weights", "X")
    refused("gone.pth: is no file", "resnet18", "--checkpoint", folder / "gone.pth")
    refused("pickle.pth: holds more than tensors", "resnet18", "--checkpoint", folder / "pickle.pth")
    refused("cut.pth: holds more than tensors, or is damaged", "resnet18", "--checkpoint", folder / "cut.pth")
    refused("cut.safetensors: is no safetensors file", "resnet18", "--checkpoint", folder / "cut.safetensors")
    refused("two.pth: does not fit the model: Missing key", "resnet50", "--checkpoint", folder / "two.pth")
    two = ["resnet18", "--checkpoint", folder / "two.pth"]
    refused("there are 1 labels, but 2 classes", *two, "--labels", folder / "one.txt")
    refused("the name 'a b' must be", *two, "--name", "a b")


def main():
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    torch.set_num_threads(2)
    with torch.no_grad():
        block_forms()
    for test in (from_checkpoint, transfer_learning, graphs, models_of_timm, errors):
        with temporary_folder() as folder:
            test(folder)


main()
