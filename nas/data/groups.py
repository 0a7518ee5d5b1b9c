"""Messages about groups of images that stay in one split: shares of the splits, and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nas.data.dataset import SPLIT_NAMES
from nas.data.dealing import GroupsTooFew, Rows
from nas.data.sources.base import PARTS
from nas.data.validation import TooFew, some

_DO_WITHOUT = "or do without groups (leave --group out; for a label file, --columns group=)"
_CURE = (
    "Add images of other groups, leave these classes out by --drop-small-classes, choose a finer --group, "
    f"{_DO_WITHOUT}."
)


def group_remarks(
    grouped_by: str, classes: Sequence[str], labels: Rows, groups: Rows, rows: Mapping[str, Rows]
) -> tuple[str, ...]:
    """Remarks on the number of groups in each split, and on how far its share of each class is from that of all
    images."""
    num_classes = len(classes)
    numbers = [len(np.unique(groups[rows[name]])) for name in SPLIT_NAMES]
    counted = ", ".join(f"{number:,} in {name}" for name, number in zip(SPLIT_NAMES, numbers, strict=True))
    dealt = np.concatenate([rows[name] for name in SPLIT_NAMES])
    whole = np.bincount(labels[dealt], minlength=num_classes) / max(len(dealt), 1)
    furthest, where, which = 0.0, "train", 0
    for name in SPLIT_NAMES:
        share = np.bincount(labels[rows[name]], minlength=num_classes) / max(len(rows[name]), 1)
        worst = int(np.argmax(np.abs(share - whole)))
        if abs(share[worst] - whole[worst]) > furthest:
            furthest, where, which = float(abs(share[worst] - whole[worst])), name, worst
    images = ", ".join(f"{100 * len(rows[name]) / max(len(dealt), 1):.1f} % {name}" for name in SPLIT_NAMES)
    return (
        f"{sum(numbers):,} groups by {grouped_by}, none in two splits: {counted}",
        f"images {images}; no class's share is off by more than {100 * furthest:.1f} points "
        f"({classes[which]} in {where})",
    )


def parted_group_errors(grouped_by: str, parts: npt.NDArray[np.uint8], groups: Rows) -> list[str]:
    """Groups that stand in two parts of the source's own: a published split that is not by group."""
    used = parts < len(PARTS)
    pairs = np.unique(np.stack([groups[used], parts[used].astype(np.int64)]), axis=1)
    numbers, count = np.unique(pairs[0], return_counts=True)
    parted = numbers[count > 1]
    if not len(parted):
        return []
    own = sorted({PARTS[part] for part in pairs[1][np.isin(pairs[0], parted)]}, key=PARTS.index)
    return [
        f"{len(parted):,} of {len(numbers):,} groups by {grouped_by} are in more than one of "
        f"{', '.join(own)}: the data's own splits divide them. Let nasctl split (one folder for all; for a label "
        f"file, --columns split=), {_DO_WITHOUT}."
    ]


def too_few_groups(grouped_by: str, classes: Sequence[str], error: GroupsTooFew) -> TooFew:
    """Classes that cannot be in every split."""
    why = f"too few groups by {grouped_by} for every split"
    return TooFew((_few_groups_error(grouped_by, classes, error),), error.groups, why)


def _few_groups_error(grouped_by: str, classes: Sequence[str], error: GroupsTooFew) -> str:
    listed = some([f"{classes[c]} ({count})" for c, count in error.groups.items()])
    if min(error.groups.values()) < error.piles:
        return (
            f"Too few groups by {grouped_by} of: {listed}. A group stays in one split, so every "
            f"class must be in at least {error.piles} groups. {_CURE}"
        )
    return (
        f"Groups by {grouped_by} cannot be distributed so that train has 2 images and every other split has 1 "
        f"of: {listed}; the numbers count the groups that hold them. {_CURE}"
    )
