#!/usr/bin/env python3
"""Nets without a head: the last feature map, averaged and multiplied by the head's weights here, gives the logits.

    no_head_test.py REFERENCE_DIR     as reference_net.py wrote it for resnet18
"""

import json
import pathlib
import sys

import numpy as np
from support import built, check, check_close, check_equal_bits, compile_model, logits, models, root, run
from support import temporary_folder
from safetensors_file import read_safetensors


def check_map(net, program, weights, x, wanted, shape):
    """The map of a net compiled without its head against the logits of the whole net; returns the map."""
    got = logits(program, x)
    check(got.shape[1:] == shape, f"{net}: the map has shape {got.shape}")
    check_equal_bits("other batch and threads", logits(program, x, "--batch", 3, "--threads", 3), got)
    head = read_safetensors(weights)
    pooled = got.astype(np.float64).mean(axis=(2, 3))
    check_close(f"{net} without its head", pooled @ head["fc.weight"].T + head["fc.bias"], wanted)

    header = (program.parent / f"{net}.h").read_text()
    check(f"#define {net}_CLASSES {np.prod(shape)} " in header, f"{net}.h: CLASSES is not {np.prod(shape)}")
    check("(N, " + ", ".join(map(str, shape)) + ")" in run(program, "--info").stdout, "--info: no such output shape")
    print(run(program, "--self-test").stdout, end="")
    return got


def check_image(program, image, shape):
    """An image has nowhere to go but --output."""
    check("--output" in run(program, image, status=2).stderr, "an image without --output is no usage error")
    with temporary_folder() as folder:
        files = "--output", folder / "y.npy", "--dump-input", folder / "x.npy"
        done = run(program, image, *files, "--json")
        check(json.loads(done.stdout)["file"] == str(image), done.stdout)
        y = np.load(folder / "y.npy")
        check(y.shape == (1, *shape), f"--output of an image: {y.shape}")
        check_equal_bits("an image and its --dump-input", y, logits(program, np.load(folder / "x.npy")))


def main():
    reference = pathlib.Path(sys.argv[1])
    with temporary_folder() as folder:
        weights = reference / "resnet18.safetensors"
        compile_model("resnet18", weights, folder, "--no-head", "--emit", "exe,header")
        x, wanted = np.load(reference / "input.npy"), np.load(reference / "logits.npy")
        check_map("resnet18", folder / "resnet18", weights, x, wanted, (512, 7, 7))
        check_image(folder / "resnet18", models / "demo" / "photos" / "china.jpg", (512, 7, 7))

    data = root / "tests" / "data" / "digits"
    weights = models / "digits_resnet8.safetensors"
    with temporary_folder() as folder:
        whole = built("digits_resnet8") / "digits_resnet8"
        run(whole, data, "--dump-input", folder / "x.npy", "--top", 0)
        x = np.load(folder / "x.npy")
        compile_model("digits_resnet8", weights, folder / "flag", "--no-head", "--emit", "exe,header")
        program = folder / "flag" / "digits_resnet8"
        got = check_map("digits_resnet8", program, weights, x, np.load(data / "expected_logits.npy"), (64, 4, 4))
        check_image(program, min(data.glob("*.png")), (64, 4, 4))

        topology = json.loads((models / "digits_resnet8.json").read_text())
        topology["head"] = None
        (folder / "digits_resnet8.json").write_text(json.dumps(topology))
        compile_model(folder / "digits_resnet8.json", weights, folder / "null", "--emit", "exe")
        check_equal_bits('"head": null and --no-head', logits(folder / "null" / "digits_resnet8", x), got)


main()
