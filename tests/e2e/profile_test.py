#!/usr/bin/env python3
"""--profile of an emitted program: sums that agree with each other and with report.json, a page that stands alone.

    profile_test.py PROGRAM REPORT     resnet18's, and its report.json; the digits net comes from its fixture
"""

import html.parser
import json
import pathlib
import re
import resource
import shutil
import signal
import sys

from support import built, check, run, temporary_folder

program = built("digits_resnet8") / "digits_resnet8"


def close(a, b, bound=1e-4):
    return abs(a - b) <= bound * max(abs(a), abs(b)) + 1e-12


def profile(*arguments, of=program, seconds=0.05):
    return json.loads(run(of, "--profile", seconds, "--json", *arguments).stdout)


def images_at_once(report, step, batch):
    tail = report["tail"]
    part = tail if tail and step >= tail["first_step"] else report
    return min(batch, part["images_at_once"])


def check_sums(result, report, batch):
    kernels, steps, machine = result["kernels"], result["steps"], result["machine"]
    check(result["model"] == report["model"] and result["target"] == report["target"], result["model"])
    check(result["batch"] == batch and result["runs"] >= 1, "batch and runs")
    known = {kernel["key"]: kernel for kernel in report["kernels"]}
    check({kernel["key"] for kernel in kernels} == set(known), "not the kernels of report.json")
    for kernel in kernels:
        other = known[kernel["key"]]
        check(kernel["calls"] == other["calls"] and kernel["strategy"].split()[0] == other["strategy"], kernel)
        check(kernel["flop"] == other["flop"] * other["calls"] * batch, kernel)
        check(kernel["executed_flop"] == other["executed_flop"] * other["calls"] * batch, kernel)
        check((kernel["executed_flop"] == kernel["flop"]) != ("conv2d_winograd" in kernel["strategy"]), kernel)
        if batch == 1:
            check(close(kernel["weight_bytes"], other["weight_bytes"]), kernel)
    check(close(sum(kernel["flop"] for kernel in kernels), 2 * report["macs"] * batch), "FLOP of all kernels")

    for each in kernels + steps:
        check(each["ms"] > 0 and each["bytes"] > each["weight_bytes"] >= 0, each)
        check(close(each["gflops"], each["executed_flop"] / each["ms"] / 1e6), each)
        check(close(each["effective_gflops"], each["flop"] / each["ms"] / 1e6), each)
        check(close(each["of_peak"], each["gflops"] / machine["peak_gflops"]), each)
        check(close(each["of_bandwidth"], each["bytes"] / each["ms"] / 1e6 / machine["memory_gbytes_per_second"]), each)
        check(close(each["flop_per_byte"], each["executed_flop"] / each["bytes"]), each)
        check(close(each["share"], each["ms"] / result["sum_ms"]), each)
        check(each["bound_by"] in ("compute", "memory", "caches", "hand-over", "neither"), each)
    check(all(a["ms"] >= b["ms"] for a, b in zip(kernels, kernels[1:])), "kernels are not sorted by time")
    for index, kernel in enumerate(kernels):
        own = [step for step in steps if step["kernel"] == index]
        check(len(own) == kernel["calls"], kernel)
        for what in ("ms", "flop", "executed_flop", "bytes", "weight_bytes", "share"):
            check(close(sum(step[what] for step in own), kernel[what]), what, kernel)
    loops = result["parallel_loops"]
    # A kernel runs one parallel loop, or two an image; without threads none is handed over.
    check(loops == 0 if result["threads"] == 1 else 0 < loops <= 2 * len(steps) * batch, "parallel loops", loops)
    check(close(result["hand_over_ms"], loops * machine["hand_over_us"] / 1e3), "hand-over")
    check(machine["readings"] == 6 and 0 < machine["least_peak_gflops"] <= machine["peak_gflops"], machine)
    borders = sum(step["border_us"] for step in steps) / 1e3
    check(close(result["borders_ms"], borders) and close(result["kernels_ms"], sum(k["ms"] for k in kernels)), "sums")
    check(close(result["sum_ms"], result["kernels_ms"] + result["borders_ms"]), "sum of all")
    check(close(sum(k["share"] for k in kernels) + borders / result["sum_ms"], 1), "shares")
    # A busy machine disturbs the one more than the other, so this is no more than plausible.
    for what in ("inference_ms", "clocked_ms"):
        check(0.2 < result[what] / result["sum_ms"] < 20, what, result[what], result["sum_ms"])


def check_time_line_and_memory(result, report, batch):
    head, tail = images_at_once(report, 0, batch), report["tail"]
    tail_bytes = tail["arena_bytes"] if tail else 0
    line, steps, tensors = result["time_line_us"], result["steps"], result["tensors"]
    check(len(line) == 2 * len(steps) and line == sorted(line), "the time line does not run forward")
    check(close(line[-1], result["clocked_ms"] * 1e3, 1e-3), "end of the time line", line[-1])
    more = tail_bytes * images_at_once(report, tail["first_step"], batch) if tail else 0
    check(result["arena_bytes"] == (report["arena_bytes"] - tail_bytes) * head + more, "arena")
    for tensor in tensors:
        check(0 <= tensor["written_by"] <= tensor["last_read_by"] < len(steps), tensor)
        check(tensor["offset"] + tensor["bytes"] <= result["arena_bytes"], tensor)
        at_once = images_at_once(report, tensor["last_read_by"], batch)
        check(tensor["bytes"] >= 4 * tensor["height"] * tensor["width"] * tensor["channels"] * at_once, tensor)
    for i, a in enumerate(tensors):
        for b in tensors[:i]:
            alive = a["written_by"] <= b["last_read_by"] and b["written_by"] <= a["last_read_by"]
            apart = a["offset"] + a["bytes"] <= b["offset"] or b["offset"] + b["bytes"] <= a["offset"]
            check(apart or not alive, "two tensors share bytes:", a, b)


