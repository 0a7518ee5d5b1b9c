"""A short form of the benchmark of kills: a search without trainings, killed and on a full disk; with strace also at
system calls that write files. Workers and their server are killed in ``tests/executors``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("kills_benchmark", ROOT / "benchmarks" / "kills.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench(kills: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Situations of the simulated search; none of the kinds that need a real one."""
    command = [sys.executable, str(ROOT / "tests" / "support" / "simulated_process.py")]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    program = kills.Program(command, command, {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"})
    return kills.Bench(tmp_path_factory.mktemp("bench"), {"main": 1, "disk": 1}, 0, program)


@pytest.fixture(scope="module")
def calls(kills: ModuleType, bench: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Those by which an undisturbed run wrote files."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: no search is disturbed at its system calls (apt install strace)")
    found: list[Any] = kills.calls_of(bench.program, tmp_path_factory.mktemp("traced"))
    return found


def test_kills_and_a_full_disk_lose_nothing_and_each_is_tried_once(kills, bench, tmp_path, capsys):
    """Whatever is installed; only root has the disk."""
    file = tmp_path / "kept.jsonl"
    kills.carry_out(bench, kills.Outcomes(file), minutes=0)
    assert "main            0       0  1 left out for time" in capsys.readouterr().out and not file.exists()
    kills.carry_out(bench, kills.Outcomes(file))
    told = capsys.readouterr().out
    assert "main            1       0\n" in told
    assert "disk            1       0\n" in told or "only root may mount a file system" in told
    lines = file.read_text()
    kills.carry_out(bench, kills.Outcomes(file))
    assert file.read_text() == lines, "tried again"
    assert told.endswith(capsys.readouterr().out)  # the same table


def test_what_fails_is_kept_with_how_to_try_it_again(kills, bench, tmp_path, capsys, monkeypatch):
    def fail(folder: Path) -> None:
        (folder / "output.txt").write_text("said")
        raise ValueError("unforeseen")

    situations = [kills.Situation("calls", "calls 1/2", "at write 3", fail)]
    situations.append(kills.Situation("calls", "calls 2/2", "at write 4", lambda folder: None))
    monkeypatch.setattr(bench, "situations", lambda: iter(situations))
    file = tmp_path / "kept.jsonl"
    kills.carry_out(bench, kills.Outcomes(file))
    assert "calls           2       1\n" in capsys.readouterr().out
    assert (bench.home / "calls-1-of-2" / "output.txt").exists()
    outcomes = kills.Outcomes(file)
    table = kills.table(outcomes, {})
    assert "calls 1/2, at write 3: ValueError: unforeseen" in table
    assert 'kills.py --seed 0 --situation "calls 1/2" --keep' in table
    shutil.rmtree(bench.home / "calls-1-of-2")
    situations[0] = kills.Situation("calls", "calls 1/2", "at write 3", lambda folder: None)
    kills.carry_out(bench, outcomes, only="calls 1/2")
    assert not kills.Outcomes(file).failed  # the last outcome counts
    file.write_text(file.read_text().replace(outcomes.code, "other code"))
    assert not kills.Outcomes(file).by_key


@pytest.mark.parametrize(("name", "share", "what", "begun"), [
    ("rename", 0.0, "signal=SIGKILL", False),  # the log would have appeared by it
    ("pwrite64", 0.6, "error=ENOSPC", True),
])  # fmt: skip
def test_nothing_is_lost(kills, bench, calls, tmp_path, name, share, what, begun):
    program, reference = bench.program, bench.reference
    chosen = [call for call in calls if call.name == name]
    call = chosen[int(share * len(chosen))]
    process = program.start(program.begin, tmp_path, wrapped=kills.injected(call, what))
    code = kills.ended(process)
    assert code != 0, "nothing was disturbed"
    kept = kills.story(tmp_path)
    assert bool(kept) == begun
    kills.check_words(tmp_path, code if code > 0 else None)
    kills.finish(program, tmp_path)
    kills.check_equal(tmp_path, reference, kept)


def test_a_loss_is_found(kills, bench, tmp_path):
    """Else the table would say nothing."""
    reference = bench.reference
    shutil.copytree(reference / "runs", tmp_path / "runs")
    kept = kills.story(reference)
    kills.check_equal(tmp_path, reference, kept)
    (weights, *_) = (tmp_path / "runs" / "r" / "weights").iterdir()
    weights.write_text("others")
    with pytest.raises(kills.Lost, match="other weights"):
        kills.check_equal(tmp_path, reference, kept)
    with pytest.raises(kills.Lost, match="not there any more"):
        kills.check_equal(tmp_path, reference, [*kept, kept[-1]])
    (tmp_path / "output.txt").write_text("Aborted!")
    with pytest.raises(kills.Lost, match="it says Aborted!"):
        kills.check_words(tmp_path)
    (tmp_path / "output.txt").write_text("No.")
    with pytest.raises(kills.Lost, match="exit 1 without a way on"):
        kills.check_words(tmp_path, 1)
