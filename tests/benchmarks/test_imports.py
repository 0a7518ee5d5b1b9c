"""Every benchmark can at least be started: nothing that it imports has another name now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
IMPORT = """
import importlib, sys
sys.path[:0] = sys.argv[1:3]
for name in sys.argv[3:]:
    importlib.import_module(name)
"""


def test_every_benchmark_imports() -> None:
    names = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
    assert len(names) > 20
    support = str(BENCHMARKS.parent / "tests" / "support")
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(BENCHMARKS), support, *names], cwd=BENCHMARKS.parent, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
