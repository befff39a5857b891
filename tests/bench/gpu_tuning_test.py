#!/usr/bin/env python3
"""bench/gpu/tuning.py: which batches are tuned for how long, and what is said of it."""

import contextlib
import io
import json
import sys

import bench_path
from support import check, temporary_folder

sys.path.insert(0, str(bench_path.root / "bench" / "gpu"))
import tuning
from process import Failed


def check_plan(wanted, chosen, batches=(1, 8, 64), nets=3, most=1e6):
    planned = tuning.plan(list(batches), nets, wanted, most)
    check(list(planned) == chosen, wanted, planned)
    check(not planned or abs(sum(planned.values()) - min(wanted, most)) < 1e-6, planned)
    return planned


# Each gets the least that makes sense, of which a small batch needs as much as a large one; large ones get more.
usual = check_plan(225, [1, 8, 64])
check(45 <= usual[1] < usual[8] < usual[64], usual)
check_plan(225, [1, 8, 64], batches=(64, 1, 8))
check_plan(135, [1, 8, 64])
check_plan(134, [1, 64])
check_plan(89, [8])
check_plan(11, [8])
check_plan(30, [2], batches=(2,), nets=1)
check_plan(30, [2], batches=(1, 2), nets=1)
check_plan(100, [2, 8, 32, 128], batches=(1, 2, 4, 8, 16, 32, 64, 128), nets=1)
check_plan(0, [])
# Where all of it is to be short.
check_plan(225, [1, 64], most=100)
check_plan(225, [], most=4.9)
check_plan(225, [], most=-20)
check_plan(2, [8])
check_plan(0.1, [8])

messages = """\
tuning for 1:00, records go to records.jsonl
tune: 0:30 left, 3/34 kernels, 24 of 17645 candidates tried, sum of kernels 1.2 ms (defaults 1.5)
tune: 31/34 kernels, 412 of 17645 candidates tried, 9 judged hopeless, sum of kernels 1.1 ms (defaults 1.5) in 0:47
"""
check(tuning.tried(messages) == "31/34 kernels, 412 of 17645 candidates tried", tuning.tried(messages))
check(tuning.tried("") == "nothing tried", tuning.tried(""))


class Cell:
    batch, file = 8, "net.json"

    def __init__(self, problem=""):
        self.problem, self.given = problem, []

    def tune(self, files, seconds):
        self.given.append((files, seconds))
        if self.problem:
            raise Failed(self.problem)
        return messages


def said(cells, *seconds):
    text = io.StringIO()
    with contextlib.redirect_stderr(text):
        tuning.tune(cells, *seconds)
    return text.getvalue()


cells = [Cell(), Cell()]
check(said(cells, 47.4, 60) == "batch 8: tuned for 47 s: 31/34 kernels, 412 of 17645 candidates tried\n", "what is said")
check(cells[0].given == [(["net.json", "net.json"], 47)] and not cells[1].given, "one run for all nets")
check(said(cells, 60, 20) and cells[0].given[1][1] == 20, "no more than there is")
check(said(cells, 0.2, 20) and cells[0].given[2][1] == 1, "a whole second")
check("no time left" in said(cells, 60, 4) and len(cells[0].given) == 3, "a run that cannot come to anything")
check("batch 8: takes the schedules that there are, for tuning failed: why\n" == said([Cell("why")], 60, 60), "a failure")

with temporary_folder() as folder:
    records = {"input_to_i8_f32": None, "conv2d_a": "batch 3.jsonl", "conv2d_b": "x.jsonl (batch 64)", "conv2d_c": None,
               "dense_d": "x.jsonl (other device, batch 1)"}
    kernels = [{"key": key, "record": record} for key, record in records.items()]
    (folder / "report.json").write_text(json.dumps({"kernels": kernels}))
    cell = Cell()
    cell.folder = folder
    counts = tuning.tuned_kernels(cell)
    check(counts == {"kernels": 4, "tuned": 3, "for_other_batches": 2}, counts)
    check(tuning.tuned_text(counts) == "3 of 4 kernels tuned, 2 of them for another batch", counts)
    check(tuning.tuned_text({**counts, "for_other_batches": 0}) == "3 of 4 kernels tuned", "none for another")
