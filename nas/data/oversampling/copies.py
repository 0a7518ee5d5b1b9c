"""Oversampling that makes no new pixels: none at all, and random copies."""

from __future__ import annotations

import numpy as np

from nas.data.dataset import Split
from nas.data.oversampling.registry import SEED, Synthetic, class_counts, register_oversampler


@register_oversampler("none")
def no_oversampling(split: Split) -> Synthetic:
    """Nothing is added."""
    return Synthetic(split.stored[:0], split.labels[:0])


@register_oversampler("random")
def random_copies(split: Split) -> Synthetic:
    """Copies of a class's images up to the majority's count; of two images one has at most one copy more.

    The copies are row numbers: they take neither memory nor disk.
    """
    rng = np.random.default_rng(SEED)
    counts = class_counts(split.labels)
    majority = max(counts.values())
    chosen = np.concatenate(
        [
            np.resize(rng.permutation(np.flatnonzero(split.labels == label)), majority - count)
            for label, count in counts.items()
        ]
    )
    return Synthetic(split.stored, split.labels[chosen], rows=split.rows[chosen])
