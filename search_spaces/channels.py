"""Channels of a supernet's tensors that depend on choices not made yet.

Every tensor of the supernet has room for the most channels it can have. Under weighted choices, channel c
carries the probability that it exists (as in FBNetV2, Wan et al. 2020, where a prefix of the channels is
masked); on a path, only the channels that exist are there, and ``index`` says which of the room they are.

A concatenation keeps room for each part by itself, so that a channel means the same whatever the widths of the
parts before it: with prefixes alone the channels of a DenseNet would shift against their weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from search_spaces.errors import NotRepresentable
from search_spaces.vocabulary import Choice

MOST_COMBINATIONS = 4_000_000  # of the choices that one number depends on

Indices = Mapping[str, npt.NDArray[np.int64]]  # by label: for each of K combinations the index of its value
Scope = Mapping[str, tuple[int, ...]]  # by label: the values that are possible here, inside a branch
Possible = Callable[[Indices, Scope], npt.NDArray[np.bool_]]
"""Which of K combinations of some choices' values are in some network that is wanted, where ``Scope`` holds (K,)."""


class Decided:
    """Decisions of the current pass: probabilities of the choices' values, or one index each (a path)."""

    def __init__(self) -> None:
        self.choices: Mapping[str, Tensor | int] = {}
        self.is_path = False
        self._known: dict[tuple[str, int], Any] = {}

    def begin(self, choices: Mapping[str, Tensor | int]) -> None:
        """Start a pass: what was derived from the choices of the last one is forgotten."""
        self.choices = choices
        self.is_path = all(isinstance(decision, int) for decision in choices.values())
        self._known.clear()

    def probabilities(self, label: str) -> Tensor:
        """Those of the values of a choice (number of values,)."""
        decision = self.choices[label]
        assert isinstance(decision, Tensor)
        return decision

    def index(self, label: str) -> int:
        """Index of a choice's value on this path."""
        decision = self.choices[label]
        assert isinstance(decision, int)
        return decision

    def once(self, name: str, owner: object, make: Callable[[], Any]) -> Any:
        """Result of ``make``, made once a pass: many layers share one width."""
        key = (name, id(owner))
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def share(self, choice: Choice, indices: Sequence[int], scope: Scope | None = None) -> Tensor:
        """The probability that ``choice`` takes one of the values at ``indices``, of those in ``scope``."""
        p = self.probabilities(choice.label)
        part = p[list(indices)].sum()
        allowed = (scope or {}).get(choice.label)
        return part if allowed is None else part / p[list(allowed)].sum().clamp(min=1e-12)


class Number:
    """A whole number that depends on choices: ``of`` computes it for K combinations of their values at once.

    It is at most what it is in a network that is wanted, as ``possible`` says, if it is given: above that, in networks
    which nobody will take out, it counts as that much.
    """

    def __init__(
        self,
        key: Hashable,
        choices: Sequence[Choice],
        of: Callable[[Indices], Any],
        scope: Scope | None = None,
        *,
        possible: Callable[[Indices], npt.NDArray[np.bool_]] | None = None,
    ) -> None:
        self.choices = {choice.label: choice for choice in choices}
        self.of = of
        self.scope = {label: values for label, values in (scope or {}).items() if label in self.choices}
        self.key = (key, tuple(sorted(self.scope.items())))
        allowed = [self.scope.get(label, tuple(range(len(c.values)))) for label, c in self.choices.items()]
        count = int(np.prod([len(values) for values in allowed], dtype=object)) if allowed else 1
        if count > MOST_COMBINATIONS:
            raise NotRepresentable(
                f"a width depends on {', '.join(self.choices)} together: {count:,} combinations, "
                f"of at most {MOST_COMBINATIONS:,}"
            )
        grids = [grid.ravel() for grid in np.meshgrid(*map(np.asarray, allowed), indexing="ij")]
        self.combinations = dict(zip(self.choices, grids, strict=True))
        self.values = np.broadcast_to(np.asarray(of(self.combinations), np.int64), (count,))
        wanted = self.values if possible is None else self.values[possible(self.combinations)]
        if len(wanted):
            self.values = np.minimum(self.values, wanted.max())
        self.most, self.least = int(self.values.max()), int(self.values.min())
        self._tensors: dict[torch.device, tuple[Tensor, list[Tensor]]] = {}

    def tail(self, decided: Decided) -> Tensor:
        """The probability that the number is above c, for every c from 0 to ``most - 1``: (most,)."""
        return decided.once("tail", self, lambda: self._tail(decided))  # type: ignore[no-any-return]

    def value(self, decided: Decided) -> int:
        """The number on this path."""
        indices = {label: np.array([decided.index(label)]) for label in self.choices}
        return int(decided.once("value", self, lambda: np.asarray(self.of(indices)).ravel()[0]))

    def _tail(self, decided: Decided) -> Tensor:
        probabilities = [decided.probabilities(label) for label in self.choices]
        values, grids = self._on(probabilities[0].device)
        joint = probabilities[0][grids[0]]
        for p, grid in zip(probabilities[1:], grids[1:], strict=True):
            joint = joint * p[grid]
        if self.scope:
            joint = joint / joint.sum().clamp(min=1e-12)
        shares = joint.new_zeros(self.most + 1).index_add(0, values, joint)
        return shares.flip(0).cumsum(0).flip(0)[1:]

    def _on(self, device: torch.device) -> tuple[Tensor, list[Tensor]]:
        if device not in self._tensors:
            with torch.inference_mode(False):  # the first pass may be an evaluation; those after it train
                grids = [torch.tensor(grid, device=device) for grid in self.combinations.values()]
                self._tensors[device] = torch.tensor(self.values, device=device), grids
        return self._tensors[device]


