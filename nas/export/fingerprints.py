"""Fingerprints of the images that a network was trained on: a number each, enough to recognise one, not to see it."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.data import Dataset

FILE = "trained_on.npy"  # of an exported folder
Fingerprints = npt.NDArray[np.uint64]

CHUNK = 256  # images in memory at once


def fingerprints(pixels: npt.NDArray[np.uint8]) -> Fingerprints:
    """(N,): 64 bits of a hash of the pixels of each image (N, C, H, W)."""
    return np.array([int.from_bytes(blake2b(image.tobytes(), digest_size=8).digest()) for image in pixels], np.uint64)


def trained_on(dataset: Dataset) -> Fingerprints:
    """Those of all images to train on, sorted, each once."""
    return np.unique(np.concatenate([fingerprints(pixels) for pixels, _ in dataset.split("train").batches(CHUNK)]))


def known_images(folder: Path) -> Fingerprints | None:
    """Fingerprints, in an exported folder, of the images that its network was trained on; None if it has none."""
    try:
        known = np.load(folder / FILE, allow_pickle=False) if (folder / FILE).is_file() else None
        is_sound = isinstance(known, np.ndarray) and known.ndim == 1 and known.dtype.kind in "iu"
        return np.asarray(known, np.uint64) if is_sound else None
    except (OSError, ValueError, EOFError, TypeError, MemoryError):
        return None
