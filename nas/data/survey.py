"""Survey of the images in use: sizes, modes and grey levels, from their headers alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.data.dataset import Levels
from nas.data.selection import OUT
from nas.data.sources.base import PARTS, TRAIN, Found, Header
from nas.data.splits import Rows


@dataclass(frozen=True)
class Survey:
    """``image_sizes`` ("32x32", width first), ``modes`` and ``formats`` count images, the most frequent first."""

    sizes: Rows  # (N, 2) height and width of each
    image_sizes: dict[str, int]
    modes: dict[str, int]
    formats: dict[str, int]
    grey: bool  # whether all are
    levels: Levels | None  # black and white of deep images, by those to train on or else by all; None: there are none
    notes: dict[str, int]  # what is left out of images, and of how many
    clipped: dict[int, int]  # by part, images with values outside of ``levels``


def survey_of(found: Found, parts: npt.NDArray[np.uint8], levels: Levels | None = None) -> Survey:
    """Survey of the images whose entry in ``parts`` is not OUT; ``levels`` are the images' own unless given."""
    counted = {
        part: np.bincount(found.kinds[parts == part], minlength=len(found.headers)).tolist()
        for part in range(len(PARTS))
    }
    headers = [
        (part, header, count)
        for part, counts in counted.items()
        for header, count in zip(found.headers, counts, strict=True)
        if count
    ]
    levels = levels or _levels(headers)
    sizes, modes, formats = Counter[tuple[int, int]](), Counter[str](), Counter[str]()
    notes, clipped = Counter[str](), Counter[int]()
    for part, header, count in headers:
        sizes[header.height, header.width] += count
        modes[header.mode] += count
        formats[header.format] += count
        notes.update(dict.fromkeys(header.notes, count))
        clipped[part] += count * _is_clipped(header, levels)
    return Survey(
        sizes=found.sizes[parts != OUT],
        image_sizes={
            f"{width}x{height}": count
            for (height, width), count in sorted(sizes.items(), key=lambda one: (-one[1], one[0]))
        },
        modes=dict(modes.most_common()),
        formats=dict(formats.most_common()),
        grey=all(header.grey for _, header, _ in headers),
        levels=levels,
        notes=dict(notes.most_common()),
        clipped={part: count for part, count in sorted(clipped.items()) if count},
    )


def clipped_notes(survey: Survey) -> dict[str, int]:
    """Notes on images that are clipped."""
    if survey.levels is None:
        return {}
    black, white = survey.levels
    return {
        f"Images of {PARTS[part]} with values outside {black:g} to {white:g}, clipped": count
        for part, count in survey.clipped.items()
    }


def _levels(headers: list[tuple[int, Header, int]]) -> Levels | None:
    extents = [(part, header.extent) for part, header, _ in headers if header.extent]
    if not extents:
        return None
    from nas.data.pixels import levels_of

    return levels_of([extent for part, extent in extents if part == TRAIN] or [extent for _, extent in extents])


def _is_clipped(header: Header, levels: Levels | None) -> bool:
    if header.extent is None or levels is None:
        return False
    from nas.data.pixels import is_clipped

    return is_clipped(header.extent, levels)
