"""A daemon of MPS for a run's workers, with a program in its place that keeps a journal of what it is told."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.config.recipe import Recipe
from nas.data import DataConfig
from nas.executors import LocalExecutor, WorkerSlot, local, mps
from nas.trials.spec import TrialSpec

ROOT = Path(__file__).parents[2]
SHARED = [WorkerSlot("cuda:0", 1), WorkerSlot("cuda:0", 1)]

# "-d" starts; without it a command comes from standard input.
FAKE = """#!/bin/sh
if [ "$1" = -d ]; then
    [ -e "$JOURNAL.broken" ] && exit 1
    echo "start $CUDA_VISIBLE_DEVICES $CUDA_MPS_PIPE_DIRECTORY" >> "$JOURNAL"
    touch "$CUDA_MPS_PIPE_DIRECTORY/control"
else
    [ -e "$JOURNAL.busy-${CUDA_MPS_PIPE_DIRECTORY##*/}" ] && exec sleep 60
    read -r command
    echo "$command $CUDA_MPS_PIPE_DIRECTORY" >> "$JOURNAL"
fi
"""


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File to which the program in the daemon's place writes."""
    program = tmp_path / "bin" / mps.CONTROL
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setattr(mps, "USUAL_PIPES", tmp_path / "nobody")
    for name in (mps.PIPES, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "journal"


def lines(journal: Path) -> list[str]:
    return journal.read_text().splitlines() if journal.exists() else []


@pytest.mark.parametrize(
    ("visible", "device", "to_daemon", "to_worker"),
    [(None, "cuda:1", "1", "0"), ("4,6", "cuda:1", "6", "0"), ("GPU-ab,GPU-cd", "cuda:1", "GPU-cd", "GPU-cd")],
)
def test_a_daemon_serves_a_gpu_with_several_slots(
    journal: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, device: str, to_daemon: str, to_worker: str
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    slots = [WorkerSlot(name, 1) for name in ("cuda:0", device, device)]
    with mps.shared_gpus(slots, works=lambda variables: True) as shared:
        folder = shared[device][mps.PIPES]
        assert shared == {device: {mps.PIPES: folder, mps.LOGS: folder, "CUDA_VISIBLE_DEVICES": to_worker}}
        assert lines(journal) == [f"start {to_daemon} {folder}"] and Path(folder, "control").exists()
    assert lines(journal)[1:] == [f"quit {folder}"] and not Path(folder).exists()


def test_it_ends_with_an_exception_too(journal: Path) -> None:
    with pytest.raises(KeyboardInterrupt), mps.shared_gpus(SHARED, works=lambda variables: True):
        raise KeyboardInterrupt
    assert [line.split()[0] for line in lines(journal)] == ["start", "quit"]


def test_it_ends_when_the_run_is_killed(journal: Path) -> None:
    code = (
        "import sys, time; from nas.executors import WorkerSlot, mps\n"
        "mps.USUAL_PIPES = mps.USUAL_PIPES / 'nobody'\n"
        "with mps.shared_gpus([WorkerSlot('cuda:0', 1)] * 2, works=lambda _: True) as shared:\n"
        "    print(shared['cuda:0'][mps.PIPES], flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) as run:
        assert run.stdout is not None
        folder = run.stdout.readline().strip()
        os.kill(run.pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while Path(folder).exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert lines(journal)[1:] == [f"quit {folder}"] and not Path(folder).exists()


def test_folders_of_killed_runs_go_with_their_daemons(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill of the whole group, as batch systems do it, left both."""
    monkeypatch.setattr("tempfile.tempdir", str(journal.parent))
    left, served = (journal.parent / f".tmp-nasctl-mps-{letter * 12}" for letter in "ab")
    for folder in (left, served):
        folder.mkdir(mode=0o700)
    Path(f"{journal}.busy-{served.name}").touch()
    monkeypatch.setattr(mps, "END_LIMIT", 0.5)
    with mps.shared_gpus(SHARED, works=lambda variables: True) as shared:
        folder = Path(shared["cuda:0"][mps.PIPES])
        with mps.shared_gpus([WorkerSlot("cuda:1", 1)] * 2, works=lambda variables: True) as others:
            assert folder.exists() and Path(others["cuda:1"][mps.PIPES]).exists()  # each other's they leave alone
        assert f"quit {left}" in lines(journal) and not left.exists()
        assert served.exists()  # its daemon did not end
    assert f"quit {folder}" in lines(journal)
    assert not folder.exists()


def test_a_run_resumesout(journal: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for slots in (SHARED[:1], [WorkerSlot("cpu", 1)] * 2):
        with mps.shared_gpus(slots, works=lambda variables: True) as shared:
            assert shared == {}
    with monkeypatch.context() as patch:
        patch.setenv(mps.PIPES, str(tmp_path))  # the user has one
        with mps.shared_gpus(SHARED, works=lambda variables: True) as shared:
            assert shared == {}
    with monkeypatch.context() as patch:
        patch.setattr(mps, "USUAL_PIPES", tmp_path)  # the machine has one
        (tmp_path / "control").touch()
        with mps.shared_gpus(SHARED, works=lambda variables: True) as shared:
            assert shared == {}
    Path(f"{journal}.broken").touch()  # it does not start
    with mps.shared_gpus(SHARED, works=lambda variables: True) as shared:
        assert shared == {}
    assert [line.split()[0] for line in lines(journal)] in ([], ["quit"])


def test_a_gpu_that_cannot_be_reached_through_it_is_used_without(journal: Path) -> None:
    with mps.shared_gpus(SHARED, works=lambda variables: False) as shared:
        assert shared == {}
    assert [line.split()[0] for line in lines(journal)] == ["start", "quit"]
    assert not mps.connects({"CUDA_VISIBLE_DEVICES": ""})  # no GPU, or none of them: the real question


def test_workers_get_its_variables(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "shared_gpus", functools.partial(mps.shared_gpus, works=lambda variables: True))
    with LocalExecutor(SHARED, run="trial_functions:surroundings") as executor:
        executor.submit(TrialSpec("1", "vgg", {}, (1, 8, 8), 10, DataConfig(), Recipe(), seed=0))
        (result,) = executor.wait(60)
        folder = lines(journal)[0].split()[2]
        assert result.metrics["rank"][mps.PIPES] == folder and result.metrics["rank"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert lines(journal)[1:] == [f"quit {folder}"]
