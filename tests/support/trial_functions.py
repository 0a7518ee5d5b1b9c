"""Functions of the shape ``RunTrial``, run by worker processes in the tests of the executors.

A file of its own, so that a worker imports these and not pytest. ``spec.log_path`` is a path to write to.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
import types
from pathlib import Path

from nas.config.data import DataConfig
from nas.config.recipe import RECIPES
from nas.executors import EpochReport
from nas.trials.spec import TrialResult, TrialSpec


def finished(spec: TrialSpec, **metrics: object) -> TrialResult:
    return TrialResult(id=spec.id, status="finished", metrics={"rank": dict(metrics)})


def nothing(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    return finished(spec)


def surroundings(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    names = ("CUDA_VISIBLE_DEVICES", "CUDA_MPS_PIPE_DIRECTORY", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return finished(spec, device=device, pid=os.getpid(), **{name: os.environ.get(name) for name in names})


def threads_of_torch(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    import torch

    return finished(spec, threads=torch.get_num_threads())


def as_told(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """Does what the seed says: 9 and 11 kill the worker with that signal, 2 leaves, 3 returns junk,
    4 sleeps, 5 for half a second of its own, 6 takes 4 GB; 0 finishes."""
    if spec.log_path is not None:
        Path(spec.log_path).write_text(str(os.getpid()))
    match spec.seed:
        case 9 | 11:
            os.kill(os.getpid(), signal.Signals(spec.seed))
        case 2:
            os._exit(7)
        case 3:
            return finished(spec, junk=lambda: None)
        case 4:
            time.sleep(60)
        case 5:
            for _ in range(25):
                time.sleep(0.02)
        case 6:
            return finished(spec, size=len(b"x" * (4 << 30)))
    return finished(spec, pid=os.getpid())


def patient(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """Writes its process into a file of its own in the folder ``log_path``, and finishes once there is a file "go"."""
    assert spec.log_path is not None
    folder = Path(spec.log_path)
    (folder / f"{os.getpid()}.pid").write_text("")
    while not (folder / "go").exists():
        time.sleep(0.01)
    return finished(spec, pid=os.getpid())


def on_a_full_disk(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """Finds the disk full, if the seed is 1."""
    if spec.seed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights")
    return finished(spec)


def lost_gpu(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """Fails as after an illegal memory access, when CUDA raises at every call; finishes if the seed is 0."""
    if spec.seed:
        torch = types.ModuleType("torch")
        cuda = types.SimpleNamespace(is_initialized=lambda: True, synchronize=_lost)
        torch.cuda = cuda  # type: ignore[attr-defined]
        sys.modules["torch"] = torch
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return finished(spec, pid=os.getpid())


def _lost() -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def spec(name: str = "t1", *, seed: int = 0, log_path: Path | None = None) -> TrialSpec:
    return TrialSpec(
        id=name,
        space="vgg",
        sample={"width": 8},
        input_shape=(1, 8, 8),
        num_classes=10,
        data=DataConfig(),
        recipe=RECIPES["ce"],
        seed=seed,
        log_path=None if log_path is None else str(log_path),
    )
