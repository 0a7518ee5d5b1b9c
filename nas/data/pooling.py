"""Small versions of many images at once, to compare them by: means over a grid."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
_AT_ONCE = 1 << 22  # pixels


def pooled(images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], side: int, *, colour: bool = False) -> Vectors:
    """Of ``rows`` of ``images`` (N, C, H, W) the means over ``side`` x ``side`` fields, (len(rows), C, side, side); of
    colour images without ``colour`` that of their channels."""
    channels, height, width = images.shape[1:]
    down, across = _fields(height, side), _fields(width, side).T
    small = np.empty((len(rows), channels if colour else 1, side, side), dtype=np.float32)
    step = max(1, _AT_ONCE // math.prod(images.shape[1:]))
    for start in range(0, len(rows), step):
        some = images[rows[start : start + step]]
        some = some.astype(np.float32) if colour else some.mean(axis=1, keepdims=True, dtype=np.float32)
        small[start : start + step] = down @ some @ across
    return small


def _fields(size: int, side: int) -> Vectors:
    """Means over ``side`` equal stretches of ``size`` pixels, (side, size)."""
    low, high = np.arange(side)[:, None] * size / side, np.arange(1, side + 1)[:, None] * size / side
    pixel = np.arange(size)[None]
    share = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    return np.asarray(share / share.sum(axis=1, keepdims=True), dtype=np.float32)
