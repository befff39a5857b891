"""Checks an emitted program's command line from outside: every flag, every kind of error, what goes where.

    program_check.py PROGRAM TOPOLOGY.json

For a net with a head and a preprocess section. Inputs are compared with Pillow and numpy, probabilities with a softmax
of --output.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

import image_reference
import preprocess_reference

program = os.path.abspath(sys.argv[1])
topology = json.loads(pathlib.Path(sys.argv[2]).read_text())


def run(*arguments, status=0, **options):
    """Standard output and standard error of the program, which must end with this status."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == status, (arguments, done.returncode, done.stdout[-500:], done.stderr[-500:])
    return done.stdout, done.stderr


def lines(*arguments, **options):
    return [json.loads(line) for line in run("--json", *arguments, **options)[0].splitlines()]


def expected_input(image):
    """What the topology's preprocess section makes of an image, in float64."""
    how = topology["preprocess"]
    size, crop = how.get("resize"), how.get("crop", 0)
    mode = "none" if size is None else "shorter" if isinstance(size, int) else "exact"
    order = how.get("order", "rgb")
    image = image.convert("L" if order == "gray" else "RGB")
    size = [size, size] if isinstance(size, int) else size
    image = preprocess_reference.resize(image, mode, size, how.get("interpolation", "bilinear"))
    pixels = np.asarray(image).reshape(image.size[1], image.size[0], -1)
    crop = [crop, crop] if isinstance(crop, int) else crop
    pixels = preprocess_reference.center_crop(pixels, *crop)
    if order == "bgr":
        pixels = pixels[:, :, ::-1]
    channels = pixels.shape[2]
    mean, std = np.array(how.get("mean", [0] * channels)), np.array(how.get("std", [1] * channels))
    return ((pixels * how.get("scale", 1) - mean) / std).transpose(2, 0, 1)


