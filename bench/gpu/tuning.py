"""How bench/gpu/measure.py shares out the time for tuning, and what came of it."""

import json
import re

from process import Failed, say

# One run of the tuner compiles a device's runtime, starts its driver and reads the peak, and times each whole net.
LEAST, LEAST_OF_NET = 15, 10  # seconds
WORTH_STARTING = 5


def plan(batches, nets, wanted, most):
    """Seconds by batch, of one run of the tuner for all nets, which have many kernels in common; together those that are
    wanted, or the most that there are. Too many batches for the time would leave each with nothing tried; records serve
    the nearest batch too, so fewer are tuned then, evenly out of all. What is beyond the least is shared out by the
    fourth root of the batch: a kernel takes longer for more images, and as long to compile."""
    seconds = min(wanted, most)
    if wanted == 0 or seconds < min(WORTH_STARTING, wanted):
        return {}
    least = LEAST + LEAST_OF_NET * nets
    count = min(len(batches), max(1, int(seconds // least)))
    of = sorted(batches)
    chosen = [of[(2 * i + 1) * len(of) // (2 * count)] for i in range(count)]
    least = min(least, seconds / count)
    roots = sum(batch**0.25 for batch in chosen)
    return {batch: least + (seconds - count * least) * batch**0.25 / roots for batch in chosen}


def tried(messages):
    """What the tuner says at its end, without its times."""
    found = re.findall(r"^tune: (\d+/\d+ kernels, \d+ of \d+ candidates tried)", messages, re.MULTILINE)
    return found[-1] if found else "nothing tried"


def tune(cells, planned, most):
    """Tunes the nets of these cells, all of one batch, for the seconds that were planned or at most so many."""
    seconds, batch = max(1, round(min(planned, most))), cells[0].batch
    if most < min(WORTH_STARTING, planned):
        say(f"batch {batch}: not tuned, for there is no time left")
        return
    try:
        say(f"batch {batch}: tuned for {seconds} s: {tried(cells[0].tune([cell.file for cell in cells], seconds))}")
    except Failed as problem:  # as where a busy machine left no time to measure a kernel
        say(f"batch {batch}: takes the schedules that there are, for tuning failed: {problem}")


def tuned_kernels(cell):
    """How many of a cell's kernels could be tuned, were, and were for another batch alone."""
    kernels = json.loads((cell.folder / "report.json").read_text())["kernels"]
    records = [kernel["record"] or "" for kernel in kernels if not re.match("(in|out)put_", kernel["key"])]
    return {"kernels": len(records), "tuned": sum(map(bool, records)),
            "for_other_batches": sum(bool(re.search(r"\([^()]*\bbatch \d", record)) for record in records)}


def tuned_text(counts):
    others = counts["for_other_batches"]
    return (f"{counts['tuned']} of {counts['kernels']} kernels tuned" +
            (f", {others} of them for another batch" if others else ""))
