"""GPU auto-tuning: workers are added until they train no faster together, or memory is short.

Taken for a search that is much longer than the measurement and was not told a number. Remembered on this machine for
searches of the same space, image shape and batch size.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

from nas.autotune.placement import Measurement, Placement, Workload
from nas.autotune.workers import PROBE, MeasuringFailed, measured, together
from nas.executors import Executor, LocalExecutor, WorkerSlot
from nas.executors.devices import count_cores, distribute

GAIN = 1.1  # more throughput by twice the workers, below which they are not worth their memory
MOST_WORKERS = 16  # of a GPU; beyond it evolution learns from too few results, as on a CPU
MARGIN = 1.5  # times the memory of the measured network: others that fit the budget take more
FIRST_WORKER = 1 << 30  # bytes: what a worker takes before two measurements tell; its CUDA context is half of it
TIME_LIMIT = 30.0  # seconds for a whole measurement, most of it the workers' start


def identity(workload: Workload) -> dict[str, object]:
    """Everything that what is measured depends on."""
    spec = workload.spec
    return {
        "gpus": gpus(), "cores": count_cores(), "torch": version("torch"), "most": most_workers(workload),
        "precision": workload.precision, "space": spec.space, "sample": spec.sample,
        "input_shape": spec.input_shape, "num_classes": spec.num_classes, "batch_size": spec.recipe.batch_size,
    }  # fmt: skip


def gpus() -> str:
    """Names of the machine's GPUs and their memory, by the driver; "" if it does not say."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def most_workers(workload: Workload) -> int:
    """Of each GPU: as many as its share of the cores can feed and of the trials can use."""
    number = len(workload.devices)
    return max(1, min(MOST_WORKERS, 2 * count_cores() // number, math.ceil(workload.trials / number)))


def _open(slots: Sequence[WorkerSlot]) -> Executor:
    return LocalExecutor(slots, run=PROBE)


def measure(workload: Workload, open_executor: Callable[[Sequence[WorkerSlot]], Executor] = _open) -> list[Measurement]:
    """Of 1, 2, 4 and so on workers of the first GPU, as far as it makes sense; empty if not even one could be measured.

    ``open_executor`` gives one for such slots, whose trials are ``PROBE``.
    """
    spec, slots = workload.spec, distribute(workload.devices[:1], most_workers(workload))
    done: list[Measurement] = []
    end = time.monotonic() + TIME_LIMIT
    with contextlib.suppress(MeasuringFailed), open_executor(slots) as executor:
        together(executor, spec, "wake", len(slots), end)  # from now on the same slots are filled first
        while (workers := next_count(done, len(slots))) is not None:
            together(executor, spec, "prepare", workers, end)
            done.append(measured(executor, spec, slots[:workers], end))
    return done


def next_count(done: Sequence[Measurement], most: int) -> int | None:
    """Number of workers to measure after ``done``: twice as many as last; None if more would be of no use."""
    if not done:
        return 1
    last = done[-1]
    more, each = min(2 * last.workers, most), float(FIRST_WORKER)
    if len(done) > 1:
        before = done[-2]
        if last.images_per_second < GAIN * before.images_per_second:
            return None
        if before.free_bytes is not None and last.free_bytes is not None:
            each = (before.free_bytes - last.free_bytes) / (last.workers - before.workers)
    fits = last.free_bytes is None or MARGIN * each * (more - last.workers) <= last.free_bytes
    return more if more > last.workers and fits else None


def choose(measurements: Sequence[Measurement]) -> Measurement:
    """The fewest workers of ``measurements`` that are as fast as any, but for less than ``GAIN``."""
    top = max(one.images_per_second for one in measurements)
    enough = [one for one in measurements if GAIN * one.images_per_second >= top]
    return min(enough, key=lambda one: one.workers)


def is_complete(workload: Workload, measurements: Sequence[Measurement]) -> bool:
    """True if there is any: what failed or took too long with more workers would again."""
    return bool(measurements)


def place(workload: Workload, measurements: Sequence[Measurement]) -> Placement | None:
    """As chosen; how a step is carried out is not measured."""
    if not measurements:
        return None
    chosen, number = choose(measurements), len(workload.devices)
    threads = distribute(workload.devices, number * chosen.workers)[0].num_threads
    speed = round(chosen.images_per_second, 1)
    return Placement("cuda", chosen.workers, threads, None, speed, None, tuple(measurements))
