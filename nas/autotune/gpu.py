"""How many trials share a GPU, measured: workers are added until they train no faster together, or memory is short.

Taken for a search that is much longer than the measurement and was not told a number. Remembered on this machine for
searches of the same space, image shape and batch size.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nas.executors import Executor, LocalExecutor
from nas.executors.devices import spread
from nas.trials.spec import TrialResult, TrialSpec

RUN = "nas.autotune.probe:train_for_a_while"
WAKE, PREPARE, MEASURE = "wake", "prepare", "measure"  # what ``RUN`` is asked for, by the specification's id

GAIN = 1.1  # more throughput by twice the workers, below which they are not worth their memory
MOST_WORKERS = 16  # of a GPU; beyond it evolution learns from too few results, as on a CPU
MARGIN = 1.5  # times the memory of the measured network: others that fit the budget take more
FIRST_WORKER = 1 << 30  # bytes: what a worker takes before two measurements tell; its CUDA context is half of it
TIME_LIMIT = 30.0  # seconds for a whole measurement, most of it the workers' start


@dataclass(frozen=True)
class Load:
    """So many workers that train at once on one GPU."""

    workers: int
    images_per_second: float  # of all together
    free_bytes: int  # of the GPU's memory, beside them
    worker_bytes: int = 0  # that the largest of them took for tensors; its CUDA context comes on top


class MeasuringFailed(Exception):
    """A worker failed or took too long; what was measured before stands."""


def next_count(loads: Sequence[Load], most: int) -> int | None:
    """How many workers to measure after ``loads``: twice as many as last; None if more would be of no use."""
    if not loads:
        return 1
    last = loads[-1]
    more, each = min(2 * last.workers, most), float(FIRST_WORKER)
    if len(loads) > 1:
        before = loads[-2]
        if last.images_per_second < GAIN * before.images_per_second:
            return None
        each = (before.free_bytes - last.free_bytes) / (last.workers - before.workers)
    enough = MARGIN * each * (more - last.workers) <= last.free_bytes
    return more if more > last.workers and enough else None


def choose(loads: Sequence[Load]) -> int:
    """The fewest workers of ``loads`` that are as fast as any, but for less than ``GAIN``."""
    top = max(load.images_per_second for load in loads)
    return min(load.workers for load in loads if GAIN * load.images_per_second >= top)


def measure(open_executor: Callable[[int], Executor], spec: TrialSpec, most: int) -> list[Load]:
    """Loads of 1, 2, 4 and so on up to ``most`` workers, as far as it makes sense; what ``spec`` says they train.

    ``open_executor`` gives one of so many slots, whose trials are ``RUN``. Empty if not even one could be measured.
    """
    loads: list[Load] = []
    end = time.monotonic() + TIME_LIMIT
    with contextlib.suppress(MeasuringFailed), open_executor(most) as executor:
        together(executor, spec, WAKE, most, end)  # from now on the same slots are filled first
        while (workers := next_count(loads, most)) is not None:
            together(executor, spec, PREPARE, workers, end)
            loads.append(load_of(together(executor, spec, MEASURE, workers, end)))
    return loads


def load_of(figures: Sequence[dict[str, float]]) -> Load:
    """From what each worker says."""
    speed = sum(one["images_per_second"] for one in figures)
    free, taken = min(one["free_bytes"] for one in figures), max(one["worker_bytes"] for one in figures)
    return Load(len(figures), speed, int(free), int(taken))


def together(executor: Executor, spec: TrialSpec, what: str, workers: int, end: float) -> list[dict[str, float]]:
    """The figures of so many workers that do ``what`` at the same time. MeasuringFailed if not all do until ``end``."""
    if num_busy := executor.num_running:
        raise MeasuringFailed(f"{num_busy} workers are busy with what they were asked before")
    for _ in range(workers):
        executor.submit(replace(spec, id=what))
    results: list[TrialResult] = []
    while len(results) < workers:
        results += (ended := executor.wait(max(0.0, end - time.monotonic())))
        if not ended:
            raise MeasuringFailed("it took too long")
    for result in results:
        if result.status != "finished":
            raise MeasuringFailed(result.error)
    return [result.metrics.get("rank", {}) for result in results]


def gpus() -> str:
    """What the driver calls the machine's GPUs, and their memory; "" if it does not say."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _on(device: str) -> Callable[[int], Executor]:
    return lambda number: LocalExecutor(spread([device], number), run=RUN)


@dataclass(frozen=True)
class Remembered:
    """Measurements of this machine in a file. What cannot be read or written is measured again."""

    path: Path

    def find(self, key: str) -> list[Load] | None:
        try:
            return [Load(**load) for load in json.loads(self.path.read_text())[key]]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def add(self, key: str, loads: Sequence[Load]) -> None:
        known: Any = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(self.path.read_text())
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_suffix(".new")
            fresh.write_text(json.dumps({**known, key: [asdict(load) for load in loads]}))
            fresh.replace(self.path)
