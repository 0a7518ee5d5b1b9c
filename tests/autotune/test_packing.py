"""How many trials share a GPU: the choice from figures, and measuring them with real workers on the CPU."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from budgets import Budget
from nas.autotune import gpu as packing
from nas.autotune.gpu import FIRST_WORKER, Load, Remembered, choose, measure, next_count
from nas.autotune.probe import train_for_a_while
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig
from nas.data import DataConfig
from nas.engine import placement
from nas.engine.placement import as_recorded, packed
from nas.engine.plan import plan_search
from nas.executors import InlineExecutor, LocalExecutor, WorkerSlot
from nas.trials.spec import TrialSpec
from search_spaces import get_space

GIB = 1 << 30
SPACE = get_space("vgg")
SPEC = TrialSpec(
    "1", "vgg", {choice.label: choice.values[0] for choice in SPACE.choices}, (1, 8, 8), 10, DataConfig(),
    Recipe(batch_size=16), seed=0,
)  # fmt: skip


def loads(*speeds: float, free: int = 100 * GIB, each: int = GIB) -> list[Load]:
    return [Load(2**power, speed, free - 2**power * each) for power, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("measured", "most", "expected"),
    [
        ([], 16, 1),
        (loads(100), 16, 2),
        (loads(100), 1, None),
        (loads(100, 190), 16, 4),
        (loads(100, 190), 3, 3),
        (loads(100, 109), 16, None),  # it stopped growing
        (loads(100, 190, 370, 700, 1300), 16, None),
        ([Load(1, 100, FIRST_WORKER)], 16, None),  # the memory is short
        ([Load(1, 100, 2 * FIRST_WORKER)], 16, 2),
        (loads(100, 190, free=4 * GIB), 16, None),  # two more would take 3 GiB with the margin, and 2 are free
        (loads(100, 190, free=5 * GIB), 16, 4),
    ],
)
def test_workers_are_added_while_it_pays_and_they_fit(measured: list[Load], most: int, expected: int | None) -> None:
    assert next_count(measured, most) == expected


@pytest.mark.parametrize(
    ("speeds", "expected"), [((100,), 1), ((100, 109), 1), ((100, 111), 2), ((100, 190, 200), 2), ((100, 190, 150), 2)]
)
def test_the_fewest_workers_that_are_as_fast_as_any(speeds: tuple[float, ...], expected: int) -> None:
    assert choose(loads(*speeds)) == expected


def test_it_is_measured_with_real_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of processes on the CPU, which train for half a second each."""
    monkeypatch.setattr(packing, "TIME_LIMIT", 300.0)
    found = measure(lambda number: LocalExecutor([WorkerSlot("cpu", 1)] * number, run=packing.RUN), SPEC, 2)
    assert [load.workers for load in found] == [1, 2]
    assert all(load.images_per_second > 50 for load in found)


def test_what_fails_ends_the_measurement() -> None:
    def inline(number: int) -> InlineExecutor:
        return InlineExecutor(train_for_a_while)

    assert [load.workers for load in measure(inline, SPEC, 1)] == [1]
    assert measure(inline, replace(SPEC, sample={}), 1) == []


def config(**changes: Any) -> SearchConfig:
    settings = {"space": "vgg", "budget": Budget(), "recipe": Recipe(), "data": DataConfig(), "device": "cpu"}
    return SearchConfig(**(settings | changes))


def test_a_search_on_gpus_is_packed_as_measured_and_remembers_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the GPUs and the measurement made up; everything around them is real."""
    calls: list[tuple[TrialSpec, int]] = []

    def measured(open_executor: Any, spec: TrialSpec, most: int) -> list[Load]:
        calls.append((spec, most))
        return loads(100, 190, 360, 370)

    monkeypatch.setenv("NASCTL_CACHE", str(tmp_path))
    monkeypatch.setattr(placement, "measure", measured)
    monkeypatch.setattr(placement, "WORTH_IMAGES", 1)
    monkeypatch.setattr(placement, "count_cores", lambda: 8)
    plan = replace(plan_search(config(trials=30)), slots=[WorkerSlot("cuda:0", 1), WorkerSlot("cuda:1", 1)] * 4)
    for _ in range(2):
        done = packed(plan)
        assert [slot.device for slot in done.slots] == ["cuda:0", "cuda:1"] * 4
        assert done.packing is not None and done.packing["trials_per_gpu"] == 4
        json.dumps(done.packing)
    ((spec, most),) = calls  # the second time it was known
    assert most == 8 and spec.recipe.batch_size == 16 and spec.input_shape == (1, 8, 8)
    resumed = as_recorded(plan.slots[:2], plan.config, {"packing": done.packing})
    assert resumed == done.slots
    for untouched in (
        replace(plan, config=config(workers=3)),
        replace(plan, config=config(trials_per_gpu=1)),
        replace(plan, slots=[WorkerSlot("cpu", 1)]),
    ):
        assert packed(untouched) is untouched
        assert as_recorded(untouched.slots, untouched.config, {"packing": done.packing}) == untouched.slots
    monkeypatch.setattr(placement, "WORTH_IMAGES", 10**9)
    assert packed(plan) is plan  # too short a search
    assert as_recorded(plan.slots, plan.config, {}) == plan.slots  # of a run before this


def test_a_spoilt_memory_is_no_memory(tmp_path: Path) -> None:
    remembered = Remembered(tmp_path / "folder" / "packing.json")
    assert remembered.find("a") is None
    remembered.add("a", loads(1, 2))
    remembered.add("b", loads(3))
    assert remembered.find("a") == loads(1, 2) and remembered.find("b") == loads(3)
    remembered.path.write_text('{"a": [{"workers"')
    assert remembered.find("a") is None
    remembered.add("b", loads(4))
    assert remembered.find("b") == loads(4)
