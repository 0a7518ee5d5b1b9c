"""A hundred hostile inputs, the same at every run; ``benchmarks/fuzz.py`` tries thousands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FUZZ = ROOT / "benchmarks" / "fuzz.py"
QUICK = ("settings", "words", "archives", "npz")  # kinds whose commands take milliseconds


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own: it forks, which a process with threads should not."""
    return subprocess.run(
        [sys.executable, str(FUZZ), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_hostile_input_ends_in_one_message(tmp_path: Path) -> None:
    done = fuzz(
        "--kinds", *QUICK * 4, "logs", "--number", "36", "--seed", "1", "--timeout", "60", "--keep", str(tmp_path)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].split() == ["all", "36", "0"]


def test_an_error_is_noticed(tmp_path: Path) -> None:
    """Each kind of error of a program fails its case, and a refusal does not."""
    program = f"""
import sys; sys.path.insert(0, {str(FUZZ.parent)!r})
import random, time, fuzz, hostile
from pathlib import Path
def raises(): raise KeyError("x")
def hangs(): time.sleep(60)
def climbs(): Path("../evil").write_text("x"); sys.exit(0)
def leaves_half(): Path("out").mkdir(); print("no", file=sys.stderr); sys.exit(2)
def refuses(): print("nasctl: no", file=sys.stderr); sys.exit(2)
for number, error in enumerate([raises, hangs, climbs, leaves_half, refuses]):
    fuzz.nasctl_main = error
    hostile.KINDS["x"] = lambda rng, place, stock: hostile.Case("x", [["x"]])
    with fuzz.made("x", number, 0, Path({str(tmp_path)!r}), None) as (case, place):
        print(fuzz.errors_of(case, place, 2))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    raised, hung, climbed, half, refused = told.stdout.splitlines()
    assert "traceback: KeyError: 'x'" in raised and "did not end" in hung
    assert "wrote outside: ['evil']" in climbed
    assert "left half made: ['out']" in half and refused == "[]"
