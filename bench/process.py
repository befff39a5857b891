"""Runs processes and watches the machine while they run."""

import os
import pathlib
import platform
import resource
import subprocess
import sys
import time


class Failed(Exception):
    """A process that did not do what it was started for."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def failed(command, status, errors):
    tail = "\n".join(errors.strip().splitlines()[-8:])
    return Failed(f"exit status {status} of {' '.join(command)}\n{tail}")


def end(process):
    """Asks it first: resnetc ends its children, which hold the pipes too. A driver may keep even a killed process."""
    for signal in (process.terminate, process.kill):
        signal()
        try:
            process.communicate(timeout=5)
            return
        except subprocess.TimeoutExpired:
            pass
    process.stdout.close()
    process.stderr.close()


def outputs_of(command, seconds=None):
    """Standard output and error. seconds: the most that it may take."""
    command = [str(word) for word in command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        end(process)
        raise Failed(f"no end after {seconds:.0f} s of {' '.join(command)}") from None
    except BaseException:
        end(process)
        raise
    if process.returncode != 0:
        raise failed(command, process.returncode, errors.strip() or output)
    return output, errors


def output_of(command, seconds=None):
    return outputs_of(command, seconds)[0]


def seconds_to_output(command):
    """From the start of a process to the first byte it prints, or to its end if it prints none; and all its output."""
    command = [str(word) for word in command]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        first = os.read(process.stdout.fileno(), 1)
        seconds = time.perf_counter() - start
        rest, errors = process.communicate()
    if process.returncode != 0:
        raise failed(command, process.returncode, errors.decode(errors="replace"))
    return seconds, (first + rest).decode()


def busy_seconds():
    """CPU seconds of the whole machine, and of our finished children."""
    user, nice, system, _, _, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    machine = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return machine, children.ru_utime + children.ru_stime


class Watch:
    """others: how many cores everything but our finished children kept busy since the start. A tick of the kernel's
    clock is 10 ms, so a short time says little."""

    def __init__(self):
        self.start, (self.machine, self.children) = time.perf_counter(), busy_seconds()

    def others(self):
        machine, children = busy_seconds()
        wall = time.perf_counter() - self.start
        return max(0.0, ((machine - self.machine) - (children - self.children)) / wall)


def machine():
    cpu = platform.processor()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "system": platform.platform(),
            "python": platform.python_version()}


# Below this, what else runs on the machine does not move a median by a percent.
QUIET = 0.1


def warning(others, what):
    if others <= QUIET:
        return ""
    return (f"WARNING: other processes kept up to {others:.2f} cores busy {what}: measure again on an idle machine")
