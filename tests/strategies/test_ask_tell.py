"""A strategy of one's own: asked and told, killed and resumed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from simulated_search import TASK, Simulated, begin, recorded, story

from budgets import Budget
from nas.engine.search import run_search
from nas.executors import WorkerSlot
from nas.runs import EventLog, SearchRun, TrialRecord
from nas.strategies.base import Driven, Proposal
from nas.strategies.proposals import Proposer
from nas.strategies.registry import driven, get_strategy, register_strategy
from nas.testing import check_strategy
from search_spaces import SearchSpace


class HillClimber:
    """Tries a mutant of the best trial so far, or something new after three proposals in vain."""

    def __init__(self, space: SearchSpace, budget: Budget, objective: str, seed: int) -> None:
        self.proposer = Proposer(space, TASK, budget)
        self.objective, self.seed = objective, seed
        self.number, self.in_vain = 0, 0
        self.best: TrialRecord | None = None

    def ask(self) -> Proposal | None:
        self.number += 1
        rng = np.random.default_rng((self.seed, self.number))
        climbs = self.best is not None and self.in_vain < 3
        sample = self.proposer.mutant(self.best.sample, rng) if climbs else self.proposer.fresh(rng)
        return None if sample is None else Proposal(sample, "climb" if climbs else "new")

    def tell(self, trial: TrialRecord) -> None:
        score = trial.score(self.objective)
        if score is None:
            return
        if self.best is None or score > (self.best.score(self.objective) or 0.0):
            self.best, self.in_vain = trial, 0
        else:
            self.in_vain += 1


def climb(folder: Path, executor: Simulated, *, new: bool = True) -> SearchRun:
    with begin(folder, space="vgg", strategy="random", trials=25, confirm=1) if new else EventLog(folder) as log:
        run = recorded(log)
        strategy = Driven(HillClimber(run.space, run.budget, run.config.objective, run.config.seed))
        slots = [WorkerSlot("cpu", 1)] * executor.num_slots
        return run_search(run, log, slots, [], lambda slots: executor, strategy=strategy)


def test_it_runs_through_a_search_and_learns_from_what_it_is_told(tmp_path):
    run = climb(tmp_path / "run", Simulated())
    assert run.state == "done" and len(run.stage("search")) == 25
    notes = [trial.note for trial in run.stage("search")]
    assert notes[0] == "new" and {"new", "climb"} == set(notes)
    scores = [trial.score("balanced_accuracy") for trial in run.stage("search")]
    assert max(scores) > scores[0] + 0.02


@pytest.mark.parametrize("name", ["evolution", "random"])
def test_registered_strategies_keep_their_promises(name):
    check_strategy(get_strategy(name).make)


def test_an_own_strategy_keeps_them_too_and_one_that_samples_from_nowhere_does_not():
    def own(run: SearchRun, seed: int = 0) -> Driven:
        return Driven(HillClimber(run.space, run.budget, run.config.objective, seed))

    check_strategy(own)
    seeds = itertools.count()
    with pytest.raises(AssertionError, match="use the seed alone"):
        check_strategy(lambda run: own(run, next(seeds)))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("stop", [0, 1, 7, 24, 26])
def test_killed_anywhere_it_resumes_as_if_it_had_not_been(tmp_path, workers, stop):
    climb(tmp_path / "whole", Simulated(workers))
    with pytest.raises(KeyboardInterrupt):
        climb(tmp_path / "run", Simulated(workers, stop_after=stop))
    climb(tmp_path / "run", Simulated(workers), new=False)
    if workers == 1:  # with more, trials that start again end in another order
        assert story(tmp_path / "run") == story(tmp_path / "whole")
    ids = [trial.id for trial in recorded_trials(tmp_path / "run")]
    assert ids == [str(number) for number in range(1, 26)]


def recorded_trials(folder: Path) -> list[TrialRecord]:
    with EventLog(folder) as log:
        return recorded(log).stage("search")


def test_a_recorded_proposal_takes_the_place_of_another(tmp_path):
    """The log decides: a strategy that would now propose something else is told of what was trained."""
    with pytest.raises(KeyboardInterrupt):
        climb(tmp_path / "run", Simulated(stop_after=5))
    told: list[str] = []

    class Other(HillClimber):
        def ask(self) -> Proposal | None:
            self.seed = 99
            return super().ask()

        def tell(self, trial: TrialRecord) -> None:
            told.append(trial.id)
            super().tell(trial)

    before = [trial.architecture for trial in recorded_trials(tmp_path / "run")]
    with EventLog(tmp_path / "run") as log:
        run = recorded(log)
        strategy = Driven(Other(run.space, run.budget, run.config.objective, 99))
        run = run_search(run, log, [WorkerSlot("cpu", 1)], [], lambda slots: Simulated(), strategy=strategy)
    assert [trial.architecture for trial in run.stage("search")][: len(before)] == before
    assert told == [str(number) for number in range(1, 26)]


def test_one_that_has_nothing_left_ends_the_search_with_a_note(tmp_path):
    class Short(HillClimber):
        def ask(self) -> Proposal | None:
            return super().ask() if self.number < 4 else None

    with begin(tmp_path / "run", strategy="random", confirm=0) as log:
        run = recorded(log)
        strategy = Driven(Short(run.space, run.budget, run.config.objective, 0))
        run = run_search(run, log, [WorkerSlot("cpu", 1)], [], lambda slots: Simulated(), strategy=strategy)
    assert len(run.stage("search")) == 4 and run.state == "done"
    assert run.notes == ["Every architecture found to fit the budget was tried: 4."]


def test_a_name_is_taken_once_and_the_nearest_is_suggested():
    with pytest.raises(ValueError, match="evolution"):
        register_strategy("evolution")(lambda run: Driven(None))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Did you mean 'evolution'"):
        get_strategy("evolutoin")


def test_what_a_strategy_keeps_may_be_called_as_it_likes():
    class Own:
        def __init__(self, run: SearchRun) -> None:
            self.run = run

        def ask(self) -> Proposal | None:
            return None

        def tell(self, trial: TrialRecord) -> None: ...

    assert isinstance(driven(Own(None)), Driven)  # type: ignore[arg-type]
