"""The budget in the alphas' loss: how far, on average, an architecture sampled from the alphas is outside."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from budgets import Budget, costs_of
from nas.strategies.oneshot.alphas import sample
from search_spaces import SearchSpace, Task
from search_spaces.space import Rows

SAMPLES = 2048  # costed in one call for one estimate
ENUMERABLE = 4096  # samples up to which a space is summed over instead


class BudgetPenalty:
    """E[log(1 + excess)] over the architectures that the alphas' probabilities stand for.

    The excess is ``Budget.excess``: 0 where an architecture fits, so the penalty is 0 exactly if all do. The
    logarithm keeps an architecture a hundred times too large from drowning all others.
    """

    def __init__(self, space: SearchSpace, task: Task, budget: Budget) -> None:
        self._space, self._task, self._budget = space, task, budget
        self._all: tuple[Rows, Tensor] | None = None
        if space.num_samples <= ENUMERABLE:
            rows = _every_row(space)
            self._all = rows, self._values(rows)

    def __call__(self, probabilities: dict[str, Tensor], rng: np.random.Generator) -> Tensor:
        """The penalty as a scalar on the CPU, with a gradient to ``probabilities`` (by label).

        In a space of at most ``ENUMERABLE`` samples both are exact. Elsewhere the value is the mean over
        ``SAMPLES`` architectures, and the gradient the score function's estimate (Williams 1992, "Simple statistical
        gradient-following algorithms"): unbiased, since the baseline of each sample is the mean of the others.
        """
        parts = [probabilities[choice.label] for choice in self._space.choices]
        flat = torch.cat(parts).cpu()  # one transfer from the device for all choices
        if self._all is not None:
            rows, values = self._all
            return (_likelihood(flat, parts, rows) * values.to(flat.dtype)).sum()
        detached = [part.double().numpy() for part in torch.split(flat.detach(), [len(part) for part in parts])]
        rows = sample([part / part.sum() for part in detached], rng, SAMPLES)
        values = self._values(rows)
        gain = ((values - values.mean()) * len(rows) / (len(rows) - 1)).to(flat.dtype)
        # Probabilities of 0 are never sampled; without the bound their infinite derivative would spoil the rest.
        log_flat = flat.clamp_min(torch.finfo(flat.dtype).tiny).log()
        surrogate = (gain * log_flat[_places(parts, rows)].sum(1)).mean()
        return values.mean().to(flat.dtype) + surrogate - surrogate.detach()

    def _values(self, rows: Rows) -> Tensor:
        return torch.from_numpy(np.log1p(self._budget.excess(costs_of(self._space, rows, self._task))))


def _every_row(space: SearchSpace) -> Rows:
    sizes = [len(choice.values) for choice in space.choices]
    return np.indices(sizes).reshape(len(sizes), -1).T.astype(np.int16)


def _likelihood(flat: Tensor, parts: list[Tensor], rows: Rows) -> Tensor:
    return flat[_places(parts, rows)].prod(1)


def _places(parts: list[Tensor], rows: Rows) -> Tensor:
    """Positions of the probabilities of rows (N, choices) in all probabilities one after another."""
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    return torch.from_numpy(rows.astype(np.int64) + starts)
