"""Images that occur more than once: pixel by pixel, or nearly so. What is found is kept beside the decoded images."""

from __future__ import annotations

import hashlib
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data.kept import kept
from nas.data.pooling import pooled

Rows = npt.NDArray[np.int64]
Images = npt.NDArray[np.uint8]  # (N, C, H, W)
Vectors = npt.NDArray[np.float32]

_IDENTICAL, _NEAR = 1, 1  # versions of the two methods
_SIDE = 8  # of the thumbnails that near-duplicates are looked for by
_FLAT = 4.0  # grey levels: thumbnails whose standard deviation is below show nothing to compare
_COMPONENTS, _BANDS = 16, 6  # of the hash
_NEIGHBOURS = 10
_AT_ONCE = 1 << 16  # pairs compared
_FALSE_ALARMS = 0.01  # expected in a set, by chance
_MOST_COMPARED = 1_500  # candidates, the likeliest: comparing one with the whole set takes up to a millisecond


def identical_groups(folder: Path, images: Images) -> Rows:
    """For each image the first row with the same pixels, which is its own where there is none before it."""
    return kept(
        folder, "identical", _IDENTICAL, lambda: _identical(images), partial(_are_rows, (len(images),), len(images))
    )


def near_duplicates(folder: Path, images: Images, groups: Rows) -> Rows:
    """Pairs of rows (P, 2) of images that show the same but for compression, size, brightness or some noise.

    Of identical images only the first is compared.
    """
    firsts = np.flatnonzero(groups == np.arange(len(groups)))
    return kept(folder, "near", _NEAR, lambda: _near(images, firsts), partial(_are_rows, (None, 2), len(images)))


def _are_rows(shape: tuple[int | None, ...], count: int, found: npt.NDArray[Any]) -> bool:
    """True if an array has this shape (None: any length) and holds rows of ``count`` images."""
    has_shape = found.ndim == len(shape) and all(
        have in (None, of) for have, of in zip(shape, found.shape, strict=True)
    )
    return has_shape and found.dtype.kind == "i" and bool(((found >= 0) & (found < count)).all())


def _identical(images: Images) -> Rows:
    first: dict[bytes, int] = {}
    groups = np.empty(len(images), dtype=np.int64)
    for row, image in enumerate(images):
        digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
        groups[row] = first.setdefault(digest, row)
    return groups


def _near(images: Images, rows: Rows) -> Rows:
    """Pairs that are much closer to each other than to the images around them.

    How much is a matter of chance: where images lie evenly in D dimensions, the nearest neighbour of an image is q
    times as far as its next with probability q^D (Facco et al. 2017), so that q = (false alarms / N)^(1/D) is taken,
    with the D of this set. Characters of 8x8 pixels, which all look alike, have to agree better than photos.
    """
    thumbs = pooled(images, rows, _SIDE).reshape(len(rows), _SIDE**2)
    shows = thumbs.std(axis=1) >= _FLAT
    rows, thumbs = rows[shows], thumbs[shows]
    none = np.empty((0, 2), dtype=np.int64)
    if len(rows) <= _NEIGHBOURS:
        return none
    thumbs -= thumbs.mean(axis=1, keepdims=True)
    thumbs /= np.linalg.norm(thumbs, axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    sample = rng.permutation(len(thumbs))
    around = _neighbours(thumbs, sample[:200])
    dimension = math.log(2) / -math.log(min(float(np.median(around[:, 0] / around[:, 1])), 0.999))
    closer = (_FALSE_ALARMS / len(thumbs)) ** (1 / dimension)  # q
    pairs, apart = _candidates(thumbs, closer * float(np.median(around[:, -1])), rng)
    # An image is no farther from its next neighbour than from the third of a sample: the likeliest come first.
    beyond = _neighbours(thumbs[sample[:1_000]], thumbs[pairs[:, 0]])[:, 2]
    likely = np.argsort(apart / beyond, kind="stable")[:_MOST_COMPARED]
    pairs, apart = pairs[likely], apart[likely]
    if not len(pairs):
        return none
    chosen, place = np.unique(pairs[:, 0], return_inverse=True)
    reach = _reach(_neighbours(thumbs, chosen), closer)[place.reshape(-1)]
    found = pairs[apart <= reach + 2e-3]  # more than float32 is wrong by
    return np.unique(np.sort(rows[found], axis=1), axis=0)


def _candidates(units: Vectors, within: float, rng: np.random.Generator) -> tuple[Rows, Vectors]:
    """Pairs, each both ways round, and their distances: those ``within`` whose hashes agree in a band.

    A hash is of random cuts through the set's principal components, each halving the set, so that also where all
    images look much alike few share a band.
    """
    count = len(units)
    some = units[rng.permutation(count)[:4_000]]
    values, vectors = np.linalg.eigh(np.cov(some.T))
    white = vectors[:, -_COMPONENTS:] / np.sqrt(np.maximum(values[-_COMPONENTS:], 1e-9))
    bits = math.ceil(math.log2(count)) + 4
    found = [np.empty(0, dtype=np.int64)]
    for _ in range(_BANDS):
        cut = (white @ rng.normal(size=(white.shape[1], bits))).astype(np.float32)
        code = (units @ cut > np.median(some @ cut, axis=0)) @ (1 << np.arange(bits))
        order = np.argsort(code, kind="stable")
        for step in range(1, _NEIGHBOURS):
            same = np.flatnonzero(code[order[step:]] == code[order[:-step]])
            for start in range(0, len(same), _AT_ONCE):
                one, other = order[part := same[start : start + _AT_ONCE]], order[part + step]
                near = np.square(units[one] - units[other]).sum(axis=1) < within**2
                found.append(np.minimum(one, other)[near] * count + np.maximum(one, other)[near])
    pairs = np.stack(np.divmod(np.unique(np.concatenate(found)), count), axis=1)
    apart = np.linalg.norm(units[pairs[:, 0]] - units[pairs[:, 1]], axis=1)
    return np.concatenate([pairs, pairs[:, ::-1]]), np.concatenate([apart, apart])


def _neighbours(units: Vectors, of: Rows | Vectors) -> Vectors:
    """The distances of the nearest, ascending, (len(of), at most 10): ``of`` are rows of ``units``, which are then not
    their own neighbours, or other vectors. All have length 1."""
    own = of.ndim == 1
    nearest = min(_NEIGHBOURS, len(units) - 1)
    found = np.empty((len(of), nearest), dtype=np.float32)
    step = max(1, (1 << 23) // len(units))
    for start in range(0, len(of), step):
        some = of[start : start + step]
        alike = (units[some] if own else some) @ units.T
        if own:
            alike[np.arange(len(some)), some] = -2
        best = np.sort(np.partition(alike, -nearest, axis=1)[:, -nearest:], axis=1)[:, ::-1]
        found[start : start + step] = np.sqrt(np.maximum(2 - 2 * best, 1e-9))
    return found


def _reach(around: Vectors, closer: float) -> Vectors:
    """Distance of the last neighbour before a gap, 0 where there is none: several copies are close to each other."""
    gap = around[:, :-1] <= closer * around[:, 1:]
    last = np.where(gap, around[:, :-1], 0).max(axis=1)
    return np.asarray(last, dtype=np.float32)
