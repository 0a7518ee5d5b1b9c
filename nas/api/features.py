"""Conversion of scikit-learn's rows or images into a network's pixels, the same at fit and at predict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.api.arrays import Array, channels_last
from nas.config.data import LARGEST_SIDE, SMALLEST_SIDE

Shape = tuple[int, int] | tuple[int, int, int]
CHUNK = 2048  # images whose numbers are in memory as floats at once
SQUARE = "square"


@dataclass(frozen=True)
class Form:
    """Conversion of X to pixels. ``shape`` is (H, W) or (H, W, 3) of an image of X; ``levels`` are what becomes 0 and
    255.

    ``size``, width and height, is what images are brought to; None: they have it. With ``repeats`` a row is no image:
    it is laid on a square, filled up with black, each value as a block of so many pixels a side.
    """

    shape: Shape
    levels: tuple[float, float]
    size: tuple[int, int] | None = None
    repeats: int = 0

    @classmethod
    def of(cls, X: Array, image_shape: Sequence[int] | str | None, size: tuple[int, int] | None) -> Form:
        """The form of X (N, F), (N, H, W) or one of the layouts of ``channels_last``. ValueError if it has none."""
        if X.ndim == 2 and X.shape[1] == 1:
            raise ValueError("n_features=1: an image has more than one pixel. Give X with more columns.")
        if image_shape == SQUARE and size is not None:
            raise ValueError(
                f"image_size is about images, and image_shape={SQUARE!r} says that X has none: leave one out."
            )
        if X.ndim == 2 and image_shape == SQUARE:
            side = math.isqrt(X.shape[1] - 1) + 1
            form = cls((side, side), levels_in(X, are_images=False), repeats=math.ceil(SMALLEST_SIDE / side))
            return form._checked(side * form.repeats, side * form.repeats)
        shape = _shape_of_rows(X.shape[1], image_shape) if X.ndim == 2 else _shape_of_images(X, image_shape)
        form = cls(shape, levels_in(X), None if size in (None, (shape[1], shape[0])) else size)
        return form._checked(*(form.size or (shape[1], shape[0])))

    def _checked(self, width: int, height: int) -> Form:
        if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (width, height)):
            raise ValueError(
                f"The images in X are {width}x{height} pixels (width x height), and must have {SMALLEST_SIDE} "
                f"to {LARGEST_SIDE} on each side:"
                f" image_size=32, for example, resizes them."
            )
        return self

    def pixels(self, X: Array) -> npt.NDArray[np.uint8]:
        """uint8 (N, H, W) or (N, H, W, 3), of as many values an image as X had that this is the form of."""
        images = X if X.ndim == 2 else channels_last(X)
        starts = range(0, len(images), CHUNK)
        return np.concatenate([self._pixels(images[start : start + CHUNK]) for start in starts])

    def _pixels(self, images: Array) -> npt.NDArray[np.uint8]:
        if images.dtype != np.uint8 or self.levels != (0.0, 255.0):
            from nas.data.pixels import scaled

            images = scaled(images, self.levels)
        if self.repeats:
            images = np.pad(images, ((0, 0), (0, math.prod(self.shape) - images.shape[1])))
        images = images.reshape(len(images), *self.shape)
        if self.repeats:
            return images.repeat(self.repeats, axis=1).repeat(self.repeats, axis=2)
        return np.stack([_resized(image, self.size) for image in images]) if self.size else np.asarray(images)


def _resized(image: Array, size: tuple[int, int]) -> Array:
    """As images in files are."""
    from PIL import Image

    from nas.data.pixels import fitted

    width, height = size
    planes = fitted(Image.fromarray(image), 1 if image.ndim == 2 else 3, height, width, "resize")
    return planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0)


def levels_in(X: Array, *, are_images: bool = True) -> tuple[float, float]:
    """Black and white of X: 0 and 255 of uint8, 0 and 1 where no value is beyond, else as of images in files
    (``nas.data.pixels.levels_of``); of other numbers the least and the largest."""
    from nas.data.pixels import levels_of

    if X.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(X.min()), float(X.max())
    if not are_images:
        return low, high if high > low else low + 1
    return levels_of([(low, high)])


def _shape_of_rows(number: int, image_shape: Sequence[int] | str | None) -> Shape:
    if image_shape is not None:
        shape = _checked_shape(image_shape)
        if math.prod(shape) != number:
            raise ValueError(
                f"X has {number:,} values per image and image_shape={image_shape} says {math.prod(shape):,}."
            )
        return shape
    side = math.isqrt(number)
    if side * side == number:
        return side, side
    third = math.isqrt(number // 3)
    like = f"({third}, {third}, 3)" if 3 * third * third == number else "(28, 28) or (32, 32, 3)"
    raise ValueError(
        f"X has {number:,} values per image, which is not a square: give image_shape=(height, width) or (height, "
        "width, 3), "
        f"such as {like}; or image_shape={SQUARE!r} if they are not images."
    )


def _shape_of_images(X: Array, image_shape: Sequence[int] | str | None) -> Shape:
    shape: Shape = channels_last(X[:1]).shape[1:]
    if image_shape is not None and (image_shape == SQUARE or _checked_shape(image_shape) != shape):
        raise ValueError(f"Images in X are {shape} and image_shape={image_shape!r}: leave it out.")
    return shape


def _checked_shape(image_shape: Sequence[int] | str) -> Shape:
    sides = () if isinstance(image_shape, str) else tuple(image_shape)
    if (
        len(sides) not in (2, 3)
        or not all(isinstance(side, int) and side > 0 for side in sides)
        or sides[2:] not in ((), (1,), (3,))
    ):
        raise ValueError(
            f"image_shape={image_shape!r} cannot be used: give (height, width), (height, width, 3), or {SQUARE!r} for "
            "rows that are not images."
        )
    return sides[:2] if sides[2:] == (1,) else sides  # type: ignore[return-value]
