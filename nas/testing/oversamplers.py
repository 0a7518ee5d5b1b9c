"""Contract tests of oversamplers: images that even out the classes, of the training split's kind, always the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.data import Split
from nas.data.oversampling import Oversampler, Synthetic

Images = NDArray[np.uint8]  # (N, C, H, W)
Labels = NDArray[np.int64]  # (N,)
LONG_TAIL = (100, 73, 52, 37, 26, 19, 13, 9, 7, 5)
AWKWARD = ((30, 30, 30), (2, 1), (1, 1), (3, 2, 0, 1))  # balanced, minute, a class without images


def check_oversampler(oversampler: Oversampler) -> None:
    """Check every promise of this module, on the bundled digits.

    Args:
        oversampler: As ``register_oversampler`` takes it: a split to synthetic images of its rare classes.

    Raises:
        AssertionError: With the promise that was broken.
    """
    check_form(oversampler)
    for counts in (LONG_TAIL, *AWKWARD):
        check_evens_out(oversampler, counts)
    check_colour(oversampler)


def digits(counts: tuple[int, ...] | list[int]) -> tuple[Images, Labels]:
    """The first images of each digit, as many as ``counts`` says, in random order."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rows = np.concatenate([np.flatnonzero(bunch.target == digit)[:n] for digit, n in enumerate(counts)])
    rows = np.random.default_rng(0).permutation(rows)
    images = np.rint(bunch.images[rows] / 16 * 255).astype(np.uint8)[:, None]
    return images, bunch.target[rows].astype(np.int64)


def split_of(images: Images, labels: Labels) -> Split:
    """As a data set holds it: among other images, which are not the split's."""
    stored = np.repeat(images, 2, axis=0)
    stored[1::2] = 255 - stored[1::2]
    return Split(stored, np.arange(0, len(stored), 2), labels)


def added(oversampler: Oversampler, images: Images, labels: Labels) -> Synthetic:
    """All that an oversampler adds, as one, whether it comes whole or in pieces."""
    made = oversampler(split_of(images, labels))
    if isinstance(made, Synthetic):
        return made if made.rows is None else Synthetic(made.images[made.rows], made.labels, made.warnings)
    parts = [Synthetic(images[:0], labels[:0]), *made]
    return Synthetic(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(warning for part in parts for warning in part.warnings),
    )


def total(labels: Labels, made: Synthetic) -> list[int]:
    """Images of each class, of the split and added to it."""
    return [int(count) for count in np.bincount(np.concatenate([labels, made.labels]))]


def check_form(oversampler: Oversampler) -> None:
    """uint8 images of the split's shape with int64 labels, the same at each call; the split is left alone."""
    images, labels = digits(LONG_TAIL)
    split = split_of(images, labels)
    before = split.stored.copy(), split.labels.copy()
    made = oversampler(split)
    for piece in [made] if isinstance(made, Synthetic) else made:
        assert piece.images.dtype == np.uint8, f"synthetic images are {piece.images.dtype}, not uint8"
    kept = np.array_equal(split.stored, before[0]) and np.array_equal(split.labels, before[1])
    assert kept, "the training split was changed in place"
    first, second = (added(oversampler, images, labels) for _ in range(2))
    shape = (len(first.labels), *images.shape[1:])
    assert first.images.shape == shape, f"synthetic images have shape {first.images.shape}, not {shape}"
    assert first.labels.dtype == np.int64, f"synthetic labels are {first.labels.dtype}, not int64"
    same = np.array_equal(first.images, second.images) and np.array_equal(first.labels, second.labels)
    assert same, "a second call made other images"


def check_evens_out(oversampler: Oversampler, counts: tuple[int, ...] | list[int]) -> None:
    """Every class that has images gets as many as the largest, which gets none."""
    images, labels = digits(counts)
    made = added(oversampler, images, labels)
    found, expected = total(labels, made), [max(counts) if count else 0 for count in counts]
    assert found == expected, f"classes of {list(counts)} images became {found}, not {expected}"


def check_colour(oversampler: Oversampler) -> None:
    """Colour images that are not square keep their shape."""
    images, labels = digits([30, 12])
    colour = np.concatenate([images, 255 - images, images // 2], axis=1)[..., :6]
    shape = added(oversampler, colour, labels).images.shape
    assert shape == (18, 3, 8, 6), f"18 images of 3x8x6 were to be added, and {shape} were"
