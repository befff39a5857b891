#!/usr/bin/env python3
"""What resnetc leaves in the output folder: the files that were asked for, whole or not at all."""

import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from support import check, compile_digits, contents, models, resnetc, run, temporary_folder

kinds = {
    "exe": "digits_resnet8",
    "static": "libdigits_resnet8.a",
    "shared": "libdigits_resnet8.so",
    "header": "digits_resnet8.h",
    "ir": "digits_resnet8.ir",
    "driver": "digits_resnet8.c",
}


def check_emit(folder):
    subsets = [[kind] for kind in kinds] + [["header", "driver"], ["exe", "shared"], ["static", "ir"], list(kinds)]
    full = None
    for subset in [*subsets, None]:
        output = folder / ("-".join(subset) if subset else "default")
        emit = ["--emit", ",".join(subset)] if subset else []
        compile_digits(output, *emit)
        expected = sorted([kinds[kind] for kind in subset or ["exe", "static", "header", "ir"]] + ["report.json"])
        written = contents(output)
        check(sorted(written) == expected, f"--emit {subset} wrote {sorted(written)}")
        check(sorted(json.loads((output / "report.json").read_text())["files"]) == expected[:-1], "files of the report")
        if subset and len(subset) == len(kinds):
            full = written
    for subset in subsets:
        one = contents(folder / "-".join(subset))
        one.pop("report.json")
        check(all(full[name] == digest for name, digest in one.items()), f"--emit {subset}: other bytes than with all")
    print(f"{len(subsets) + 1} choices of --emit write what they say")


def check_modes(folder):
    """Files of the usual modes: the umask's, executables and shared libraries with the x bits."""
    compile_digits(folder / "out", "--emit", ",".join(kinds), umask=0o022)
    for name in [*kinds.values(), "report.json"]:
        mode = (folder / "out" / name).stat().st_mode & 0o777
        check(mode == (0o755 if name in (kinds["exe"], kinds["shared"]) else 0o644), f"{name} has mode {mode:o}")
    check((folder / "out").stat().st_mode & 0o777 == 0o755, "mode of the folder")


def check_other_files(folder):
    """Nothing but the files that are written is touched, and those are replaced, not written into."""
    out = folder / "out"
    (out / "sub").mkdir(parents=True)
    for name in ("notes.txt", "sub/digits_resnet8", ".hidden", "kernel0.o", "driver.c", "weights.o", kinds["shared"]):
        (out / name).write_text(f"mine: {name}")
    (out / kinds["header"]).write_text("old header")
    os.link(out / kinds["header"], folder / "link_to_old_header")
    before = contents(out)
    compile_digits(out)
    after = contents(out)
    check(all(after[name] == before[name] for name in before if name != kinds["header"]), "other files were touched")
    check(after[kinds["header"]] != before[kinds["header"]], "the old header is still there")
    check((folder / "link_to_old_header").read_text() == "old header", "the header was written into, not replaced")

    held = open(out / kinds["exe"], "rb")  # a program that runs can be replaced
    running = subprocess.Popen([out / kinds["exe"], "--benchmark", "30"], stdout=subprocess.DEVNULL)
    compile_digits(out)
    check(running.poll() is None, "the running program ended")
    running.kill()
    running.wait()
    held.close()

    print("other files are left alone")


def check_places(folder):
    """A link, the working folder, another file system, a folder whose parent cannot be written to."""
    (folder / "target").mkdir()
    (folder / "by_link").symlink_to("target")
    compile_digits(folder / "by_link", "--emit", "header")
    check((folder / "by_link").is_symlink() and (folder / "target" / kinds["header"]).exists(), "a link as --output")
    for output in (".", "../here", "./"):
        here = folder / "here"
        here.mkdir()
        compile_digits(output, "--emit", "header", cwd=here)
        check(sorted(contents(here)) == [kinds["header"], "report.json"], f"--output {output}")
        shutil.rmtree(here)

    memory = pathlib.Path("/dev/shm")
    if os.access(memory, os.W_OK) and memory.stat().st_dev != folder.stat().st_dev:
        with tempfile.TemporaryDirectory(dir=memory) as other:
            (folder / "far").symlink_to(other)
            compile_digits(folder / "far", "--emit", "header")
            check(sorted(contents(pathlib.Path(other))) == [kinds["header"], "report.json"], "another file system")
    else:
        print("there is no second file system: a link to one was not tried")

    locked = folder / "locked"
    (locked / "mine").mkdir(parents=True)
    (locked / "mine").chmod(0o777)
    locked.chmod(0o555)
    folder.chmod(0o755)
    as_user = {"user": 65534, "cwd": "/"} if os.geteuid() == 0 else {}
    try:
        run(resnetc(), "version", **as_user)
    except (PermissionError, SystemExit):
        print("another user cannot run resnetc: an output whose parent is locked was not tried")
        return
    compile_digits(locked / "mine", "--emit", "header", "--no-cache", **as_user)
    check(sorted(contents(locked / "mine")) == [kinds["header"], "report.json"], "a locked parent")
    print("an output folder may be a link, on another file system, or below a locked one")


