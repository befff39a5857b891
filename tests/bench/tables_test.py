#!/usr/bin/env python3
"""The tables and the chart of bench/run, of figures small enough to work out by hand."""

import xml.etree.ElementTree as ElementTree

import bench_path
from support import check

import chart
import key_times
import report
import versus

MIB = 1 << 20


def lines_of(text):
    return {" ".join(line.split()) for line in text.splitlines()}


def recorded_round(**medians):
    return {engine: {"latency_ms": {"min": median / 2, "median": median}, "peak_rss_bytes": 10 * MIB, "others": 0.05}
            for engine, median in medians.items()}


def check_medians():
    """The middle one of the rounds, and its ratio to the fastest peer, not to the fastest engine."""
    cell = {"threads": 2, "batch": 8, "rounds": [recorded_round(resnetc=2.0, alpha=4.0, beta=6.0),
                                                 recorded_round(resnetc=9.0, alpha=30.0, beta=5.0),
                                                 recorded_round(resnetc=1.0, alpha=3.0, beta=7.0)]}
    versus.summarise(cell, ["resnetc", "alpha", "beta"])
    ours = cell["engines"]["resnetc"]
    check(ours["median_ms"] == 2 and ours["lowest_median_ms"] == 1 and ours["highest_median_ms"] == 9, ours)
    check(ours["min_ms"] == 0.5 and ours["images_per_second"] == 4000 and ours["others"] == 0.05, ours)
    ratios = {engine: figures["ratio_to_best_peer"] for engine, figures in cell["engines"].items()}
    check(cell["best_peer"] == "alpha" and ratios == {"resnetc": 0.5, "alpha": 1, "beta": 1.5}, ratios)
    return cell


def check_turns():
    check([versus.turn(["a", "b", "c"], by) for by in (0, 1, 3, 4)]
          == [["a", "b", "c"], ["b", "c", "a"], ["a", "b", "c"], ["b", "c", "a"]], "the order of the rounds")


def measured_net(cell):
    def cost(memory, first, libraries, model):
        return {"memory_bytes": memory * MIB, "first_answer_s": first, "library_bytes": libraries * MIB,
                "model_bytes": model * MIB}

    return {"model": "small", "compile": {"cold_s": 2.5, "warm_s": 0.5}, "left_out": {"ncnn": "no output"},
            "logits_relative_difference": {"alpha": {"batch 8, 1 threads": 1e-7, "batch 8, 2 threads": 3e-6}},
            "cells": [cell],
            "costs": {"threads": 2, "batch": 8, "others": 0.0,
                      "engines": {"resnetc": cost(5, 0.002, 0, 1), "alpha": cost(20, 0.05, 30, 2),
                                  "beta": cost(10, 0.04, 40, 2)}}}


def check_net_tables(net):
    table = report.net_table(net, {"alpha": "1.2", "beta": "3.4"})
    lines = lines_of(table)
    check("small: resnetc compiles it in 2.5 s, with a full cache in 0.5 s" in lines, table)
    check("resnetc 2.000 (0.50x) 5.0 2.0 1.0" in lines and "alpha 1.2 4.000 (1.00x) 20 50 32" in lines, table)
    check("beta 3.4 6.000 (1.50x) 10 40 42" in lines and "ncnn not measured: no output" in lines, table)
    check("alpha 3e-06" in table and "WARNING" not in table, table)
    busy = net | {"cells": [net["cells"][0] | {"others": 0.6}]}
    check("WARNING: other processes kept up to 0.60 cores busy" in report.net_table(busy, {}), "no warning")
    summary = report.summary_table([net])
    check("small 2.000 4.000 alpha 0.50x 5.0 10 0.50x 2.0 40 0.05x 1.0 32 0.03x" in lines_of(summary), summary)


# What bench_kernels printed, shortened; a kernel of both nets, one of the second alone.
SAID = {"target": "x86-64-linux-avx2", "threads": 2, "rounds": 5, "vectors": "AVX2 multiply-add", "peak_gflops": 200.0,
        "lowest_reading_gflops": 150.0, "readings": 6, "memory_gbytes_per_second": 20.0,
        "kernels": [{"key": "conv2d_a", "calls": {"one": 3, "two": 1}, "flop": 100_000_000,
                     "choices": [{"choice": "direct tile=2", "hot": {"median_ms": 0.625, "least_ms": 0.5},
                                  "cold": {"median_ms": 1.25, "least_ms": 1.0}}]},
                    {"key": "conv2d_b", "calls": {"two": 2}, "flop": 10_000_000,
                     "choices": [{"choice": "direct tile=4", "hot": {"median_ms": 0.0625, "least_ms": 0.0625},
                                  "cold": {"median_ms": 0.25, "least_ms": 0.125}}]},
                    {"key": "max_pool_c", "calls": {"two": 1}, "flop": 0,
                     "choices": [{"choice": "max_pool", "hot": {"median_ms": 0.5, "least_ms": 0.25},
                                  "cold": {"median_ms": 0.5, "least_ms": 0.25}}]}]}


