"""Registry of oversamplers, their contract, and the reading and dividing of a split for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.config.options import declare
from nas.data.dataset import Split
from search_spaces.registry import Registry

SEED = 0  # not the trial's: the stored result is the same for every trial on the data
PIECE_BYTES = 4 << 20  # of pixels that an oversampler makes at once; in float64 eight times as many

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Synthetic:
    """Images that an oversampler adds to a split: all of them, or a piece."""

    images: NDArray[np.uint8]  # (M, C, H, W); with rows, of any number
    labels: NDArray[np.int64]  # (M,)
    warnings: tuple[str, ...] = ()  # what could not be done as asked, for the trial's log
    rows: Rows | None = None  # (M,); with them, synthetic image i is images[rows[i]], and nothing is copied


# Given the training split: either the whole, for what is quick and small, or pieces, which are made once and kept
# on disk (see ``stored.oversample``). Either way every class is filled up to the count of the largest.
# Options may follow by name.
Oversampler = Callable[..., Synthetic | Iterator[Synthetic]]

OVERSAMPLERS: Registry[Oversampler] = Registry("oversampling", "Known")


def register_oversampler(name: str) -> Callable[[Oversampler], Oversampler]:
    """Register an oversampler: a function of a split that returns synthetic images (N, C, H, W), uint8, and labels.

    Parameters after the split are options: ``--oversample noise:strength=8``.

    Args:
        name: Name for ``--oversample``.

    Returns:
        A decorator that gives the function back.

    Raises:
        ValueError: If the name is taken.
    """

    def register(oversampler: Oversampler) -> Oversampler:
        OVERSAMPLERS.add(name, oversampler)
        declare("oversampling", name, oversampler, 1)
        return oversampler

    return register


def class_counts(labels: NDArray[np.int64]) -> dict[int, int]:
    """Number of images of each class that has any."""
    classes, counts = np.unique(labels, return_counts=True)
    return dict(zip(classes.tolist(), counts.tolist(), strict=True))


def gather(split: Split, positions: Rows) -> NDArray[np.uint8]:
    """The images (n, C, H, W) at positions of a split, as an array of the caller's own."""
    return np.asarray(split.stored[split.rows[positions]])


def pieces(positions: Rows, split: Split, num_bytes: int | None = None) -> Iterator[Rows]:
    """Positions in parts of about ``num_bytes`` (PIECE_BYTES) pixels each, and of one image at least."""
    size = max(1, (num_bytes or PIECE_BYTES) // int(np.prod(split.stored.shape[1:])))
    return (positions[start : start + size] for start in range(0, len(positions), size))
