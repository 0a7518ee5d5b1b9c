"""One image file: what it is, and its pixels upright, opaque and 8 bits deep. Pillow is used here only."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from nas.data.dataset import Target

Image.init()
# Containers and page descriptions whose "images" Pillow cannot decode by itself.
_STUBS = {"BUFR", "EPS", "FPX", "GRIB", "HDF5", "MIC", "MPEG", "WMF"}
_FIRST = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")  # tried in this order, so the common ones are quick
_FORMATS = [name for name in _FIRST if name in Image.OPEN]
_FORMATS += [name for name in Image.OPEN if name not in _STUBS and name not in _FIRST]
SUFFIXES = frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in _FORMATS)

_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 swap height and width
_GREY_MODES = {"1", "L", "LA", "La", "F", "I", "I;16", "I;16B", "I;16L", "I;16N"}
_DEEP_MODES = _GREY_MODES - {"1", "L", "LA", "La", "F"}


@dataclass(frozen=True)
class Header:
    """What an image file says of itself; ``height`` and ``width`` in pixels, upright."""

    height: int
    width: int
    grey: bool
    mode: str
    format: str


def read_header(content: bytes) -> Header:
    """The header of an image file, decoded only where it must be; any exception if it is broken."""
    image = Image.open(io.BytesIO(content), formats=_FORMATS)
    mode, width, height = image.mode, *image.size
    grey = mode in _GREY_MODES
    if mode in ("P", "PA"):
        image.load()
        grey = _has_grey_palette(image) if image.mode in ("P", "PA") else image.mode in _GREY_MODES
    if _orientation(image) >= 5:
        width, height = height, width
    return Header(height, width, grey, mode, image.format or "?")


def decode_file(content: bytes, target: Target) -> npt.NDArray[np.uint8]:
    """The pixels of an image file as uint8 (C, H, W); any exception if the file is broken.

    JPEGs are decoded whole: Pillow's draft mode, at an eighth of the size, takes a fifth of the time and leaves a moire
    of fine stripes that an antialiased resize does not have.
    """
    image: Image.Image = Image.open(io.BytesIO(content), formats=_FORMATS)
    upright = _orientation(image) > 1
    image.load()
    if upright:
        image = ImageOps.exif_transpose(image)
    return fit(_flatten(image), target)


def decode_array(pixels: npt.NDArray[np.uint8], target: Target) -> npt.NDArray[np.uint8]:
    """The same for pixels already decoded: uint8 (H, W) or (H, W, 3) to uint8 (C, H, W)."""
    return fit(Image.fromarray(pixels), target)


def fit(image: Image.Image, target: Target) -> npt.NDArray[np.uint8]:
    """An image of mode L or RGB, brought to the target's channels, height and width."""
    image = image.convert("L" if target.channels == 1 else "RGB")
    size = (target.width, target.height)
    if image.size != size:  # Pillow's bicubic filter widens when it shrinks an image, so this is antialiased
        if target.fit == "pad":
            image = ImageOps.pad(image, size, Image.Resampling.BICUBIC)
        else:
            image = image.resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[None] if target.channels == 1 else pixels.transpose(2, 0, 1)


def reason(error: Exception) -> str:
    """Why an image is broken, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow can read"
    return (str(error) or type(error).__name__).splitlines()[0]


def suffix_of(name: str) -> str:
    """'.jpg' for 'a/B.JPG'."""
    return Path(name).suffix.lower()


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info or image.format == "TIFF":
        return 1  # asking a PNG for its EXIF decodes it; TIFFs are turned by Pillow itself
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _has_grey_palette(image: Image.Image) -> bool:
    palette = image.getpalette("RGB")
    if palette is None:
        return True
    colours = np.asarray(palette, dtype=np.uint8).reshape(-1, 3)
    pixels = np.asarray(image)
    used = np.unique(pixels[..., 0] if pixels.ndim == 3 else pixels)  # PA has its alpha behind the index
    colours = colours[used[used < len(colours)]]
    return bool((colours == colours[:, :1]).all())


def _flatten(image: Image.Image) -> Image.Image:
    """Mode L or RGB: deep grey scaled to 8 bits, transparency laid over white."""
    mode = image.mode
    if mode in _DEEP_MODES:
        levels = np.asarray(image).clip(0, 65535)
        # 32 bits may hold any range; nothing above 255 means that they hold one of 8 bits.
        scale = 1 if mode == "I" and levels.max() <= 255 else 257
        return Image.fromarray((levels / scale).round().astype(np.uint8))
    if mode == "F":
        values = np.nan_to_num(np.asarray(image))
        scale = 255 if values.size and values.max() <= 1 else 1
        return Image.fromarray((values * scale).clip(0, 255).round().astype(np.uint8))
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        grey = mode in _GREY_MODES
        colours = image.convert("RGBA")
        opaque = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
        return opaque.convert("L" if grey else "RGB")
    return image.convert("L" if mode in _GREY_MODES else "RGB")
