"""What bench/run does once the packages that it needs are there: builds, measures, prints, and writes JSON and SVG."""

import json
import subprocess
import sys
import time

import chart
import compile_times
import key_times
import options
import peers
import report
import versus
from files import write_whole
from nets import ROOT
from process import Failed, machine, say

WORK = ROOT / "build" / "bench"


def run_build(command):
    status = subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode
    if status != 0:
        raise Failed(f"resnetc could not be built: exit status {status} of {' '.join(map(str, command))}; what went "
                     "wrong stands above")


def build(args):
    """The compiler to measure."""
    if args.resnetc:
        return args.resnetc.resolve()
    say("building resnetc")
    run_build([ROOT / "scripts/build", "release"])
    if args.kernels:
        run_build(["cmake", "--build", "--preset", "release", "--target", "bench_kernels"])
    return ROOT / "build" / "release" / "resnetc"


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip()


def nets_side_by_side(args, resnetc, about):
    versions = {name: peers.version(name) for name in [*peers.PEERS, "pnnx"]}
    about |= {"versions": versions, "peer_settings": {name: peer.settings for name, peer in peers.PEERS.items()}}
    print(report.head_line(about["machine"], args), report.settings_text(versions), sep="\n")
    measured = []
    for name in args.nets:
        measured.append(versus.measure_net(name, WORK, resnetc, args))
        print("\n" + report.net_table(measured[-1], versions), flush=True)
        # Written after each net: an interruption loses the net at hand only.
        write(args, about | {"nets": measured})
    print("\n" + report.summary_table(measured))
    if args.svg:
        write_whole(args.svg, chart.draw(measured, about["machine"], versions))
    return measured


def kernels(args, resnetc, about):
    tables = []
    for threads in args.threads:
        tables.append(key_times.measure(args.kernels, resnetc.with_name("bench_kernels"), threads, args.target,
                                        args.rounds, WORK / "kernels"))
        print("\n" * (len(tables) > 1) + report.kernel_table(tables[-1]), flush=True)
        write(args, about | {"kernels": tables})


def write(args, result):
    if args.json:
        write_whole(args.json, json.dumps(result, indent=1) + "\n")


def main():
    args = options.parse()
    start = time.perf_counter()
    try:
        resnetc = build(args)
        about = {"machine": machine(), "commit": commit(), "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                 "rounds": args.rounds, "seconds": args.seconds}
        WORK.mkdir(parents=True, exist_ok=True)
        if args.kernels:
            kernels(args, resnetc, about)
        elif args.compile_time:
            rows = compile_times.measure(resnetc, WORK, args)
            print(report.compile_table(rows, args.rounds))
            write(args, about | {"compile": rows})
        else:
            nets_side_by_side(args, resnetc, about)
    except Failed as problem:
        sys.exit(f"bench: {problem}")
    say(f"took {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
