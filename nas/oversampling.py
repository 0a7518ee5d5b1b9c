"""Oversampling by name: synthetic images that even out the classes of a training split.

Give it the training split alone, after splitting: a neighbour made from a validation image would leak it.
A new method is one decorated function here; the contract tests run over every registered name.
"""

from __future__ import annotations

import hashlib
import os
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import find_named

K_NEIGHBORS = 5  # of its own class, between which a synthetic image is made
M_NEIGHBORS = 10  # of any class, which decide whether an image lies at the border
SEED = 0  # not the trial's: the cached result is the same for every trial on the data


@dataclass(frozen=True)
class Synthetic:
    """What an oversampler adds to the split it was given, which itself stays as it is and comes first."""

    images: NDArray[np.uint8]  # (M, C, H, W)
    labels: NDArray[np.int64]  # (M,)
    warnings: tuple[str, ...] = ()  # what could not be done as asked, for the trial's log


Oversampler = Callable[[NDArray[np.uint8], NDArray[np.int64]], Synthetic]

OVERSAMPLERS: dict[str, Oversampler] = {}


def register_oversampler(name: str) -> Callable[[Oversampler], Oversampler]:
    """Make an oversampler known as ``name``; ValueError if the name is taken."""

    def register(oversampler: Oversampler) -> Oversampler:
        if name in OVERSAMPLERS:
            raise ValueError(f"an oversampler named {name!r} exists already")
        OVERSAMPLERS[name] = oversampler
        return oversampler

    return register


def oversample(
    name: str,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    cache: Path,
    key: str,
) -> Synthetic:
    """The images that ``name`` adds to a training split: uint8 (N, C, H, W), int64 labels (N,).

    The result is kept in the folder ``cache`` under ``key``, which stands for the split's content; several
    processes may ask at once. UsageError if there is no such oversampler.
    """
    oversampler = find_named(OVERSAMPLERS, name, "oversampling", "Known")
    if name == "none":
        return oversampler(images, labels)
    settings = f"{key}|{name}|{K_NEIGHBORS}|{M_NEIGHBORS}|{SEED}|{len(images)}"
    path = cache / f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}.npz"
    cached = _read(path)
    if cached is None:
        cached = oversampler(images, labels)
        _write(path, cached)
    return cached


@register_oversampler("none")
def no_oversampling(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Synthetic:
    """Nothing is added."""
    return Synthetic(images[:0], labels[:0])


@register_oversampler("borderline-smote")
def borderline_smote(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Synthetic:
    """Borderline-SMOTE (Han, Wang and Mao 2005, variant 1) on pixels, up to the majority's count.

    A class with fewer than six images uses as many neighbours as it has; one with a single image, or with
    none at the border to another class, is filled with random copies, and a warning says so.
    """
    counts = dict(zip(*(values.tolist() for values in np.unique(labels, return_counts=True)), strict=True))
    majority = max(counts.values())
    flat = images.reshape(len(images), -1).astype(np.float32)  # in uint8 differences would wrap around
    made, made_labels, warnings = [images[:0]], [labels[:0]], []
    by_neighbors: dict[int, list[int]] = {}
    for label, count in counts.items():
        if 1 < count < majority:
            by_neighbors.setdefault(min(K_NEIGHBORS, count - 1), []).append(label)
    for k_neighbors, members in by_neighbors.items():
        new, new_labels = _interpolated(flat, labels, dict.fromkeys(members, majority), k_neighbors)
        made.append(new.reshape(-1, *images.shape[1:]))
        made_labels.append(new_labels)
        if k_neighbors < K_NEIGHBORS:
            warnings += [
                f"borderline-smote: class {label} has {counts[label]} training images, so {k_neighbors} "
                f"of {K_NEIGHBORS} neighbours were used"
                for label in members
            ]

    rng = np.random.default_rng(SEED)
    num_made = np.bincount(np.concatenate(made_labels), minlength=max(counts) + 1)
    for label, count in counts.items():
        if missing := majority - count - int(num_made[label]):
            chosen = rng.choice(np.flatnonzero(labels == label), missing)
            made.append(images[chosen])
            made_labels.append(labels[chosen])
            reason = "has one training image" if count == 1 else "has no image at the border to another class"
            warnings.append(f"borderline-smote: class {label} {reason}, so {missing} copies fill it")
    return Synthetic(np.concatenate(made), np.concatenate(made_labels), tuple(warnings))


def _interpolated(
    flat: NDArray[np.float32], labels: NDArray[np.int64], wanted: dict[int, int], k_neighbors: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """imbalanced-learn's synthetic rows alone, for the classes of ``wanted`` (class -> final count)."""
    # Here, because it takes seconds to import and most trials do not oversample.
    from imblearn.over_sampling import BorderlineSMOTE

    smote = BorderlineSMOTE(
        sampling_strategy=wanted,
        k_neighbors=k_neighbors,
        m_neighbors=min(M_NEIGHBORS, len(flat) - 1),
        random_state=SEED,
    )
    rows, row_labels = smote.fit_resample(flat, labels)  # the originals come first
    new = np.clip(np.rint(rows[len(flat) :]), 0, 255).astype(np.uint8)
    return new, np.asarray(row_labels[len(flat) :], dtype=np.int64)


def _read(path: Path) -> Synthetic | None:
    """The cached result, or None if there is none that can be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays: dict[str, Any] = {name: stored[name] for name in ("images", "labels", "warnings")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Synthetic(arrays["images"], arrays["labels"], tuple(arrays["warnings"].tolist()))


def _write(path: Path, synthetic: Synthetic) -> None:
    """Written beside its place and moved there whole: a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{uuid.uuid4().hex}.npz")
    try:
        np.savez(
            temporary,
            images=synthetic.images,
            labels=synthetic.labels,
            warnings=np.array(synthetic.warnings, dtype=np.str_),
        )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
