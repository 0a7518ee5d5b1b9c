"""The length of trainings, measured by a pilot: what it trains, what it decides, and what it remembers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from budgets import Budget, cost_of
from nas import api
from nas.config import DataConfig, SearchConfig
from nas.config.recipe import RECIPES
from nas.engine.pilot import Lesson, Pilot, better_batch, choice, is_worth_it, piloted, standard_error, told
from nas.engine.placement import typical
from nas.engine.plan import Plan, plan_search
from nas.errors import TrialError
from nas.trials import TrialResult, TrialSpec
from search_spaces import Sample

Curve = Callable[[int, int], float]  # epochs and batch to a score


class Learner:
    """An executor whose trainings score what a curve says of their length and batch."""

    num_slots = 2

    def __init__(self, curve: Curve) -> None:
        self.curve = curve
        self.trained: list[str] = []
        self.running: list[TrialSpec] = []

    @property
    def num_running(self) -> int:
        return len(self.running)

    def submit(self, spec: TrialSpec) -> None:
        assert self.num_running < self.num_slots
        self.running.append(spec)
        self.trained.append(spec.id)

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        spec = self.running.pop()
        assert spec.recipe.batch_size is not None
        score = self.curve(spec.recipe.epochs, spec.recipe.batch_size)
        if score != score:
            return [TrialResult(spec.id, "failed", error="simulated")]
        figures = {"balanced_accuracy": score, "recall_by_class": [score] * 10}
        return [TrialResult(spec.id, "finished", {"select": figures})]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(DataConfig(imbalance=20))


def planned(data: DataConfig, **changes: object) -> Plan:
    values = {"space": "vgg", "budget": Budget(max_params=4_000), "data": data, "recipe": RECIPES["auto"], "workers": 2}
    return plan_search(SearchConfig(**(values | changes)))


@pytest.mark.parametrize(
    ("curve", "trained", "epochs", "batch"),
    [
        (lambda epochs, batch: 0.9, "98x64 49x64 49x32", 98, 64),  # nothing gains: the rule
        (lambda epochs, batch: min(0.95, epochs / 200), "98x64 49x64 49x32 196x64 392x64", 196, 64),
        (lambda epochs, batch: 0.5 if epochs < 98 else 0.8, "98x64 49x64 49x32 196x64", 98, 64),
        (lambda epochs, batch: 0.9 if batch == 32 else 0.5, "98x64 49x64 49x32 98x32", 98, 32),
        (lambda epochs, batch: epochs / 800 + 0.3 * (batch == 32), "98x64 49x64 49x32 98x32 196x32 392x32", 392, 32),
    ],
)
def test_it_doubles_the_length_while_that_gains_more_than_noise(plan, curve, trained, epochs, batch):
    learner = Learner(curve)
    lessons = Pilot(plan, learner).lessons()
    assert learner.trained == trained.split()
    assert (choice(lessons).epochs, choice(lessons).batch_size) == (epochs, batch)


def test_a_training_that_fails_is_an_error_with_its_reason(plan):
    with pytest.raises(TrialError, match="49x64 failed: simulated"):
        Pilot(plan, Learner(lambda epochs, batch: float("nan") if (epochs, batch) == (49, 64) else 0.5)).lessons()


def test_noise_is_the_standard_error_of_a_mean_recall():
    rng, counts = np.random.default_rng(0), np.array([40.0, 10.0, 25.0])
    truth = np.array([0.9, 0.6, 0.75])
    drawn = [(rng.binomial(counts.astype(int), truth) / counts).mean() for _ in range(4000)]
    assert standard_error(truth, counts) == pytest.approx(np.std(drawn), rel=0.1)
    assert standard_error(np.array([1.0, 1.0]), np.array([9.0, 9.0])) > 0  # all right is not certain
    assert standard_error(np.array([0.5, np.nan]), np.array([9.0, 0.0])) == pytest.approx(0.5 / 3, rel=0.1)


def test_what_it_says():
    lessons = [
        Lesson(98, 64, 0.9, 0.02),
        Lesson(49, 64, 0.8, 0.02),
        Lesson(49, 32, 0.85, 0.02),
        Lesson(196, 64, 0.91, 0.02),
    ]
    assert better_batch(lessons) == 64 and choice(lessons).epochs == 98
    assert (
        told(lessons, 41.4)
        == "a pilot scored 0.800 after 49, 0.900 after 98, 0.910 after 196 epochs in batches of 64 (41 s)"
    )


@pytest.mark.parametrize(
    ("changes", "worth"),
    [
        ({}, True),
        ({"recipe": RECIPES["auto"].model_copy(update={"epochs": 98})}, False),  # asked for
        ({"trials": 4, "confirm": 2}, False),
        ({"time_limit": 600.0}, False),
    ],
)
def test_it_is_left_out_where_it_is_not_worth_its_time(changes, worth):
    assert is_worth_it(planned(DataConfig(imbalance=20), **changes)) == worth


def test_it_is_left_out_for_large_sets(plan):
    assert not is_worth_it(replace(plan, config=plan.config.with_length(24)))


@pytest.fixture
def few(tmp_path: Path) -> DataConfig:
    """Sixty images of two classes, dark and bright, so that a real pilot takes seconds."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = (rng.integers(0, 100, (60, 1, 8, 8)) + 150 * labels[:, None, None, None]).astype(np.uint8)
    path = tmp_path / "few.npz"
    np.savez(path, images=images, labels=labels, test_images=images[:20], test_labels=labels[:20])
    return DataConfig(source=str(path), cache_dir=str(tmp_path / "cache"))


def test_a_real_pilot_is_trained_once_and_remembered(few, tmp_path):
    settings = {"workers": 1, "device": "cpu", "trials": 12, "confirm": 0}
    told_of: list[str] = []
    first = piloted(planned(few, **settings), told_of.append)
    assert len(told_of) == 1 and "--epochs N leaves this out" in told_of[0]
    assert re.search(
        r"a pilot scored [01]\.\d+ after 120, [01]\.\d+ after 240 epochs in batches of 42", first.recipe_note
    )
    again = piloted(planned(few, **settings), told_of.append)
    assert len(told_of) == 1 and again.config == first.config
    assert again.recipe_note == first.recipe_note.rpartition(" (")[0]
    config = planned(few, **settings).config.model_copy(update={"recipe": RECIPES["auto"], "trials": 12})
    opened = api.new_search(config, name="r", runs=tmp_path / "runs")
    with opened.log:
        assert opened.run.config.recipe == first.config.recipe  # recorded: a resumed search trains as long
        assert opened.run.facts.recipe_note == again.recipe_note


def test_trials_train_half_as_long_as_the_confirmations_that_follow_them(few):
    def epochs(**changes: object) -> tuple[int, int]:
        config = planned(few, **changes).config
        return config.recipe.epochs, config.confirm_recipe.epochs

    asked = RECIPES["auto"].model_copy(update={"epochs": 10})
    assert epochs() == (120, 240)
    assert epochs(confirm=0) == (240, 240)  # the winner is a trial
    assert epochs(recipe=asked) == (10, 10)
    assert epochs(recipe=asked, confirm_epochs=30) == (10, 30)
    assert epochs(confirm_epochs=31) == (16, 31)
    assert not is_worth_it(planned(few, confirm_epochs=31))  # asked for


def test_the_pilot_trains_a_faster_network_than_the_one_in_the_middle(plan):
    def macs(sample: Sample) -> int:
        return cost_of(plan.space, sample, plan.task).macs

    assert macs(Pilot(plan, Learner(lambda epochs, batch: 0.5)).spec.sample) < 0.5 * macs(typical(plan).sample)
