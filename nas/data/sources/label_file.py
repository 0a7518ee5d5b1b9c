"""A table with a line for each image: its file and its label, perhaps its split and its group."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas.data.sources.base import PART_WORDS, Found, Progress
from nas.data.sources.files import Entry, found_in_files
from nas.data.sources.grouped import groups_of as groups_by_name
from nas.data.sources.label_columns import (
    CURE,
    chosen_columns,
    groups_of,
    in_order,
    labels_of,
    parts_of,
    refuse_empty,
)
from nas.data.sources.listed_files import ListedFiles
from nas.data.sources.tables import Table, read_table
from nas.errors import DataError


@dataclass(frozen=True)
class _Row:
    """What one line says."""

    name: str
    label: str
    part: int
    group: str


class LabelFile:
    """``columns`` maps roles (path, label, split, group) to names of columns; an empty name means: none.

    ``group`` is the name of the column with groups, or a pattern on file names.
    """

    def __init__(self, path: Path, columns: Mapping[str, str] | None = None, group: str | None = None) -> None:
        self.path = path
        self.name = path.stem
        self.columns = dict(columns or {})
        self.group = group
        self.remarks: Sequence[str] = ()
        self._grouped_by = ""
        self._rows: list[_Row] = []
        self._entries: list[Entry] = []
        self._missing: dict[str, str] = {}
        self._repeated = 0

    def fingerprint(self) -> str:
        """A hash of the table and of every file's size and time of change; reads no image."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}. Give a file that can.") from error
        self._read(read_table(self.path, content))
        text = hashlib.blake2b(
            f"{self.path.resolve()}\0{sorted(self.columns.items())}\0{self.group}\0".encode(errors="surrogateescape")
        )
        text.update(content)
        text.update(repr([tuple(entry) for entry in self._entries]).encode())
        return f"labels:{text.hexdigest()}"

    def look(self, progress: Progress | None) -> Found:
        """Read every file once: its hash, its header."""
        found = found_in_files(
            self.path.parent,
            self._entries,
            classes=in_order(self.labels),
            missing=self._missing,
            groups=[row.group for row in self._rows] if self._rows[0].group else None,
            progress=progress,
        )
        if self._repeated:
            found.notes["Lines that name the same file again, with the same label: left out"] += self._repeated
        return replace(found, grouped_by=self._grouped_by)

    @property
    def labels(self) -> set[str]:
        """All labels, once the fingerprint was taken."""
        return {row.label for row in self._rows}

    def _read(self, table: Table) -> None:
        """The rows and their files. DataError with everything that is wrong with the table."""
        if not table.rows:
            raise DataError(table.fault("no line follows the names of the columns. Write a line for each image."))
        told = self.columns | ({"group": self.group} if self.group and not _is_pattern(self.group, table) else {})
        chosen = chosen_columns(table, told)
        faults: list[str] = []
        labels = labels_of(table, chosen, faults)
        parts = parts_of(table, chosen, faults)
        groups = groups_of(table, chosen, faults)
        paths = table.column(chosen["path"])
        refuse_empty(table, paths, f"no file in column {chosen['path']!r}. Write one, or remove such lines.", faults)
        if faults:
            raise DataError(*faults)
        self._grouped_by = f"column {chosen['group']!r}" if "group" in chosen else ""
        if self.group and _is_pattern(self.group, table):
            groups = groups_by_name([path.replace("\\", "/") for path in paths], self.group)
            self._grouped_by = f"the pattern {self.group}"
        rows = [_Row(*facts) for facts in zip(paths, labels, parts, groups, strict=True)]
        self._locate(table, rows, has_splits="split" in chosen)

    def _locate(self, table: Table, rows: Sequence[_Row], *, has_splits: bool) -> None:
        """Find the file of every row; a file that several rows name counts once."""
        files = ListedFiles(self.path.parent)
        seen: dict[str, int] = {}
        faults: list[str] = []
        self._rows, self._entries, self._missing, self._repeated = [], [], {}, 0
        for number, row in enumerate(rows):
            try:
                name, *status = files.find(row.name, PART_WORDS[row.part] if has_splits else ())
            except DataError as error:
                faults.append(table.fault(str(error), [number]))
                continue
            first = seen.setdefault(os.path.normpath(name), number)
            if first != number:
                if rows[first] != replace(row, name=rows[first].name):
                    faults.append(_contradiction(table, first, number, rows))
                self._repeated += 1
                continue
            self._rows.append(row)
            self._entries.append(Entry(name, row.part, row.label, *status))
            if status[0] < 0:
                self._missing[name] = f"there is no such file ({self.path.name}, line {table.lines[number]})"
        if faults:
            more = [f"{len(faults) - 10:,} more such lines in {self.path}."] if len(faults) > 10 else []
            raise DataError(*faults[:10], *more)
        if len(self._missing) == len(self._entries):
            raise DataError(
                table.fault(
                    f"none of the {len(self._entries):,} files is there; the first is {rows[0].name!r}, looked for in "
                    f"{self.path.parent} and the folders below it, with the usual suffixes too. Put the images there, "
                    f"write paths relative to {self.path.name}, {CURE}."
                )
            )


def _is_pattern(group: str, table: Table) -> bool:
    """Whether ``--group`` is more than a name of a column, perhaps misspelled."""
    return group not in table.columns and re.fullmatch(r"[\w .-]+", group) is None


def _contradiction(table: Table, first: int, second: int, rows: Sequence[_Row]) -> str:
    one, other = rows[first], rows[second]
    what = (
        f"labels {one.label!r} and {other.label!r}"
        if one.label != other.label
        else "two splits"
        if one.part != other.part
        else f"groups {one.group!r} and {other.group!r}"
    )
    return table.fault(f"{other.name!r} is given {what}. An image has one of each: remove a line.", [first, second])
