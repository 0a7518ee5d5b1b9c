"""Feasible samples that were not proposed before, distributed over sizes.

Strategies decide how to search (which parent, when to mutate); this samples it. Every random choice
takes its generator from the strategy's own random state, so a strategy replayed with the same seed and the
same results proposes the same samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from budgets import Budget, params_of
from budgets.sampling import ENOUGH, distinct, fitting, pick, sample_feasible, sample_near
from nas.runs import TrialRecord
from nas.strategies.base import Proposal
from search_spaces import Sample, SearchSpace, Task
from search_spaces.space import Rows

REFILL = 64  # samples in store below which new ones are sampled
MUTANTS = 256
ROUNDS = 4  # of looking around samples that are rare
MUTANT = "mutant"  # what is noted of a proposal that is one
FIRST = "first"  # of one that was asked for


def generator_of(state: np.random.RandomState) -> np.random.Generator:
    """Random generator of a strategy's next proposal, from the random state that the strategy goes by."""
    return np.random.default_rng(state.randint(2**31, size=4))


class Proposer:
    """Sampler of one search. Stateful: remembers what it proposed, by architecture, not by sample.

    A budget is rare if the first batch, a hundred thousand samples, has fewer than ``REFILL`` that fit. Then
    what was found is kept, and more is looked for around it, since such a batch for every proposal would take
    longer than all else. ``first`` are proposed before all others. ``was_mutant``: whether the last proposal was a
    mutant.
    """

    was_mutant = False

    def __init__(self, space: SearchSpace, task: Task, budget: Budget, *, first: Sequence[Sample] = ()) -> None:
        self.space, self.task, self.budget = space, task, budget
        self._first = {space.architecture_id(sample, task): dict(sample) for sample in first}
        self._proposed: set[str] = set()
        self._store: Rows = np.empty((0, len(space.choices)), np.int16)
        self._known = self._store  # all rows found under a rare budget
        self._least = REFILL
        self._rare: bool | None = None  # None until the first batch

    def fresh(self, rng: np.random.Generator) -> Sample | None:
        """A sample from anywhere in the space; None when none is left that can be found."""
        self.was_mutant = False
        if (sample := self.next_first(len(self._proposed))) is not None:
            self._proposed.add(self.space.architecture_id(sample, self.task))
            return sample
        for refill in (False, True):
            if refill or len(self._store) < self._least:
                self._refill(rng, anywhere=refill)
            sample, self._store = self._take(self._store, rng)
            if sample is not None:
                return sample
        return None

    def mutant(self, parent: Sample, rng: np.random.Generator) -> Sample | None:
        """A sample that differs from ``parent`` in one to three choices; a fresh one when all such are used."""
        if len(self._proposed) < len(self._first):
            return self.fresh(rng)
        self.was_mutant = True  # until it turns out to be fresh
        rows, _ = distinct(self.space.mutants(self.space.encode(parent), rng, MUTANTS))
        rows = fitting(self.space, self.task, self.budget, rows)
        sample, _ = self._take(rows, rng)
        return sample if sample is not None else self.fresh(rng)

    def next_first(self, number: int) -> Sample | None:
        """The one of ``first`` that is proposal ``number``, from 0; None: there are not so many."""
        return next(itertools.islice(self._first.values(), number, None), None)

    def proposal(self, sample: Sample) -> Proposal:
        """The last proposal, with what there is to say of it."""
        is_first = len(self._proposed) <= len(self._first)
        return Proposal(sample, FIRST if is_first else MUTANT if self.was_mutant else None)

    def tell(self, trial: TrialRecord) -> None:
        """Results change nothing in what is sampled; to a subclass they may."""

    def _refill(self, rng: np.random.Generator, *, anywhere: bool) -> None:
        if anywhere or not self._rare:
            found, _ = sample_feasible(self.space, self.task, self.budget, rng)
            if self._rare is None:
                self._rare = len(found) < REFILL
            if not self._rare:
                self._store = found
                return
            self._keep(found)
        for _ in range(ROUNDS):
            if len(self._store) < ENOUGH and len(self._known):
                self._keep(sample_near(self.space, self.task, self.budget, self._known, rng))
        self._least = min(REFILL, len(self._store) // 2)  # of few that exist, more are not to be found by asking often

    def _keep(self, found: Rows) -> None:
        """Put those rows in store that were not known."""
        rows, first = distinct(np.concatenate([self._known, found]))
        self._store = np.concatenate([self._store, rows[first >= len(self._known)]])
        self._known = rows

    def _take(self, rows: Rows, rng: np.random.Generator) -> tuple[Sample | None, Rows]:
        """A sample of ``rows`` that is new, and the rows that were not looked at."""
        params = params_of(self.space, rows, self.task)
        while len(rows):
            index = pick(params, rng)
            sample = self.space.decode(rows[index])
            rows, params = np.delete(rows, index, axis=0), np.delete(params, index)
            identity = self.space.architecture_id(sample, self.task)
            if identity not in self._proposed:
                self._proposed.add(identity)
                return sample, rows
        return None, rows