def staging_folders(parent):
    return [path for path in parent.iterdir() if ".resnetc-" in path.name]


def processes_in(folder):
    """Processes whose working directory is in the folder."""
    found = []
    for process in pathlib.Path("/proc").iterdir():
        try:
            if process.name.isdigit() and os.readlink(process / "cwd").startswith(str(folder)):
                found.append(int(process.name))
        except OSError:
            pass
    return found


def interrupt(parent, output, moment, how, *more):
    """Starts a compilation and sends the signal once `moment` lies in the staging folder; its exit status."""
    command = [resnetc(), "compile", models / "digits_resnet8.json", "-w", models / "digits_resnet8.safetensors"]
    command += ["-o", output, "--emit", ",".join(kinds), "-j", "2", *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([str(word) for word in command], **pipes)
    while process.poll() is None:
        if any((path / moment).exists() for path in staging_folders(parent)):
            process.send_signal(how)
            break
        time.sleep(0.0002)
    _, errors = process.communicate(timeout=300)
    # Children of a killed compiler may still be running in its folder.
    deadline = time.time() + 60
    while processes_in(parent) and time.time() < deadline:
        time.sleep(0.05)
    check(not processes_in(parent), "processes of a killed compilation run on")
    return process.returncode, errors


# What lies in the staging folder, from the first moment to the last.
moments = ["", "kernel0.o", "kernel5.o", "driver.c", "driver.o", "code.o", "digits_resnet8", "libdigits_resnet8.a"]


def check_interrupts(folder):
    """A signal at any moment leaves no new folder or a whole one, and old files old or new, never half of one."""
    reached = {signal.SIGTERM: 0, signal.SIGINT: 0, signal.SIGKILL: 0}
    compile_digits(folder / "good", "--emit", ",".join(kinds))
    good = contents(folder / "good")
    for (i, moment), how in itertools.product(enumerate(moments), reached):
        parent = folder / f"{how.name}{i}"
        parent.mkdir()
        status, errors = interrupt(parent, parent / "new", moment, how, *(["--no-cache"] if i < 3 else []))
        left = staging_folders(parent)
        reached[how] += status != 0
        if status == 0:
            check((parent / "new").exists(), "exit 0 without an output")
        elif how != signal.SIGKILL:
            check(not left, f"{how.name} at '{moment}': {left} is left")
            check("interrupted" in errors, f"{how.name} at '{moment}': status {status}, {errors}")
        if (parent / "new").exists():
            written = contents(parent / "new")
            check(written.keys() == good.keys(), f"{how.name} at '{moment}': half a folder, {sorted(written)}")
        else:
            check(status != 0, "no output")
        if not left:
            continue
        compile_digits(parent / "new", "--emit", ",".join(kinds))
        check(not staging_folders(parent), f"the next run leaves {staging_folders(parent)}")
        check({**contents(parent / "new"), "report.json": ""} == {**good, "report.json": ""}, "other files afterwards")
    for how, count in reached.items():
        print(f"compilations ended by {how.name}: {count} of {len(moments)}")
    check(all(count >= 4 for count in reached.values()), "too few compilations were interrupted")


def check_interrupted_update(folder):
    out = folder / "out"
    compile_digits(out, "--emit", ",".join(kinds))
    good, old = contents(out), {}
    for moment, how in itertools.product(moments, (signal.SIGTERM, signal.SIGKILL)):
        for name in good:
            (out / name).unlink()
            (out / name).write_text(f"old {name}")
        old = contents(out)
        interrupt(folder, out, moment, how)
        for name, digest in contents(out).items():
            whole = name == "report.json" and (out / name).read_text().endswith("\n}\n")
            check(digest in (old[name], good[name]) or whole, f"{how.name} at '{moment}': {name} is neither")
    print("interrupted updates leave every file old or new")


def check_two_at_once(folder):
    """Two compilations into one folder, of one cold cache."""
    command = [resnetc(), "compile", models / "digits_resnet8.json", "-w", models / "digits_resnet8.safetensors"]
    command += ["-o", folder / "out", "--cache", folder / "cache", "-j", "1"]
    running = [subprocess.Popen([str(w) for w in command], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in running:
        _, errors = process.communicate(timeout=300)
        check(process.returncode == 0, errors)
    check(sorted(path.name for path in folder.iterdir()) == ["cache", "out"], list(folder.iterdir()))
    report = json.loads((folder / "out" / "report.json").read_text())["files"]
    digests = contents(folder / "out")
    check(all(digests[name] == entry["sha256"] for name, entry in report.items()), "files unlike those of the report")
    run(folder / "out" / "digits_resnet8", "--self-test")
    print("two compilations at once into one folder: a whole result")


def main():
    checks = [check_emit, check_modes, check_other_files, check_places, check_two_at_once, check_interrupted_update]
    for each in [*checks, check_interrupts]:
        with temporary_folder() as folder:
            each(folder)


main()
