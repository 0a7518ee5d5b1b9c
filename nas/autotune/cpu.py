"""CPU auto-tuning: trials in parallel, threads, memory format and precision, measured in a few seconds.

Trials in parallel and their threads, order in memory and precision: which is fastest depends on the machine, the family
of networks, the size of images and batches. None of it changes what is computed, only how: ``nas.training.precision``.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from nas.autotune.placement import Measurement, Placement, Workload
from nas.autotune.workers import PROBE, MeasuringFailed, measured
from nas.executors import Executor, LocalExecutor, WorkerSlot, start_server
from nas.executors.devices import count_cores, limited
from nas.training.precision import BFLOAT16, Execution
from nas.trials import TrialSpec

SECONDS = 4.0  # since the first result, after which no further measurement starts
TIMEOUT = 10.0  # of one measurement
# Times faster that a choice must be: measurements differ by a few per cent from one to the next, ...
WORTH_CHANGING = 1.1
WORTH_BFLOAT16 = 1.3  # ... and bfloat16 rounds otherwise: equal seeds give trainings equally good, but other ones.


def identity(workload: Workload) -> dict[str, object]:
    """Everything that what is measured depends on."""
    spec = workload.spec
    return {
        "cpu": cpu_name(), "cores": count_cores(), "torch": version("torch"),
        "slots": [slot.num_threads for slot in workload.slots], "workers": workload.workers,
        "threads": workload.threads, "most_threads": limited(count_cores()),
        "precision": workload.precision, "space": spec.space, "sample": spec.sample,
        "input_shape": spec.input_shape, "num_classes": spec.num_classes, "recipe": spec.recipe.model_dump(),
    }  # fmt: skip


def cpu_name() -> str:
    """The processor: its maker, family, model and instructions, where Linux tells them."""
    names = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU part")
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        rows = (line.partition(":") for line in first.splitlines())
        return "; ".join(value.strip() for name, _, value in rows if name.strip() in names)
    return f"{platform.machine()} {platform.processor()}"


def layouts(workload: Workload) -> list[tuple[WorkerSlot, ...]]:
    """The slots to compare, the usual ones first. What the user said of workers and threads is kept, and so is what
    the environment allows a process."""
    usual, most = workload.slots, limited(count_cores())
    is_open = workload.workers is None and workload.threads is None
    if is_open and len(usual) > 1 and most > usual[0].num_threads:
        return [usual, (WorkerSlot("cpu", most),)]
    return [usual]


def measure(workload: Workload) -> list[Measurement]:
    """Of the ways to train that ``workload`` leaves open, the usual one first; fewer if time ends.

    The order in memory is decided first, and only the better one is measured further.
    """
    until: float | None = None
    spec, usual = workload.spec, BFLOAT16 if workload.precision == "bfloat16" else Execution()
    done: list[Measurement] = []
    for number, slots in enumerate(layouts(workload)):
        start_server(slots)
        with LocalExecutor(slots, run=PROBE, trial_timeout=TIMEOUT) as executor:
            tried = [usual]
            if done:  # the second layout: torch's default, and what was best in the first
                tried += [choose(done).execution or usual]
            else:
                orders: tuple[Literal["contiguous", "channels_last"], ...] = ("contiguous", "channels_last")
                tried += [replace(usual, memory_format=order) for order in orders]
            for execution in dict.fromkeys(tried):
                done += measure_one(executor, spec, slots, execution, until)
                until = until or time.monotonic() + SECONDS  # before it, processes started and libraries loaded
            if workload.precision == "auto" and number == 0 and done:
                fastest = max(done, key=lambda one: one.images_per_second).execution or usual
                done += measure_one(executor, spec, slots, replace(fastest, precision="bfloat16"), until)
        if not done:
            break
    return done


def measure_one(
    executor: Executor,
    spec: TrialSpec,
    slots: Sequence[WorkerSlot],
    execution: Execution,
    until: float | None = None,
) -> list[Measurement]:
    """Of all slots in parallel, since they slow one another down. Empty past ``until``, and if a worker fails."""
    if until is not None and time.monotonic() >= until:
        return []
    try:
        return [measured(executor, replace(spec, execution=execution), slots)]
    except MeasuringFailed:
        return []


def choose(measurements: Sequence[Measurement]) -> Measurement:
    """The fastest; but the first, the usual one, unless another is faster by more than measurements vary."""
    usual = measurements[0]
    same = [one for one in measurements if _precision(one) == _precision(usual)]
    best = max(same, key=lambda one: one.images_per_second)
    if best.images_per_second < WORTH_CHANGING * usual.images_per_second:
        best = usual
    fastest = max(measurements, key=lambda one: one.images_per_second)
    return fastest if fastest.images_per_second >= WORTH_BFLOAT16 * best.images_per_second else best


def _precision(measurement: Measurement) -> str:
    return (measurement.execution or Execution()).precision


def is_complete(workload: Workload, measurements: Sequence[Measurement]) -> bool:
    """True if all that matter were in time."""
    enough = len(measurements) >= (3 if workload.precision == "auto" else 2)
    return enough and len({one.workers for one in measurements}) == len(layouts(workload))


def place(workload: Workload, measurements: Sequence[Measurement]) -> Placement | None:
    """As chosen. None on a machine too busy, or with networks too large: nothing was compared."""
    if len(measurements) < 2:
        return None
    chosen = choose(measurements)
    speed, times = chosen.images_per_second, None
    cores = count_cores()
    by_default = [m for m in measurements if (m.workers, m.threads, m.execution) == (1, cores, Execution())]
    if by_default:  # torch's: one process, all cores
        times = round(speed / by_default[0].images_per_second, 2)
    return Placement(
        "cpu", chosen.workers, chosen.threads, chosen.execution, round(speed, 1), times, tuple(measurements)
    )
