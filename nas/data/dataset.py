"""``Dataset`` and its splits: plain frozen records for the rest of the program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

Levels = tuple[float, float]  # black and white of images deeper than 8 bits
SplitName = Literal["train", "select", "rank", "test", "rank identities", "test identities"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "select", "rank", "test")
IDENTITY_SPLITS: tuple[SplitName, ...] = ("rank identities", "test identities")  # of classes that nothing trains on


@dataclass(frozen=True)
class Split:
    """The images of one purpose: ``rows`` of what is ``stored``, in the source's order.

    That order is by class for a folder: shuffle before training. ``stored`` is uint8 (all images, C, H, W), a
    memory map that processes share; it takes no memory of its own, and writing to it never reaches the cache.
    ``labels`` is int64 (N,), one for each row, an index into the data set's classes.
    """

    stored: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]  # sorted
    labels: npt.NDArray[np.int64]
    mirrored: bool = True  # whether colour images may be mirrored

    @property
    def images(self) -> npt.NDArray[np.uint8]:
        """The split's images (N, C, H, W), gathered into an array of the caller's own at every reading."""
        return np.asarray(self.stored[self.rows])

    def batches(self, size: int) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
        """The images and labels in order, ``size`` at a time: no more is in memory at once."""
        for start in range(0, len(self.rows), size):
            yield np.asarray(self.stored[self.rows[start : start + size]]), self.labels[start : start + size]


@dataclass(frozen=True)
class Dataset:
    """A decoded data set and its four splits: train, select (chooses the epoch), rank (ranks trials), test.

    ``key`` names the content and everything that changes the splits: equal keys mean equal splits.
    ``input_shape`` is (C, H, W). ``counts`` holds, for each split, the number of images of each class.
    ``cache_path`` is the folder of the decoded arrays; what is derived from them may be cached there too.
    ``levels`` are black and white of images deeper than 8 bits; None where there are none. ``grouped_by`` says in words
    what keeps images together; "": nothing.
    """

    name: str
    key: str
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    counts: dict[str, list[int]]
    cache_path: Path
    rows: dict[str, npt.NDArray[np.int64]] = field(repr=False, compare=False)  # of the cached arrays, sorted
    labels: npt.NDArray[np.int64] = field(repr=False, compare=False)  # of all cached images
    levels: Levels | None = None
    remarks: tuple[str, ...] = ()  # what should be known of how it was read and split
    grouped_by: str = ""  # what made groups of images that stay in one split; "": there are none
    # Rows of ``IDENTITY_SPLITS``, if classes are held out for verification; their labels are above those of ``classes``
    identities: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def split(self, name: SplitName) -> Split:
        """One split; its images stay in the file, whose pages are shared, until they are read."""
        rows = self.identities[name] if name in IDENTITY_SPLITS else self.rows[name]
        return Split(self._stored, rows, self.labels[rows])

    @cached_property  # one map for all splits, lest a page count once for each
    def _stored(self) -> npt.NDArray[np.uint8]:
        return np.asarray(np.load(self.cache_path / "images.npy", mmap_mode="c"))  # torch wants it writable


@dataclass(frozen=True)
class Broken:
    """A file that should be an image and is not: its name inside the source, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Pair:
    """Two images that show the same: their names inside the source, classes, its own parts, and splits ("none": left
    out to make a long tail, or not split)."""

    names: tuple[str, str]
    classes: tuple[str, str]
    parts: tuple[str, str]
    splits: tuple[str, str]


@dataclass(frozen=True)
class Duplicates:
    """Images that occur more than once. Of more than two identical ones, each is paired with the first."""

    identical: tuple[Pair, ...] = ()  # pixel by pixel, after decoding
    similar: tuple[Pair, ...] = ()  # but for compression, size, brightness or some noise


@dataclass(frozen=True)
class DataReport:
    """Report of ``nasctl data``. With ``errors``, what can be known without the cure.

    ``found`` maps the source's own parts ("train", "val", "test"; "all" if it has only one) to images per
    class, broken ones included; ``splits`` does the same for the four splits and is empty while there are
    errors other than broken files. ``image_sizes`` ("32x32", width first), ``modes`` (Pillow's names) and
    ``formats`` count readable images, the most frequent first.
    """

    name: str
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int] | None  # C, H, W after decoding
    found: dict[str, list[int]]
    splits: dict[str, list[int]]
    image_sizes: dict[str, int]
    modes: dict[str, int]
    formats: dict[str, int]
    broken: tuple[Broken, ...]
    num_ignored: int  # files that are no images: notes, lists, thumbnails' databases
    errors: tuple[str, ...]  # what open_data would say about this configuration
    cache_path: Path | None
    levels: Levels | None = None  # black and white of images deeper than 8 bits, where there are any
    preprocessing: Preprocessing | None = None
    notes: dict[str, int] = field(default_factory=dict)  # what is left out of images, and of how many
    remarks: tuple[str, ...] = ()  # what should be known of how it is read and split
    cache_bytes: tuple[int, int] | None = None  # of its decoded copy, and of all sets in the cache
    proposal: str | None = None  # flags that bring images to one size, where they need one and none was given
    proposal_reason: str | None = None
    duplicates: Duplicates = Duplicates()


@dataclass(frozen=True)
class Preprocessing:
    """Conversion of every image to the pixels that a network takes: one record for training, evaluation and the
    exported folder. ``nas.data.pixels.prepared`` carries it out; what that does alike for all is in ``facts`` alone."""

    channels: int
    height: int
    width: int
    fit: Literal["resize", "pad"] = "resize"
    levels: Levels | None = None  # black and white of deep images; None: there were none

    @classmethod
    def of(cls, shape: tuple[int, int, int], fit: Literal["resize", "pad"], levels: Levels | None) -> Preprocessing:
        """For pixels of ``shape`` (C, H, W)."""
        return cls(*shape, fit, levels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the pixels."""
        return self.channels, self.height, self.width

    def facts(self) -> dict[str, str | list[float] | None]:
        """Facts for somebody who prepares images himself: part of an exported ``model.json``."""
        return {
            "colours": "grey" if self.channels == 1 else "RGB",
            "orientation": "upright by EXIF",
            "transparency": "laid over white",
            "levels": list(self.levels) if self.levels else None,
            "levels mean": "for images deeper than 8 bits: the values that become 0 and 255, others are "
            "clipped; null: none",
            "fit": self.fit,
            "fit means": "padded with black to the input's shape, aspect ratio kept"
            if self.fit == "pad"
            else "resized to the input's shape, aspect ratio not kept",
            "filter": "bicubic of Pillow, antialiased",
        }

    @property
    def words(self) -> str:
        """In one line, for people."""
        fit = "padded with black" if self.fit == "pad" else "resized"
        colours = "grey" if self.channels == 1 else "RGB"
        deep = f"{self.levels[0]:g} to {self.levels[1]:g} as 0 to 255, " if self.levels else ""
        size = f"{fit} to {self.width}x{self.height}"
        return f"rotated by their EXIF orientation, transparency on white, {deep}{colours}, {size}"


def counts_by_split(data: Dataset) -> dict[str, list[int]]:
    """Number of images of each class by split, as JSON holds it."""
    return {str(name): list(map(int, counts)) for name, counts in data.counts.items()}
