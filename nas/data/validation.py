"""What can be wrong with a data set, each fault a sentence with its cure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from nas.config.data import LARGEST_SIDE, SMALLEST_SIDE
from nas.data.dataset import Broken
from nas.data.decode import Survey
from nas.data.sources.base import PARTS, TEST, TRAIN, VAL, Found
from nas.data.splits import Rows, least_images

_SHOWN = 20


def structure_faults(found: Found) -> list[str]:
    """No images, one class only, classes that are empty or in one part alone."""
    present = found.present
    if not present.any():
        return ["There are no images. Give a folder whose class folders hold images, or another data set."]
    faults = []
    empty = [name for name, total in zip(found.classes, present.sum(axis=0), strict=True) if total == 0]
    if empty:
        faults.append(f"No images in: {some(empty)}. Add images to these class folders or remove them.")
    if len(found.classes) == 1:
        faults.append(f"There is only one class, {found.classes[0]!r}; it takes at least two.{found.hint}")
    own = [part for part in (TRAIN, VAL, TEST) if present[part].any()]
    if TRAIN not in own:
        faults.append("The train part has no images. Put the training images there.")
        return faults
    for part in own[1:]:
        name = PARTS[part]
        unknown = [found.classes[c] for c in np.flatnonzero((present[TRAIN] == 0) & (present[part] > 0))]
        if unknown:
            faults.append(
                f"Classes in {name} that train lacks: {some(unknown)}. Add training images of them, or "
                f"remove them from {name}."
            )
        absent = [found.classes[c] for c in np.flatnonzero((present[TRAIN] > 0) & (present[part] == 0))]
        if absent:
            faults.append(
                f"Classes in train that {name} lacks: {some(absent)}. Add images of them to {name}, or leave "
                f"{name} out altogether to have images of train held out."
            )
    return faults


def size_faults(found: Found) -> list[str]:
    """Images of several sizes, or of one that is too small or too large: they need a size to be brought to."""
    if not len(found.sizes):
        return []
    low, high = found.sizes.min(axis=0), found.sizes.max(axis=0)
    if (low != high).any():
        return [
            f"The images have several sizes: {low[1]} to {high[1]} pixels wide, {low[0]} to {high[0]} high. "
            "Choose one for all, for example --image-size 32."
        ]
    if low.min() < SMALLEST_SIDE or high.max() > LARGEST_SIDE:
        return [
            f"The images are {low[1]}x{low[0]}, and must be {SMALLEST_SIDE} to {LARGEST_SIDE} pixels a side. "
            f"Choose a size, for example --image-size {64 if high.max() > LARGEST_SIDE else 32}."
        ]
    return []


def few_images_faults(survey: Survey, labels: Rows, parts: npt.NDArray[np.uint8]) -> list[str]:
    """Classes that cannot have an image in each split."""
    faults = []
    for part, least in least_images(survey.own_parts).items():
        counts = np.bincount(labels[parts == part], minlength=len(survey.classes))
        few = [f"{survey.classes[c]} ({counts[c]})" for c in np.flatnonzero(counts < least)]
        if few:
            where = "" if survey.own_parts == [TRAIN] else f" in {PARTS[part]}"
            faults.append(
                f"Too few readable images{where} of: {some(few)}. Every class needs at least {least}{where}, "
                "so that train has 2 and select, rank and test have 1 each. Add images or remove the class."
            )
    return faults


def broken_faults(broken: Sequence[Broken], present: Iterable[Sequence[int]]) -> list[str]:
    """The files that should be images and are not."""
    if not broken:
        return []
    total = sum(map(sum, present))
    listed = "".join(f"\n  {one.name}: {one.reason}" for one in broken[:_SHOWN])
    more = f"\n  ... and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    return [
        f"{len(broken)} of {total} images are broken:{listed}{more}\n"
        "Repair or remove them, or go on without them by --skip-broken."
    ]


def some(names: Sequence[str]) -> str:
    """'a, b, c', or the first twenty '... and N more'."""
    more = f" ... and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
