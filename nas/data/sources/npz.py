"""An ``.npz`` file with arrays ``images`` and ``labels``, or called as Keras and MedMNIST do; test and val perhaps."""

from __future__ import annotations

import hashlib
import lzma
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nas.data.sources.arrays import found_in_arrays
from nas.data.sources.base import PART_OF, PARTS, TEST, TRAIN, VAL, Found, Progress
from nas.data.sources.tree import most_unpacked, stamp
from nas.errors import DataError

Array = npt.NDArray[Any]
_KINDS = {"images": ("images", "image", "imgs", "x", "data"), "labels": ("labels", "label", "y", "targets", "target")}
CLASS_NAMES, SYNTHETIC = "class_names", "synthetic"  # arrays that say more of labels and of images to train on
_DAMAGED = (  # RuntimeError and NotImplementedError: a password, a compression that zipfile does not know
    ValueError, TypeError, EOFError, LookupError, OSError, OverflowError, RecursionError, RuntimeError,
    NotImplementedError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError,
)  # fmt: skip
_LAYOUTS = "(N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels"


class Npz:
    """Images as uint8 or as deeper numbers, labels as whole numbers or strings. No pickles."""

    remarks = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem

    def fingerprint(self) -> str:
        """A hash of the file's path, size, times of change and place on the disk."""
        text = f"{self.path.resolve()}\0{stamp(self.path.stat())}"
        return f"npz:{hashlib.blake2b(text.encode(errors='surrogateescape')).hexdigest()}"

    def look(self, progress: Progress | None) -> Found:
        """Load and check the arrays. DataError with everything that is wrong with them."""
        arrays, more, others = _load(self.path)
        errors: list[str] = []
        own = [part for part in (TRAIN, VAL, TEST) if any((part, kind) in arrays for kind in _KINDS)] or [TRAIN]
        pairs = [_pair(arrays, others, part, errors) for part in own]
        _raise(self.path, errors)
        first = pairs[0]
        for pair in pairs[1:]:
            errors += _disagreements(first, pair)
        _raise(self.path, errors)
        counts = [len(pair.labels) for pair in pairs]
        labels, classes = _named(np.concatenate([pair.labels for pair in pairs]), more.get(CLASS_NAMES), errors)
        synthetic = _marked(more.get(SYNTHETIC), counts[0] if own[0] == TRAIN else 0, sum(counts), errors)
        _raise(self.path, errors)
        found = found_in_arrays(
            np.concatenate([pair.images for pair in pairs]),
            labels,
            parts=np.repeat(np.array(own, dtype=np.uint8), counts),
            classes=classes,
            origin="npz",
        )
        return replace(found, synthetic=synthetic)


class _Pair(NamedTuple):
    """The images (N, H, W[, 3]) and labels (N,) of a part, and what their arrays are called."""

    names: tuple[str, str]
    images: Array
    labels: Array


def _raise(path: Path, errors: list[str]) -> None:
    if errors:
        raise DataError(*(f"{path}: {error}." for error in errors))


def _meaning(name: str) -> tuple[int, str] | None:
    """Part and kind of the array of this name; None for other arrays."""
    words = name.lower().split("_")
    parts = [PART_OF[word] for word in words if word in PART_OF]
    rest = [word for word in words if word not in PART_OF]
    for kind, names in _KINDS.items():
        if len(rest) == 1 and rest[0] in names and len(parts) <= 1:
            return (parts[0] if parts else TRAIN), kind
    return None


def _load(path: Path) -> tuple[dict[tuple[int, str], tuple[str, Array]], dict[str, Array], str]:
    """The arrays by part and kind, each with its name; those that say more; and all that there are, in words."""
    try:
        _refuse_bomb(path)
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path} holds a single array. Write an .npz file with numpy.savez.")
            arrays: dict[tuple[int, str], tuple[str, Array]] = {}
            for name in archive.files:
                if meaning := _meaning(name):
                    if meaning in arrays:
                        raise DataError(
                            f"{path}: the arrays {arrays[meaning][0]!r} and {name!r} are both {meaning[1]} of "
                            f"{PARTS[meaning[0]]}. Leave one out."
                        )
                    arrays[meaning] = name, archive[name]
            is_whole = all((part, kind) in arrays for part, _ in arrays for kind in _KINDS) and bool(arrays)
            more = {name: array for name in (CLASS_NAMES, SYNTHETIC) if (array := _plain(archive, name)) is not None}
            return arrays, more, "" if is_whole else ", ".join(_described(archive, name) for name in archive.files)
    except MemoryError as error:
        raise DataError(
            f"{path} holds arrays that do not fit into memory: {error or 'no more could be had'}. Give a file "
            "with fewer images, or a folder of images."
        ) from error
    except _DAMAGED as error:
        if isinstance(error, DataError):
            raise
        advice = "Write it again with numpy.savez and plain arrays (images of numbers, whole numbers or strings)"
        raise DataError(f"{path} cannot be read as an .npz file: {error}. {advice}.") from error


