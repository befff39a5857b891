#!/usr/bin/env python3
"""Trained nets and 1,000 images that lie beside the repository, where they are: shared_data_test.py FOLDER"""

import pathlib
import sys

from support import compile_model, root, run, skip, temporary_folder


def main():
    data = pathlib.Path(sys.argv[1])
    if not (data / "models").exists():
        skip(f"there is no {data / 'models'}")
    script = root / "tests" / "tools" / "cifar_check.py"
    for net in ("cifar10_resnet20", "cifar10_resnet20b", "cifar10_mlperftiny_resnet8"):
        with temporary_folder() as folder:
            compile_model(net, data / "models" / f"{net}.safetensors", folder, "--emit", "exe")
            for more in (["--threads", 2], ["--threads", 1, "--batch", 16]):
                print(run(sys.executable, script, data, folder / net, "--net", net, *more).stdout, end="")


main()
