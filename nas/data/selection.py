"""Which of a set's classes and images are used: what ``DataConfig`` leaves out, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.config import DataConfig
from nas.data.sources.base import PARTS, TRAIN, VAL
from nas.data.splits import Rows, least_images
from nas.errors import nearest
from nas.units import counted, listed

_MOST = 3  # the seed's stream of --max-per-class
_SHOWN = 20


@dataclass(frozen=True)
class Selection:
    """What is left of a set. ``labels`` and ``parts`` are those of all its readable images; what is left out has
    part ``OUT`` and a label without meaning. ``present`` (3, number of classes) counts images, broken ones included."""

    classes: tuple[str, ...]
    labels: Rows
    parts: npt.NDArray[np.uint8]
    present: npt.NDArray[np.int64]
    remarks: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def own_parts(self) -> list[int]:
        """The parts (TRAIN, VAL, TEST) that it has."""
        return [part for part, counts in enumerate(self.present) if counts.any()]


OUT = 255


def select(
    config: DataConfig,
    classes: Sequence[str],
    present: npt.NDArray[np.int64],
    labels: Rows,
    parts: npt.NDArray[np.uint8],
) -> Selection:
    """Leave out what the configuration says; faults are names in it that the set does not have."""
    parts, present = parts.copy(), present.copy()
    remarks: list[str] = []
    if config.ignore_val and present[VAL].any():
        remarks.append(f"val left out: {counted(int(present[VAL].sum()), 'image')} (--ignore-val)")
        parts[parts == VAL] = OUT
        present[VAL] = 0
    keep = np.ones(len(classes), dtype=bool)
    faults: list[str] = []
    if config.classes:
        known = set(classes)
        faults = [
            f"--classes: there is no class {name!r}.{nearest(name, list(classes))}"
            for name in config.classes
            if name not in known
        ]
        keep = np.array([name in config.classes for name in classes], dtype=bool)
    counts = {part: np.bincount(labels[parts == part], minlength=len(classes)) for part in range(len(PARTS))}
    own = [part for part in range(len(PARTS)) if present[part].any()]
    if config.min_per_class:
        small = keep & (counts[TRAIN] < config.min_per_class)
        remarks += _dropped(classes, counts[TRAIN], small, f"fewer than {config.min_per_class} images")
        keep &= ~small
    if config.drop_small_classes:
        least = least_images(own)
        small = keep & np.any([counts[part] < number for part, number in least.items()], axis=0)
        remarks += _dropped(classes, counts[TRAIN], small, "too few images for every split")
        keep &= ~small
    parts[~keep[labels]] = OUT
    if config.max_per_class:
        _thin(labels, parts, config)
        remarks.append(f"at most {config.max_per_class:,} training images a class (--max-per-class)")
        present[TRAIN] = np.minimum(present[TRAIN], config.max_per_class)
    place = np.cumsum(keep) - 1
    return Selection(
        tuple(name for name, kept in zip(classes, keep, strict=True) if kept),
        np.where(parts == OUT, 0, place[labels]),
        parts,
        present[:, keep],
        tuple(remarks),
        tuple(faults),
    )


def _thin(labels: Rows, parts: npt.NDArray[np.uint8], config: DataConfig) -> None:
    """Leave out what a class has beyond ``max_per_class`` training images, at random."""
    rng = np.random.default_rng([config.split_seed, _MOST])
    order = rng.permutation(np.flatnonzero(parts == TRAIN))
    order = order[np.argsort(labels[order], kind="stable")]
    position = np.arange(len(order)) - np.searchsorted(labels[order], labels[order])
    parts[order[position >= config.max_per_class]] = OUT


def _dropped(classes: Sequence[str], counts: Rows, small: npt.NDArray[np.bool_], why: str) -> list[str]:
    named = [f"{classes[c]} ({counts[c]})" for c in np.flatnonzero(small).tolist()]
    dropped = counted(len(named), "class", "classes")
    return [f"{dropped} left out, with {why}: {listed(named, _SHOWN)}"] if named else []
