"""Grouping of identical images, so that all copies of one lie in one split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def together(pile: Rows, classes: Rows, groups: Rows, takes: Sequence[Rows], keep: int) -> Rows:
    """The piles of images in shuffled order when groups are not torn apart. Classes without groups stay as they are.

    Groups of several classes go to the last pile. Of each class the others are dealt out, small ones first, so that
    piles have the size that they should have as long as there are enough images that stand alone.
    """
    _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    which = which.reshape(-1)
    lowest, highest = np.full(len(sizes), classes.max(initial=0)), np.zeros(len(sizes), dtype=np.int64)
    np.minimum.at(lowest, which, classes)
    np.maximum.at(highest, which, classes)
    mixed = (lowest != highest)[which]
    piles = np.where(mixed, len(takes), pile)
    for label in np.unique(classes[sizes[which] > 1]):
        mine = np.flatnonzero((classes == label) & ~mixed)
        one, first, count = np.unique(which[mine], return_index=True, return_counts=True)
        queue = np.lexsort((first, count))
        wanted = [int(take[label]) for take in takes]
        left = max(keep - int((mixed & (classes == label)).sum()), 0)
        ends = _ends(count[queue], wanted, left)
        to = np.empty(len(one), dtype=np.int64)
        to[queue] = np.searchsorted(ends, np.arange(len(one)), side="right")
        piles[mine] = to[np.searchsorted(one, which[mine])]
    return piles


def _ends(sizes: Rows, wanted: Sequence[int], keep: int) -> list[int]:
    """Ends, in a queue of groups, of each pile that wants so many images, if each can have a group, and ``keep`` groups
    are left over."""
    ends, start = [], 0
    for number, images in enumerate(wanted):
        later = sum(count > 0 for count in wanted[number + 1 :]) + keep
        enough = start + int(np.searchsorted(np.cumsum(sizes[start:]), images)) + 1 if images else start
        start = max(start, min(enough, len(sizes) - later))
        ends.append(start)
    return ends


def joined(one: Rows, other: Rows) -> Rows:
    """The groups (N,) that result when images stay together that do so in either of two groupings."""
    _, one = np.unique(one, return_inverse=True)
    _, other = np.unique(other, return_inverse=True)
    least = np.arange(len(one))
    while True:
        before = least
        for groups in (one.reshape(-1), other.reshape(-1)):
            of_group = np.full(len(one), len(one))
            np.minimum.at(of_group, groups, least)
            least = of_group[groups]
        if (least == before).all():
            return np.asarray(least, dtype=np.int64)
