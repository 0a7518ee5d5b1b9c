"""What a source of images is. Each kind of source has a file of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nas.data.dataset import Broken, Levels, Preprocessing

Progress = Callable[[int, int], None]
PARTS = ("train", "val", "test")  # what a source may have of its own; an image's part is an index into this
TRAIN, VAL, TEST = range(3)
PART_WORDS = {  # by which people call them: folders, columns, arrays
    TRAIN: ("train", "training", "trn", "trainval"),
    VAL: ("val", "valid", "validation", "validate", "vld", "dev", "devel", "development", "eval", "evaluation"),
    TEST: ("test", "testing", "tst", "holdout", "heldout"),
}
PART_OF = {word: part for part, words in PART_WORDS.items() for word in words}


@dataclass(frozen=True)
class Found:
    """Everything about a source's images but their pixels, from one look at each.

    ``labels``, ``parts``, ``names`` and ``sizes`` (height, width) have one entry for each readable image;
    ``read(index, target)`` decodes one as uint8 (C, H, W), raising anything if it is broken after all.
    ``present`` (3, number of classes) counts images of each part, broken ones included. Names are as they are
    found, and may hold what cannot be printed.
    """

    classes: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    parts: npt.NDArray[np.uint8]
    names: Sequence[str]
    sizes: npt.NDArray[np.int64]
    grey: bool
    digest: str  # of the content: file bytes or pixels, labels, names
    read: Callable[[int, Preprocessing], npt.NDArray[np.uint8]]
    present: npt.NDArray[np.int64]
    modes: Counter[str]
    formats: Counter[str]
    broken: tuple[Broken, ...] = ()
    num_ignored: int = 0
    repeatable: bool = True  # False: some file could not be read just now, so look again next time
    extents: Sequence[tuple[int, Levels]] = ()  # of deep images: part, least and largest value
    notes: Counter[str] = field(default_factory=Counter)  # what is left out of images, and of how many
    groups: npt.NDArray[np.int64] | None = None  # (N,): images of one group never stand in two splits
    grouped_by: str = ""  # what made the groups, for people
    remarks: tuple[str, ...] = ()  # what else should be known of how they were read
    kinds: Sequence[str] = ()  # format and mode of each readable image: "JPEG RGB"

    @property
    def levels(self) -> Levels | None:
        """Black and white of its deep images, by those to train on, or by all if none of these is deep; None: it has
        none."""
        from nas.data.pixels import levels_of

        own = [extent for part, extent in self.extents if part == TRAIN] or [extent for _, extent in self.extents]
        return levels_of(own) if own else None


class Source(Protocol):
    """A place where labelled images come from."""

    @property
    def name(self) -> str:
        """What the data set is called in reports."""
        ...

    @property
    def remarks(self) -> Sequence[str]:
        """What should be known of how it is read, beside what ``Found`` says; complete after ``fingerprint``."""
        ...

    def fingerprint(self) -> str:
        """Something cheap that changes when the content may have. DataError if there is nothing."""
        ...

    def look(self, progress: Progress | None) -> Found:
        """Look at every image once. DataError if the source cannot be read at all."""
        ...
