"""Interface of a source of images. Each kind of source has a file of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from nas.data.dataset import Levels, Preprocessing

Progress = Callable[[int, int], None]
PARTS = ("train", "val", "test")  # what a source may have of its own; an image's part is an index into this
TRAIN, VAL, TEST = range(3)
PART_WORDS = {  # by which people call them: folders, columns, arrays
    TRAIN: ("train", "training", "trn", "trainval"),
    VAL: ("val", "valid", "validation", "validate", "vld", "dev", "devel", "development", "eval", "evaluation"),
    TEST: ("test", "testing", "tst", "holdout", "heldout"),
}
PART_OF = {word: part for part, words in PART_WORDS.items() for word in words}


class Header(NamedTuple):
    """Header of an image; ``height`` and ``width`` in pixels, upright."""

    height: int
    width: int
    grey: bool
    mode: str
    format: str
    extent: Levels | None = None  # of a deep image: its least and largest value
    notes: tuple[str, ...] = ()  # what of it is left out


class Unread(NamedTuple):
    """A file that should be an image and is not: its name inside the source, why, and where it belongs."""

    name: str
    reason: str
    part: int
    label: int


@dataclass(frozen=True)
class Found:
    """Everything about a source's images but their pixels, from one look at each.

    ``labels``, ``parts``, ``names`` and ``kinds`` have one entry for each readable image; ``headers[kinds[index]]`` is
    what it says of itself. ``read(index, target)`` decodes one as uint8 (C, H, W), raising anything if it is broken
    after all; None where the look is one of another time. Names are as they are found, and may hold what cannot be
    printed.
    """

    classes: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    parts: npt.NDArray[np.uint8]
    names: Sequence[str]
    headers: tuple[Header, ...]  # each that occurs, once
    kinds: npt.NDArray[np.int64]
    digest: str  # of the content: file bytes or pixels, labels, names
    read: Callable[[int, Preprocessing], npt.NDArray[np.uint8]] | None
    broken: tuple[Unread, ...] = ()
    num_ignored: int = 0
    repeatable: bool = True  # False: some file could not be read just now, so look again next time
    notes: Counter[str] = field(default_factory=Counter)  # what else is left out, and how much of it
    groups: npt.NDArray[np.int64] | None = None  # (N,): images of one group never stand in two splits
    grouped_by: str = ""  # what made the groups, for people
    remarks: tuple[str, ...] = ()  # what else should be known of how they were read
    synthetic: npt.NDArray[np.bool_] | None = None  # (N,): which an oversampler made; None: nobody says

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Height and width of each readable image, (N, 2)."""
        sizes = np.array([(header.height, header.width) for header in self.headers], dtype=np.int64)
        return sizes.reshape(-1, 2)[self.kinds]


def numbered_headers(headers: Sequence[Header]) -> tuple[tuple[Header, ...], npt.NDArray[np.int64]]:
    """Each header once, and which of them is that of each image: ``headers`` and ``kinds`` of Found."""
    number_of: dict[Header, int] = {}
    kinds = np.array([number_of.setdefault(header, len(number_of)) for header in headers], dtype=np.int64)
    return tuple(number_of), kinds


class Source(Protocol):
    """A place where labelled images come from."""

    @property
    def name(self) -> str:
        """Name of the data set in reports."""
        ...

    @property
    def remarks(self) -> Sequence[str]:
        """Remarks on how it is read, beside what ``Found`` says; complete after ``fingerprint``."""
        ...

    def fingerprint(self) -> str:
        """Something cheap that changes when the content may have. DataError if there is nothing."""
        ...

    def look(self, progress: Progress | None) -> Found:
        """Look at every image once. DataError if the source cannot be read at all."""
        ...
