"""A torch ``Dataset`` of images and labels, read once into arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.api.arrays import Array, Labelled, as_array, channels_last, checked_labels, in_bytes
from nas.config import DataConfig
from nas.errors import UsageError


def is_data_set(data: Any) -> bool:
    """True if it gives its items by number, and is no array, table or text."""
    return (
        callable(getattr(data, "__getitem__", None))
        and not isinstance(data, str | bytes)
        and not hasattr(data, "dtype")
    )


def of_data_set(data: Any, config: DataConfig, what: str) -> Labelled:
    """All images and labels of a data set; images of Pillow brought to the size that ``config`` says, if it does.

    UsageError where items are no pairs, images are of several sizes, or not from 0 to 1 or 255.
    """
    if not hasattr(data, "__len__"):
        raise UsageError(f"{what} (a {type(data).__name__}) has no length: give a Dataset that has one.")
    images, labels = list[Array](), list[Any]()
    for number in range(len(data)):
        try:
            item = data[number]
        except Exception as error:
            error.add_note(
                f"This error was raised by item {number} of {what} (a {type(data).__name__}) when it was read."
            )
            raise
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise UsageError(
                f"Item {number} of {what} must be an image and its label, and is of type {type(item).__name__}."
            )
        images.append(_pixels(item[0], config, f"Image {number} of {what}"))
        labels.append(_label(item[1], f"The label of item {number} of {what}"))
    if not images:
        raise UsageError(f"{what} has no images.")
    return Labelled(_stacked(images, what), checked_labels(as_array(labels, "Labels")), _classes(data))


def _label(label: Any, what: str) -> Any:
    """A number or a string, also of a tensor or an array that holds one."""
    if not hasattr(label, "item"):
        return label
    array = as_array(label, what)
    if array.size != 1:
        raise UsageError(f"{what} must be one number or string, and has the shape {array.shape}.")
    return array.item()


def _pixels(image: Any, config: DataConfig, what: str) -> Array:
    """An image uint8 (H, W) or (H, W, 3)."""
    if not hasattr(image, "getbands"):  # not of Pillow
        whole: Array = in_bytes(channels_last(as_array(image, what)[None], what), what)[0]
        return whole
    from nas.data.pixels import DEEP_MODES, DEEPEST, fitted, flattened

    if image.mode in DEEP_MODES:
        raise UsageError(
            f"{what} has more than 8 bits (mode {image.mode}): convert it to 8 bits, or give floats from 0 to 1."
        )
    image = flattened(image, DEEPEST)
    if config.size is None:
        pixels: Array = np.asarray(image)
        return pixels
    width, height = config.size
    planes = fitted(image, len(image.getbands()), height, width, config.fit)
    return np.asarray(planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0))


def _stacked(images: Sequence[Array], what: str) -> Array:
    sizes = sorted({image.shape[1::-1] for image in images})
    if len(sizes) > 1:
        (first, last) = (f"{width}x{height}" for width, height in (sizes[0], sizes[-1]))
        raise UsageError(
            f"Images of {what} have several sizes, {first} to {last}: pass Pillow images, without a transform, "
            "and give image_size, such as 32; or resize them all to one size in a transform."
        )
    if len({image.ndim for image in images}) > 1:  # grey ones among colours
        images = [np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image for image in images]
    return np.stack(images)


def _classes(data: Any) -> tuple[str, ...]:
    """Names of the labels from 0 on, as torchvision's sets have them, also below a ``Subset``."""
    while not hasattr(data, "classes") and hasattr(data, "dataset"):
        data = data.dataset
    names = getattr(data, "classes", ())
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(names) if len(set(names)) == len(names) else ()
