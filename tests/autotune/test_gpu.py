"""Number of trials that share a GPU: the choice from measurements, and measuring with real workers on the CPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from budgets import Budget
from nas.autotune import Measurement, Workload, execution_of, gpu
from nas.autotune.gpu import FIRST_WORKER, choose, measure, next_count
from nas.autotune.probe import probe
from nas.autotune.workers import PROBE
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig
from nas.data import DataConfig
from nas.engine import placement
from nas.engine.placement import placed, slots_of
from nas.engine.plan import plan_search
from nas.executors import InlineExecutor, LocalExecutor, WorkerSlot
from nas.training.precision import Execution
from nas.trials.spec import TrialSpec
from search_spaces import get_space

GIB = 1 << 30
SPACE = get_space("vgg")
SPEC = TrialSpec(
    "1", "vgg", {choice.label: choice.values[0] for choice in SPACE.choices}, (1, 8, 8), 10, DataConfig(),
    Recipe(batch_size=16), seed=0,
)  # fmt: skip


def reached(workers: int, speed: float, free: int | None) -> Measurement:
    """Throughput of so many workers."""
    return Measurement(workers, 1, None, speed, free_bytes=free, worker_bytes=0)


def series(*speeds: float, free: int = 100 * GIB, each: int = GIB) -> list[Measurement]:
    """Of 1, 2, 4 and so on workers."""
    return [reached(2**power, speed, free - 2**power * each) for power, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("measured", "most", "expected"),
    [
        ([], 16, 1),
        (series(100), 16, 2),
        (series(100), 1, None),
        (series(100, 190), 16, 4),
        (series(100, 190), 3, 3),
        (series(100, 109), 16, None),  # it stopped growing
        (series(100, 190, 370, 700, 1300), 16, None),
        ([reached(1, 100, FIRST_WORKER)], 16, None),  # the memory is short
        ([reached(1, 100, 2 * FIRST_WORKER)], 16, 2),
        (series(100, 190, free=4 * GIB), 16, None),  # two more would take 3 GiB with the margin, and 2 are free
        (series(100, 190, free=5 * GIB), 16, 4),
        ([reached(1, 100, None), reached(2, 190, None)], 16, 4),  # of a CPU no limit of memory is known
    ],
)
def test_workers_are_added_while_it_pays_and_they_fit(
    measured: list[Measurement], most: int, expected: int | None
) -> None:
    assert next_count(measured, most) == expected


@pytest.mark.parametrize(
    ("speeds", "expected"), [((100,), 1), ((100, 109), 1), ((100, 111), 2), ((100, 190, 200), 2), ((100, 190, 150), 2)]
)
def test_the_fewest_workers_that_are_as_fast_as_any(speeds: tuple[float, ...], expected: int) -> None:
    assert choose(series(*speeds)).workers == expected


def workload(spec: TrialSpec = SPEC, *, trials: int) -> Workload:
    """As if the CPU were a GPU that ``trials`` share."""
    return Workload(spec, (WorkerSlot("cpu", 1),), trials, None, "auto")


def test_it_is_measured_with_real_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of processes on the CPU."""
    monkeypatch.setattr(gpu, "TIME_LIMIT", 300.0)
    found = measure(workload(trials=2), lambda slots: LocalExecutor(slots, run=PROBE))
    assert [one.workers for one in found] == [1, 2]
    assert all(one.images_per_second > 0 for one in found)


def test_what_fails_ends_the_measurement() -> None:
    def inline(slots: Sequence[WorkerSlot]) -> InlineExecutor:
        return InlineExecutor(probe)

    assert [one.workers for one in measure(workload(trials=1), inline)] == [1]
    assert measure(workload(replace(SPEC, sample={}), trials=1), inline) == []


def config(**changes: Any) -> SearchConfig:
    settings = {"space": "vgg", "budget": Budget(), "recipe": Recipe(epochs=24), "data": DataConfig(), "device": "cpu"}
    return SearchConfig(**(settings | changes))


def test_a_search_on_gpus_is_packed_as_measured_and_remembers_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the GPUs and the measurement made up; everything around them is real."""
    calls: list[Workload] = []

    def measured(workload: Workload) -> list[Measurement]:
        calls.append(workload)
        return series(100, 190, 360, 370)

    monkeypatch.setenv("NASCTL_CACHE", str(tmp_path))
    monkeypatch.setattr(gpu, "measure", measured)
    monkeypatch.setattr(placement, "WORTH_IMAGES", 1)
    monkeypatch.setattr(gpu, "count_cores", lambda: 8)
    plan = replace(plan_search(config(trials=30)), slots=[WorkerSlot("cuda:0", 1), WorkerSlot("cuda:1", 1)] * 4)
    for _ in range(2):
        done = placed(plan)
        assert [slot.device for slot in done.slots] == ["cuda:0", "cuda:1"] * 4
        assert done.placement is not None and done.placement.workers == 4
        assert done.placement.threads == done.slots[0].num_threads
        assert execution_of("auto", done.placement) is None  # as is usual there
        assert execution_of("float32", done.placement) == Execution()
        json.dumps(asdict(done.placement))
    (asked,) = calls  # the second time it was known
    spec = asked.spec
    assert gpu.most_workers(asked) == 8 and spec.recipe.batch_size == 64 and spec.input_shape == (1, 8, 8)
    resumed = slots_of(plan.slots[:2], plan.config, done.placement)
    assert resumed == done.slots
    for untouched in (
        replace(plan, config=config(workers=3)),
        replace(plan, config=config(trials_per_gpu=1)),
        replace(plan, config=config(trials=1, confirm=0), slots=[WorkerSlot("cpu", 1)]),
    ):
        assert placed(untouched) is untouched
        assert slots_of(untouched.slots, untouched.config, done.placement) == untouched.slots
    monkeypatch.setattr(placement, "WORTH_IMAGES", 10**9)
    assert placed(plan) is plan  # too short a search
    assert slots_of(plan.slots, plan.config, None) == plan.slots  # of a run that was not measured