def make_files(folder):
    """Some images of several kinds in a tree, beside files that are none; the images, in the order of their names."""
    rng = np.random.default_rng(5)
    (folder / "tree/b/c").mkdir(parents=True)
    (folder / "empty").mkdir()
    names = ["a.jpg", "b/c/gray.PNG", "b/one.JPEG", "d.png", "e.jpg"]
    for i, name in enumerate(names):
        height, width = int(rng.integers(20, 400)), int(rng.integers(20, 400))
        pixels = image_reference.smooth(rng, height, width, 3).astype(np.uint8)
        image = Image.fromarray(pixels).convert("L" if i == 1 else "RGB")
        image.save(folder / "tree" / name, "JPEG" if "J" in name.upper().split(".")[-1] else "PNG")
    (folder / "tree/notes.txt").write_text("not an image")
    (folder / "text.jpg").write_text("not an image")
    (folder / "nothing.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes((folder / "tree/a.jpg").read_bytes()[:700])
    return [folder / "tree" / name for name in names]


def check_images(folder, images):
    out, err = run("--top", "3", folder / "tree")
    assert err == ""
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [str(path) for path in images], out
    assert len(out.splitlines()) == 4 * len(images)

    results = lines(folder / "tree", "--output", "y.npy", "--dump-input", "x.npy", cwd=folder)
    assert [result["file"] for result in results] == [str(path) for path in images]
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    assert x.dtype == y.dtype == np.float32
    expected = np.stack([expected_input(Image.open(path)) for path in images])
    assert np.array_equal(x, expected.astype(np.float32)), np.abs(x - expected).max()
    logits = y.astype(np.float64)
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    for result, row in zip(results, probabilities):
        top = result["top"]
        assert len(top) == min(5, row.size)
        assert [each["index"] for each in top] == list(np.argsort(-row, kind="stable")[: len(top)])
        assert np.allclose([each["probability"] for each in top], -np.sort(-row)[: len(top)], rtol=1e-6)

    for options in (["--batch", 2], ["--batch", 4, "--threads", 1], ["--batch", 64, "--threads", 2]):
        run("--input", "x.npy", "--output", "y2.npy", *options, cwd=folder)
        assert np.array_equal(np.load(folder / "y2.npy"), y), f"other values with {options}"
    np.save(folder / "none.npy", x[:0])
    assert run("--input", "none.npy", "--output", "y2.npy", cwd=folder) == ("", "")
    assert np.load(folder / "y2.npy").shape == (0, y.shape[1])
    assert run("--top", 0, images[0]) == ("", "")
    assert len(lines("--top", 10**6, images[0])[0]["top"]) == y.shape[1]


def check_bad_images(folder, images):
    bad = [folder / name for name in ("missing.jpg", "text.jpg", "nothing.png", "cut.jpg", "empty")]
    reasons = ["No such file", "neither a JPEG nor a PNG", "is empty", "is truncated", "holds no .jpg"]
    mixed = [images[0], *bad[:3], images[1], *bad[3:], images[2]]
    results = lines(*mixed, "--batch", 2, "--output", "good.npy", cwd=folder, status=1)
    assert [result["file"] for result in results] == [str(path) for path in mixed]
    for result in results:
        path = pathlib.Path(result["file"])
        assert ("top" in result) == (path in images), result
        assert path in images or reasons[bad.index(path)] in result["error"], result
    assert np.load(folder / "good.npy").shape[0] == 3
    out, err = run(*mixed, "--top", 1, status=1)
    assert len(err.splitlines()) == len(bad) and len(out.splitlines()) == 6, (out, err)
    for path, reason in zip(bad, reasons):
        assert any(f"{path}: " in line and reason in line for line in err.splitlines()), err


def check_bad_inputs(folder):
    x = np.load(folder / "x.npy")
    cases = {
        "<f8": x.astype("<f8"),
        ">f4": x.astype(">f4"),
        "Fortran": np.asfortranarray(x),
        str(x[..., 1:].shape): np.ascontiguousarray(x[..., 1:]),
        str(x[0].shape): x[0],
    }
    for found, array in cases.items():
        np.save(folder / "bad.npy", array)
        assert found in run("--input", "bad.npy", cwd=folder, status=1)[1]
    whole = (folder / "x.npy").read_bytes()
    for size in (0, 5, 20, 100, len(whole) - 1):
        (folder / "bad.npy").write_bytes(whole[:size])
        run("--input", "bad.npy", cwd=folder, status=1)


def check_usage():
    wrong = ["", "--profile=x", "--top", "--top=x", "--threads=0", "--batch=-1", "--info a.jpg", "--input x.npy a.jpg"]
    for arguments in wrong:
        out, err = run(*arguments.split(), status=2)
        assert out == "" and err != "", arguments
    for flag in ("--help", "--version", "--info", "--licences", "--self-test"):
        out, err = run(flag)
        assert out != "" and err == "", flag
    assert run("--self-test", "--batch", 3)[0] != ""
    info = run("--info")[0]
    sides = topology["input"]
    for value in (topology["name"], f"{sides['channels']}, {sides['height']}, {sides['width']}"):
        assert value in info, info
    speed = json.loads(run("--benchmark", 0.2, "--json", "--batch", 2, "--threads", 1)[0])
    assert list(speed) == [
        "model", "target", "threads", "batch", "runs", "latency_ms", "images_per_second", "peak_rss_bytes"
    ]  # fmt: skip
    assert speed["model"] == topology["name"] and speed["threads"] == 1 and speed["batch"] == 2
    latency = speed["latency_ms"]
    assert 0 < latency["min"] <= latency["median"] <= latency["p99"] and speed["peak_rss_bytes"] > 1 << 20
    assert speed["runs"] >= 1 and 2000 / latency["p99"] * 0.5 <= speed["images_per_second"] <= 2000 / latency["min"]


def check_output_errors(folder, image):
    with open("/dev/full", "w") as full:
        done = subprocess.run([program, image], stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 1 and "No space left" in done.stderr, done
    closed = subprocess.run([program, image], stderr=subprocess.PIPE, timeout=300, preexec_fn=lambda: os.close(1))
    assert closed.returncode == 1 and b"standard output" in closed.stderr, closed
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [program, image], stdout=write_end, stderr=subprocess.PIPE, timeout=300,
        preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL),
    )  # fmt: skip
    os.close(write_end)
    assert done.returncode == 1 and b"Broken pipe" in done.stderr, done
    before = sorted(os.listdir(folder))
    for path in ("/dev/null", "/no/such/folder/y.npy", folder):
        run(image, "--output", path, status=1)
    run("--input", "bad.npy", "--output", "never.npy", cwd=folder, status=1)
    assert sorted(os.listdir(folder)) == before, "a file was left behind"


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        images = make_files(folder)
        check_usage()
        check_images(folder, images)
        check_bad_images(folder, images)
        check_bad_inputs(folder)
        check_output_errors(folder, images[0])
    print(f"{topology['name']}: the program's command line is as described")


if __name__ == "__main__":
    main()
