"""A table with a line for each image: its file and its label, perhaps its split and its group."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas.data.sources.base import Found, Progress
from nas.data.sources.files import Entry, found_in_files
from nas.data.sources.folder_names import part_said
from nas.data.sources.grouped import groups_of as groups_by_name
from nas.data.sources.tables.label_columns import (
    CURE,
    chosen_columns,
    groups_of,
    in_order,
    labels_of,
    usual_column,
)
from nas.data.sources.tables.listed_files import ListedFiles, Located
from nas.data.sources.tables.split_columns import split_of
from nas.data.sources.tables.table import Table, glance, read_table, refuse_empty
from nas.errors import DataError
from nas.units import counted, listed

_SHOWN = 10
_LONGEST = 200  # letters of a name that are shown


@dataclass(frozen=True)
class _Row:
    """Content of one line."""

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
        self.remarks: list[str] = []
        self._grouped_by = ""
        self._rows: list[_Row] = []
        self._entries: list[Entry] = []
        self._missing: dict[str, str] = {}

    def fingerprint(self) -> str:
        """A hash of the table and of every file's size and time of change; reads no image."""
        content = self._content()
        self._read(read_table(self.path, content))
        text = hashlib.blake2b(
            f"{self.path.resolve()}\0{sorted(self.columns.items())}\0{self.group}\0".encode(errors="surrogateescape")
        )
        text.update(content)
        text.update(repr([tuple(entry) for entry in self._entries]).encode())
        return f"labels:{text.hexdigest()}"

    def glance(self) -> tuple[bool, bool]:
        """True if its first lines name images that are there, and whether it has a column of labels, whatever else is
        wrong with it."""
        table, files = glance(self.path, self._content()), ListedFiles(self.path.parent)
        column = usual_column("path", table.columns)
        names = [name for name in table.column(column) if name] if column else []
        return files.holds_some(names), usual_column("label", table.columns) is not None

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be read: {error.strerror}. Make it readable, or give another file."
            ) from error

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
        return replace(found, grouped_by=self._grouped_by)

    @property
    def labels(self) -> set[str]:
        """All labels, once the fingerprint was taken."""
        return {row.label for row in self._rows}

    def _read(self, table: Table) -> None:
        """The rows and their files. DataError with everything that is wrong with the table."""
        if not table.rows:
            raise DataError(table.error("no line follows the names of the columns. Write a line for each image."))
        table = replace(table, told=self.columns)
        told = self.columns | ({"group": self.group} if self.group and not _is_pattern(self.group, table) else {})
        remarks: list[str] = []
        self.remarks = remarks
        chosen = chosen_columns(table, told, remarks)
        errors: list[str] = []
        labels = labels_of(table, chosen, errors, remarks)
        parts = split_of(table, chosen, errors)
        groups = groups_of(table, chosen, errors)
        paths = table.column(chosen["path"])
        refuse_empty(table, paths, f"no file in column {chosen['path']!r}. Write one, or remove such lines.", errors)
        if errors:
            raise DataError(*errors)
        self._grouped_by = f"column {chosen['group']!r}" if "group" in chosen else ""
        if self.group and _is_pattern(self.group, table):
            groups = groups_by_name([path.replace("\\", "/") for path in paths], self.group)
            self._grouped_by = f"the pattern {self.group}"
        rows = [_Row(*facts) for facts in zip(paths, labels, parts, groups, strict=True)]
        self._take(table, rows, self._located(table, rows, chosen))

    def _located(self, table: Table, rows: Sequence[_Row], chosen: Mapping[str, str]) -> list[Located]:
        """Path of the file of every row. DataError where it cannot be told."""
        home, files = self.path.parent, ListedFiles(self.path.parent)
        own = part_said(self.path.stem)  # train.csv: of files of one name that in train/
        parts = [row.part if "split" in chosen else own for row in rows]
        names = [row.name for row in rows]
        located = [files.find(name, part) for name, part in zip(names, parts, strict=True)]
        is_missing = not files.doubtful and all(place[1] < 0 for place in located)
        if is_missing and (start := files.foreign_start(names)):
            located = [files.find(name[len(start) :], part) for name, part in zip(names, parts, strict=True)]
            found = next((place[0] for place in located if place[1] >= 0), names[0])
            self.remarks.append(f"paths begin with {start}, which is not here; without it they are found: {found}")
            names = [name[len(start) :] for name in names]
        elif is_missing:
            like = f" (there is {found})" if (found := files.like(names[0])) else ""
            raise DataError(
                table.error(
                    f"none of the {len(set(names)):,} files exists; the first is {_cut(names[0])!r}{like}, looked "
                    f"for in {home} and the folders below it, also by the ends of the paths and with the usual "
                    f"suffixes. Put the images there, write paths relative to {self.path.name}, {CURE}."
                )
            )
        if files.doubtful:
            lines = [row for row, name in enumerate(names) if name in files.doubtful]
            name = names[lines[0]]
            one, other, *more = files.doubtful[name]
            also = f" or {counted(len(more), 'other')}" if more else ""
            what = f"{name!r} may be {one} or {other}{also}. Move the table into the folder of its images, or write"
            how = f"which is meant, as a path relative to {self.path.name}, in column {chosen['path']!r}: {one}."
            raise DataError(table.error(f"{what} {how}", lines))
        if files.preferred:
            taken, other, *_ = next(iter(files.preferred.values()))
            count = counted(len(files.preferred), "file name")
            self.remarks.append(f"{count} that several files have: {taken} is used, not {other}")
        return located

    def _take(self, table: Table, rows: Sequence[_Row], located: Sequence[Located]) -> None:
        """Entries of all rows; a file that several rows name counts once."""
        seen: dict[str, int] = {}
        errors: list[str] = []
        repeated: list[int] = []
        self._rows, self._entries, self._missing = [], [], {}
        for number, (row, (name, *status)) in enumerate(zip(rows, located, strict=True)):
            first = seen.setdefault(os.path.normpath(name), number)
            if first != number:
                if rows[first] != replace(row, name=rows[first].name):
                    errors.append(_contradiction(table, first, number, rows))
                repeated.append(number)
                continue
            self._rows.append(row)
            self._entries.append(Entry(name, row.part, row.label, *status))
            if status[0] < 0:
                self._missing[name] = f"there is no such file ({self.path.name}, line {table.lines[number]})"
        if errors:
            more = [f"{len(errors) - _SHOWN:,} more such lines in {self.path}."] if len(errors) > _SHOWN else []
            raise DataError(*errors[:_SHOWN], *more)
        if repeated:
            lines = listed((str(table.lines[row]) for row in repeated), _SHOWN)
            what = counted(len(repeated), "line names a file", "lines name files")
            self.remarks.append(f"{what} that an earlier one does, with the same label, and count once: {lines}")


def _is_pattern(group: str, table: Table) -> bool:
    """True if ``--group`` is more than a name of a column, perhaps misspelled."""
    return group not in table.columns and re.fullmatch(r"[\w .-]+", group) is None


def _cut(name: str) -> str:
    """A name, or the start of what is too long for one."""
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."


def _contradiction(table: Table, first: int, second: int, rows: Sequence[_Row]) -> str:
    one, other = rows[first], rows[second]
    what = (
        f"labels {one.label!r} and {other.label!r}"
        if one.label != other.label
        else "two splits"
        if one.part != other.part
        else f"groups {one.group!r} and {other.group!r}"
    )
    return table.error(f"{other.name!r} is given {what}. An image has one of each: remove a line.", [first, second])
