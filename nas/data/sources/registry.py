"""Sources of images by name, beside the built-in ones: ``--data NAME`` or ``--data NAME:ARGUMENT``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data.sources.arrays import found_in_arrays
from nas.data.sources.base import PARTS, Found, Progress, Source
from nas.data.sources.torchvision_sets import NAMED
from nas.errors import DataError
from search_spaces.registry import Registry

MakeSource = Callable[[str], Source]  # of what stands behind the colon, "" without one

SOURCES: Registry[MakeSource] = Registry("data source", "Sources")


def register_source(name: str) -> Callable[[MakeSource], MakeSource]:
    """Register a source of images: a function of one text, or a class made with one.

    ``--data NAME:TEXT`` calls it with the text, and ``--data NAME`` with "". The data are opened in every process that
    trains: equal texts must give equal images.

    Args:
        name: Name for ``--data``.

    Returns:
        A decorator that gives the function or class back.

    Raises:
        ValueError: If the name is taken.
    """

    def register(make: MakeSource) -> MakeSource:
        if name in ("digits", *NAMED) or ":" in name:
            raise ValueError(
                f"the data source {name!r} is the name of a built-in one, or has a colon: give this one another name"
            )
        SOURCES.add(name, make)
        return make

    return register


def is_name(source: str) -> bool:
    """True if it names a set, built in or of a plug-in, so that it means the same from every folder."""
    return source == "digits" or source in NAMED or source.partition(":")[0] in SOURCES


class ArraySource:
    """Images that are in memory: ``images`` (N, H, W) or (N, H, W, 3), uint8 or deeper; ``labels`` (N,), numbers or
    texts. ``splits``: of each image train, val or test; None: they are divided as those of a folder.

    DataError if they do not fit together.
    """

    remarks: Sequence[str] = ()

    def __init__(
        self, name: str, images: npt.ArrayLike, labels: npt.ArrayLike, *, splits: Sequence[str] | None = None
    ) -> None:
        self.name = name
        self.images, self.labels = np.asarray(images), np.asarray(labels)
        self.parts = np.array([_part(split, name) for split in splits or ["train"] * len(self.labels)], np.uint8)
        if self.images.ndim not in (3, 4) or (self.images.ndim == 4 and self.images.shape[3] != 3):
            raise DataError(f"The images of {name} have shape {self.images.shape}: give (N, H, W) or (N, H, W, 3).")
        if not len(self.images) == len(self.labels) == len(self.parts) or self.labels.ndim != 1:
            raise DataError(
                f"{name} gives {len(self.images)} images, labels of shape {self.labels.shape} and {len(self.parts)} "
                "splits: give one label and one split per image."
            )

    def fingerprint(self) -> str:
        """Of the content."""
        return f"arrays:{self.name}:{_digest(self.images, self.labels.astype(str), self.parts)}"

    def look(self, progress: Progress | None) -> Found:
        """The images as they are."""
        classes, labels = np.unique(self.labels, return_inverse=True)
        names = [str(name) for name in classes.tolist()]
        return found_in_arrays(
            self.images, labels.astype(np.int64), parts=self.parts, classes=names, origin=f"from {self.name}"
        )


def _part(split: str, name: str) -> int:
    if split not in PARTS:
        raise DataError(f"{name} gives an image of the split {split!r}: give {', '.join(PARTS)}.")
    return PARTS.index(split)


def _digest(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
