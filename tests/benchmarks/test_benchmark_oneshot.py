"""The one-shot benchmark's own arithmetic and its continuing after an interruption; no search runs here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SPACES = ["--spaces", "vgg", "cell", "--seeds", "0", "1"]


@pytest.fixture
def oneshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, whose searches return made-up results immediately and are listed in ``asked``."""
    path = Path(__file__).parents[2] / "benchmarks" / "oneshot.py"
    spec = importlib.util.spec_from_file_location("oneshot_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.asked = asked = {}  # type: ignore[attr-defined]

    def run_search(name: str, runs: Path, flags: list[str]) -> str | None:
        asked[name.rpartition("-")[0]] = flags
        return None if name.startswith("vgg-gumbel") else name

    def measured(name: str) -> dict[str, Any]:
        high = 0.9 if "-darts-" in name else 0.8
        return {
            "objective": "balanced_accuracy", "rank": [high, high + 0.02], "test": [high - 0.1, high - 0.08],
            "params": 100_000, "sample": {}, "trials": [0.7, 0.5, 0.6], "supernet_seconds": 30.0,
            "seconds": 100.0 if "-darts-" in name else 60.0,
        }  # fmt: skip

    monkeypatch.setattr(module, "run_search", run_search)
    monkeypatch.setattr(module, "measured", measured)
    return module


def run(module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *words: str) -> int:
    module.asked.clear()
    monkeypatch.setattr(sys, "argv", ["oneshot.py", "--runs", str(tmp_path), *words])
    return int(module.main())


def test_every_search_runs_once_and_random_gets_the_time_of_darts(oneshot, monkeypatch, tmp_path, capsys):
    assert run(oneshot, monkeypatch, tmp_path, *SPACES) == 1  # gumbel-darts failed for vgg
    assert len(oneshot.asked) == 2 * 2 * 4
    timed = oneshot.asked["vgg-random-1"]
    assert timed[timed.index("--time-limit") + 1] == "100s"
    assert run(oneshot, monkeypatch, tmp_path, *SPACES) == 1
    assert set(oneshot.asked) == {"vgg-gumbel-darts-0", "vgg-gumbel-darts-1"}
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"settings": "--max-par')  # torn by a kill
    assert run(oneshot, monkeypatch, tmp_path, "--spaces", "vgg", "--seeds", "2", "--strategies", "darts") == 0
    assert run(oneshot, monkeypatch, tmp_path, "--spaces", "vgg", "--seeds", "2", "--strategies", "darts") == 0
    assert not oneshot.asked
    assert run(oneshot, monkeypatch, tmp_path, "--spaces", "vgg", "--strategies", "darts", "--", "--epochs", "1") == 0
    assert len(oneshot.asked) == 3  # other settings are other results


def test_random_waits_for_darts(oneshot, monkeypatch, tmp_path, capsys):
    assert run(oneshot, monkeypatch, tmp_path, "--spaces", "vgg", "--strategies", "random") == 1
    assert not oneshot.asked
    assert "darts, which has no result" in capsys.readouterr().err


def test_the_table_compares_like_with_like(oneshot, monkeypatch, tmp_path, capsys):
    run(oneshot, monkeypatch, tmp_path, *SPACES)
    capsys.readouterr()
    assert run(oneshot, monkeypatch, tmp_path, *SPACES, "--report") == 0
    assert not oneshot.asked
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line.startswith("|")]
    assert all(len(row) == len(rows[0]) for row in rows)
    vgg = dict(zip(rows[0], rows[2], strict=True))
    assert vgg["scored on"] == "test"
    assert vgg["darts"] == "0.810 ± 0.000, 1:40"
    assert vgg["gumbel-darts"] == "-"
    assert vgg["median of 8 random"] == ""  # nobody may know it
    rank = dict(zip(rows[0], rows[3], strict=True))
    assert (rank["darts"], rank["median of 8 random"]) == ("0.910 ± 0.000", "0.600 ± 0.000")
    verdict = next(line for line in printed.splitlines() if line.startswith("- vgg, darts"))
    assert "better by 0.310 than the median of 8 random (rank)" in verdict
    assert "better by 0.100 than random search as long as darts (test)" in verdict


@pytest.mark.parametrize(
    ("strategy", "kept"),
    [
        ("darts", ["--penalty", "2", "--epochs", "3", "--candidates=9"]),
        ("random-oneshot", ["--epochs", "3", "--candidates=9"]),
        ("random", ["--epochs", "3"]),
    ],
)
def test_a_strategy_gets_the_flags_that_it_knows(oneshot, strategy, kept):
    flags = oneshot.search_flags(strategy, ["--penalty", "2", "--epochs", "3", "--candidates=9"], 60.0)
    assert flags[: len(kept)] == kept
    assert flags[len(kept)] == "--strategy"
