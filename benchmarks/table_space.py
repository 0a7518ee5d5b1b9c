"""A table of trained networks, and the search space that it is: for benchmarks/tabular.py."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from budgets import Budget
from search_spaces import Sample, SearchSpace
from search_spaces.registry import in_words
from search_spaces.space import Rows
from search_spaces.vocabulary import Choice

Floats = npt.NDArray[np.float64]
NAME = "table"  # of the space that a table becomes
KNOWN = re.compile(r"cost|score([:@].+)?|params|macs|test:.+")  # columns that are no choices


class TableError(Exception):
    """A table that cannot be read, in a sentence."""


@dataclass(frozen=True)
class Table:
    """A table of N networks: what was chosen, what each costs, and what is known of it."""

    name: str
    choices: tuple[Choice, ...]
    rows: Rows  # (N, number of choices)
    costs: npt.NDArray[np.int64]  # (N, 4): parameters, MACs, bytes and peak memory; 0 where not known
    seconds: Floats  # (N,)
    scores: Floats  # (N, seeds), nan where there is none
    curves: dict[int, Floats]  # by epochs (N,)
    test: Floats  # (N,), of the column that is reported
    test_name: str

    def within(self, budget: Budget) -> Table:
        """The networks that fit."""
        params, macs = self.costs[:, 0], self.costs[:, 1]
        fit = np.ones(len(self.rows), bool)
        for limit, values in (("max_params", params), ("max_macs", macs)):
            if (most := getattr(budget, limit)) is not None:
                if not values.any():
                    raise TableError(
                        f"{self.name} does not tell {limit[4:]}, which --{limit.replace('_', '-')} limits."
                    )
                fit &= values <= most
        fit &= params >= (budget.min_params or 0)
        if fit.sum() < 2:
            raise TableError(f"{int(fit.sum())} of the {len(fit)} networks of {self.name} fit the budget.")
        curves = {epochs: curve[fit] for epochs, curve in self.curves.items()}
        return Table(
            self.name, self.choices, self.rows[fit], self.costs[fit], self.seconds[fit], self.scores[fit], curves,
            self.test[fit], self.test_name,
        )  # fmt: skip


def read_table(path: Path, test: str | None = None) -> Table:
    """The table in a CSV; ``test`` names the column that is reported. TableError says what is wrong with it."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    if not lines:
        raise TableError(f"{path} has no rows.")
    columns = {name: [line[name] or "" for line in lines] for name in lines[0]}

    def numbers(name: str) -> Floats:
        try:
            return np.array([float(text) if text else math.nan for text in columns[name]])
        except ValueError as error:
            raise TableError(f"{path}, column {name}: {error}.") from None

    tested, scores = _tested(path, list(columns), test), _scores(path, columns, numbers)
    labels = [name for name in columns if not KNOWN.fullmatch(name)]
    choices = tuple(_choice(label, columns[label]) for label in labels)
    rows = np.stack([_places(choice, columns[choice.label]) for choice in choices], axis=1)
    if len(np.unique(rows, axis=0)) < len(rows):
        raise TableError(f"{path} holds a network twice: every combination of {', '.join(labels)} may stand once.")
    costs = np.zeros((len(rows), 4), np.int64)
    for index, name in enumerate(("params", "macs")):
        if name in columns:
            costs[:, index] = numbers(name)
    curves = {int(name[6:]): numbers(name) for name in columns if re.fullmatch(r"score@\d+", name)}
    return Table(path.stem, choices, rows, costs, numbers("cost"), scores, curves, numbers(tested), tested[5:])


def _tested(path: Path, columns: Sequence[str], test: str | None) -> str:
    tests = [name for name in columns if name.startswith("test:")]
    chosen = f"test:{test}" if test else next(iter(tests), "")
    if chosen not in tests:
        there = ", ".join(tests) or "no column test:NAME"
        raise TableError(f"{path} has {there}" + (f", no {chosen}." if test else "."))
    return chosen


def _scores(path: Path, columns: Mapping[str, Sequence[str]], numbers: Callable[[str], Floats]) -> Floats:
    """(N, seeds), nan where a network was not trained with a seed."""
    by_seed = [name for name in columns if name.startswith("score:")] or ["score"]
    if missing := [name for name in ("cost", *by_seed) if name not in columns]:
        raise TableError(f"{path} lacks the column {' and '.join(missing)}.")
    scores = np.stack([numbers(name) for name in by_seed], axis=1)
    without = np.isnan(scores).all(axis=1)
    if without.any():
        raise TableError(f"{path}, row {int(without.argmax()) + 1}: no score.")
    return scores


