#!/usr/bin/env python3
"""scripts/ship_records: which lines it ships, in a tree of its own."""

import json
import shutil

from support import check, root, run, temporary_folder


def record(key, milliseconds, default, **more):
    conditions = {"key": key, "target": "t", "threads": 2, "batch": 1, "winograd": "f4", "weights": "cold"}
    times = {"milliseconds": milliseconds, "default_milliseconds": default}
    return {**conditions, "strategy": "s", "parameters": {"pixels": 3}, **times, **more}


def write(file, records):
    file.write_text("".join(json.dumps(r) + "\n" if isinstance(r, dict) else r + "\n" for r in records))


def main():
    with temporary_folder() as folder:
        (folder / "scripts").mkdir()
        tuned = folder / "schedules" / "tuned"
        tuned.mkdir(parents=True)
        script = shutil.copy(root / "scripts" / "ship_records", folder / "scripts" / "ship_records")
        name = "amd-zen3-avx2.jsonl"

        def ship(shipped, own):
            write(tuned / name, shipped)
            write(folder / name, own)
            said = run(script, folder / name)
            return [json.loads(line) for line in (tuned / name).read_text().splitlines()], said

        better, worse, same = record("a", 1.0, 1.5), record("b", 1.53, 1.5), record("c", 1.5, 1.5)
        alone = record("d", 2.0, 0)  # the default does not run
        got, said = ship([], [better, worse, same, alone])
        check(got == [better, same, alone], got)
        check("b: left out: 1.53 ms, 1.5 ms by default" in said.stderr and said.stderr.count("left out") == 1, said)

        # The line that counts is judged, whichever file it is from.
        slower = record("a", 1.6, 1.5, parameters={"pixels": 4})
        check(ship([better], [slower])[0] == [], "an older line came back")
        check(ship([slower], [better])[0] == [better], "a line that is replaced counted")
        check(ship([worse, same], [better])[0] == [better, same], "a shipped line that is slower was kept")
        # What is dropped or provisional is not shipped.
        check(ship([better], [{**slower, "provisional": True}])[0] == [better], "a provisional line was shipped")
        check(ship([better], [{**better, "dropped": True}])[0] == [], "a dropped line was shipped")
        # Shares are of one peak, the largest: one that another program halved would have a kernel exceed it.
        shares = [record(key, 1.0, 1.5, gflops=80.0, percent_of_peak=share) for key, share in (("a", 40.0), ("b", 110.0))]
        got, _ = ship(shares[:1], shares[1:])
        check([r["percent_of_peak"] for r in got] == [40.0, 40.0], got)
        # No reading found what a kernel reaches that is not Winograd's.
        fast = record("c", 1.0, 1.5, gflops=240.0, percent_of_peak=120.0)
        check([r["percent_of_peak"] for r in ship(shares, [fast])[0]] == [33.33, 33.33, 100.0], "shares beyond 100 %")
        fast["strategy"] = "conv2d_winograd"
        check([r["percent_of_peak"] for r in ship(shares, [fast])[0]] == [40.0, 40.0, 120.0], "Winograd's were cut")
        # A later line counts, but for one of an older Halide or strategy.
        now, slow = {"halide": "21.0.0", "strategy_version": 3}, {"milliseconds": 1.2}
        for then in ({"halide": "20.1.0"}, {"strategy_version": 2}):
            got, said = ship([{**better, **now}], [{**better, **now, **slow, **then}])
            check(got == [{**better, **now}] and "older version" in said.stderr, (got, said))
        newer = {**better, **now, **slow, "halide": "21.1.0"}
        check(ship([{**better, **now}], [newer])[0] == [newer], "a newer version was left out")
        # Lines that are no records are named.
        no_times = {key: value for key, value in better.items() if key != "default_milliseconds"}
        got, said = ship([], [same, "{", no_times, record("e", "fast", 1.0)])
        check(got == [same] and said.stderr.count("not a record, left out") == 3, got, said)
        run(script, folder / "other", status=1)
    print("what counts is shipped, and nothing slower than the default")


main()
