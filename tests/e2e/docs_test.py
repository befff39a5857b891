#!/usr/bin/env python3
"""The pages of docs/ do what they say: docs_test.py PAGE.md...

In a folder of its own, with models/, tools/ and docs/ as in the repository, each fenced block is carried out in order:
`sh` is run; `c` and `python` become the file that their first line names; `console` is run and must say what stands
there; `json` must be taken by inspect, a part of a model in place of ResNet-50's. PyTorch finds random weights where it
would download them to. tutorial.md and topologies.md need torch."""

import json
import os
import pathlib
import re
import subprocess
import sys

from support import check, models, resnetc, root, run, skip, temporary_folder


def blocks(page):
    """(language, text) of each fenced block."""
    return re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)


def torchvision_models():
    try:
        from torchvision import models as nets
    except ImportError as problem:
        skip(f"{sys.executable} has no torch and torchvision ({problem}): scripts/setup --tests installs them")
    return nets


def files_of_others(folder):
    """What topologies.md finds there: a checkpoint, the weights of nets, and safetensors, which Debian does not have."""
    nets = torchvision_models()
    import torch

    sys.path.insert(0, str(root / "tools"))
    import export_torch

    torch.manual_seed(1)
    tensors = export_torch.tensors_of(nets.resnet18(), {"": "module."})
    torch.save({"state_dict": tensors}, folder / "resnet20.th")
    export_torch.write_safetensors(folder / "my.safetensors", tensors)
    export_torch.write_safetensors(folder / "resnet50.safetensors", export_torch.tensors_of(nets.resnet50(), {}))
    export_torch.write_safetensors(folder / "flowers.safetensors", export_torch.tensors_of(nets.resnet50(num_classes=102), {}))
    (folder / "flowers.txt").write_text("".join(f"flower {i}\n" for i in range(102)))
    (folder / "safetensors").mkdir()
    (folder / "safetensors" / "torch.py").write_text(
        "import sys\nsys.path.insert(0, 'tools')\nimport export_torch\n"
        "def save_file(tensors, file):\n  export_torch.write_safetensors(file, tensors)\n"
    )


def random_downloads(folder):
    """Random weights in torch's cache, under the names of those that the tutorial uses."""
    nets = torchvision_models()
    import torch

    checkpoints = folder / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.manual_seed(1)
    for build, weights in ((nets.resnet18, nets.ResNet18_Weights), (nets.resnet50, nets.ResNet50_Weights)):
        torch.save(build().state_dict(), checkpoints / weights.DEFAULT.url.rsplit("/", 1)[1])


def check_console(text, shell):
    """Lines that begin with $ are commands; what follows each is what it says."""
    for command, wanted in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        done = shell(f"{command} || true", stderr=subprocess.STDOUT)
        check(done.stdout == wanted, f"{command}\nsays\n{done.stdout}and not\n{wanted}")


def check_options(page):
    """Each option of each command stands in the section of that command, and no other does."""
    sections = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
    for command in ("compile", "import", "tune", "inspect"):
        section = next(each for each in sections if each.startswith(f"resnetc {command}\n"))
        table = "\n".join(re.findall(r"^\| `-.*?\|", section, re.MULTILINE))
        options = r"(?<![\w-])(--?[a-z][a-z-]*)"
        told = set(re.findall(options, table))
        usage = run(resnetc(), command, "--help").stdout
        known = set(re.findall(options, "\n".join(re.findall(r"^  (-\S+)", usage, re.MULTILINE)))) - {"-h", "--help"}
        check(told == known, f"{command}: options", told ^ known)


def check_page(page, folder):
    for name in ("models", "tools", "docs"):
        (folder / name).symlink_to(root / name)
    (folder / "labels").symlink_to(models / "labels")  # as seen from models/
    (folder / "bin").mkdir()
    (folder / "bin" / "resnetc").symlink_to(resnetc())
    (folder / "bin" / "python3").symlink_to(sys.executable)
    variables = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TORCH_HOME": str(folder),
                 "XDG_DATA_HOME": str(folder / "data"), "RESNETC": resnetc()}  # fmt: skip
    counts = {}
    outside = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    check(not re.search(r"^ {4,}(\$|resnetc|python3|generated/|scripts/|build/)", outside, re.MULTILINE),
          f"{page.name}: a command stands outside a fenced block, and is not run")  # fmt: skip

    def shell(command, **options):
        options = {"stderr": subprocess.PIPE, **options}
        return subprocess.run(["bash", "-ec", command], cwd=folder, env=variables, text=True, stdout=subprocess.PIPE,
                              timeout=400, **options)  # fmt: skip

    for language, text in blocks(page):
        counts[language] = counts.get(language, 0) + 1
        if language == "sh":
            for line in text.splitlines():
                done = shell(line)
                said = done.stdout + done.stderr
                check(done.returncode == 0, f"{page.name}: status {done.returncode} of {line}\n{said}")
                print(f"$ {line}\n{done.stdout[:300]}")
        elif language in ("c", "python") and (name := re.match(r"(?:# |/\* )(\w+\.\w+)", text)):
            (folder / name[1]).write_text(text)
        elif language == "console":
            check_console(text, shell)
        elif language == "json":
            topology = folder / "snippet.json"
            if not text.startswith("{"):
                text = json.dumps({**json.loads((models / "resnet50.json").read_text()), **json.loads(f"{{{text}}}")})
            topology.write_text(text)
            run(resnetc(), "inspect", topology)
        else:
            check(False, f"{page.name}: nothing is done with\n{text}")
    print(f"{page.name}: {counts}")
    check(any(counts.values()), f"{page.name} has nothing to run")


def main():
    for name in sys.argv[1:]:
        page = root / "docs" / name
        with temporary_folder() as folder:
            if name == "topologies.md":
                files_of_others(folder)
            if name == "tutorial.md":
                random_downloads(folder)
            if name == "reference.md":
                check_options(page)
            check_page(pathlib.Path(page), folder)


main()
