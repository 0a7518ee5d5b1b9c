"""Values of a space's choices that some network within a budget uses; a supernet needs no others.

Costs rise with every number of a definition, and the operations of a cell add up. So the cheapest network with some
value of a choice is the cheapest of all with that value, and with one other choice where the choice counts only then: a
stage's width is nothing to a network that ends before that stage.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from budgets.budget import COST_OF_LIMIT, Budget
from budgets.cost import costs_of, params_of
from budgets.sampling import smallest
from search_spaces.restriction import with_values
from search_spaces.space import Sample, SearchSpace, Task

if TYPE_CHECKING:
    from search_spaces.channels import Indices, Scope  # which imports torch


MOST_COMBINATIONS = 200_000  # that are costed, in a fraction of a second


def usable(space: SearchSpace, task: Task, budget: Budget) -> SearchSpace:
    """``space`` without the values that no network within the upper limits of ``budget`` uses.

    No network that fits is lost: a sample with such a value is over a limit, or its network is that of another sample.
    """
    left = {choice.label: set(choice.values) for choice in space.choices}
    for name, limit in budget.limits.items():
        if name.startswith("max"):
            for label, values in _over(space, task, COST_OF_LIMIT[name], limit).items():
                left[label] -= values
    lowest = _lowest(space, task)
    kept = {c.label: tuple(v for v in c.values if v in left[c.label]) or (lowest[c.label],) for c in space.choices}
    return with_values(space, kept)


def _lowest(space: SearchSpace, task: Task) -> Sample:
    return smallest(space, task, "params")[0]


def _over(space: SearchSpace, task: Task, cost_name: str, limit: int) -> dict[str, set[int | str]]:
    """By label: the values that put every network that uses them over a limit."""
    base = space.encode(smallest(space, task, cost_name)[0])
    sizes = [len(choice.values) for choice in space.choices]
    column = np.repeat(np.arange(len(sizes)), sizes)
    value = np.concatenate([np.arange(size) for size in sizes])
    others = np.repeat(base[None], len(column), axis=0)  # the cheapest, with one other choice
    others[np.arange(len(column)), column] = value
    used = [space.used(row, task) for row in others]
    counts = np.array([[label in read for label in space.labels] for read in used])
    rows = np.repeat(others[:, None], len(column), axis=1)  # and with one value of one choice
    rows[:, np.arange(len(column)), column] = value
    costs = getattr(costs_of(space, rows.reshape(-1, len(sizes)), task), cost_name).reshape(len(column), -1)
    depends = counts[:, column] & ((column[:, None] != column) | (value[:, None] == value))
    cheapest = np.where(depends, costs, np.iinfo(np.int64).max).min(axis=0)
    found: dict[str, set[int | str]] = {}
    for index, choice in enumerate(space.choices):
        least = cheapest[column == index]
        if (depends[:, column == index]).any():
            found[choice.label] = {v for v, cost in zip(choice.values, least, strict=True) if cost > limit}
    return found


class Reach:
    """Combinations of some choices' values that a budget allows: called, a ``search_spaces.channels.Possible``."""

    def __init__(self, space: SearchSpace, task: Task, budget: Budget) -> None:
        self._space, self._task = space, task
        self._limits = {COST_OF_LIMIT[name]: limit for name, limit in budget.limits.items() if name.startswith("max")}
        self._bases = {name: space.encode(smallest(space, task, name)[0]) for name in self._limits}
        self._known: dict[Hashable, npt.NDArray[np.bool_]] = {}

    def __call__(self, combinations: Indices, scope: Scope) -> npt.NDArray[np.bool_]:
        """Those whose cheapest network, with the first value in ``scope`` of other choices that it tells of, is within
        every upper limit; all of very many."""
        key = (*combinations, *sorted(scope.items()))
        if key not in self._known:
            self._known[key] = self._within(combinations, scope)
        return self._known[key]

    def _within(self, combinations: Indices, scope: Scope) -> npt.NDArray[np.bool_]:
        number = len(next(iter(combinations.values())))
        fits = np.ones(number, bool)
        if number > MOST_COMBINATIONS:
            return fits
        for name, limit in self._limits.items():
            rows = np.repeat(self._bases[name][None], number, axis=0)
            for column, label in enumerate(self._space.labels):
                if label in combinations:
                    rows[:, column] = combinations[label]
                elif label in scope:
                    rows[:, column] = scope[label][0]
            count = params_of if name == "params" else lambda *of, name=name: getattr(costs_of(*of), name)
            fits &= count(self._space, rows, self._task) <= limit
        return fits
