"""A short form of the benchmark of kills: a search without trainings, disturbed at system calls that write files."""

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
def whole(kills: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, list[Any]]:
    """The program, the folder of an undisturbed run, and the calls by which that wrote files."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    command = [sys.executable, str(ROOT / "tests" / "support" / "simulated_process.py")]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    program = kills.Program(command, command, {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"})
    folder = tmp_path_factory.mktemp("whole")
    return program, folder, kills.calls_of(program, folder)


@pytest.mark.parametrize(("name", "share", "what", "begun"), [
    ("rename", 0.0, "signal=SIGKILL", False),  # the log would have appeared by it
    ("pwrite64", 0.6, "error=ENOSPC", True),
])  # fmt: skip
def test_nothing_is_lost(kills, whole, tmp_path, name, share, what, begun):
    program, reference, calls = whole
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


def test_a_loss_is_found(kills, whole, tmp_path):
    """Else the table would say nothing."""
    _, reference, _ = whole
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