def _refuse_bomb(path: Path) -> None:
    """DataError if the arrays take far more room than the file. A single array passes."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as packed:
        total, most = sum(info.file_size for info in packed.infolist()), most_unpacked(path.stat().st_size)
    if total > most:
        raise DataError(
            f"{path} unpacks to {total:,} bytes, and at most {most:,} are allowed for a file of its size. If "
            "it is what you "
            "expect, write it again with numpy.savez, which does not compress."
        )


def _plain(archive: Any, name: str) -> Array | None:
    """An array that may be missing; None too for one of objects, which only a program that trusts it can read."""
    try:
        return np.asarray(archive[name]) if name in archive.files else None
    except ValueError:
        return None


def _named(labels: Array, given: Array | None, errors: list[str]) -> tuple[npt.NDArray[np.int64], Sequence[str]]:
    """Labels (N,) as indices, and what the classes are called: as the labels are, or by the names ``given`` of the
    numbers from 0 on."""
    names, indices = np.unique(labels, return_inverse=True)
    if given is None or labels.dtype.kind == "U" or not len(labels):
        return indices.astype(np.int64), [str(name) for name in names]
    if given.ndim != 1 or given.dtype.kind != "U" or len(set(given.tolist())) < len(given):
        errors.append(f"{CLASS_NAMES} must be different strings, one per class, and is {given.dtype} {given.shape}")
    elif names[0] < 0 or names[-1] >= len(given):
        errors.append(
            f"{CLASS_NAMES} has {len(given)} names, for labels from 0 to {len(given) - 1}, and labels go from "
            f"{names[0]} to {names[-1]}"
        )
    return labels, [str(name) for name in given.ravel()]


def _marked(given: Array | None, num_train: int, count: int, errors: list[str]) -> npt.NDArray[np.bool_] | None:
    """Mask of all images that an oversampler made, if that was said of those to train on, which come first."""
    if given is None:
        return None
    if given.shape != (num_train,) or given.dtype.kind not in "biu" or not np.isin(given, (0, 1)).all():
        errors.append(
            f"{SYNTHETIC} must be 0 or 1 for each of the {num_train} training images, and is {given.dtype} "
            f"{given.shape}"
        )
        return None
    synthetic = np.zeros(count, dtype=bool)
    synthetic[:num_train] = given
    return synthetic


def _described(archive: Any, name: str) -> str:
    try:
        return f"{name} {archive[name].dtype} {archive[name].shape}"
    except ValueError:
        return f"{name} of objects"


def _pair(arrays: dict[tuple[int, str], tuple[str, Array]], others: str, part: int, errors: list[str]) -> _Pair:
    """Checked images and labels of a part; what is wrong with them goes to ``errors``."""
    prefix = "" if part == TRAIN else f"{PARTS[part]}_"
    missing = [prefix + kind for kind in _KINDS if (part, kind) not in arrays]
    there = f" (there are: {others})" if others else ""
    errors.extend(
        f"the array {name!r} is missing{there}. Write it under that name, as in numpy.savez('set.npz', images=..., "
        "labels=..., test_images=..., test_labels=...); x_train, y_train, train_images, val_labels and the like are "
        "read too"
        for name in missing
    )
    if missing:
        return _Pair(("", ""), np.empty(0), np.empty(0))
    (image_name, images), (label_name, labels) = arrays[part, "images"], arrays[part, "labels"]
    images = _images(images, image_name, errors)
    labels = _labels(labels, label_name, errors)
    if labels.ndim == 1 and images.ndim and len(labels) != len(images):
        errors.append(f"there are {len(images)} {image_name} and {len(labels)} {label_name}")
    return _Pair((image_name, label_name), images, labels)


def _disagreements(first: _Pair, other: _Pair) -> Iterator[str]:
    one, two = first.names[0], other.names[0]
    if first.images.shape[1:] != other.images.shape[1:]:
        yield f"{one} are {first.images.shape[1:]} and {two} {other.images.shape[1:]}; they must agree"
    elif first.images.dtype != other.images.dtype:
        yield f"{one} are {first.images.dtype} and {two} {other.images.dtype}; they must agree"
    if (first.labels.dtype.kind == "U") != (other.labels.dtype.kind == "U"):
        yield f"{first.names[1]} and {other.names[1]} must both be whole numbers or both be strings"


def _labels(labels: Array, name: str, errors: list[str]) -> Array:
    """Labels (N,) as int64 or as strings: whole numbers of any type, or one-hot rows, by their column."""
    given = f"{labels.dtype} of shape {labels.shape}"
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "iubf":
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            errors.append(
                f"{name} is {given}, which would be one-hot, but not every row holds exactly one 1 and otherwise 0s"
            )
        return np.asarray(labels.argmax(axis=1), dtype=np.int64)
    if labels.ndim != 1 or labels.dtype.kind not in "iubfUS":
        errors.append(f"{name} must be whole numbers or strings of shape (N,), or one-hot (N, C), and is {given}")
        return labels
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.floor(labels))).all():
        errors.append(f"{name} must be whole numbers or strings, and is {given} with fractions or NaN")
        return labels
    if labels.dtype.kind == "S":
        return np.char.decode(labels, "utf-8", "surrogateescape")
    return labels if labels.dtype.kind == "U" else labels.astype(np.int64)


def _images(images: Array, name: str, errors: list[str]) -> Array:
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        errors.append(f"{name} must be {_LAYOUTS}, and is {images.shape}")
        return images
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.dtype.kind not in "iuf":
        errors.append(f"{name} must be whole numbers or floats, and is {images.dtype}")
    return images
