"""Splits: stratified, seeded, disjoint, with every class in every split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nas.data.copies import joined
from nas.data.dataset import SPLIT_NAMES, SplitName
from nas.data.dealing import Rows as Rows
from nas.data.dealing import deal, deal_groups
from nas.data.sources.base import TEST, TRAIN, VAL

_TEST_SHARE = 0.2  # of all images, where the source has no test images of its own
_SMALL = 10_000  # training images; below it select and rank need a larger share to be worth reading
_SHARE, _SMALL_SHARE = 0.10, 0.15  # each, of what is not test
_MOST = 5_000  # images each: enough to rank by, so the rest trains
_LEAST_TRAIN = 2  # images of a class: one to learn and one to tell it apart from noise
_PUBLISHED_SHARE = 0.15  # that the origin study validated by; here half is for select and half for rank

NOT_TEST = ("train", "select", "rank")
_DEAL, _TAIL, _ANEW, _SHARE_OF, _SMALL_CLASSES = (
    1,
    2,
    3,
    4,
    5,
)  # the seed's streams, so that imbalance leaves the other splits alone


def least_images(own_parts: Sequence[int], *, keep_small: bool = False) -> dict[int, int]:
    """Number of images that every class needs in each part (TRAIN, VAL, TEST) that the source has; ``keep_small``: only
    those to train on."""
    if keep_small:
        return {TRAIN: _LEAST_TRAIN}
    own = set(own_parts)
    least = {TRAIN: _LEAST_TRAIN + (0 if VAL in own else 2) + (0 if TEST in own else 1)}
    return least | {part: count for part, count in ((VAL, 2), (TEST, 1)) if part in own}


def make_splits(
    labels: Rows,
    parts: npt.NDArray[np.uint8],
    own_parts: Sequence[int],
    *,
    num_classes: int,
    seed: int,
    groups: npt.NDArray[np.int64] | None = None,
    copies: npt.NDArray[np.int64] | None = None,
    keep_small: bool = False,
    test_per_class: int | None = None,
) -> dict[str, Rows]:
    """Sorted rows of train, select, rank and test. Every class must have ``least_images`` in each part.

    With ``keep_small`` a class that is too small for every split leaves 2 images in train, and gives one each of the
    others to some of the splits, which get the shares below of all such classes together.

    The source's own test images are the test split, else 20 % are held out, or ``test_per_class`` of each class, half
    of it at most. The source's val images are
    halved into select and rank, else each takes 15 % of the rest (10 %, at most 5,000, from 10,000 on).

    Images of one of ``groups`` (a number for each image) stay together within each part of the source, so that these
    shares are met as far as groups allow. GroupsTooFew where some class cannot then be in every split.
    Of a part, images with equal numbers in ``copies`` stay in one split too: train, if there are enough others.
    """
    if groups is not None and copies is not None:
        groups, copies = joined(groups, copies), None
    rng = np.random.default_rng([seed, _DEAL])
    counts = {part: np.bincount(labels[parts == part], minlength=num_classes) for part in (TRAIN, VAL, TEST)}
    rest = counts[TRAIN]
    halves = VAL in own_parts
    num_test = np.zeros_like(rest)
    if TEST not in own_parts:
        keep = _LEAST_TRAIN if halves else _LEAST_TRAIN + 2
        num_test = _share_out(rest, _TEST_SHARE, keep=keep)
        if test_per_class is not None:
            num_test = np.minimum(np.minimum(test_per_class, np.maximum(rest // 2, 1)), rest - keep)
        rest = rest - num_test
    total = int(rest.sum())
    share = _SMALL_SHARE if total < _SMALL else min(_SHARE, _MOST / total)
    num_each = np.zeros_like(rest) if halves else _share_out(rest, share, keep=_LEAST_TRAIN, takers=2)

    rows = {part: np.flatnonzero(parts == part) for part in (TRAIN, VAL, TEST)}
    piles = ([] if TEST in own_parts else [num_test]) + ([] if halves else [num_each, num_each])
    if keep_small and piles:
        shares = ([] if TEST in own_parts else [_TEST_SHARE]) + ([] if halves else [share, share])
        small = counts[TRAIN] < least_images(own_parts)[TRAIN]
        piles = _spared(counts[TRAIN], small, piles, shares, np.random.default_rng([seed, _SMALL_CLASSES]))
    dealt = _deal(rows[TRAIN], labels, piles, [1] * len(piles) + [_LEAST_TRAIN], groups, copies, rng)
    train, test = dealt[-1], rows[TEST] if TEST in own_parts else dealt[0]
    if halves:
        odd = counts[VAL] % 2
        half = (counts[VAL] + odd * (np.cumsum(odd) % 2)) // 2  # odd ones out go to either side in turn
        select, rank = _deal(rows[VAL], labels, [half], [1, 1], groups, copies, rng)
    else:
        select, rank = dealt[-3:-1]
    return dict(zip(SPLIT_NAMES, (train, select, rank, test), strict=True))


def long_tail(train: Rows, labels: Rows, *, num_classes: int, factor: float, seed: int) -> Rows:
    """The rows of ``train`` that stay when class i keeps int(n_max * (1/factor) ** (i / (C - 1))) images.

    n_max is the largest class's count. A class keeps at least 2 images, and at most what it has; which ones
    does not depend on the factor beyond their number.
    """
    rng = np.random.default_rng([seed, _TAIL])
    most = np.bincount(labels[train], minlength=num_classes).max()
    exponents = np.arange(num_classes) / max(num_classes - 1, 1)
    wanted = np.maximum((most * (1 / factor) ** exponents).astype(np.int64), _LEAST_TRAIN)
    kept, _ = deal(train, labels, [wanted], rng)
    return kept


def part_of(rows: Mapping[str, Rows], labels: Rows, *, most: int, num_classes: int, seed: int) -> dict[str, Rows]:
    """Splits of which train, select and rank together have about ``most`` rows, each class of each by its share, but at
    least 2 of train and 1 of the others; test stays whole, so that it is that of all images."""
    rng = np.random.default_rng([seed, _SHARE_OF])
    left = dict(rows)
    share = most / sum(len(rows[name]) for name in NOT_TEST)
    for name in NOT_TEST if share < 1 else ():
        counts = np.bincount(labels[rows[name]], minlength=num_classes)
        least = np.minimum(counts, _LEAST_TRAIN if name == "train" else 1)
        wanted = np.maximum((counts * share).astype(np.int64), least)
        left[name], _ = deal(rows[name], labels, [wanted], rng)
    return left


def split_anew(labels: Rows, *, num_classes: int, seed: int) -> dict[SplitName, Rows]:
    """Sorted positions of train, select and rank among ``labels``, stratified: 85 %, and half of the rest each.

    Every class must have 4 images at least. For what the origin study did, which see in ``nas.data.published``.
    """
    num_each = _share_out(np.bincount(labels, minlength=num_classes), _PUBLISHED_SHARE / 2, keep=_LEAST_TRAIN, takers=2)
    rng = np.random.default_rng([seed, _ANEW])
    select, rank, train = deal(np.arange(len(labels)), labels, [num_each, num_each], rng)
    return {"train": train, "select": select, "rank": rank}


def _share_out(counts: Rows, share: float, *, keep: int, takers: int = 1) -> Rows:
    """Number of images of each class that one taker gets: ``share`` in all, in proportion, at least 1 of every class.

    Leaves ``keep`` of every class after all takers. Fractions are rounded by largest remainder.
    """
    exact = counts * share
    taken = np.floor(exact).astype(np.int64)
    missing = round(float(exact.sum())) - int(taken.sum())
    taken[np.argsort(taken - exact, kind="stable")[:missing]] += 1
    shared: Rows = np.minimum(np.maximum(taken, 1), (counts - keep) // takers)
    return shared


def _spared(
    counts: Rows, small: npt.NDArray[np.bool_], takes: Sequence[Rows], shares: Sequence[float], rng: np.random.Generator
) -> list[Rows]:
    """``takes`` where the ``small`` classes (C,) of ``counts`` images (C,) give one image at most to a pile, and none
    that train needs. Piles get their shares of all these images, or less alike, from classes chosen at random."""
    spare = np.where(small, np.maximum(counts - _LEAST_TRAIN, 0), 0)
    most = int(np.minimum(spare, len(takes)).sum())
    scale = min(1.0, most / max(sum(shares) * int(counts[small].sum()), 1e-9))
    found = []
    for take, share in zip(takes, shares, strict=True):
        wanted = round(scale * share * int(counts[small].sum()))
        order = rng.permutation(len(counts))
        order = order[np.argsort(-spare[order], kind="stable")][:wanted]  # from those first that have most to spare
        given = np.zeros_like(take)
        given[order] = spare[order] > 0
        spare = spare - given
        found.append(np.where(small, given, take))
    return found


def _deal(
    rows: Rows,
    labels: Rows,
    takes: Sequence[Rows],
    least: Sequence[int],
    groups: Rows | None,
    copies: Rows | None,
    rng: np.random.Generator,
) -> list[Rows]:
    if groups is None or not takes:
        takes = takes or [np.zeros(int(labels.max()) + 1, dtype=np.int64)]  # shuffled all the same: seeds mean that
        return deal(rows, labels, takes, rng, copies, keep=least[-1])
    return deal_groups(rows, labels, groups, takes, least, rng)
