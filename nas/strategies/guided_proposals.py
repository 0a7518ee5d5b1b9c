"""Proposals that a predictor chooses among what NNI's strategy could propose: ``--guide on``.

NNI's evolution keeps its loop, its population and its tournaments, and its random search its loop. Where they ask for a
mutant of a parent or for a fresh sample, they get the candidate with the best prospect. What was not chosen
costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from budgets import Budget
from nas.runs import SearchRun, TrialRecord
from nas.strategies.base import Proposal
from nas.strategies.guide import Guide
from nas.strategies.proposals import FIRST, Proposer
from search_spaces import Sample, SearchSpace, Task


def expected_scores(run: SearchRun) -> dict[str, float]:
    """Expected scores of the finished trials of a search by all that ended, by id."""
    guide = GuidedProposer.of(run).guide
    for what, trial in run.course:
        if what == "result":
            guide.tell(trial)
    return {trial: score for trial, score in guide.expected().items() if run.trials[trial].status == "finished"}


class GuidedProposer(Proposer):
    """A ``Proposer`` whose samples a guide picks. When a search is replayed, the recorded proposals take the place of
    its answers, so a resumed search does not depend on the last digits of a prediction."""

    def __init__(
        self, space: SearchSpace, task: Task, budget: Budget, *, seed: int, objective: str,
        recorded: Sequence[TrialRecord] = (), first: Sequence[Sample] = (),
        learned: Sequence[tuple[Sample, float | None]] = (),
    ) -> None:  # fmt: skip
        super().__init__(space, task, budget, first=first)
        self.guide = Guide(space, task, budget, seed=seed, objective=objective, learned=learned)
        self._recorded = recorded
        self._number = 0
        self._last: Proposal | None = None

    @classmethod
    def of(cls, run: SearchRun) -> Self:
        """The proposer of a search, as far as it has come."""
        config = run.config
        return cls(
            run.space, run.task, run.budget, seed=config.seed, objective=config.objective,
            recorded=run.stage("search"), first=config.first, learned=run.facts.learned,
        )  # fmt: skip

    def fresh(self, rng: np.random.Generator) -> Sample | None:
        """The best of all candidates. ``rng`` is not used: a proposal depends on its number, not on those before."""
        return self._next(None)

    def mutant(self, parent: Sample, rng: np.random.Generator) -> Sample | None:
        """The same, mutants of ``parent`` among them."""
        return self._next(parent)

    def proposal(self, sample: Sample) -> Proposal:
        """The last sample, with what was expected of it."""
        return self._last if self._last is not None and self._last.sample == sample else Proposal(sample)

    def tell(self, trial: TrialRecord) -> None:
        self.guide.tell(trial)

    def _next(self, parent: Sample | None) -> Sample | None:
        proposal = self._recalled() or self._enqueued() or self._picked(parent)
        if proposal is None:
            return None
        self._number += 1
        self._last = proposal
        self.guide.propose(proposal.sample)
        return proposal.sample

    def _recalled(self) -> Proposal | None:
        if self._number >= len(self._recorded):
            return None
        trial = self._recorded[self._number]
        return Proposal(dict(trial.sample), trial.note, trial.predicted)

    def _enqueued(self) -> Proposal | None:
        sample = self.next_first(self._number)
        return None if sample is None else Proposal(sample, FIRST)

    def _picked(self, parent: Sample | None) -> Proposal | None:
        pick = self.guide.pick(parent)
        if pick is None:
            return None
        return Proposal(pick.sample, pick.parent and f"mutant of {pick.parent}", pick.predicted)
