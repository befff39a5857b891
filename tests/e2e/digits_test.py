#!/usr/bin/env python3
"""The digits net that lies in the repository, from images to labels: digits it never saw, and those of the demo."""

import json

import numpy as np
from support import built, check, check_close, check_equal_bits, compile_digits, models, root, run, softmax
from support import temporary_folder

program = built("digits_resnet8") / "digits_resnet8"
data = root / "tests" / "data" / "digits"


def classify(*arguments):
    return [json.loads(line) for line in run(program, "--json", *arguments).stdout.splitlines()]


def main():
    images = sorted(data.glob("*.png"))
    expected = np.load(data / "expected_logits.npy")
    check(len(images) == len(expected) == 360, f"{len(images)} images")

    with temporary_folder() as folder:
        results = classify(data, "--top", 10, "--dump-input", folder / "x.npy", "--output", folder / "y.npy")
        x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
        run(program, "--input", folder / "x.npy", "--output", folder / "y2.npy", "--batch", 7)
        check_equal_bits("--input of what --dump-input wrote", np.load(folder / "y2.npy"), y)
    check(x.shape == (360, 1, 16, 16), f"--dump-input: shape {x.shape}")
    check_close("logits", y, expected)

    check([result["file"] for result in results] == [str(path) for path in images], "files are not in order")
    right, largest = 0, 0.0
    for image, result, probability in zip(images, results, softmax(expected)):
        top = result["top"]
        check(sorted(each["index"] for each in top) == list(range(10)), result)
        check(all(each["label"] == str(each["index"]) for each in top), result)
        check(top[0]["index"] == probability.argmax(), result)
        largest = max([largest] + [abs(each["probability"] - probability[each["index"]]) for each in top])
        right += top[0]["label"] == image.name[0]
    print(f"probabilities differ by at most {largest:.3g}; accuracy {right} of 360, {right / 360:.1%}")
    check(largest <= 1e-4, "probabilities differ")
    check(right / 360 >= 0.985, "accuracy is below 98.5 %")

    demo = models / "demo" / "digits"
    results = classify(demo)
    check(len(results) == len(list(demo.iterdir())) >= 6, f"{len(results)} images in {demo}")
    for result in results:
        top, name = result["top"], result["file"].rsplit("/", 1)[1]
        check(top[0]["label"] == name[0], result)
        print(f"demo image {name}: {top[0]['label']} with probability {top[0]['probability']:.3f}")

    with temporary_folder() as folder:
        check_labels(folder, demo / "7_0560.png")


def check_labels(folder, image):
    """Labels that mean something to C, printf, JSON or Halide come out as they went in."""
    labels = ['a "quote"\\', "what??=", "üñí – 日本", "d\\n%s%d", "e,f\\0", "*/ /* //", "<script>'", "& x", "😀", "9"]
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    compile_digits(folder / "out", "--labels", folder / "labels.txt", "--emit", "exe")
    top = json.loads(run(folder / "out" / "digits_resnet8", "--json", "--top", 10, image).stdout)["top"]
    check(all(each["label"] == labels[each["index"]] for each in top), "labels:", top)
    print("odd labels:", ", ".join(each["label"] for each in top))


main()
