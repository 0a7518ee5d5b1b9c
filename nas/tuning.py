"""How a search trains on this machine's CPU: measured for a few seconds before it begins, and remembered.

Trials at once and their threads, order in memory and precision: which is fastest depends on the machine, the family
of networks, the size of images and batches. None of it changes what is computed, only how; see ``nas.execution``.
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

from budgets import cost_of
from nas.config import SearchConfig
from nas.data.cache import cache_root
from nas.execution import BFLOAT16, Execution
from nas.executors import LocalExecutor, WorkerSlot, start_server
from nas.executors.devices import count_cores
from nas.packing import typical
from nas.search import Plan
from nas.trial import TrialSpec

VERSION = 1  # of what is measured and how; another makes what was remembered unknown
# Pixels that all trials together see, below which nothing is measured: such a search takes a minute or so.
LEAST_PIXELS = 50_000_000
SECONDS = 4.0  # since the first result, after which no further measurement starts
TIMEOUT = 10.0  # of one measurement
MACS_OF_STEP = 2e9  # of a measured step, forward and backward: large networks are measured in smaller batches
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


def tuned(plan: Plan) -> Plan:
    """``plan`` with the fastest way to train found on this CPU, from memory if it was measured before.

    As it is on a GPU, for a search too short to pay for measuring, and if nothing could be measured. --workers and
    --precision are kept; what they leave open is measured.
    """
    if plan.slots[0].device != "cpu" or _pixels(plan) < LEAST_PIXELS:
        return plan
    layouts = [plan.slots]
    if plan.config.workers is None and len(plan.slots) > 1:
        layouts.append([WorkerSlot("cpu", count_cores())])
    spec = representative(plan)
    place = Path(cache_root(plan.config.data.cache_dir), "tuning", f"{_digest(identity(spec, plan))}.json")
    rates = recall(place, identity(spec, plan))
    if rates is None:
        rates = measure_layouts(spec, layouts, plan.config)
        enough = len(rates) >= (3 if plan.config.precision == "auto" else 2)
        if enough and len({rate.workers for rate in rates}) == len(layouts):  # all that matter were in time
            remember(place, identity(spec, plan), rates)
    if len(rates) < 2:  # a machine too busy, or networks too large: nothing was compared
        return plan
    chosen = choose(rates)
    slots = [WorkerSlot("cpu", chosen.threads)] * chosen.workers
    training = {"workers": chosen.workers, "threads": chosen.threads, **asdict(chosen.execution)}
    training["images_per_second"] = round(chosen.images_per_second, 1)
    by_default = [r for r in rates if r.workers == 1 and r.execution == Execution()]  # torch's: one process, all cores
    if by_default:
        training["times_default"] = round(chosen.images_per_second / by_default[0].images_per_second, 2)
    return replace(plan, slots=slots, training=training)


def described(training: dict[str, Any]) -> str:
    """What ``tuned`` chose, in words."""
    threads = f"{training['threads']} thread{'s' * (training['threads'] > 1)} each"
    times = training.get("times_default")
    gain = f", {times:g} times as fast as torch's defaults" if times else ""
    how = f"{training['memory_format'].replace('_', ' ')}, {training['precision']}"
    return f"{training['workers']} at once, {threads}, {how}: measured{gain}"


def _pixels(plan: Plan) -> int:
    """That all trials see, at most."""
    config, (_, height, width) = plan.config, plan.task.input_shape
    trainings = config.trials + config.confirm * config.confirm_seeds
    return trainings * config.recipe.epochs * sum(plan.counts["train"]) * height * width


def representative(plan: Plan) -> TrialSpec:
    """A typical trial of the search, in batches that take no step long."""
    spec = typical(plan)
    macs = cost_of(plan.space, spec.sample, plan.task).macs
    assert spec.recipe.batch_size is not None
    size = min(spec.recipe.batch_size, max(32, int(MACS_OF_STEP / (3 * macs))))
    return replace(spec, recipe=spec.recipe.model_copy(update={"batch_size": size}))


def measure_layouts(spec: TrialSpec, layouts: Sequence[Sequence[WorkerSlot]], config: SearchConfig) -> list[Rate]:
    """Images a second of the ways to train that ``config`` leaves open, the usual one first; fewer if time ends.

    The order in memory is settled first, and only the better one is measured further.
    """
    until: float | None = None
    usual = BFLOAT16 if config.precision == "bfloat16" else Execution()
    rates: list[Rate] = []
    for slots in layouts:
        start_server(slots)
        with LocalExecutor(slots, run="nas.measuring:measure", trial_timeout=TIMEOUT) as executor:
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


def identity(spec: TrialSpec, plan: Plan) -> dict[str, Any]:
    """Everything that what is measured depends on, as JSON holds it."""
    facts = {
        "version": VERSION, "cpu": cpu_name(), "cores": count_cores(), "torch": version("torch"),
        "slots": [slot.num_threads for slot in plan.slots], "workers": plan.config.workers,
        "precision": plan.config.precision, "space": spec.space, "sample": spec.sample,
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
