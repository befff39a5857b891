"""Makes bench/ and what the end-to-end tests share importable. Nothing here needs a peer."""

import pathlib
import sys

root = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(root / "bench"), str(root / "tests" / "e2e")]
