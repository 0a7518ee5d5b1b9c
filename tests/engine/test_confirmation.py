"""Length of confirmations: as the plan says, or twice as long while that gains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated_search import events_of, resume, run_all

from budgets import Budget
from nas.config import DataConfig, SearchConfig
from nas.config.recipe import RECIPES, Recipe
from nas.engine.confirmation import standard_error
from nas.engine.plan import plan_search
from nas.report.live import eta, planned_confirmations, rare_lines
from nas.runs import SearchRun
from nas.runs.events import ConfirmationLengthened
from nas.testing.strategies import SimulatedExecutor
from nas.trials import TrialResult

Curve = Callable[[int], float]  # epochs to what a training of so many scores

GAINS = {
    "never": (lambda epochs: 0.9, []),
    "by less than noise": (lambda epochs: 0.9 if epochs < 100 else 0.91, []),
    "once": (lambda epochs: 0.5 if epochs < 100 else 0.9, [200]),
    "twice": (lambda epochs: min(0.9, epochs / 300), [200, 400]),
    "always": (lambda epochs: epochs / 500, [200, 400]),  # 480 epochs are the most
}


class Learner(SimulatedExecutor):
    """Trainings that score what a curve says of their length; what ran is in ``lengths``, by trial."""

    def __init__(self, curve: Curve, **settings: Any) -> None:
        super().__init__(**settings)
        self.curve, self.lengths = curve, dict[str, int]()

    def submit(self, spec: Any) -> None:
        if not spec.test:
            self.lengths[spec.id] = spec.recipe.epochs
        super().submit(spec)

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        return [self._scored(result) for result in super().wait(timeout)]

    def _scored(self, result: TrialResult) -> TrialResult:
        if "select" not in result.metrics:
            return result
        score = self.curve(self.lengths[result.id])
        select = {"balanced_accuracy": score, "recall_by_class": [score] * 10}
        return replace(result, metrics=result.metrics | {"select": select})


SETTINGS: dict[str, Any] = {"trials": 5, "recipe": Recipe(epochs=50), "confirm_epochs": 100, "lengthen": True}


def search(folder: Path, executor: Learner, **changes: Any) -> SearchRun:
    return run_all(folder, executor, **(SETTINGS | changes))


@pytest.mark.parametrize("gains", GAINS)
def test_their_length_is_doubled_while_that_gains_more_than_noise(gains: str, tmp_path: Path) -> None:
    curve, lengths = GAINS[gains]
    executor = Learner(curve)
    run = search(tmp_path / "run", executor)
    assert [event.epochs for event in run.lengthened] == lengths
    assert run.final_epochs == (lengths or [100])[-1]
    assert {executor.lengths[trial.id] for trial in run.stage("search")} == {50}
    every = [100, *lengths, *[(lengths or [100])[-1]] * 2]  # one of each length, and up to three of the last
    assert sorted(len(run.confirmations(trial.id)) for trial in run.best(3)) == [1, 2, 3]  # a race of three
    for trial in run.best(2):
        numbers = range(1, len(lengths) + len(run.confirmations(trial.id)) + 1)
        assert [executor.lengths[f"{trial.id}.{number}"] for number in numbers] == every[: len(numbers)]
        assert all(run.recipe(each.id).epochs == every[-1] for each in run.confirmations(trial.id))
    assert run.winner and len(run.winner.test) >= 2  # the shorter ones decide nothing
    assert all(executor.lengths[trial_id] == every[-1] for trial_id in run.winner.test)
    assert len(run.stage("confirm")) == planned_confirmations(run) and eta(run, 1) == "0:00 left"


def test_why_they_are_longer_is_recorded_and_told(tmp_path: Path) -> None:
    run = search(tmp_path / "run", Learner(GAINS["once"][0]))
    event = next(event for event in events_of(tmp_path / "run") if isinstance(event, ConfirmationLengthened))
    assert event == ConfirmationLengthened(200, [(50, 0.5), (100, 0.9)])
    assert rare_lines(event, run) == [
        "longer    balanced accuracy of the best on select: 0.500 after 50 epochs, 0.900 after 100 epochs; so "
        "confirmations train for 200"
    ]


def test_a_search_stopped_while_it_confirms_resumes_as_if_it_had_not_been(tmp_path: Path) -> None:
    curve = GAINS["twice"][0]
    whole = search(tmp_path / "whole", Learner(curve))
    for stop in range(5, 5 + len(whole.stage("confirm"))):
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / str(stop), Learner(curve, stop_after=stop))
        again = Learner(curve)
        run = resume(tmp_path / str(stop), again)
        assert run.lengthened == whole.lengthened and run.winner == whole.winner
        assert len(again.trained) == len(whole.trials) - stop  # nothing is trained twice


def test_those_that_failed_say_nothing_of_the_length(tmp_path: Path) -> None:
    executor = Learner(GAINS["once"][0])
    best = [trial.id for trial in search(tmp_path / "a", executor).best(2)]
    one = search(tmp_path / "b", Learner(GAINS["once"][0], fail=[f"{best[0]}.1"]))
    assert [event.epochs for event in one.lengthened] == [200]
    none = search(tmp_path / "c", Learner(GAINS["once"][0], fail=[f"{trial}.1" for trial in best]))
    assert none.lengthened == [] and none.winner


def test_a_length_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    run = search(tmp_path / "run", Learner(GAINS["always"][0]), lengthen=False)
    assert run.lengthened == [] and run.final_epochs == 100


@pytest.mark.parametrize(
    ("changes", "of_trials", "of_confirmations", "is_open"),
    [
        ({}, 49, 98, True),
        ({"confirm": 0}, 98, 98, False),  # the winner is a trial
        ({"recipe": Recipe(epochs=10)}, 10, 10, False),
        ({"recipe": Recipe(epochs=10), "confirm_epochs": 30}, 10, 30, False),
        ({"confirm_epochs": 31}, 16, 31, False),
        ({"time_limit": 600.0}, 49, 98, False),
    ],
)
def test_trials_train_half_as_long_as_what_follows(
    changes: dict[str, Any], of_trials: int, of_confirmations: int, is_open: bool
) -> None:
    values = {"space": "vgg", "budget": Budget(max_params=4_000), "data": DataConfig(imbalance=20)}
    planned = plan_search(SearchConfig(**(values | {"recipe": RECIPES["auto"]} | changes))).config
    assert (planned.recipe.epochs, planned.confirm_recipe.epochs) == (of_trials, of_confirmations)
    assert planned.lengthen is is_open


def test_noise_is_the_standard_error_of_a_mean_recall() -> None:
    rng, counts = np.random.default_rng(0), np.array([40.0, 10.0, 25.0])
    truth = np.array([0.9, 0.6, 0.75])
    sampled = [(rng.binomial(counts.astype(int), truth) / counts).mean() for _ in range(4000)]
    assert standard_error(truth, counts) == pytest.approx(np.std(sampled), rel=0.1)
    assert standard_error(np.array([1.0, 1.0]), np.array([9.0, 9.0])) > 0  # all right is not certain
    assert standard_error(np.array([0.5, np.nan]), np.array([9.0, 0.0])) == pytest.approx(0.5 / 3, rel=0.1)