def check_weights_read(one, result, report, batch):
    """Each part of the net reads its weights once for all images that go through it together. one: a batch of one."""
    check(report["tail"]["node"] == one["steps"][report["tail"]["first_step"]]["name"], "tail", report["tail"])
    for s, (step, of_one) in enumerate(zip(result["steps"], one["steps"])):
        times = -(-batch // images_at_once(report, s, batch))
        check(close(step["weight_bytes"], times * of_one["weight_bytes"]), step, times)


def check_text(result):
    text = run(program, "--profile=0.05").stdout
    for word in [step["name"] for step in result["steps"]] + [kernel["key"] for kernel in result["kernels"]]:
        check(word in text, f"the text says nothing of {word}")
    for word in ("measured here: peak", "GFLOP/s", "thread hand-over", "zeroing borders", "sum of the medians"):
        check(word in text, f"the text says nothing of {word!r}:\n{text}")


class Page(html.parser.HTMLParser):
    """Checks that tags are balanced; collects ids, attributes and the contents of scripts and styles."""

    void = {"meta", "input", "br"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.attributes, self.texts, self.title = [], [], [], [], ""
        self.feed(text)
        self.close()
        check(not self.open, "tags that are not closed:", self.open)

    def handle_starttag(self, tag, attributes):
        self.attributes += [name for name, _ in attributes]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in self.void:
            self.open.append(tag)
        if tag in ("script", "style"):
            self.texts.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        check(self.open and self.open.pop() == tag, f"</{tag}> closes nothing")

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.texts[-1][2] += data
        if self.open and self.open[-1] == "title":
            self.title += data


def check_page(folder):
    path = folder / "profile.html"
    result = profile("--html", path, "--batch", 2)
    check([file.name for file in folder.iterdir()] == ["profile.html"], "files beside the page")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    check(text.startswith("<!DOCTYPE html>") and page.title.startswith("digits_resnet8"), page.title)
    check([tag for tag, _, _ in page.texts] == ["style", "script", "script"], [tag for tag, _, _ in page.texts])
    check(len(page.ids) == len(set(page.ids)), "an id is used twice")
    style, data, script = (content for _, _, content in page.texts)
    check(json.loads(data) == result, "the page has not the numbers that were printed")
    for name in re.findall(r"by_id\('([^']+)'\)", script):
        check(name in page.ids, f"the script looks for #{name}")
    check("prefers-color-scheme: dark" in style, "no dark theme")
    # Nothing is loaded from elsewhere.
    check(not {"src", "href", "action", "background", "srcset", "data"} & set(page.attributes), page.attributes)
    addresses = set(re.findall(r"\w+://[^\s'\"<)]*", style + script))
    check(addresses == {"http://www.w3.org/2000/svg"}, addresses)
    for word in (r"@import", r"url\(", r"\bfetch\(", r"XMLHttpRequest", r"\bimport\b", r"innerHTML", r"eval\("):
        check(not re.search(word, style + script), f"the page uses {word}")
    node = shutil.which("node")
    if node:
        (folder / "script.js").write_text(script)
        run(node, "--check", folder / "script.js")
    print(f"the page: {len(text)} characters, {'its script parses' if node else 'no node to parse its script'}")


def check_replaced(folder):
    """The page replaces an older file whole; where it cannot be written, the older one stays, alone."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    path = folder / "old.html"
    path.write_text("old")
    done = run(program, "--profile=0.05", "--html", path, status=1, preexec_fn=limit)
    check(str(path) in done.stderr and path.read_text() == "old", done.stderr)
    check([file.name for file in folder.iterdir()] == ["old.html"], list(folder.iterdir()))
    run(program, "--profile=0.05", f"--html={path}")
    check(path.read_text(encoding="utf-8").endswith("</html>\n"), "the older file was not replaced")
    check([file.name for file in folder.iterdir()] == ["old.html"], list(folder.iterdir()))
    nowhere = folder / "none" / "page.html"
    for wrong in (nowhere, "/dev/full", folder):
        done = run(program, "--profile", "100", "--html", wrong, status=1, timeout=60)  # at once, not after 100 s
        check(str(wrong) in done.stderr and done.stdout == "", done.stderr)
    for arguments in ("--html x.html", "--profile a.jpg", "--profile=0", "--profile --info", "--profile --html"):
        check(run(program, *arguments.split(), status=2).stdout == "", arguments)


def main():
    report = json.loads((program.parent / "report.json").read_text())
    for batch, threads in ((1, 1), (1, 2), (3, 2)):
        result = profile("--batch", batch, "--threads", threads)
        check(result["threads"] == threads, "threads", result["threads"])
        check_sums(result, report, batch)
        check_time_line_and_memory(result, report, batch)
    check_text(result)
    photo_program = pathlib.Path(sys.argv[1])
    report = json.loads(pathlib.Path(sys.argv[2]).read_text())
    result = profile(of=photo_program, seconds=0.3)
    check_sums(result, report, 1)
    check_time_line_and_memory(result, report, 1)
    ten = profile("--batch", 10, of=photo_program, seconds=0.3)
    check_sums(ten, report, 10)
    check_time_line_and_memory(ten, report, 10)
    check_weights_read(result, ten, report, 10)
    print(f"resnet18: {result['inference_ms']:.1f} ms, {result['gflops']:.0f} GFLOP/s, {result['of_peak']:.0%} of peak")
    with temporary_folder() as folder:
        check_page(folder)
    with temporary_folder() as folder:
        check_replaced(folder)


main()
