"""One peer alone in a process: peer_process.py ENGINE STEM THREADS BATCH WHAT…, where WHAT… is one of

    convert               makes from STEM.onnx what the engine loads
    answer X.npy Y.npy    one inference; the first line appears when the logits are there
    time X.npy SECONDS    the latency

Prints one line of JSON when it is done. Whatever an engine prints goes to standard error.
"""

import json
import os
import sys
import time

import numpy as np
from peers import PEERS, Idle


def peak_bytes():
    """The high-water mark of this process's memory."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def library_bytes():
    """The engine's shared libraries in this process, its Python binding included; not numpy's, nor the system's."""
    with open("/proc/self/maps") as maps:
        files = {line.split(maxsplit=5)[5].strip() for line in maps if ".so" in line and "/site-packages/" in line}
    return sum(os.path.getsize(file) for file in files if "/site-packages/numpy" not in file)


def timed(run, x, seconds):
    """As the emitted programs' --benchmark does it: a fifth of the time, and two runs at least, are warm-up."""
    start = time.perf_counter()
    runs = 0
    while runs < 2 or time.perf_counter() - start < min(seconds / 5, 1):
        run(x)
        runs += 1
    times = []
    start = time.perf_counter()
    while not times or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        run(x)
        times.append((time.perf_counter() - begin) * 1e3)
    least, median, p99 = np.quantile(times, [0, 0.5, 0.99])
    return {"runs": len(times), "latency_ms": {"min": least, "median": median, "p99": p99},
            "peak_rss_bytes": peak_bytes()}


def main():
    name, stem, threads, batch, what, *rest = sys.argv[1:]
    threads, batch = int(threads), int(batch)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer = PEERS.get(name) or Idle()
    result = {}
    if what == "convert":
        start = time.perf_counter()
        unconverted = peer.convert(stem, threads, batch) or []
        result = {"seconds": time.perf_counter() - start, "unconverted": unconverted}
    elif what == "answer":
        x = np.load(rest[0])
        run = peer.load(stem, threads, batch, x.shape)
        np.save(rest[1], run(x))
        print(json.dumps(result), file=answer, flush=True)
        result = {"library_bytes": library_bytes()}
    else:
        x = np.load(rest[0])
        result = timed(peer.load(stem, threads, batch, x.shape), x, float(rest[1]))
    print(json.dumps(result), file=answer, flush=True)
    # Taking an engine down is not measured, and at least one needs a second for it.
    os._exit(0)


if __name__ == "__main__":
    main()
