"""SMOTE and Borderline-SMOTE on pixels: images between two neighbours of a class.

Small splits go through imbalanced-learn. It wants the whole split as float32 and keeps several copies, so larger
ones are made class by class here, from the same random numbers: up to ``neighbors.EXACT_IMAGES`` the images are
imbalanced-learn's to the bit, but for neighbours at equal distances; beyond, Borderline-SMOTE's decision what is
at the border rests on an approximate search, SMOTE remains exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import Split
from nas.data.oversampling.neighbors import as_floats, nearest, nearest_of_all
from nas.data.oversampling.registry import SEED, Rows, Synthetic, class_counts, gather, pieces, register_oversampler

K_NEIGHBORS = 5  # of its own class, between which a synthetic image is made
M_NEIGHBORS = 10  # of any class, which decide whether an image lies at the border
LIBRARY_BYTES = 64 << 20  # of float32 pixels after oversampling; imbalanced-learn takes several times as much


@register_oversampler("smote")
def smote(split: Split) -> Iterator[Synthetic]:
    """SMOTE (Chawla et al. 2002) on pixels, up to the majority's count.

    A synthetic image is ``a + u (b - a)``: a any image of the class, b one of its K_NEIGHBORS nearest there, u
    uniform between 0 and 1. A class with fewer than six images uses as many neighbours as it has; one with a
    single image is filled with copies, and a warning says so.
    """
    return _synthesized(split, "smote")


@register_oversampler("borderline-smote")
def borderline_smote(split: Split) -> Iterator[Synthetic]:
    """Borderline-SMOTE (Han, Wang and Mao 2005, variant 1) on pixels, up to the majority's count.

    As SMOTE, with ``a`` at the border only: of its M_NEIGHBORS nearest images at least half, but not all, are of
    other classes. A class with fewer than six images uses as many neighbours as it has; one with a single image,
    or with none at the border, is filled with random copies, and a warning says so.
    """
    return _synthesized(split, "borderline-smote")


def _synthesized(split: Split, name: str) -> Iterator[Synthetic]:
    """The pieces of either method: classes with equally many neighbours together, then the copies."""
    counts = class_counts(split.labels)
    majority = max(counts.values())
    by_neighbors: dict[int, list[int]] = {}
    for label, count in counts.items():
        if 1 < count < majority:
            by_neighbors.setdefault(min(K_NEIGHBORS, count - 1), []).append(label)
    in_library = 4 * majority * len(counts) * int(np.prod(split.stored.shape[1:])) <= LIBRARY_BYTES
    make = _by_library if in_library else _class_by_class
    made, nothing = Counter[int](), gather(split, np.arange(0))
    for num_neighbors, members in by_neighbors.items():
        for piece in make(split, name, members, num_neighbors):
            made.update(class_counts(piece.labels))
            yield piece
        if num_neighbors < K_NEIGHBORS:
            warnings = [
                f"{name}: class {label} has {counts[label]} training images, so {num_neighbors} "
                f"of {K_NEIGHBORS} neighbours were used"
                for label in members
            ]
            yield Synthetic(nothing, split.labels[:0], tuple(warnings))

    rng = np.random.default_rng(SEED)
    for label, count in counts.items():
        if missing := majority - count - made[label]:
            chosen = rng.choice(np.flatnonzero(split.labels == label), missing)
            for part in pieces(chosen, split):
                yield Synthetic(gather(split, part), split.labels[part])
            reason = "has one training image" if count == 1 else "has no image at the border to another class"
            warning = f"{name}: class {label} {reason}, so copies are added instead: {missing}"
            yield Synthetic(nothing, split.labels[:0], (warning,))


def _by_library(split: Split, name: str, members: list[int], num_neighbors: int) -> Iterator[Synthetic]:
    """Images that imbalanced-learn adds to the classes ``members``, in one pass."""
    # Here, because it takes seconds to import and most trials do not oversample.
    from imblearn.over_sampling import SMOTE, BorderlineSMOTE

    wanted = dict.fromkeys(members, max(class_counts(split.labels).values()))
    options = {"sampling_strategy": wanted, "k_neighbors": num_neighbors, "random_state": SEED}
    if name == "smote":
        method = SMOTE(**options)
    else:
        method = BorderlineSMOTE(**options, m_neighbors=min(M_NEIGHBORS, len(split.labels) - 1))
    count = len(split.labels)
    rows, labels = method.fit_resample(as_floats(split, np.arange(count)), split.labels)  # the originals come first
    yield Synthetic(_as_pixels(rows[count:], split), np.asarray(labels[count:], dtype=np.int64))


def _class_by_class(split: Split, name: str, members: list[int], num_neighbors: int) -> Iterator[Synthetic]:
    """The same in pieces, with no more than a few megabytes in floating point at a time."""
    counts = class_counts(split.labels)
    border = in_danger(split, members) if name == "borderline-smote" else None
    for label in members:
        own = np.flatnonzero(split.labels == label)
        starts = own if border is None else own[border[own]]
        if not len(starts):
            continue  # copies fill it
        num_made = max(counts.values()) - counts[label]
        random = np.random.RandomState(SEED)  # imbalanced-learn's, and in its order
        sampled = random.randint(0, len(starts) * num_neighbors, num_made)
        steps = random.uniform(size=num_made)
        used, place = np.unique(sampled // num_neighbors, return_inverse=True)  # only their neighbours matter
        neighbors = nearest(split, starts[used], own, num_neighbors + 1)[:, 1:]
        ends = neighbors[place, sampled % num_neighbors]
        yield from _between(split, starts[used][place], ends, steps)


def in_danger(split: Split, members: list[int]) -> NDArray[np.bool_]:
    """Of all images (N,): which are of a class of ``members`` and at the border to another (see above)."""
    asked = np.flatnonzero(np.isin(split.labels, members))
    num_neighbors = min(M_NEIGHBORS, len(split.labels) - 1)
    neighbors = nearest_of_all(split, asked, num_neighbors + 1)[:, 1:]
    num_others = (split.labels[neighbors] != split.labels[asked][:, None]).sum(axis=1)
    danger = np.zeros(len(split.labels), dtype=bool)
    danger[asked] = (num_others >= num_neighbors / 2) & (num_others < num_neighbors)
    return danger


def _between(split: Split, starts: Rows, ends: Rows, steps: NDArray[np.float64]) -> Iterator[Synthetic]:
    """Images between each pair of positions, ``steps`` of the way."""
    for part in pieces(np.arange(len(starts)), split):
        first, second = as_floats(split, starts[part]), as_floats(split, ends[part])
        rows = (first + steps[part][:, None] * (second - first)).astype(np.float32)
        yield Synthetic(_as_pixels(rows, split), split.labels[starts[part]])


def _as_pixels(rows: NDArray[np.float32], split: Split) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = np.clip(np.rint(rows), 0, 255).astype(np.uint8)
    return pixels.reshape(-1, *split.stored.shape[1:])
