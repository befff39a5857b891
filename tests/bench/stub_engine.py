"""Stands in for the engines in side_by_side_test.py, with the standard library alone, so that it starts in 20 ms.

    stub_engine.py compiler compile MODEL.json --weights W --output DIR --cache DIR
    stub_engine.py ENGINE FOLDER THREADS BATCH convert | answer OUTPUT | time

FOLDER holds logitsBATCH.npy, the right answer; others with wrong ones; and what the test says in stub.json: "faults",
{"ENGINE WHAT THREADS BATCH": "fails" | "silent" | "unconverted" | the stem of one of
the files}, and "ms", {ENGINE: the median of each round, of one image}.
"""

import json
import pathlib
import shutil
import sys


def write_program(words):
    """The "compiled" program takes the options of emitted ones and becomes the engine resnetc."""
    folder = pathlib.Path(words[words.index("--output") + 1])
    name = pathlib.Path(words[1]).stem
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text('{"kernels": [1, 2, 3]}')
    program = folder / name
    program.write_text(f"""#!{sys.executable} -IS
import os, sys
word = lambda option: sys.argv[sys.argv.index(option) + 1]
what = ["time"] if "--benchmark" in sys.argv else ["answer", word("--output")]
os.execv({sys.executable!r}, ["python", "-IS", {__file__!r}, "resnetc", {str(folder.parent)!r}, word("--threads"),
                              word("--batch"), *what])
""")
    program.chmod(0o755)


def engine(name, folder, threads, batch, what, *rest):
    folder = pathlib.Path(folder)
    said = json.loads((folder / "stub.json").read_text())
    fault = said["faults"].get(f"{name} {what} {threads} {batch}", "")
    if fault == "fails":
        sys.exit(f"{name} cannot do that")
    if what == "convert":
        return {"seconds": 0.1, "unconverted": ["Tensor.slice"] * (fault == "unconverted")}
    if what == "answer":
        if fault != "silent":
            shutil.copy(folder / {"": f"logits{batch}.npy"}.get(fault, f"{fault}.npy"), rest[0])
        print("{}", flush=True)
        return {"library_bytes": 1 << 20}
    count = folder / f"{name}-{threads}-{batch}.rounds"
    done = len(count.read_bytes()) if count.exists() else 0
    count.write_bytes(b"." * (done + 1))
    medians = said["ms"].get(name, [1])
    median = medians[done % len(medians)] * int(batch)
    return {"runs": 10, "latency_ms": {"min": median / 2, "median": median, "p99": median},
            "peak_rss_bytes": (30 if name == "idle" else 50) << 20}


if __name__ == "__main__":
    if sys.argv[1] == "compiler":
        write_program(sys.argv[2:])
    else:
        print(json.dumps(engine(*sys.argv[1:])), flush=True)
