"""Disk store of oversampled images: made once by one process, memory-mapped by all."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from nas.config.options import base_name, bound
from nas.data.cache import SEAL, Cache, is_intact, seal
from nas.data.dataset import Split
from nas.data.oversampling.registry import OVERSAMPLERS, SEED, Synthetic, class_counts
from nas.errors import UsageError

VERSION = 2  # of what the oversamplers make: another one makes what is stored anew


def oversample(name: str, split: Split, *, cache: Path, key: str) -> Synthetic:
    """The images that ``name`` adds to a training split, which itself stays as it is and comes first.

    They are kept in the folder ``cache`` under ``key``, which stands for the split's content. One process makes
    them, piece by piece straight into a file, while others that ask for the same wait; all of them read the file
    as one memory map. Writing to it never reaches the file.

    UsageError if there is no such oversampler, all images are of one class, or the disk lacks room.
    """
    oversampler = bound("oversampling", name, OVERSAMPLERS.find(base_name(name)), 1)
    if name != "none" and len(counts := class_counts(split.labels)) < 2:
        raise UsageError(
            f"{name} balances the class counts, but all {len(split.labels)} training images are of class "
            f"{next(iter(counts), None)}. Use --oversample none, or give data of two classes or more."
        )
    made = oversampler(split)
    if isinstance(made, Synthetic):
        return made
    settings = f"{key}|{name}|{VERSION}|{SEED}|{len(split.labels)}" + ("" if split.mirrored else "|no mirrors")
    stored = Cache(cache / "oversampled")
    set_key = f"{base_name(name).replace('-', '_')}_{hashlib.sha256(settings.encode()).hexdigest()[:16]}"
    folder = stored.root / "sets" / set_key
    if not is_intact(folder):  # else nothing is locked, and the folder may be one that cannot be written

        def build(empty: Path) -> None:
            _check_room(name, split, empty)
            _write(made, split, empty)

        folder = stored.fill(set_key, build)
    warnings = json.loads((folder / SEAL).read_text())["warnings"]
    images = np.load(folder / "images.npy", mmap_mode="c")  # torch wants it writable
    return Synthetic(np.asarray(images), np.load(folder / "labels.npy"), tuple(warnings))


def _check_room(name: str, split: Split, folder: Path) -> None:
    """UsageError if what fills every class up to the largest does not fit on the disk of ``folder``."""
    counts = class_counts(split.labels).values()
    needed = (max(counts) * len(counts) - sum(counts)) * math.prod(split.stored.shape[1:])
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"{name} would add {needed / 1e6:,.0f} MB of images, but the disk of {folder.parent} has "
            f"{free / 1e6:,.0f} MB free. Make room there, name another folder in the environment variable "
            "NASCTL_CACHE, or use "
            "--oversample random, which stores nothing."
        )


def _write(made: Iterator[Synthetic], split: Split, folder: Path) -> None:
    """Fill an empty folder with the pieces as they are made, and the seal last."""
    labels = [split.labels[:0]]
    warnings: list[str] = []
    with (folder / "images.npy").open("wb") as file:
        write_header(file, (0, *split.stored.shape[1:]))
        start = file.tell()
        for piece in made:
            file.write(np.ascontiguousarray(piece.images).data)
            labels.append(piece.labels)
            warnings += piece.warnings
        joined = np.concatenate(labels)
        file.seek(0)
        write_header(file, (len(joined), *split.stored.shape[1:]))  # numpy leaves room for a longer first number
        assert file.tell() == start
    np.save(folder / "labels.npy", joined)
    (folder / SEAL).write_text(json.dumps({"files": seal(folder), "warnings": warnings}))


def write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Write the header before the uint8 pixels of an array of this shape in an ``.npy`` file."""
    header = {"descr": npy.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, header)
