"""What can be wrong with a data set, each fault a sentence with its cure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.config.data import LARGEST_SIDE, SMALLEST_SIDE
from nas.data.dataset import Broken
from nas.data.selection import Selection
from nas.data.sources.base import PARTS, TEST, TRAIN, VAL, Found
from nas.data.splits import least_images

_SHOWN = 20
_SIDES = (16, 24, 32, 48, 64)  # that are proposed
_LONG = 1.5  # times the shorter side: a tenth of the images longer than that, and they are padded, not squeezed


def structure_faults(found: Selection, remarks: Sequence[str] = ()) -> list[str]:
    """No images, one class only, classes that are empty or in one part alone. ``remarks`` may know where labels are."""
    present = found.present
    if not present.any():
        return ["There are no images. Give a folder whose class folders hold images, or another data set."]
    faults = []
    empty = [name for name, total in zip(found.classes, present.sum(axis=0), strict=True) if total == 0]
    if empty:
        faults.append(
            f"No images in: {some(empty)}. Add images to these class folders, or leave them out: "
            f"--ignore {shlex.quote(','.join(empty))}."
        )
    if len(found.classes) == 1:
        hint = next((f" {remark}." for remark in remarks if "--data" in remark), "")
        faults.append(f"There is only one class, {found.classes[0]!r}; it takes at least two.{hint}")
    own = [part for part in (TRAIN, VAL, TEST) if present[part].any()]
    if TRAIN not in own:
        faults.append("The train part has no images. Put the training images there.")
        return faults
    for part in own[1:]:
        name = PARTS[part]
        unknown = [found.classes[c] for c in np.flatnonzero((present[TRAIN] == 0) & (present[part] > 0))]
        if unknown:
            way = " (or leave val out: --ignore-val)" if part == VAL else ""
            faults.append(
                f"Classes in {name} that train lacks: {some(unknown)}. Add training images of them, or "
                f"remove them from {name}{way}."
            )
        absent = [found.classes[c] for c in np.flatnonzero((present[TRAIN] > 0) & (present[part] == 0))]
        if absent:
            way = "by --ignore-val" if part == VAL else f"altogether by --ignore {name}"
            faults.append(
                f"Classes in train that {name} lacks: {some(absent)}. Add images of them to {name}, or leave "
                f"{name} out {way}, to have images of train held out."
            )
    return faults


@dataclass(frozen=True)
class Proposal:
    """A size that images can be brought to, where they need one: flags to type, and why."""

    flags: str
    reason: str

    @property
    def fault(self) -> str:
        """What is said where no size was given and one is needed."""
        return f"{self.reason} Add {self.flags}, or another size."


def proposed_size(found: Found) -> Proposal | None:
    """A size for images of several sizes, or of one that is too small or too large; None: their own will do.

    At most 64 pixels a side: a search trains dozens of networks, and twice the side is four times the time. Never more
    than half of the images have.
    """
    if not len(found.sizes):
        return None
    low, high = found.sizes.min(axis=0), found.sizes.max(axis=0)
    several = bool((low != high).any())
    if not several and low.min() >= SMALLEST_SIDE and high.max() <= LARGEST_SIDE:
        return None
    short = float(np.median(found.sizes.min(axis=1)))
    side = max((each for each in _SIDES if each <= short), default=_SIDES[0])
    ratios = found.sizes[:, 1] / found.sizes[:, 0]
    pad = several and float(np.quantile(np.maximum(ratios, 1 / ratios), 0.9)) > _LONG
    if several:
        what = f"The images have several sizes: {low[1]} to {high[1]} pixels wide, {low[0]} to {high[0]} high"
        what += f", half of them at least {short:.0f} on their shorter side."
    else:
        what = f"The images are {low[1]}x{low[0]}, and must be {SMALLEST_SIDE} to {LARGEST_SIDE} pixels a side."
    return Proposal(f"--image-size {side}{' --fit pad' if pad else ''}", what)


def few_images_faults(selection: Selection) -> list[str]:
    """Classes that cannot have an image in each split."""
    faults = []
    for part, least in least_images(selection.own_parts).items():
        counts = np.bincount(selection.labels[selection.parts == part], minlength=len(selection.classes))
        few = [f"{selection.classes[c]} ({counts[c]})" for c in np.flatnonzero(counts < least)]
        if few:
            where = "" if selection.own_parts == [TRAIN] else f" in {PARTS[part]}"
            faults.append(
                f"Too few readable images{where} of: {some(few)}. Every class needs at least {least}{where}, "
                "so that train has 2 and select, rank and test have 1 each. Add images, or leave such classes out: "
                "--drop-small-classes."
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
