"""Architectures that fit the budget, to sample from by size: what random one-shot trains and answers with."""

from __future__ import annotations

import numpy as np

from budgets import Budget, params_of
from budgets.sampling import distinct, pick, sample_feasible
from search_spaces import Sample, SearchSpace, Task
from search_spaces.space import Rows

ROUNDS = 8  # of sampling, a few hundred that fit in each
BATCHES = 8  # in each round


class Pool:
    """Rows that fit, sampled once; never empty for a budget that was resolved (``budgets.sampling.resolve_budget``).

    A pick takes a bin of size first, so that small networks do not outnumber the large ones.
    """

    def __init__(self, space: SearchSpace, task: Task, budget: Budget, *, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rounds = [sample_feasible(space, task, budget, rng, most_batches=BATCHES)[0] for _ in range(ROUNDS)]
        if not any(map(len, rounds)):  # rare ones: sample as when the budget was resolved
            rounds = [sample_feasible(space, task, budget, np.random.default_rng(0))[0]]
        self._space = space
        self.rows: Rows = distinct(np.concatenate(rounds))[0]
        self.params = params_of(space, self.rows, task)

    def sample(self, rng: np.random.Generator) -> Sample:
        """One of them, distributed over sizes."""
        return self._space.decode(self.rows[pick(self.params, rng)])

    def sample_over_sizes(self, rng: np.random.Generator, count: int) -> Rows:
        """``count`` of them, distributed over sizes, some perhaps more than once."""
        return self.rows[[pick(self.params, rng) for _ in range(count)]]
