"""One image file: what it is, and its pixels. Pillow is used here and in ``nas.data.pixels`` only."""

from __future__ import annotations

import contextlib
import io
import re
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from nas.data.dataset import Preprocessing
from nas.data.pixels import (
    DEEP_MODES,
    DEEPEST,
    FORMATS,
    GREY_MODES,
    decoding_bytes,
    extent,
    fitted,
    orientation,
    prepared,
    refuse_huge,
    scaled,
)
from nas.data.sources.base import Header

SEVERAL_PAGES = "Images with several pages or frames, of which the first is used"
_LARGE = 200_000_000  # bytes: pictures that take more are decoded one after the other, not in all threads
_TURN = threading.Lock()
DEEP_COLOURS = "Images with 16-bit colours, of which the upper 8 bits are used"


def read_header(content: bytes) -> Header:
    """The header of an image file, decoded only where it must be; any exception if it is broken."""
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    refuse_huge(image)
    mode, width, height = image.mode, *image.size
    has_deep_colours = (
        mode not in DEEP_MODES and re.search(r";16[BLN]", str(image.tile[:1])) is not None
    )  # gone once it is loaded
    grey = mode in GREY_MODES
    if mode in ("P", "PA"):
        image.load()
        grey = _has_grey_palette(image) if image.mode in ("P", "PA") else image.mode in GREY_MODES
    if orientation(image) >= 5:
        width, height = height, width
    values = extent(image)
    has_pages = image.format != "PSD" and getattr(image, "is_animated", False)  # a PSD holds the sum of its layers
    notes = [SEVERAL_PAGES] * has_pages + [DEEP_COLOURS] * has_deep_colours
    return Header(height, width, grey, mode, image.format or "?", values, tuple(notes))


def decode_file(content: bytes, target: Preprocessing) -> npt.NDArray[np.uint8]:
    """The pixels of an image file as uint8 (C, H, W); any exception if the file is broken."""
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    with _TURN if decoding_bytes(image) > _LARGE else contextlib.nullcontext():
        return _decoded(image, target)


def _decoded(image: Image.Image, target: Preprocessing) -> npt.NDArray[np.uint8]:
    return prepared(image, target.channels, target.height, target.width, target.fit, target.levels or DEEPEST)


def decode_array(pixels: npt.NDArray[Any], target: Preprocessing) -> npt.NDArray[np.uint8]:
    """The same for pixels already decoded: (H, W) or (H, W, 3) to uint8 (C, H, W); what is not uint8 is deep."""
    if pixels.dtype != np.uint8:
        pixels = scaled(pixels, target.levels or DEEPEST)
    return fitted(Image.fromarray(pixels), target.channels, target.height, target.width, target.fit)


def png_of(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels (C, H, W) as a PNG file, grey or RGB; ``decode_file`` gives them back exactly."""
    content = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(
        content, "PNG"
    )
    return content.getvalue()


def reason(error: Exception) -> str:
    """Reason why an image is broken, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow can read"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels, which could fill the memory: shrink it"
    return (str(error) or type(error).__name__).splitlines()[0]


def _has_grey_palette(image: Image.Image) -> bool:
    palette = image.getpalette("RGB")
    if palette is None:
        return True
    colours = np.asarray(palette, dtype=np.uint8).reshape(-1, 3)
    pixels = np.asarray(image)
    used = np.unique(pixels[..., 0] if pixels.ndim == 3 else pixels)  # PA has its alpha behind the index
    colours = colours[used[used < len(colours)]]
    return bool((colours == colours[:, :1]).all())
