"""Small pictures of images: enlarged or shrunk, with a heat map laid over them, and laid out with text beside them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SIDE = 96  # pixels, the longest side
# From where nothing speaks for a class to where most does: ever lighter, so that nobody needs to tell hues apart.
RAMP = ((0.0, (40, 20, 60)), (0.5, (213, 94, 0)), (1.0, (255, 240, 130)))
OPAQUE = 0.8  # of the heat where it is largest
GAP, TEXT, APART, TOP = 4, 148, 12, 50  # pixels of a sheet
WHITE, GREY = 255, 232

Pixels = npt.NDArray[np.uint8]  # (C, H, W)
Canvas = npt.NDArray[np.uint8]  # (H, W, 3)


@dataclass(frozen=True)
class Label:
    """Text in a picture; ``x`` and ``y`` are the pixels of its upper left corner."""

    x: float
    y: float
    text: str
    size: int


@dataclass(frozen=True, eq=False)
class Entry:
    """Of a sheet: pictures side by side, and a few lines of text beside them."""

    pictures: Sequence[Canvas]
    text: str


def shown_name(name: str, most: int = 16) -> str:
    """A name as pictures have it: short, and without signs that change how others are read."""
    plain = "".join(letter for letter in name if unicodedata.category(letter) not in ("Cf", "Cc", "Co", "Cs"))
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def fitted(pixels: Pixels, side: int = SIDE) -> Canvas:
    """An image (C, H, W) so that its longer side is at most ``side``: small ones are enlarged by whole pixels."""
    from PIL import Image

    colour = pixels if len(pixels) == 3 else pixels[:1].repeat(3, axis=0)
    _, height, width = colour.shape
    if times := side // max(height, width):
        whole: Canvas = colour.transpose(1, 2, 0).repeat(times, axis=0).repeat(times, axis=1)
        return whole
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.ascontiguousarray(colour.transpose(1, 2, 0)))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def heated(pixels: Pixels, heat: npt.NDArray[np.floating[Any]], side: int = SIDE) -> Canvas:
    """The same image in dark grey with ``heat`` (H, W), from 0 to 1, laid over it: the lighter, the more."""
    from PIL import Image

    shown = fitted(pixels, side)
    grey = 0.55 * shown.astype(np.float32).mean(axis=2, keepdims=True)
    size = (shown.shape[1], shown.shape[0])
    whole = Image.fromarray(np.asarray(heat, np.float32)).resize(size, Image.Resampling.BILINEAR)
    share = np.asarray(whole, np.float32).clip(0, 1)
    places = [place for place, _ in RAMP]
    colour = np.stack([np.interp(share, places, [rgb[at] for _, rgb in RAMP]) for at in range(3)], axis=2)
    cover = OPAQUE * share[:, :, None]
    laid: Canvas = np.rint((1 - cover) * grey + cover * colour).astype(np.uint8)
    return laid


def in_cell(shown: Canvas, side: int) -> Canvas:
    """A picture in the middle of a square cell, on light grey."""
    cell = np.full((side, side, 3), GREY, dtype=np.uint8)
    top, left = (side - shown.shape[0]) // 2, (side - shown.shape[1]) // 2
    cell[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return cell


def write_png(path: Path, shown: Canvas) -> None:
    """Write a picture. OSError if it cannot be written."""
    from PIL import Image

    Image.fromarray(shown).save(path, "PNG")


def sheet(title: str, below: str, entries: Sequence[Entry], columns: int = 4) -> tuple[Canvas, list[Label]]:
    """Entries row by row under a title and a smaller line, as a picture and the text on it."""
    across = max((len(entry.pictures) for entry in entries), default=1)
    width = across * (SIDE + GAP) + TEXT + APART
    columns = max(1, min(columns, len(entries)))
    rows = math.ceil(len(entries) / columns)
    canvas = np.full((TOP + rows * (SIDE + GAP) + GAP, max(columns * width + GAP, 560), 3), WHITE, dtype=np.uint8)
    labels = [Label(GAP, 4, title, 8), Label(GAP, 25, below, 7)]
    for number, entry in enumerate(entries):
        top, left = TOP + number // columns * (SIDE + GAP), GAP + number % columns * width
        for shown in entry.pictures:
            canvas[top : top + SIDE, left : left + SIDE] = in_cell(shown, SIDE)
            left += SIDE + GAP
        labels.append(Label(left + 2, top + 2, entry.text, 7))
    return canvas, labels
