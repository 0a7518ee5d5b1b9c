"""A set's splits written as a set of its own, train filled up by an oversampler: ``nasctl data --write``."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.config import DataConfig
from nas.data.dataset import Dataset
from nas.data.images import png_of
from nas.data.mirrors import mirroring
from nas.data.oversampling import oversample
from nas.data.oversampling.registry import PIECE_BYTES
from nas.data.oversampling.stored import write_header
from nas.data.sources.base import PARTS, TEST, TRAIN, VAL, Progress
from nas.data.sources.npz import CLASS_NAMES, SYNTHETIC
from nas.data.sources.written import COLUMNS, TABLE
from nas.data.threads import map_chunks
from nas.errors import UsageError
from nas.files import new_files, new_folder
from nas.units import memory

_OTHER_FILES = (".csv", ".gz", ".h5", ".npy", ".parquet", ".pt", ".tar", ".tgz", ".tsv", ".txt", ".xz", ".zip")
_UNSAFE = re.compile(r'[/\\:*?"<>|]|^\.|[. ]$')  # in names of folders, here or on systems that a set may be carried to
_LONGEST = 150  # bytes of a folder's name: file systems take 255, some less

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class WrittenSet:
    """Written set: its path, the table that marks synthetic images, images of each class by part."""

    path: Path
    table: Path
    counts: dict[str, list[int]]  # "train", "val", "test"
    num_synthetic: int  # of the training images
    notes: tuple[str, ...]  # what could not be kept, or not be made as asked


@dataclass(frozen=True)
class _Block:
    """Images to write, one after the other: rows of what is stored (all, C, H, W), with their labels."""

    stored: npt.NDArray[np.uint8]
    rows: Rows
    labels: Rows
    synthetic: bool = False

    def pieces(self) -> Iterator[npt.NDArray[np.uint8]]:
        """The images in order (n, C, H, W), a few megabytes at a time."""
        size = max(1, PIECE_BYTES // math.prod(self.stored.shape[1:]))
        for start in range(0, len(self.rows), size):
            yield np.asarray(self.stored[self.rows[start : start + size]])


_Parts = dict[int, list[_Block]]


def check_target(path: Path, source: str) -> None:
    """UsageError if no set can be written there: a folder, or a file that ends in .npz, that does not exist."""
    errors = []
    try:
        taken = [each for each in (path, _table_of(path)) if each.exists() or each.is_symlink()]
        is_folder = path.absolute().parent.is_dir()
    except OSError as error:
        raise UsageError(f"--write {path} cannot be written: {error.strerror}. Give another name.") from error
    if path.suffix.lower() in _OTHER_FILES:
        errors.append(f"--write {path}: give a file that ends in .npz, or a folder, whose name does not end in .npz.")
    elif taken:
        errors.append(
            f"--write {path}: {taken[0]} exists, and nothing is overwritten. Remove it, or give another name."
        )
    if not is_folder:
        errors.append(f"--write {path}: there is no folder {path.parent}. Create it first, or choose another.")
    elif not os.access(path.absolute().parent, os.W_OK):
        errors.append(f"--write {path}: the folder {path.parent} is not writable. Choose another.")
    elif Path(source).is_dir() and path.resolve().is_relative_to(Path(source).resolve()):
        errors.append(f"--write {path} is inside the data folder {source}. Give a place outside of it.")
    if errors:
        raise UsageError(*errors)


def write_set(
    config: DataConfig, data: Dataset, oversampling: str, path: Path, *, progress: Progress | None = None
) -> WrittenSet:
    """Write ``data``, which ``config`` describes: train with what the oversampler adds, select and rank as val, test.

    Synthetic images are those of a search with ``--oversample`` over the same data. What is written appears whole or
    not at all, and can be opened as any other set. UsageError if it cannot be written.
    """
    train = data.split("train")
    if oversampling != "none":
        train = replace(train, mirrored=mirroring(data, config.source)[0])
    made = oversample(oversampling, train, cache=data.cache_path, key=data.key)
    added = np.arange(len(made.labels)) if made.rows is None else made.rows
    val = np.sort(np.concatenate([data.rows["select"], data.rows["rank"]]))
    parts: _Parts = {
        TRAIN: [
            _Block(train.stored, train.rows, train.labels),
            _Block(made.images, added, made.labels, synthetic=True),
        ],
        VAL: [_Block(train.stored, val, data.labels[val])],
        TEST: [_Block(train.stored, data.rows["test"], data.labels[data.rows["test"]])],
    }
    try:
        (_write_npz if _is_file(path) else _write_folder)(path, parts, data.classes, progress)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(
            f"--write {path} cannot be written: {why}. No partial output is left; make room, or choose another place."
        ) from error
    number = len(data.classes)
    return WrittenSet(
        path=path,
        table=_table_of(path),
        counts={PARTS[part]: np.bincount(_labels(blocks), minlength=number).tolist() for part, blocks in parts.items()},
        num_synthetic=len(made.labels),
        notes=(*made.warnings, *_not_kept(data)),
    )


def _is_file(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


def _table_of(path: Path) -> Path:
    return path.with_suffix(".csv") if _is_file(path) else path / TABLE


def _labels(blocks: Sequence[_Block]) -> Rows:
    return np.concatenate([block.labels for block in blocks])


def _marks(blocks: Sequence[_Block]) -> npt.NDArray[np.uint8]:
    """1 for every synthetic image, else 0."""
    return np.repeat(np.array([block.synthetic for block in blocks], dtype=np.uint8), [len(b.rows) for b in blocks])


def _not_kept(data: Dataset) -> Iterator[str]:
    if data.levels:
        black, white = data.levels
        yield f"images deeper than 8 bits are written as training sees them: {black:g} to {white:g} became 0 to 255"
    if data.grouped_by:
        yield (
            f"groups (by {data.grouped_by}) are kept apart in train, val and test; select and rank, the halves of val, "
            "may share groups"
        )


# ---- a file of arrays


def _write_npz(path: Path, parts: _Parts, classes: Sequence[str], progress: Progress | None) -> None:
    total = sum(len(block.rows) for blocks in parts.values() for block in blocks)
    num_bytes = total * math.prod(parts[TRAIN][0].stored.shape[1:])
    if num_bytes > (free := shutil.disk_usage(path.absolute().parent).free):
        raise UsageError(
            f"--write {path} takes {memory(num_bytes)}, and its disk has {memory(free)} free. Make room there, or "
            "choose another place."
        )
    done = 0
    with new_files(_table_of(path), path) as (table, file), zipfile.ZipFile(file, "w") as archive:
        for part, blocks in parts.items():
            prefix = "" if part == TRAIN else f"{PARTS[part]}_"
            channels, *sides = blocks[0].stored.shape[1:]
            count = sum(len(block.rows) for block in blocks)
            with archive.open(f"{prefix}images.npy", "w", force_zip64=True) as member:
                write_header(member, (count, *sides, *([3] if channels == 3 else [])))
                for piece in (piece for block in blocks for piece in block.pieces()):
                    pixels = piece[:, 0] if channels == 1 else piece.transpose(0, 2, 3, 1)
                    member.write(np.ascontiguousarray(pixels).data)
                    done += len(piece)
                    if progress:
                        progress(done, total)
            _add_array(archive, f"{prefix}labels", _labels(blocks))
        _add_array(archive, CLASS_NAMES, np.array(classes))
        _add_array(archive, SYNTHETIC, _marks(parts[TRAIN]))
        rows = (
            (PARTS[part], row, classes[label], mark)
            for part, blocks in parts.items()
            for row, (label, mark) in enumerate(zip(_labels(blocks), _marks(blocks), strict=True))
        )
        _write_table(table, ("split", "row", "label", "synthetic"), rows)


def _add_array(archive: zipfile.ZipFile, name: str, array: npt.NDArray[np.generic]) -> None:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    archive.writestr(f"{name}.npy", content.getvalue())


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


# ---- a folder of class folders


def _write_folder(path: Path, parts: _Parts, classes: Sequence[str], progress: Progress | None) -> None:
    images = [
        (block.stored, row, part, label, block.synthetic)
        for part, blocks in parts.items()
        for block in blocks
        for row, label in zip(block.rows.tolist(), block.labels.tolist(), strict=True)
    ]
    with new_folder(path) as folder:
        called = _class_folders(folder, classes)
        digits = {part: max(4, len(str(np.bincount(_labels(blocks)).max() - 1))) for part, blocks in parts.items()}
        count = Counter[tuple[int, int]]()
        names = []
        for _, _, part, label, _ in images:
            names.append(f"{PARTS[part]}/{called[label]}/{count[part, label]:0{digits[part]}}.png")
            count[part, label] += 1

        def write(chunk: range) -> None:
            for number in chunk:
                stored, row, *_ = images[number]
                (folder / names[number]).write_bytes(png_of(stored[row]))

        map_chunks(write, len(images), lambda done: progress(done, len(images)) if progress else None)
        facts = [
            (name, classes[label], PARTS[part], int(synthetic))
            for name, (_, _, part, label, synthetic) in zip(names, images, strict=True)
        ]
        place = {name: number for number, name in enumerate(classes)}
        facts.sort(key=lambda fact: (PARTS.index(fact[2]), place[fact[1]]))  # classes in their order
        _write_table(folder / TABLE, COLUMNS, facts)


def _class_folders(folder: Path, classes: Sequence[str]) -> list[str]:
    """Make a folder for each class in each part; what they are called.

    As the class is, but for signs that file systems refuse or read otherwise, and a number where the file system takes
    two names for one, as some do with A and a.
    """
    called = []
    for name in classes:
        safe = _UNSAFE.sub(lambda sign: f"%{ord(sign[0]):02X}", name) or "%"
        safe = safe.encode()[:_LONGEST].decode(errors="ignore")
        chosen, number = safe, 1
        while (folder / PARTS[TRAIN] / chosen).exists():
            number += 1
            chosen = f"{safe}_{number}"
        for part in PARTS:
            (folder / part / chosen).mkdir(parents=True)
        called.append(chosen)
    return called