def _choice(label: str, texts: Sequence[str]) -> Choice:
    try:
        return Choice(label, tuple(sorted({_number(text) for text in texts})))
    except ValueError:
        return Choice(label, tuple(sorted(set(texts))))


def _number(text: str) -> Any:
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _places(choice: Choice, texts: Sequence[str]) -> Rows:
    words = any(isinstance(value, str) for value in choice.values)
    place = {value: index for index, value in enumerate(choice.values)}
    return np.array([place[text if words else _number(text)] for text in texts], np.int16)


class TableSpace(SearchSpace):
    """The networks of a table as a search space: whatever is sampled is one of its rows. Of one search, since it knows
    which were taken."""

    def __init__(self, table: Table) -> None:
        middle = table.rows[len(table.rows) // 2]
        usual = {choice.label: choice.values[int(at)] for choice, at in zip(table.choices, middle, strict=True)}
        super().__init__(NAME, f"the table {table.name}", table.choices, _not_defined, in_words, usual)
        sizes = self._sizes.astype(np.int64)
        setattr_ = object.__setattr__  # a SearchSpace is frozen
        setattr_(self, "table", table)
        setattr_(self, "_factors", np.concatenate([np.cumprod(sizes[::-1])[::-1][1:], [1]]))
        keys = table.rows.astype(np.int64) @ self._factors
        setattr_(self, "_order", np.argsort(keys))
        setattr_(self, "_keys", keys[self._order])
        setattr_(self, "free", np.ones(len(table.rows), bool))
        words = np.array([isinstance(choice.values[0], str) for choice in table.choices])
        setattr_(self, "_steps", np.where(words, np.inf, np.maximum(sizes - 1, 1)))

    table: Table
    free: npt.NDArray[np.bool_]
    _factors: npt.NDArray[np.int64]
    _order: npt.NDArray[np.intp]
    _keys: npt.NDArray[np.int64]
    _steps: Floats

    def places(self, rows: Rows) -> npt.NDArray[np.intp]:
        """Position of each of ``rows`` in the table; -1: nowhere."""
        keys = rows.astype(np.int64) @ self._factors
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._order[at], -1)

    def nearest(self, rows: Rows, *, taken_too: bool = False) -> Rows:
        """``rows``, with the nearest free row of the table in place of those that it lacks: a word differs by 1, a
        number by its share of the way from the smallest to the largest."""
        at = self.places(rows)
        missing = np.flatnonzero((at < 0) | (taken_too & ~self.free[at]))
        free = self.table.rows[self.free]
        if not len(missing) or not len(free):
            return rows
        out = rows.copy()
        for start in range(0, len(missing), 256):
            part = missing[start : start + 256]
            distance = np.zeros((len(part), len(free)), np.float32)
            for column, steps in enumerate(self._steps):
                apart = rows[part, column, None] - free[None, :, column]
                distance += (apart != 0) if np.isinf(steps) else np.abs(apart) / np.float32(steps)
            out[part] = free[distance.argmin(axis=1)]
        return out

    def sample_uniform(self, rng: np.random.Generator, count: int) -> Rows:
        return self.table.rows[rng.integers(len(self.table.rows), size=count)]

    def sample_over_sizes(self, rng: np.random.Generator, count: int) -> Rows:
        if len(self.table.rows) < self.num_samples:
            return self.sample_uniform(rng, count)  # nothing leans where most rows would stand for others
        return super().sample_over_sizes(rng, count)

    def mutants(self, row: npt.NDArray[Any], rng: np.random.Generator, count: int) -> Rows:
        is_open = self._sizes > 1
        changes = rng.integers(1, min(3, int(is_open.sum())) + 1, (count, 1))
        anew = np.zeros((count, len(self.choices)), bool)
        anew[:, is_open] = rng.random((count, int(is_open.sum()))).argsort(axis=1) < changes
        values = (rng.random((count, len(self.choices))) * self._sizes).astype(np.int16)
        return self.nearest(np.where(anew, values, row).astype(np.int16))

    def known_costs(self, rows: Rows) -> npt.NDArray[np.int64]:
        return self.table.costs[self.places(rows)]

    def architecture_id(self, sample: Sample, task: object) -> str:
        return str(int(self.places(self.encode(sample)[None])[0]))


def _not_defined(*_: object) -> Any:
    raise TableError("A network of a table cannot be built.")
