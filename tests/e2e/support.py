"""What the end-to-end tests share: running resnetc and the programs that it emits, temporary folders, checks.

CTest sets the environment: RESNETC is the compiler under test, RESNETC_BUILT the folder of the models that fixtures
compiled, XDG_CACHE_HOME and TMPDIR lie in the build folder.
"""

import contextlib
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

root = pathlib.Path(__file__).resolve().parents[2]
models = root / "models"
sys.path.insert(0, str(root / "tests" / "tools"))

# What AddressSanitizer and Halide need where resnetc is sanitized: kept where a test gives an environment of its own.
sanitizer_variables = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "HL_COMPILER_STACK_SIZE")


def check(condition, *message):
    if not condition:
        sys.exit("FAILED: " + " ".join(map(str, message)))


def skip(reason):
    """Ends the test as skipped (SKIP_RETURN_CODE of CTest)."""
    print(f"skipped: {reason}")
    sys.exit(77)


def resnetc():
    check("RESNETC" in os.environ, "RESNETC must be set to the path of resnetc")
    return os.path.abspath(os.environ["RESNETC"])


def built(name):
    """The folder of a model that a fixture compiled."""
    return pathlib.Path(os.environ["RESNETC_BUILT"]) / name


def environment(**variables):
    """A bare environment: PATH, what a sanitized resnetc needs, and these."""
    kept = {name: os.environ[name] for name in ("PATH", *sanitizer_variables) if name in os.environ}
    return {**kept, **{name: str(value) for name, value in variables.items()}}


def run(*command, status=0, **options):
    """Runs a command, which must end with this status (None: any); its standard output and error as text."""
    words = [str(word) for word in command]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 500, **options}
    done = subprocess.run(words, text=True, **options)
    said = f"\n{(done.stdout or '')[-1500:]}\n{(done.stderr or '')[-3000:]}"
    check(status in (None, done.returncode), f"status {done.returncode} instead of {status} of {' '.join(words)}{said}")
    return done


def compile_model(topology, weights, output, *more, status=0, **options):
    """resnetc compile; topology is a path or the stem of a file in models/."""
    if not isinstance(topology, pathlib.Path):
        topology = models / f"{topology}.json"
    return run(resnetc(), "compile", topology, "-w", weights, "-o", output, *more, status=status, **options)


def compile_digits(output, *more, **options):
    return compile_model("digits_resnet8", models / "digits_resnet8.safetensors", output, *more, **options)


class CudaDriver:
    """tests/e2e/library/cuda_stand_in.c in the driver's place, in a folder of its own. `calls` are those of the last run,
    after which nothing was left."""

    def __init__(self, folder):
        self.folder, self.log = folder / "driver", folder / "calls"
        self.folder.mkdir()
        self.build(self.folder)

    @staticmethod
    def build(folder, *options):
        source = root / "tests" / "e2e" / "library" / "cuda_stand_in.c"
        run("cc", "-std=c11", "-O2", "-shared", "-fPIC", *options, source, "-o", folder / "libcuda.so.1")

    def run(self, *command, status=0, **settings):
        self.log.unlink(missing_ok=True)
        variables = {f"STAND_IN_{name.upper()}": value for name, value in settings.items()}
        env = environment(LD_LIBRARY_PATH=self.folder, STAND_IN_LOG=self.log, **variables)
        done = run(*command, status=status, env=env)
        *self.calls, left = self.log.read_text().splitlines()
        check(left.startswith("left ") and not re.search("[1-9]", left), command, settings, left)
        return done

    def count(self, call):
        return sum(line.split()[0] == call for line in self.calls)


@contextlib.contextmanager
def temporary_folder():
    with tempfile.TemporaryDirectory(prefix="resnetc-test-") as name:
        yield pathlib.Path(name)


def contents(folder):
    """Relative path -> SHA-256 of every file in and below the folder, hidden ones too."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def logits(program, inputs, *more, **options):
    """What an emitted program makes of an N x C x H x W array."""
    with temporary_folder() as folder:
        np.save(folder / "x.npy", inputs)
        run(program, "--input", folder / "x.npy", "--output", folder / "y.npy", "--top", 0, *more, **options)
        result = np.load(folder / "y.npy")
    check(result.dtype == np.float32 and len(result) == len(inputs), "--output:", result.dtype, result.shape)
    return result


def relative_difference(got, wanted):
    """max |got - wanted| / max |wanted|; shapes must be equal."""
    check(got.shape == wanted.shape, f"shape {got.shape} instead of {wanted.shape}")
    got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def check_close(what, got, wanted, bound=1e-4):
    difference = relative_difference(got, wanted)
    print(f"{what}: {len(got)} rows, relative difference {difference:.3g}")
    check(difference <= bound, f"{what}: beyond {bound:g}")  # a NaN fails


def check_equal_bits(what, got, wanted):
    check(got.shape == wanted.shape and got.tobytes() == wanted.tobytes(), f"{what}: not the same bits")


def softmax(values):
    e = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
