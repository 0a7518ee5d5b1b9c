"""Images dealt into piles by class: one by one, or in groups that no two piles share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nas.data.copies import together

Rows = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]  # (..., classes)

_TRIES = 8  # orders in which groups are dealt; the best result counts
_FEW = 300  # groups of several images: more are dealt once if that leaves no class out, and never exchanged in pairs
_PASSES = 4  # over all groups, moving each to where it fits better
_MISSING = 1e6  # the cost of an image that a pile must have and has not, beside deviations from the targets


class GroupsTooFew(Exception):
    """Some classes cannot stand in every pile unless a group is parted, or no way was found.

    ``groups`` maps these classes to the number of groups that hold them; ``piles`` is how many piles there are.
    """

    def __init__(self, groups: dict[int, int], piles: int) -> None:
        super().__init__(groups, piles)
        self.groups = groups
        self.piles = piles


def deal(
    rows: Rows,
    labels: Rows,
    takes: Sequence[Rows],
    rng: np.random.Generator,
    copies: Rows | None = None,
    keep: int = 1,
) -> list[Rows]:
    """Shuffle each class and deal it out: ``takes[k][c]`` of class c to pile k, the rest to a last pile.

    What has equal ``copies`` comes to one pile; the last then gets at least ``keep`` different images of each class.
    """
    shuffled = rng.permutation(rows)
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    classes = labels[order]
    position = np.arange(len(order)) - np.searchsorted(classes, classes)  # within its class
    ends = np.cumsum(np.stack(takes), axis=0)
    pile = (position[None] >= ends[:, classes]).sum(axis=0)
    if copies is not None:
        pile = together(pile, classes, copies[order], takes, keep)
    return [np.sort(order[pile == number]) for number in range(len(takes) + 1)]


def deal_groups(
    rows: Rows, labels: Rows, groups: Rows, takes: Sequence[Rows], least: Sequence[int], rng: np.random.Generator
) -> list[Rows]:
    """The same with no group in two piles: about ``takes``, and at least ``least[k]`` of every class in pile k.

    ``labels`` and ``groups`` are of all images. If every image is a group of its own, this is what ``deal`` gives.
    GroupsTooFew where some class cannot be in every pile.
    """
    _, group_of, count = np.unique(groups[rows], return_inverse=True, return_counts=True)
    num_classes, num_piles = len(takes[0]), len(takes) + 1
    in_class = np.bincount(np.unique(group_of * num_classes + labels[rows]) % num_classes, minlength=num_classes)
    if (in_class < num_piles).any():
        raise GroupsTooFew({int(c): int(in_class[c]) for c in np.flatnonzero(in_class < num_piles)}, num_piles)
    is_single = count[group_of] == 1
    large = np.flatnonzero(count > 1)
    sizes = np.zeros((len(large), num_classes), dtype=np.int64)
    np.add.at(sizes, (np.searchsorted(large, group_of[~is_single]), labels[rows[~is_single]]), 1)
    singles = np.bincount(labels[rows[is_single]], minlength=num_classes)
    targets = np.stack([*takes, np.bincount(labels[rows], minlength=num_classes) - np.sum(takes, axis=0)])
    table = _dealt(sizes, targets, least, singles, rng)
    if lacking := table.lacking():
        raise GroupsTooFew({c: int(in_class[c]) for c in lacking}, num_piles)
    pile_of = np.full(len(count), -1, dtype=np.int64)
    pile_of[large] = table.pile_of
    alone = deal(rows[is_single], labels, list(_takes_of_singles(table)[:-1]), rng)
    return [np.sort(np.concatenate([rows[pile_of[group_of] == pile], alone[pile]])) for pile in range(num_piles)]


class _Table:
    """Table of the pile that each group of several images is in, and its cost. Plain lists: groups are small and
    many."""

    def __init__(self, sizes: Counts, targets: Counts, least: Sequence[int], singles: Counts) -> None:
        self.groups = [[(int(c), int(size[c])) for c in np.flatnonzero(size)] for size in sizes]
        self.targets: list[list[int]] = targets.tolist()
        self.total: list[int] = np.maximum(targets.sum(axis=0), 1).tolist()
        self.least = least
        self.singles: list[int] = singles.tolist()  # images of each class that are dealt last, where they are missing
        self.clear()

    def clear(self) -> None:
        """Take all groups away."""
        self.pile_of = [-1] * len(self.groups)
        self.have = [[0] * len(self.total) for _ in self.targets]
        self.short = [sum(self.least)] * len(self.total)  # of each class: images that piles must have and have not

    def put(self, group: int, pile: int) -> None:
        """Move a group; -1 takes it away."""
        for where, sign in ((self.pile_of[group], -1), (pile, 1)):
            if where >= 0:
                have, least = self.have[where], self.least[where]
                for c, size in self.groups[group]:
                    before = have[c]
                    have[c] += sign * size
                    self.short[c] += max(least - have[c], 0) - max(least - before, 0)
        self.pile_of[group] = pile

    def best_pile(self, group: int) -> int:
        """Pile where a group that is nowhere costs least."""
        best, lowest = 0, float("inf")
        for pile, (have, targets, least) in enumerate(zip(self.have, self.targets, self.least, strict=True)):
            cost = 0.0
            for c, size in self.groups[group]:
                short = self.short[c] - max(least - have[c], 0) + max(least - have[c] - size, 0)
                cost += (2 * (have[c] - targets[c]) + size) * size / self.total[c]
                cost += _MISSING * max(short - self.singles[c], 0)
            if cost < lowest:
                best, lowest = pile, cost
        return best

    def lacking(self) -> list[int]:
        """Classes of which some pile has too few, also with the single images."""
        return [c for c, (short, singles) in enumerate(zip(self.short, self.singles, strict=True)) if short > singles]

    def cost(self) -> float:
        """Squared deviations from the targets, and far more for what is lacking."""
        deviation = (np.array(self.have) - np.array(self.targets)) ** 2 / np.array(self.total)
        missing = sum(self.short[c] - self.singles[c] for c in self.lacking())
        return float(deviation.sum()) + _MISSING * missing


def _dealt(sizes: Counts, targets: Counts, least: Sequence[int], singles: Counts, rng: np.random.Generator) -> _Table:
    """The best of several ways to deal the groups of several images."""
    table = _Table(sizes, targets, least, singles)
    if not len(sizes):
        return table
    best, lowest = table.pile_of, float("inf")
    for _ in range(_TRIES):
        table.clear()
        for group in _order(sizes, rng):
            table.put(group, table.best_pile(group))
        if len(sizes) <= _FEW or table.lacking():
            _improve(table, rng)
        if (cost := table.cost()) < lowest:
            best, lowest = list(table.pile_of), cost
        if len(sizes) > _FEW and not table.lacking():
            break
    for group, pile in enumerate(best):
        table.put(group, pile)
    if len(sizes) <= _FEW and table.lacking():
        _exchange(table, rng)
    return table


def _order(sizes: Counts, rng: np.random.Generator) -> list[int]:
    """Groups of rare classes first, the large before the small; chance decides between equals."""
    in_class = (sizes > 0).sum(axis=0)
    rarest = np.where(sizes > 0, in_class, len(sizes) + 1).min(axis=1)
    order: list[int] = np.lexsort((rng.random(len(sizes)), -sizes.sum(axis=1), rarest)).tolist()
    return order


def _improve(table: _Table, rng: np.random.Generator) -> None:
    """Move groups one by one as long as that costs less."""
    for _ in range(_PASSES):
        before = list(table.pile_of)
        for group in rng.permutation(len(before)).tolist():
            table.put(group, -1)
            table.put(group, table.best_pile(group))
        if table.pile_of == before:
            return


def _exchange(table: _Table, rng: np.random.Generator) -> None:
    """Exchange groups in pairs wherever that costs less."""
    lowest = table.cost()
    order = rng.permutation(len(table.groups)).tolist()
    for number, one in enumerate(order):
        for other in order[:number]:
            here, there = table.pile_of[one], table.pile_of[other]
            if here == there:
                continue
            table.put(one, there)
            table.put(other, here)
            cost = table.cost()
            if cost < lowest - 1e-9:
                lowest = cost
            else:
                table.put(one, here)
                table.put(other, there)


def _takes_of_singles(table: _Table) -> Counts:
    """(piles, classes) how many images that are groups of their own go where: first what must be, then by targets."""
    have, targets, singles = np.array(table.have), np.array(table.targets), np.array(table.singles)
    must = np.maximum(np.array(table.least)[:, None] - have, 0)
    takes: Counts = np.diff(np.minimum(np.cumsum(must, axis=0), singles), axis=0, prepend=0)
    left = singles - takes.sum(axis=0)
    for pile in range(len(takes) - 1):  # the last pile takes what is left
        more = np.minimum(np.maximum(targets[pile] - have[pile] - takes[pile], 0), left)
        takes[pile] += more
        left = left - more
    return takes
