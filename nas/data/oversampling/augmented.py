"""Filling of minority classes with transformed copies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nas.data.dataset import Split
from nas.data.oversampling.registry import SEED, Synthetic, class_counts, gather, pieces, register_oversampler
from nas.errors import UsageError

BATCH_BYTES = 1 << 20  # of pixels that are transformed at once; in float32, with their grids, tens of times as many


@register_oversampler("augment")
def augmented_copies(split: Split, *, hue: float = 0.0, mirrors: bool = False) -> Iterator[Synthetic]:
    """Transformed copies of a class's images up to the majority's count, each image as often as any other.

    To each a random subset of one to all of these is applied: rotation to 40 degrees, translation to 20 %,
    colour jitter of 50 %, Gaussian blur with a kernel of 3, and, for colour images that may be mirrored, since digits
    and letters have a hand, horizontal and vertical flip with probability 0.8. What a shift uncovers repeats the
    border. ``hue`` is part of the jitter: turned by up to this share of the circle, 0.5 for any hue.
    ``mirrors``: colour images are mirrored though training does not mirror them.
    """
    if not 0 <= hue <= 0.5:
        raise UsageError(f"--oversample augment:hue={hue:g}: give a share of the circle, from 0 to 0.5.")
    return _made(split, hue, split.mirrored or mirrors)


def _made(split: Split, hue: float, mirrored: bool) -> Iterator[Synthetic]:
    import torch  # here, because listing the oversamplers should not wait for it

    from nas.data.oversampling.transforms import transformed

    rng = np.random.default_rng(SEED)
    generator = torch.Generator().manual_seed(SEED)
    counts = class_counts(split.labels)
    majority = max(counts.values())
    for label, count in counts.items():
        chosen = np.resize(rng.permutation(np.flatnonzero(split.labels == label)), majority - count)
        for part in pieces(chosen, split, BATCH_BYTES):
            images = torch.from_numpy(gather(split, part))
            yield Synthetic(transformed(images, generator, mirrored=mirrored, hue=hue).numpy(), split.labels[part])
