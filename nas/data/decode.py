"""From a source's images to arrays in a folder: uint8 pixels in a memory map, labels, parts, the survey."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data.cache import SURVEY, seal
from nas.data.dataset import Broken, Levels, Preprocessing
from nas.data.sources.base import PARTS, Found, Progress
from nas.data.sources.masks import flat_kind, is_flat
from nas.data.threads import map_chunks
from nas.errors import DataError


@dataclass(frozen=True)
class Survey:
    """What is known of a set without its pixels; kept beside them as JSON.

    ``present`` (3 parts, number of classes) counts images, broken ones included.
    """

    classes: tuple[str, ...]
    present: list[list[int]]
    image_sizes: dict[str, int]
    modes: dict[str, int]
    formats: dict[str, int]
    broken: tuple[Broken, ...]
    num_ignored: int
    notes: dict[str, int]  # what is left out of images, and of how many
    remarks: tuple[str, ...] = ()  # what else should be known of how they were read
    input_shape: tuple[int, int, int] | None = None
    levels: Levels | None = None  # of deep images
    grouped_by: str = ""  # what made the groups in groups.npy, for people; "": there are none


def survey_of(found: Found) -> Survey:
    """The survey after looking and before decoding."""
    sizes, counts = np.unique(found.sizes, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return Survey(
        classes=found.classes,
        present=found.present.tolist(),
        image_sizes={f"{sizes[i][1]}x{sizes[i][0]}": int(counts[i]) for i in order},
        modes=dict(found.modes.most_common()),
        formats=dict(found.formats.most_common()),
        broken=found.broken,
        num_ignored=found.num_ignored,
        notes=dict(found.notes.most_common()) | _clipped(found),
        remarks=found.remarks,
        levels=found.levels,
        grouped_by=found.grouped_by,
    )


def _clipped(found: Found) -> dict[str, int]:
    """Images with values outside the levels, by part."""
    from nas.data.pixels import is_clipped

    if found.levels is None:
        return {}
    black, white = levels = found.levels
    counts = Counter(part for part, extent in found.extents if is_clipped(extent, levels))
    return {
        f"Images of {PARTS[part]} with values outside {black:g} to {white:g}, clipped": counts[part]
        for part in sorted(counts)
    }


def decode(found: Found, target: Preprocessing, folder: Path, progress: Progress | None) -> None:
    """Write images.npy (N, C, H, W), labels.npy, parts.npy of every image that decodes, groups.npy too where there are
    groups, and the survey.

    Memory stays small whatever N is. Progress counts the look at each file as done, then decoding. OSError
    when the disk is full.
    """
    count = len(found.labels)
    seen = count + len(found.broken)
    flat = np.zeros(count, dtype=bool)
    images = _reserve(folder / "images.npy", (count, target.channels, target.height, target.width))

    def run(rows: range) -> list[tuple[int, str]]:
        failed = [(row, why) for row in rows if (why := _decode_one(found, row, target, images))]
        flat[rows.start : rows.stop] = [is_flat(image) for image in images[rows.start : rows.stop]]
        return failed

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
    np.save(folder / "parts.npy", found.parts[good])
    if found.groups is not None:
        np.save(folder / "groups.npy", found.groups[good])
    broken = [*found.broken, *(Broken(found.names[row], why) for row, why in failed)]
    broken.sort(key=lambda one: one.name)
    shape = (target.channels, target.height, target.width)
    survey = survey_of(found)
    masks = flat_kind(found.names, flat)
    remarks = (*survey.remarks, masks) if masks else survey.remarks
    write_survey(folder, replace(survey, broken=tuple(broken), input_shape=shape, remarks=remarks))


def write_survey(folder: Path, survey: Survey) -> None:
    """Write the survey with sizes and checksums of the arrays, by which damage is noticed."""
    (folder / SURVEY).write_text(json.dumps({"files": seal(folder), **asdict(survey)}))


def read_survey(folder: Path) -> Survey:
    """The survey of an undamaged folder."""
    stored = json.loads((folder / SURVEY).read_text())
    channels, height, width = stored["input_shape"]
    return Survey(
        classes=tuple(stored["classes"]),
        present=stored["present"],
        image_sizes=stored["image_sizes"],
        modes=stored["modes"],
        formats=stored["formats"],
        broken=tuple(Broken(**broken) for broken in stored["broken"]),
        num_ignored=stored["num_ignored"],
        notes=stored["notes"],
        remarks=tuple(stored.get("remarks", ())),
        input_shape=(channels, height, width),
        levels=tuple(stored["levels"]) if stored["levels"] else None,
        grouped_by=stored.get("grouped_by", ""),
    )


def _decode_one(found: Found, row: int, target: Preprocessing, images: npt.NDArray[np.uint8]) -> str | None:
    try:
        images[row] = found.read(row, target)
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files
        if isinstance(error, OSError) and error.errno is not None:  # the system's, so not about the content
            name = found.names[row]
            raise DataError(f"{name} could be read a moment ago: {error.strerror}. Try again.") from error
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
