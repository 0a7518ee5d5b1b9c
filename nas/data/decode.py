"""Decoding of a source's images into a memory map of uint8 pixels, with labels and the images that failed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data.cache import SEAL, seal
from nas.data.dataset import Preprocessing
from nas.data.sources.base import Found, Progress
from nas.data.threads import map_chunks
from nas.errors import DataError
from nas.files import read_file


def decode(found: Found, target: Preprocessing, folder: Path, progress: Progress | None, *, name: str = "") -> None:
    """Write images.npy (N, C, H, W) of every image that decodes, labels.npy (N,), and which others failed.

    The labels are for programs that read the folder: the source's, of all its classes. Memory stays small whatever N
    is. ``name`` of the source is noted beside, for people. Progress counts the look at each file as done, then
    decoding. OSError when the disk is full.
    """
    count = len(found.labels)
    seen = count + len(found.broken)
    images = _reserve(folder / "images.npy", (count, target.channels, target.height, target.width))

    def run(rows: range) -> list[tuple[int, str]]:
        return [(row, why) for row in rows if (why := _decode_one(found, row, target, images))]

    def report(done: int) -> None:
        if progress:
            progress(seen + done, seen + count)

    failed = [failure for failures in map_chunks(run, count, report) for failure in failures]
    images.flush()
    good = np.ones(count, dtype=bool)
    good[[row for row, _ in failed]] = False
    if failed:
        _drop(folder / "images.npy", images, good)
    np.save(folder / "labels.npy", found.labels[good])
    (folder / SEAL).write_text(json.dumps({"files": seal(folder), "failed": dict(failed), "name": name}))


def failures_in(folder: Path) -> dict[int, str]:
    """By row of those looked at, why an image was left out of an undamaged folder."""
    try:
        failed: dict[str, str] = json.loads(read_file(folder / SEAL))["failed"]
        return {int(row): str(why) for row, why in failed.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{folder / SEAL} in the cache is damaged ({str(error)[:100]}). Remove {folder}: it is created again."
        ) from error


def _decode_one(found: Found, row: int, target: Preprocessing, images: npt.NDArray[np.uint8]) -> str | None:
    assert found.read is not None, "only today's look can read"
    try:
        images[row] = found.read(row, target)
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files
        if isinstance(error, OSError) and error.errno is not None:  # the system's, so not about the content
            name = found.names[row]
            raise DataError(f"{name} could be read a moment ago, but not now: {error.strerror}. Try again.") from error
        from nas.data.images import reason

        return reason(error)
    return None


def _reserve(path: Path, shape: tuple[int, int, int, int]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """An array on disk with its space taken now: a disk that fills under a memory map kills the process."""
    images: np.memmap[Any, np.dtype[np.uint8]] = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return images


def _drop(path: Path, images: npt.NDArray[np.uint8], good: npt.NDArray[np.bool_]) -> None:
    """Write the array again without the rows that are not good, a block at a time."""
    rows = np.flatnonzero(good)
    rest = path.with_name("rest.npy")
    kept = _reserve(rest, (len(rows), images.shape[1], images.shape[2], images.shape[3]))
    for start in range(0, len(rows), 1024):
        kept[start : start + 1024] = images[rows[start : start + 1024]]
    kept.flush()
    rest.replace(path)
