"""Asking workers at the same time: those that share a machine slow one another down, and that is to be measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from nas.autotune.placement import Measurement
from nas.executors import Executor, WorkerSlot
from nas.trials import TrialResult, TrialSpec
from nas.trials.spec import Probe

PROBE = "nas.autotune.probe:probe"  # what the workers run


class MeasuringFailed(Exception):
    """A worker failed or took too long; what was measured before stands."""


def together(
    executor: Executor, spec: TrialSpec, probe: Probe, workers: int, end: float | None = None
) -> list[dict[str, float]]:
    """The values of so many workers that do ``probe`` at the same time.

    MeasuringFailed if one fails, or not all are done at the moment ``end`` of ``time.monotonic``.
    """
    if num_busy := executor.num_running:
        raise MeasuringFailed(f"workers still busy with earlier work: {num_busy}")
    for number in range(workers):
        executor.submit(replace(spec, id=str(number), probe=probe))
    results: list[TrialResult] = []
    while len(results) < workers:
        results += (ended := executor.wait(None if end is None else max(0.0, end - time.monotonic())))
        if not ended:
            raise MeasuringFailed("it took too long")
    for result in results:
        if result.status != "finished":
            raise MeasuringFailed(result.error)
    return [
        {name: value for name, value in result.metrics.get("probe", {}).items() if isinstance(value, float)}
        for result in results
    ]


def measured(executor: Executor, spec: TrialSpec, slots: Sequence[WorkerSlot], end: float | None = None) -> Measurement:
    """Throughput that workers in ``slots``, which are equal, reach together on ``spec``. MeasuringFailed as in
    ``together``."""
    values = together(executor, spec, "measure", len(slots), end)
    speed = sum(one["images_per_second"] for one in values)
    free = [int(one["free_bytes"]) for one in values if "free_bytes" in one]
    taken = [int(one["worker_bytes"]) for one in values if "worker_bytes" in one]
    return Measurement(
        len(slots), slots[0].num_threads, spec.execution, speed,
        free_bytes=min(free, default=None), worker_bytes=max(taken, default=None),
    )  # fmt: skip
