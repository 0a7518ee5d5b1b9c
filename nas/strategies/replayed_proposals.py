"""Proposing again what a recorded search proposed, without sampling all of it again.

A mutant is sampled from a generator of its own, and leaves nothing behind but its architecture. So when a search is
replayed, a mutant that the log holds can be taken from there, which is a hundred times as fast. Fresh samples are
sampled again, since the samples in store depend on it; and every ``CHECKED``-th mutant is, so that a search of another
version is still noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from budgets import Budget
from nas.runs import SearchRun, TrialRecord
from nas.strategies.proposals import MUTANT, Proposer
from search_spaces import Sample, SearchSpace, Task

CHECKED = 50
MOST_CHANGES = 3  # of a mutant, see SearchSpace.mutants


class RecallingProposer(Proposer):
    """Proposes what a ``Proposer`` does. ``recorded`` are the trials of the search in the log, in their order."""

    def __init__(self, space: SearchSpace, task: Task, budget: Budget, *, recorded: Sequence[TrialRecord] = (),
        first: Sequence[Sample] = (),
    ) -> None:  # fmt: skip
        super().__init__(space, task, budget, first=first)
        self.recorded = recorded

    @classmethod
    def of(cls, run: SearchRun) -> Self:
        """The proposer of a search, as far as it has come."""
        return cls(run.space, run.task, run.budget, recorded=run.stage("search"), first=run.config.first)

    def mutant(self, parent: Sample, rng: np.random.Generator) -> Sample | None:
        """As in ``Proposer``."""
        number = len(self._proposed)
        if number < len(self.recorded) and number % CHECKED:
            trial = self.recorded[number]
            changes = sum(parent[label] != value for label, value in trial.sample.items())
            if trial.note == MUTANT and changes <= MOST_CHANGES:
                self.was_mutant = True
                self._proposed.add(trial.architecture)
                return dict(trial.sample)
        return super().mutant(parent, rng)
