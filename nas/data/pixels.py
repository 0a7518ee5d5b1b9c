"""Conversion of an image file to the pixels that a network is trained on: upright, opaque, 8 bits deep, of one size.

Needs Pillow and numpy alone: the text of this module goes into every exported folder, so that pictures are prepared in
use as they were in training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Image.init()
# Containers and page descriptions whose "images" Pillow cannot decode by itself.
STUBS = {"BUFR", "EPS", "FPX", "GRIB", "HDF5", "MIC", "MPEG", "WMF"}
FIRST = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")  # tried in this order, so the common ones are quick
FORMATS = [name for name in FIRST if name in Image.OPEN]
FORMATS += [name for name in Image.OPEN if name not in STUBS and name not in FIRST]
SUFFIXES = frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS)

ORIENTATION = 0x0112  # EXIF tag; 5 to 8 swap height and width
GREY_MODES = {"1", "L", "LA", "La", "F", "I", "I;16", "I;16B", "I;16L", "I;16N"}
DEEP_MODES = GREY_MODES - {"1", "L", "LA", "La"}  # of integers, and "F" of numbers
DEEPEST = (0.0, 65535.0)  # levels where nothing is known
MOST_BYTES = 2_000_000_000  # that decoding one picture may take
WHITES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # 8, 10, 12, 14 and 16 bits

Levels = tuple[float, float]
"""Black and white of images deeper than 8 bits: what becomes 0 and 255."""


def prepared(
    image: Image.Image, channels: int, height: int, width: int, fit: str, levels: Levels
) -> npt.NDArray[np.uint8]:
    """The pixels of an image of any mode, opened and perhaps not yet loaded, as uint8 (C, H, W).

    ``fit``: "resize", or "pad" with black to keep the sides' ratio. ``levels`` are those of the whole set, and matter
    to deep images alone: what lies outside is cut off. Of several pages or frames the first is taken.

    JPEGs are decoded whole: Pillow's draft mode, at an eighth of the size, takes a sixth of the time and leaves a moire
    of fine stripes that an antialiased resize does not have.
    """
    refuse_huge(image)
    is_turned = orientation(image) > 1
    image.load()
    if is_turned:
        image = ImageOps.exif_transpose(image)
    return fitted(flattened(image, levels), channels, height, width, fit)


def decoding_bytes(image: Image.Image) -> int:
    """About how much memory the decoding of an opened picture takes: two copies, of transparent and deep ones four."""
    copies = 4 if has_alpha(image) or image.mode in DEEP_MODES else 2
    return image.width * image.height * 4 * copies


def has_alpha(image: Image.Image) -> bool:
    """True if some of a picture may be transparent."""
    return image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info


def refuse_huge(image: Image.Image) -> None:
    """ValueError for a picture, not yet loaded, that could fill the memory."""
    if (needed := decoding_bytes(image)) > MOST_BYTES:
        raise ValueError(
            f"{image.width:,} x {image.height:,} pixels of mode {image.mode}: {needed / 1e9:.1f} GB decoded. Shrink it"
        )


def fitted(image: Image.Image, channels: int, height: int, width: int, fit: str) -> npt.NDArray[np.uint8]:
    """An image of mode L or RGB as uint8 (C, H, W)."""
    image = image.convert("L" if channels == 1 else "RGB")
    size = (width, height)
    if image.size != size:  # Pillow's bicubic filter widens when it shrinks an image, so this is antialiased
        image = padded(image, size) if fit == "pad" else image.resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def padded(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An image resized to fit into ``size`` (width, height), in the middle of black: what ``ImageOps.pad`` does from
    Pillow 13 on, while older ones fail where a very long image would have a side of no pixel."""
    width, height = size
    if image.width * height > image.height * width:
        height = round(image.height / image.width * width)
    elif image.width * height < image.height * width:
        width = round(image.width / image.height * height)
    if (width, height) == size:
        return image.resize(size, Image.Resampling.BICUBIC)
    canvas = Image.new(image.mode, size)
    if min(width, height) > 0:
        inner = image.resize((width, height), Image.Resampling.BICUBIC)
        canvas.paste(inner, (round((size[0] - width) * 0.5), round((size[1] - height) * 0.5)))
    return canvas


def orientation(image: Image.Image) -> int:
    """Orientation of an image that is not yet loaded, by its EXIF: 1 is upright."""
    if "exif" not in image.info or image.format == "TIFF":
        return 1  # asking a PNG for its EXIF decodes it; TIFFs are turned by Pillow itself
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def extent(image: Image.Image) -> Levels | None:
    """The least and the largest value of a deep image; None for others, and where no value is finite."""
    return extent_of(np.asarray(image)) if image.mode in DEEP_MODES else None


def extent_of(values: npt.NDArray[Any]) -> Levels | None:
    """The least and the largest finite value; None where there is none."""
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else None


def is_clipped(extent: Levels | None, levels: Levels) -> bool:
    """True if an image of this extent has values outside ``levels``; None: it is not deep."""
    return extent is not None and (extent[0] < levels[0] or extent[1] > levels[1])


def levels_of(extents: list[Levels]) -> Levels:
    """Black and white for images of these extents, all together.

    They are 0 and 1, or the largest value of 8, 10, 12, 14 or 16 bits, whichever none exceeds; the values' own where
    they lie between these scales, as standardized pixels do. Where some are negative, black is as far below 0 as white
    is above. What resampling shoots over a scale of 1 does not count.
    """
    if not extents:
        return DEEPEST
    low, high = min(low for low, _ in extents), max(high for _, high in extents)
    most = max(high, -low)
    if most < 2:
        return (-1.0 if -low > high / 4 else 0.0, 1.0)
    white = next((white for white in WHITES if WHITES[0] / 4 < most <= white), most)
    return (-white if low < 0 else 0.0, white)


def scaled(values: npt.NDArray[Any], levels: Levels) -> npt.NDArray[np.uint8]:
    """Values between ``levels`` brought to 8 bits; NaN is black."""
    black, white = levels
    values = np.nan_to_num(values.astype(np.float64), nan=black)
    return ((values - black) * (255 / (white - black))).clip(0, 255).round().astype(np.uint8)


def flattened(image: Image.Image, levels: Levels) -> Image.Image:
    """Mode L or RGB: deep grey between ``levels`` brought to 8 bits, transparency laid over white."""
    mode = image.mode
    if mode in DEEP_MODES:
        return Image.fromarray(scaled(np.asarray(image), levels))
    if has_alpha(image):
        grey = mode in GREY_MODES
        colours = image.convert("RGBA")
        opaque = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
        return opaque.convert("L" if grey else "RGB")
    return image.convert("L" if mode in GREY_MODES else "RGB")
