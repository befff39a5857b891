#!/usr/bin/env python3
"""ResNet-1202: compile time follows the number of distinct kernels, not the depth."""

import json

from support import check, compile_model, run, temporary_folder


def main():
    with temporary_folder() as folder:
        counts = {}
        for net in ("cifar10_resnet20", "cifar10_resnet1202"):
            compile_model(net, "random:1", folder / net, "--emit", "exe,driver")
            report = json.loads((folder / net / "report.json").read_text())
            counts[net] = len(report["kernels"])
            calls = sum(kernel["calls"] for kernel in report["kernels"])
            print(f"{net}: {counts[net]} distinct kernels, {calls} calls, {report['parameters']} parameters, "
                  f"{report['macs']} multiply-accumulates, {sum(report['seconds'].values()) / 2:.1f} s")
            print(run(folder / net / net, "--self-test").stdout, end="")
        check(counts["cifar10_resnet1202"] <= 20, "more than 20 distinct kernels")
        check(counts["cifar10_resnet1202"] <= counts["cifar10_resnet20"] + 2, "the number of kernels grows with depth")
        keys = {kernel["key"] for kernel in report["kernels"]}
        check(len(keys) == len(report["kernels"]), "a key is there twice")
        driver = (folder / "cifar10_resnet1202" / "cifar10_resnet1202.c").read_text()
        check(driver.count("extern int ") == len(keys), "the driver declares other kernels")


main()
