"""From an image file to the pixels that a network is trained on: upright, opaque, 8 bits deep, of one size.

Needs Pillow and numpy alone: the text of this module goes into every exported folder, so that pictures are prepared in
use as they were in training.
"""

from __future__ import annotations

import io

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
DEEP_MODES = GREY_MODES - {"1", "L", "LA", "La", "F"}


def decoded(content: bytes, channels: int, height: int, width: int, fit: str) -> npt.NDArray[np.uint8]:
    """The pixels of an image file as uint8 (C, H, W); any exception if the file is broken.

    ``fit``: "resize", or "pad" with black to keep the sides' ratio. JPEGs are decoded whole: Pillow's draft mode, at an
    eighth of the size, takes a sixth of the time and leaves a moire of fine stripes that an antialiased resize does not
    have.
    """
    image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
    is_turned = orientation(image) > 1
    image.load()
    if is_turned:
        image = ImageOps.exif_transpose(image)
    return fitted(flattened(image), channels, height, width, fit)


def fitted(image: Image.Image, channels: int, height: int, width: int, fit: str) -> npt.NDArray[np.uint8]:
    """An image of mode L or RGB as uint8 (C, H, W)."""
    image = image.convert("L" if channels == 1 else "RGB")
    size = (width, height)
    if image.size != size:  # Pillow's bicubic filter widens when it shrinks an image, so this is antialiased
        if fit == "pad":
            image = ImageOps.pad(image, size, Image.Resampling.BICUBIC)
        else:
            image = image.resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def orientation(image: Image.Image) -> int:
    """How an image that is not yet loaded lies, by its EXIF: 1 is upright."""
    if "exif" not in image.info or image.format == "TIFF":
        return 1  # asking a PNG for its EXIF decodes it; TIFFs are turned by Pillow itself
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def flattened(image: Image.Image) -> Image.Image:
    """Mode L or RGB: deep grey scaled to 8 bits, transparency laid over white."""
    mode = image.mode
    if mode in DEEP_MODES:
        levels = np.asarray(image).clip(0, 65535)
        # 32 bits may hold any range; nothing above 255 means that they hold one of 8 bits.
        scale = 1 if mode == "I" and levels.max() <= 255 else 257
        return Image.fromarray((levels / scale).round().astype(np.uint8))
    if mode == "F":
        values = np.nan_to_num(np.asarray(image))
        scale = 255 if values.size and values.max() <= 1 else 1
        return Image.fromarray((values * scale).clip(0, 255).round().astype(np.uint8))
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        grey = mode in GREY_MODES
        colours = image.convert("RGBA")
        opaque = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
        return opaque.convert("L" if grey else "RGB")
    return image.convert("L" if mode in GREY_MODES else "RGB")
