"""Examples of every class in one picture: each image as it is, and beside it as the network takes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas.analysis.thumbnails import Label, fitted, in_cell
from nas.data import DataReport
from nas.data.examples import ClassExamples
from nas.errors import UsageError

MOST_CLASSES = 80  # of more the first and the last are shown
EACH = 4
_CELL, _GAP, _TEXT, _APART = 64, 6, 170, 24  # pixels
_WIDTH = _TEXT + EACH * (2 * _CELL + 2 * _GAP) + _APART
_TOP = 72
_ROWS = 20  # of one column
_WHITE = 255


def draw_sheet(path: Path, report: DataReport, classes: Sequence[ClassExamples]) -> None:
    """Write the picture. UsageError if the file cannot be written."""
    from nas.report.plots import picture_plot

    places = _places(len(classes))
    rows = max((top for _, top in places), default=_TOP) + _CELL + _GAP
    canvas = np.full((rows, max((left for left, _ in places), default=0) + _WIDTH, 3), _WHITE, dtype=np.uint8)
    for (left, top), one in zip(places, classes, strict=True):
        for number, pair in enumerate(one.pairs):
            start = left + _TEXT + number * (2 * _CELL + 2 * _GAP)
            for side, pixels in enumerate(pair):
                at = start + side * (_CELL + 1)
                canvas[top : top + _CELL, at : at + _CELL] = in_cell(fitted(pixels, _CELL), _CELL)
    try:
        picture_plot(path, canvas, labels_of(report, classes))
    except OSError as error:
        raise UsageError(f"--plot {path} cannot be written: {error.strerror}. Choose another file.") from error


def labels_of(report: DataReport, classes: Sequence[ClassExamples]) -> list[Label]:
    """Labels on the picture."""
    assert report.preprocessing is not None, "what is decoded was prepared"
    hidden = len(report.classes) - len(classes)
    title = f"{report.name}: {len(report.classes)} classes" + (f", {hidden} of them not shown" if hidden else "")
    labels = [
        Label(_GAP, 4, title, 10),
        Label(_GAP, 26, f"Left: original; right: preprocessed:\n{report.preprocessing.words}", 7),
    ]
    for number, ((left, top), one) in enumerate(zip(_places(len(classes)), classes, strict=True)):
        if hidden and number == len(classes) // 2:
            labels.append(Label(left, top - 8, f"... {hidden} more ...", 6))
        labels.append(Label(left, top + 2, _words(one), 6))
    return labels


def _places(count: int) -> list[tuple[int, int]]:
    """The upper left corners of classes, down column by column."""
    columns = max(1, math.ceil(count / _ROWS))
    rows = max(1, math.ceil(count / columns))
    return [(place // rows * _WIDTH + _GAP, _TOP + place % rows * (_CELL + _GAP)) for place in range(count)]


def _words(one: ClassExamples) -> str:
    """Name and counts of a class, a few short lines."""
    sizes = " to ".join(f"{width}x{height}" for width, height in one.sizes)
    kinds = ", ".join(one.kinds[:2]) + (f" and {len(one.kinds) - 2} more" if len(one.kinds) > 2 else "")
    name = one.name if len(one.name) <= 24 else f"{one.name[:23]}…"
    return "\n".join(line for line in (name, f"{one.count:,} images", sizes, kinds) if line)
