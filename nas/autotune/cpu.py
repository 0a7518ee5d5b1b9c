"""How a search trains on this machine's CPU: measured for a few seconds before it begins, and remembered.

Trials at once and their threads, order in memory and precision: which is fastest depends on the machine, the family
of networks, the size of images and batches. None of it changes what is computed, only how: ``nas.training.precision``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from nas.config.run import Precision, SearchConfig
from nas.executors import LocalExecutor, WorkerSlot, start_server
from nas.executors.devices import count_cores
from nas.training.precision import BFLOAT16, Execution
from nas.trials.spec import TrialSpec

VERSION = 1  # of what is measured and how; another makes what was remembered unknown
SECONDS = 4.0  # since the first result, after which no further measurement starts
TIMEOUT = 10.0  # of one measurement
# Times faster that a choice must be: measurements differ by a few per cent from one to the next, ...
WORTH_CHANGING = 1.1
WORTH_BFLOAT16 = 1.3  # ... and bfloat16 rounds otherwise: equal seeds give trainings equally good, but other ones.


@dataclass(frozen=True)
class Rate:
    """What one way to train reached."""

    workers: int
    threads: int  # of each worker
    execution: Execution
    images_per_second: float  # of all workers together


def measure_layouts(spec: TrialSpec, layouts: Sequence[Sequence[WorkerSlot]], config: SearchConfig) -> list[Rate]:
    """Images a second of the ways to train that ``config`` leaves open, the usual one first; fewer if time ends.

    The order in memory is settled first, and only the better one is measured further.
    """
    until: float | None = None
    usual = BFLOAT16 if config.precision == "bfloat16" else Execution()
    rates: list[Rate] = []
    for slots in layouts:
        start_server(slots)
        with LocalExecutor(slots, run="nas.autotune.measuring:measure", trial_timeout=TIMEOUT) as executor:
            tried = [usual]
            if rates:  # the second layout: torch's default, and what was best in the first
                tried += [choose(rates).execution]
            else:
                orders: tuple[Literal["contiguous", "channels_last"], ...] = ("contiguous", "channels_last")
                tried += [replace(usual, memory_format=order) for order in orders]
            for execution in dict.fromkeys(tried):
                rates += rate(executor, spec, slots, execution, until)
                until = until or time.monotonic() + SECONDS  # before it, processes started and libraries loaded
            if config.precision == "auto" and slots is layouts[0] and rates:
                fastest = max(rates, key=lambda rate: rate.images_per_second).execution
                rates += rate(executor, spec, slots, replace(fastest, precision="bfloat16"), until)
        if not rates:
            break
    return rates


def rate(
    executor: LocalExecutor,
    spec: TrialSpec,
    slots: Sequence[WorkerSlot],
    execution: Execution,
    until: float | None = None,
) -> list[Rate]:
    """Of all slots at once, since they slow one another down. Empty past ``until``, and if a worker fails."""
    if until is not None and time.monotonic() >= until:
        return []
    for number in range(len(slots)):
        executor.submit(replace(spec, id=str(number), execution=execution))
    results = [result for _ in slots if executor.num_running for result in executor.wait()]
    if any(result.status != "finished" for result in results):
        return []
    total = sum(float(result.metrics["steps"]["images_per_second"]) for result in results)
    return [Rate(len(slots), slots[0].num_threads, execution, total)]


def choose(rates: Sequence[Rate]) -> Rate:
    """The fastest; but the first, the usual one, unless another is faster by more than measurements vary."""
    usual = rates[0]
    same = [rate for rate in rates if rate.execution.precision == usual.execution.precision]
    best = max(same, key=lambda rate: rate.images_per_second)
    if best.images_per_second < WORTH_CHANGING * usual.images_per_second:
        best = usual
    fastest = max(rates, key=lambda rate: rate.images_per_second)
    return fastest if fastest.images_per_second >= WORTH_BFLOAT16 * best.images_per_second else best


def identity(spec: TrialSpec, slots: Sequence[WorkerSlot], workers: int | None, precision: Precision) -> dict[str, Any]:
    """Everything that what is measured depends on, as JSON holds it."""
    facts = {
        "version": VERSION, "cpu": cpu_name(), "cores": count_cores(), "torch": version("torch"),
        "slots": [slot.num_threads for slot in slots], "workers": workers,
        "precision": precision, "space": spec.space, "sample": spec.sample,
        "input_shape": spec.input_shape, "num_classes": spec.num_classes, "recipe": spec.recipe.model_dump(),
    }  # fmt: skip
    return dict(json.loads(json.dumps(facts)))


def cpu_name() -> str:
    """The processor: its maker, family, model and instructions, where Linux tells them."""
    names = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU part")
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        rows = (line.partition(":") for line in first.splitlines())
        return "; ".join(value.strip() for name, _, value in rows if name.strip() in names)
    return f"{platform.machine()} {platform.processor()}"


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def recall(place: Path, facts: dict[str, Any]) -> list[Rate] | None:
    """What was measured before under the same ``facts``; None if there is nothing, or it cannot be read."""
    try:
        document = json.loads(place.read_text())
        rates = [Rate(**{**row, "execution": Execution(**row["execution"])}) for row in document["rates"]]
        numbers = [n for rate in rates for n in (rate.workers, rate.threads, rate.images_per_second)]
        sound = document["facts"] == facts and all(number > 0 for number in numbers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return rates if rates and sound else None


def remember(place: Path, facts: dict[str, Any], rates: Sequence[Rate]) -> None:
    """Let ``recall`` find ``rates``, whole or not at all. Where the cache cannot be written, nothing is kept."""
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.parent / f".{place.stem}-{uuid.uuid4().hex}"
        fresh.write_text(json.dumps({"facts": facts, "rates": [asdict(rate) for rate in rates]}))
        fresh.replace(place)
