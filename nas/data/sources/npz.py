"""An ``.npz`` file with arrays ``images`` and ``labels``, perhaps ``test_images`` and ``test_labels``."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data.sources.arrays import found_in_arrays
from nas.data.sources.base import TEST, TRAIN, Found, Progress
from nas.errors import DataError

Array = npt.NDArray[Any]
_LAYOUTS = "(N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels"


class Npz:
    """Images as uint8 or as deeper numbers, labels as whole numbers or strings. No pickles."""

    remarks = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem

    def fingerprint(self) -> str:
        """A hash of the file's path, size and time of change."""
        status = self.path.stat()
        text = f"{self.path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
        return f"npz:{hashlib.blake2b(text.encode(errors='surrogateescape')).hexdigest()}"

    def look(self, progress: Progress | None) -> Found:
        """Load and check the arrays. DataError with everything that is wrong with them."""
        arrays = _load(self.path)
        faults: list[str] = []
        images, labels = _pair(arrays, "", faults)
        if "test_images" not in arrays and "test_labels" not in arrays:
            _raise(self.path, faults)
            parts = np.full(len(labels), TRAIN, dtype=np.uint8)
        else:
            test_images, test_labels = _pair(arrays, "test_", faults)
            if not faults and test_images.shape[1:] != images.shape[1:]:
                faults.append(f"images are {images.shape[1:]} and test_images {test_images.shape[1:]}; they must agree")
            if not faults and test_images.dtype != images.dtype:
                faults.append(f"images are {images.dtype} and test_images {test_images.dtype}; they must agree")
            if not faults and test_labels.dtype.kind != labels.dtype.kind:
                faults.append("labels and test_labels must both be whole numbers or both be strings")
            _raise(self.path, faults)
            parts = np.repeat(np.array([TRAIN, TEST], dtype=np.uint8), [len(labels), len(test_labels)])
            images, labels = np.concatenate([images, test_images]), np.concatenate([labels, test_labels])
        names, indices = np.unique(labels, return_inverse=True)
        classes = [str(name) for name in names]
        return found_in_arrays(images, indices.astype(np.int64), parts=parts, classes=classes, origin="npz")


def _raise(path: Path, faults: list[str]) -> None:
    if faults:
        raise DataError(*(f"{path}: {fault}." for fault in faults))


def _load(path: Path) -> dict[str, Array]:
    names = ("images", "labels", "test_images", "test_labels")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path} holds a single array. Write an .npz file with numpy.savez.")
            return {name: archive[name] for name in names if name in archive.files}
    except (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        advice = "Write it again with numpy.savez and plain arrays (images of numbers, whole numbers or strings)"
        raise DataError(f"{path} cannot be read as an .npz file: {error}. {advice}.") from error


def _pair(arrays: dict[str, Array], prefix: str, faults: list[str]) -> tuple[Array, Array]:
    """Checked images (N, H, W[, 3]) uint8 and labels (N,); what is wrong with them goes to ``faults``."""
    missing = [prefix + name for name in ("images", "labels") if prefix + name not in arrays]
    there = ", ".join(arrays) or "none"
    faults.extend(f"the array {name!r} is missing (there are: {there})" for name in missing)
    if missing:
        return np.empty(0), np.empty(0)
    images = _images(arrays[prefix + "images"], prefix + "images", faults)
    labels = arrays[prefix + "labels"]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iubUS":
        faults.append(
            f"{prefix}labels must be whole numbers or strings of shape (N,), and are {labels.dtype} of shape "
            f"{labels.shape}"
        )
    elif len(labels) != len(images):
        faults.append(f"there are {len(images)} {prefix}images and {len(labels)} {prefix}labels")
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "surrogateescape")
    return images, labels.astype(np.int64) if labels.dtype.kind in "iub" else labels


def _images(images: Array, name: str, faults: list[str]) -> Array:
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        faults.append(f"{name} must be {_LAYOUTS}, and is {images.shape}")
        return images
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.dtype.kind not in "iuf":
        faults.append(f"{name} must be whole numbers or floats, and is {images.dtype}")
    return images