def check_kernel_tables():
    table = key_times.table(SAID, ["one", "two"])
    check(list(table["kernels"]) == ["conv2d_a", "conv2d_b", "max_pool_c"] and table["models"] == ["one", "two"], table)
    a = table["kernels"]["conv2d_a"]
    check(a["calls"] == {"one": 3, "two": 1} and a["choice"] == "direct tile=2", a)
    # 0.1 GFLOP in 0.625 ms are 160 GFLOP/s, 80 % of 200; in 0.5 ms all of it.
    check(a["hot"] == {"ms": 0.625, "least_ms": 0.5, "gflops": 160.0, "percent": 80.0, "least_percent": 100.0}, a)
    check(a["cold"]["percent"] == 40 and a["cold"]["least_percent"] == 50, a)
    one, two = table["sums"]["one"], table["sums"]["two"]
    check(one["hot"] == {"ms": 1.875, "least_ms": 1.5, "gflops": 160.0, "percent": 80.0, "least_percent": 100.0}, one)
    # 0.625 + 2 x 0.0625 + 0.5 ms hold 0.12 GFLOP.
    check(two["hot"]["ms"] == 1.25 and abs(two["hot"]["percent"] - 48) < 1e-9, two)
    check(table["peak_gflops"] == 200 and table["kernels"]["max_pool_c"]["hot"]["percent"] == 0, table)
    # By the least time: a's median lies below 90 %, its least time does not. A max pool is no convolution.
    check(table["convolutions"] == 2 and table["convolutions_below_90_percent"] == ["conv2d_b"], table)

    text = report.kernel_table(table | {"others": 0.0})
    lines = lines_of(text)
    check("one, two: 2 threads, x86-64-linux-avx2, median over 5 rounds" in lines, text)
    check("peak 200 GFLOP/s (AVX2 multiply-add): the best of 6 readings spread over the run, the lowest 150; memory 20 "
          "GB/s" in lines, text)
    check("3/1 0.6250 0.5000 80% 100% 1.2500 1.0000 40% 50% conv2d_a" in lines, text)
    check("0/2 0.0625 0.0625 80% 80% 0.2500 0.1250 20% 40% * conv2d_b" in lines, text)
    check("0/1 0.5000 0.2500 0% 0% 0.5000 0.2500 0% 0% max_pool_c" in lines, text)
    check("two, sum over all calls, weights hot: 1.250 ms, 48 % of the peak; of least times 0.875 ms, 69 %" in lines, text)
    check("one, sum over all calls, weights cold: 3.750 ms, 40 % of the peak; of least times 3.000 ms, 50 %" in lines, text)
    check("least time, hot weights: 1 of 2 convolutions reach 90 % of the peak; not these, the lowest first, with cold "
          "weights behind:" in lines and text.endswith(" 80%    40%   conv2d_b"), text)


def check_slow_convolutions():
    """The lowest first; with none, no list."""
    kernels = [kernel | {"key": f"conv2d_{kernel['key']}"} for kernel in SAID["kernels"]]
    table = key_times.table(SAID | {"kernels": kernels}, ["two"])
    check(table["convolutions_below_90_percent"] == ["conv2d_max_pool_c", "conv2d_conv2d_b"], table)
    alone = key_times.table(SAID | {"kernels": SAID["kernels"][:1]}, ["one"])
    text = report.kernel_table(alone | {"others": 0.0})
    check("*" not in text and text.endswith("1 of 1 convolutions reach 90 % of the peak"), text)


def check_chart(net):
    second = net | {"model": "R & <S>"}
    picture = ElementTree.fromstring(chart.draw([net, second], {"cpu": "A <CPU>", "cores": 2}, {"alpha": "1.2"}))
    of = "{http://www.w3.org/2000/svg}"
    check(picture.tag == of + "svg", picture.tag)
    texts = [text.text for text in picture.iter(of + "text")]
    check("A <CPU>, 2 cores; alpha 1.2" in texts and "R & <S>" in texts and "small" in texts, texts)
    check(texts.count("2.00 ms") == 2 and texts.count("4.00 ms") == 2 and texts.count("6.00 ms") == 2, texts)
    bars = list(picture.iter(of + "rect"))
    check(len(bars) == 6, len(bars))
    # The fastest on top; widths as 2 : 4 : 6; the longest within the panel.
    for panel in (bars[:3], bars[3:]):
        widths = [float(bar.get("width")) for bar in panel]
        check([round(width / widths[2], 2) for width in widths] == [0.33, 0.67, 1.0], widths)
        check(float(panel[0].get("y")) < float(panel[1].get("y")) < float(panel[2].get("y")), "the order of the bars")
        check([bar.get("fill") for bar in panel] == [chart.OURS, chart.PEER, chart.PEER], "the colours")
        check(0 < widths[2] and float(panel[2].get("x")) + widths[2] < float(picture.get("width")), "out of the picture")
    check(float(bars[3].get("x")) - float(bars[0].get("x")) == chart.PANEL_WIDTH, "panels do not lie side by side")


cell = check_medians()
check_turns()
check_net_tables(measured_net(cell))
check_kernel_tables()
check_slow_convolutions()
check_chart(measured_net(cell))
print("tables and chart: right")
