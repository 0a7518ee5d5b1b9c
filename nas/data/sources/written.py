"""A folder that ``nasctl data --write`` made: its table says what each image is, and no folder's name is guessed."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nas.data.sources.base import PARTS, Found, Progress
from nas.data.sources.files import Entry, as_bytes, found_in_files
from nas.data.sources.tree import Patterns, scan
from nas.errors import DataError
from nas.units import counted, listed

TABLE = "images.csv"
COLUMNS = ("path", "label", "split", "synthetic")
_SHOWN = 6


def is_written(path: Path) -> bool:
    """True if a folder has our table of its images."""
    try:
        if not (path / TABLE).is_file():
            return False
        with (path / TABLE).open(encoding="utf-8-sig", errors="replace") as file:
            return file.readline(100).rstrip("\r\n") == ",".join(COLUMNS)
    except OSError:
        return False


class WrittenFolder:
    """The images of the table, with the labels and splits that it gives; classes in the order in which they occur."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.resolve().name
        self.remarks: Sequence[str] = ()
        self._rows: list[_Row] = []
        self._entries: list[Entry] = []
        self._missing: dict[str, str] = {}
        self._num_beside = 0

    def fingerprint(self) -> str:
        """A hash of the table and of every file's size, times of change and place on the disk; reads no image.

        DataError with everything that is wrong with the table.
        """
        try:
            content = (self.path / TABLE).read_bytes()
            tree = scan(self.path, Patterns())
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read: {error.strerror}.") from error
        there = {file.name: file for node in tree.root.walk() for file in node.files}
        self._rows = rows = _read(self.path / TABLE, content)
        self._missing = {
            row.name: f"there is no such file ({TABLE}, line {row.line})" for row in rows if row.name not in there
        }
        self._entries = [
            Entry(row.name, row.part, row.label, *(there[row.name][1:] if row.name in there else (-1, 0)))
            for row in rows
        ]
        beside = sorted(there.keys() - {TABLE, *(row.name for row in rows)})
        self._num_beside = len(beside)
        left = [f"{counted(len(beside), 'file')} not in {TABLE} left out: {listed(beside, _SHOWN)}"] if beside else []
        self.remarks = (f"read by {TABLE}, as nasctl wrote it", *left)
        text = hashlib.blake2b(f"{self.path.resolve()}\0{len(beside)}\0".encode(errors="surrogateescape"))
        text.update(content)
        text.update(as_bytes(self._entries))
        return f"written:{text.hexdigest()}"

    def look(self, progress: Progress | None) -> Found:
        """Read every file once: its hash, its header."""
        classes = list(dict.fromkeys(row.label for row in self._rows))
        found = found_in_files(self.path, self._entries, classes=classes, missing=self._missing, progress=progress)
        made = {row.name for row in self._rows if row.synthetic}
        synthetic = np.array([name in made for name in found.names], dtype=bool)
        return replace(found, synthetic=synthetic, num_ignored=found.num_ignored + self._num_beside)


class _Row(NamedTuple):
    line: int
    name: str
    label: str
    part: int
    synthetic: bool


def _read(table: Path, content: bytes) -> list[_Row]:
    rows: list[_Row] = []
    wrong: list[int] = []
    instead = f"Write the set again, or remove {TABLE}, to have the folder read by the names of its folders."
    reader = csv.reader(io.StringIO(content.decode("utf-8-sig", errors="replace"), newline=""))
    next(reader)
    try:
        for cells in reader:
            name, label, split, synthetic = cells if len(cells) == len(COLUMNS) else ("", "", "", "")
            if name and split in PARTS and synthetic in ("0", "1"):
                rows.append(_Row(reader.line_num, name, label, PARTS.index(split), synthetic == "1"))
            elif cells:
                wrong.append(reader.line_num)
    except csv.Error as error:  # a quote that nothing closes
        raise DataError(f"{table}, line {reader.line_num}: {error}. {instead}") from error
    errors = []
    if wrong:
        errors.append(
            f"{table}: not a path, a label, a split of {', '.join(PARTS)}, and 0 or 1 (synthetic), in line "
            f"{listed(map(str, wrong), _SHOWN)}. {instead}"
        )
    count = Counter(row.name for row in rows)
    if twice := [str(row.line) for row in rows if count[row.name] > 1]:
        errors.append(f"{table}: a file that another line names too, in line {listed(twice, _SHOWN)}. {instead}")
    if not rows and not wrong:
        errors.append(f"{table}: no line follows the names of the columns. {instead}")
    if errors:
        raise DataError(*errors)
    return rows
