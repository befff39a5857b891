"""Runs commands that must end in an error: with this status and exactly these messages, within bounds of CPU time (which a busy
machine does not stretch) and memory, leaving nothing behind."""

import json
import os
import subprocess
import sys
import tempfile

from support import check

# A sanitized compiler is slower and keeps freed memory for a while.
sanitized = "ASAN_OPTIONS" in os.environ
most_seconds = 20 if sanitized else 5
most_megabytes = 900 if sanitized else 150


# Starts a command and says how it ended, in a process of its own: the peak of a process begins with its parent's size.
launcher = """
import json, os, signal, sys, threading
answer, words = int(sys.argv[2]), sys.argv[3:]
os.set_inheritable(answer, False)
process = os.posix_spawnp(words[0], words, os.environ)
threading.Timer(float(sys.argv[1]), os.kill, (process, signal.SIGKILL)).start()
_, status, usage = os.wait4(process, 0)
with os.fdopen(answer, "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024], file)
os._exit(0)
"""


def bounded(*command, megabytes=most_megabytes, seconds=most_seconds, **options):
    """(status, standard output, standard error, seconds, peak resident megabytes) of a command."""
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as answer:
        launch = [sys.executable, "-I", "-S", "-c", launcher, str(60 + 10 * seconds), str(answer.fileno()), *words]
        options = {"pass_fds": [answer.fileno()], "check": True, **options}
        subprocess.run(launch, stdin=subprocess.DEVNULL, stdout=out, stderr=err, **options)
        out.seek(0), err.seek(0), answer.seek(0)
        texts = [stream.read().decode(errors="replace") for stream in (out, err)]
        status, spent, peak = json.load(answer)
    check(spent <= seconds, f"{words} took {spent:.1f} s of CPU time:", *texts)
    check(peak <= megabytes, f"{words} took {peak:.0f} MB:", *texts)
    return status, *texts, spent, peak


def things_in(folder):
    """All that lies in and below a folder, with its size."""
    return {str(path.relative_to(folder)): path.lstat().st_size for path in sorted(folder.rglob("*"))}


class Worst:
    """The most that any of several runs took."""

    def __init__(self):
        self.count, self.seconds, self.megabytes = 0, (0.0, ""), (0.0, "")

    def refused(self, folder, name, command, message, status=1, **options):
        """message: standard error as a whole, without the line's end."""
        before = things_in(folder)
        got, out, err, seconds, megabytes = bounded(*command, cwd=folder, **options)
        check(got == status and out == "", f"{name}: status {got}, printed {out!r} and said {err!r}")
        check(err == message + "\n", f"{name}:\n  must say {message!r}\n  but says {err!r}")
        check(things_in(folder) == before, f"{name} leaves", things_in(folder).keys() - before.keys())
        self.count += 1
        self.seconds, self.megabytes = max(self.seconds, (seconds, name)), max(self.megabytes, (megabytes, name))

    def __str__(self):
        (seconds, slowest), (megabytes, largest) = self.seconds, self.megabytes
        return f"{self.count} cases, at most {seconds:.2f} s ({slowest}) and {megabytes:.0f} MB ({largest})"
