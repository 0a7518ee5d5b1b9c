"""Estimated duration of a search: what is timed, and what is counted."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated_search import config, recorded, run_all

from budgets import Budget, costs_of
from nas.config import DataConfig, Recipe, SearchConfig
from nas.engine.duration import NUM_TIMED, foreseen, search_seconds, timed, to_be_timed, training_seconds, trial_seconds
from nas.engine.plan import Plan, plan_search, start
from nas.executors import WorkerSlot
from nas.report.screen import Screen
from nas.report.tables.search import print_plan
from nas.testing.strategies import MOST, TASK
from search_spaces import Sample, get_space

COUNTS = {"train": [60, 40], "select": [10, 20], "rank": [25, 25], "test": [500, 500]}


def planned(**changes: object) -> Plan:
    values = {
        "space": "vgg", "budget": Budget(max_params=4_000), "data": DataConfig(), "recipe": Recipe(epochs=1),
        "workers": 2, "device": "cpu",
    }  # fmt: skip
    return plan_search(SearchConfig(**(values | changes)))


def test_a_training_sees_all_its_epochs_and_scores_after_each_and_at_its_end() -> None:
    trained, scored = 3 * 100, 3 * 30 + 30 + 50
    assert training_seconds(Recipe(epochs=3), COUNTS, 50, 200) == pytest.approx(trained / 50 + scored / 200)
    filled = Recipe(epochs=3, oversampling="random", oversampled_share=0.5)  # half of 60 and 60
    assert training_seconds(filled, COUNTS, 50, 200) == pytest.approx(3 * 60 / 50 + scored / 200)


@pytest.mark.parametrize(
    ("changes", "num_slots", "rounds"),
    [
        ({"trials": 12, "confirm": 2}, 1, 18),
        ({"trials": 12, "confirm": 2}, 2, 10),
        ({"trials": 12, "confirm": 2}, 8, 5),  # twice as many trials as slots, and a race of three rounds
        ({"trials": 1, "confirm": 2}, 2, 3),  # one trial can be confirmed
        ({"trials": 12, "confirm": 0}, 2, 6),
        ({"trials": 12, "confirm": 2, "recipe": Recipe(epochs=10), "confirm_epochs": 20}, 2, 14),
    ],
)
def test_a_search_takes_as_many_rounds_as_its_slots_leave(changes: dict, num_slots: int, rounds: int) -> None:
    assert search_seconds(config(**changes), 10.0, num_slots) == 10 * rounds


@pytest.mark.parametrize("strategy", ["evolution", "random"])
def test_the_first_that_a_search_proposes_are_foreseen(strategy: str, tmp_path: Path) -> None:
    run = run_all(tmp_path / "run", strategy=strategy, trials=12, confirm=0, seed=7)
    budget, space = Budget(max_params=MOST, min_params=MOST // 2), get_space("resnet")
    plan = Plan(run.config, space, TASK, budget, "", (), [], {}, "", "")
    seen: list[Sample] = list(itertools.islice(foreseen(plan), 8))
    number = {"evolution": run.config.population, "random": 8}[strategy]
    assert seen[:number] == [trial.sample for trial in run.stage("search")][:number]
    for parent, mutant in zip(seen, seen[number:], strict=False):
        assert sum(parent[label] != mutant[label] for label in parent) in (1, 2, 3)


def test_what_is_timed_fits_the_budget_and_keeps_every_slot_busy() -> None:
    plan = planned(recipe=Recipe(epochs=1, batch_size=32, oversampling="random"))
    specs = list(to_be_timed(plan))
    assert len({spec.id for spec in specs}) == len(specs) == NUM_TIMED
    assert all((spec.probe, spec.recipe.batch_size, spec.recipe.oversampling) == ("time", 32, "none") for spec in specs)
    rows = np.stack([plan.space.encode(spec.sample) for spec in specs])
    assert plan.budget.admits(costs_of(plan.space, rows, plan.task)).all()
    many = replace(plan, slots=[WorkerSlot("cpu", 1)] * 2 * NUM_TIMED)
    assert len(list(to_be_timed(many))) == 2 * NUM_TIMED


def test_networks_are_timed_in_real_processes() -> None:
    plan = planned()
    assert timed(plan) is plan  # too short to be worth it
    seconds = trial_seconds(plan)
    assert seconds is not None and seconds > 0


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(6.04, ["Takes   about 1:00: 12 trials of 6.0 s on average, 6 confirmations of 6.0 s"]), (None, [])],
)
def test_the_plan_says_what_follows(seconds: float | None, told: list[str], tmp_path: Path) -> None:
    console, plan = Screen(record=True, width=200), replace(planned(), trial_seconds=seconds)
    with start(plan, tmp_path / "run") as log:
        print_plan(console, recorded(log), plan.slots)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert [line for line in lines if line.startswith("Takes")] == told
    assert any("1 epoch in batches of" in line for line in lines)