class Channels(ABC):
    """The channels of a tensor: how much room, and which of it is used."""

    key: Hashable  # equal keys: equal channels under every decision
    size: int  # room

    @property
    @abstractmethod
    def total(self) -> Number:
        """Number of channels that exist."""

    def mask(self, decided: Decided) -> Tensor | None:
        """The probability that each exists (size,); None if all do."""
        return decided.once("mask", self, lambda: self._mask(decided))  # type: ignore[no-any-return]

    def index(self, decided: Decided) -> slice | Tensor:
        """Indices of the room that exist on this path."""
        return decided.once("index", self, lambda: self._index(decided))  # type: ignore[no-any-return]

    @abstractmethod
    def _mask(self, decided: Decided) -> Tensor | None: ...

    @abstractmethod
    def _index(self, decided: Decided) -> slice | Tensor: ...


@dataclass(frozen=True)
class Segment:
    """A part of a concatenation: the first ``width`` channels of its room, if the conditions hold."""

    width: Number
    conditions: tuple[tuple[Choice, tuple[int, ...]], ...] = ()  # the values with which the part is there

    @property
    def key(self) -> Hashable:
        return self.width.key, tuple((choice.label, indices) for choice, indices in self.conditions)


class Segments(Channels):
    """Parts one after the other, each with room of its own; an ordinary tensor has one."""

    def __init__(self, *segments: Segment) -> None:
        self.segments = segments
        self.key: Hashable = tuple(segment.key for segment in segments)
        self.size = sum(segment.width.most for segment in segments)

    @cached_property
    def total(self) -> Number:
        if len(self.segments) == 1 and not self.segments[0].conditions:
            return self.segments[0].width
        choices = {label: choice for s in self.segments for label, choice in s.width.choices.items()}
        choices |= {choice.label: choice for s in self.segments for choice, _ in s.conditions}
        scope = {label: values for s in self.segments for label, values in s.width.scope.items()}
        return Number(("total", self.key), list(choices.values()), self._count, scope)

    def _count(self, at: Indices) -> Any:
        total: Any = 0
        for segment in self.segments:
            there: Any = 1
            for choice, indices in segment.conditions:
                there = there * np.isin(at[choice.label], indices)
            total = total + segment.width.of(at) * there
        return total

    def _mask(self, decided: Decided) -> Tensor | None:
        if not any(segment.width.choices or segment.conditions for segment in self.segments):
            return None
        some = next(p for p in decided.choices.values() if isinstance(p, Tensor))
        parts = []
        for segment in self.segments:
            fixed = not segment.width.choices
            part = some.new_ones(segment.width.most) if fixed else segment.width.tail(decided)
            for choice, indices in segment.conditions:
                part = part * decided.share(choice, indices)
            parts.append(part)
        return torch.cat(parts)

    def _index(self, decided: Decided) -> slice | Tensor:
        if len(self.segments) == 1 and not self.segments[0].conditions:
            return slice(0, self.segments[0].width.value(decided))
        starts = np.cumsum([0, *(segment.width.most for segment in self.segments)])
        parts = [
            np.arange(start, start + segment.width.value(decided))
            for segment, (start, _) in zip(self.segments, pairwise(starts), strict=True)
            if all(decided.index(choice.label) in indices for choice, indices in segment.conditions)
        ]
        return torch.from_numpy(np.concatenate(parts))


class Mixed(Channels):
    """The channels of one of several tensors, as a choice decides; they share their room."""

    def __init__(self, choice: Choice, parts: Sequence[tuple[tuple[int, ...], Channels]], scope: Scope) -> None:
        self.choice, self.parts, self.scope = choice, parts, scope
        self.key: Hashable = ("mixed", choice.label, tuple((indices, channels.key) for indices, channels in parts))
        self.size = max(channels.size for _, channels in parts)

    @cached_property
    def total(self) -> Number:
        choices = {label: c for _, channels in self.parts for label, c in channels.total.choices.items()}
        choices[self.choice.label] = self.choice
        return Number(self.key, list(choices.values()), self._count, self.scope)

    def _count(self, at: Indices) -> Any:
        chosen = at[self.choice.label]
        return sum(np.isin(chosen, indices) * channels.total.of(at) for indices, channels in self.parts)

    def _mask(self, decided: Decided) -> Tensor:
        total: Tensor | None = None
        for indices, channels in self.parts:
            share = decided.share(self.choice, indices, self.scope)
            mask = channels.mask(decided)
            part = widened(share.new_ones(channels.size) if mask is None else mask, self.size) * share
            total = part if total is None else total + part
        assert total is not None
        return total

    def _index(self, decided: Decided) -> slice | Tensor:
        chosen = decided.index(self.choice.label)
        return next(channels for indices, channels in self.parts if chosen in indices).index(decided)


def fixed(count: int) -> Segments:
    """Channels that no choice changes."""
    return Segments(Segment(Number(count, (), lambda at: count)))


def widened(x: Tensor, size: int, dim: int = 0) -> Tensor:
    """``x`` with zeros after it, up to ``size`` along ``dim``."""
    if x.shape[dim] == size:
        return x
    shape = list(x.shape)
    shape[dim] = size - shape[dim]
    return torch.cat([x, x.new_zeros(shape)], dim)
