"""Images and labels as Python programs have them in memory: checked, and brought to one form."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nas.config import raise_all
from nas.errors import UsageError, attempt

Array = npt.NDArray[Any]
WHOLE = (int, np.integer, np.bool_)
LARGEST_LABEL = 2**53  # as a float holds whole numbers exactly
LAYOUTS = "(N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels"


class Labelled(NamedTuple):
    """Images uint8 (N, H, W) or (N, H, W, 3), and labels (N,): int64 or strings. ``classes``: names of the labels from
    0 on, where labels are numbers and somebody names them."""

    images: npt.NDArray[np.uint8]
    labels: Array
    classes: tuple[str, ...] = ()


def as_array(values: Any, what: str) -> Array:
    """An array, of a torch tensor on any device too. UsageError where items differ in shape; ``what`` they are."""
    if hasattr(values, "detach"):  # a tensor: torch need not be imported to tell
        values = values.detach().cpu()
        values = values.to_dense() if values.layout is not sys.modules["torch"].strided else values
        values = values.float().numpy() if values.is_floating_point() else values.numpy()
    try:
        return np.asarray(values)
    except ValueError:
        raise UsageError(f"{what} must hold items of one shape, and their shapes differ.") from None


def labelled(images: Any, labels: Any, what: str = "X") -> Labelled:
    """Images and labels, checked together. ``what`` the images are called. UsageError with everything that is wrong."""
    errors: list[str] = []
    pixels = attempt(lambda: as_array(images, what), errors)
    classes = attempt(lambda: checked_labels(as_array(labels, "Labels")), errors)
    found = None if pixels is None else attempt(lambda: in_bytes(channels_last(pixels, what), what), errors)
    if pixels is not None and pixels.ndim and classes is not None and len(pixels) != len(classes):
        errors.append(
            f"{what} has {len(pixels):,} images and there are {len(classes):,} labels: give one label per image."
        )
    raise_all(errors)
    assert found is not None and classes is not None
    return Labelled(found, classes)


def channels_last(images: Array, what: str = "X") -> Array:
    """Images in one of ``LAYOUTS`` as (N, H, W) or (N, H, W, 3). UsageError for others."""
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        more = ""
        if images.ndim == 2:
            more = f": {what}.reshape(-1, H, W) makes images of rows of pixels"
        if images.ndim == 4 and 4 in (images.shape[1], images.shape[3]):
            more = ": leave out the fourth channel, transparency"
        raise UsageError(f"{what} must be {LAYOUTS}, and is {images.shape}{more}.")
    return images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images


def in_bytes(images: Array, what: str = "X") -> npt.NDArray[np.uint8]:
    """uint8 as it is; numbers from 0 to 1 times 255, rounded to the nearest. UsageError for everything else."""
    if not images.size:
        raise UsageError(f"{what} has no images: its shape is {images.shape}.")
    if images.dtype == np.uint8:
        return images
    if images.dtype == bool:
        return images.astype(np.uint8) * np.uint8(255)
    if images.dtype.kind not in "iuf":
        raise UsageError(f"{what} must be uint8 from 0 to 255 or floats from 0 to 1, and is {images.dtype}.")
    low, high = images.min(), images.max()
    if not np.isfinite([low, high]).all():
        count = len(images) - np.isfinite(images).all(axis=tuple(range(1, images.ndim))).sum()
        raise UsageError(
            f"{what} holds NaN or infinity in {count:,} of {len(images):,} images: replace these values, or "
            "leave these images out."
        )
    if images.dtype.kind != "f" or low < 0 or high > 1:
        raise UsageError(
            f"{what} must be uint8 from 0 to 255 or floats from 0 to 1, and is {images.dtype} from {low:g} to "
            f"{high:g}: convert it, for example by {_how(images.dtype, float(low), float(high))}."
        )
    rounded: npt.NDArray[np.uint8] = np.rint(images * 255).astype(np.uint8)
    return rounded


def _how(dtype: np.dtype[Any], low: float, high: float) -> str:
    """An expression that brings images X from these numbers to what is taken."""
    if low >= 0 and 127 < high <= 255:
        return "X / 255" if dtype.kind == "f" else 'X.astype("uint8")'
    return f"X / {high:g}" if low >= 0 else f"(X + {-low:g}) / {high - low:g}"


def checked_labels(labels: Array) -> Array:
    """Labels (N,) as int64, where they are whole numbers, or as strings. UsageError for others."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise UsageError(f"Labels must have the shape (N,), one label per image, and have {labels.shape}.")
    if labels.dtype.kind == "O":
        kinds = {type(label) for label in labels.tolist()}
        if not all(issubclass(kind, str) for kind in kinds) and not all(issubclass(kind, WHOLE) for kind in kinds):
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise UsageError(f"Labels must be all strings or all whole numbers, and are of the types: {names}.")
        labels = np.array(labels.tolist())
    if labels.dtype.kind in "biu" or (labels.dtype.kind == "f" and _are_whole(labels)):
        least, most = (labels.min(), labels.max()) if labels.size else (0, 0)
        if not -LARGEST_LABEL <= least <= most <= LARGEST_LABEL:
            raise UsageError(f"Labels must be at most {LARGEST_LABEL:,}, and range from {least} to {most}.")
        return labels.astype(np.int64)
    if labels.dtype.kind not in "US":
        raise UsageError(
            f"Labels must be whole numbers or strings, and are {labels.dtype}, some with fractions or NaN."
        )
    if labels.dtype.kind == "S":
        return np.array([label.decode("utf-8", "backslashreplace") for label in labels.tolist()], dtype=np.str_)
    return labels.astype(np.str_)


def _are_whole(labels: Array) -> bool:
    return bool((np.isfinite(labels) & (labels == np.floor(labels))).all())
