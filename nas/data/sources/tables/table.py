"""A file of rows and named columns: text with commas, tabs, semicolons or bars, or Parquet."""

from __future__ import annotations

import codecs
import csv
import io
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nas.data.given import is_kept
from nas.data.sources.tree import is_picture
from nas.errors import DataError

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet", ".pq")
_SEPARATORS = "\t;,|"  # of several that a line has as often, the first
_EXCEL = re.compile(r"sep=(.?)", re.IGNORECASE)  # a first line that only says what parts the cells
_LONGEST = 100_000  # letters that a glance takes in: csv.reader takes no longer cell
_SHOWN = 10


@dataclass(frozen=True)
class Table:
    """Cells as text without spaces around, where in the file each row begins; ``told`` is what ``--columns`` says."""

    path: Path
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]  # as an editor counts them; of Parquet, rows from 1
    told: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> list[str]:
        """All cells below one name."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def flag(self, role: str, *names: str) -> str:
        """Flag to type to say which column, or which of several, has a role ("": none), beside what was told."""
        ways = (
            ",".join(f'"{role}={column}"' if "," in column else f"{role}={column}" for role, column in said.items())
            for said in ({**self.told, role: name} for name in names)
        )
        return " or ".join(f"--columns {shlex.quote(way)}" for way in ways)

    def error(self, what: str, rows: Sequence[int] = ()) -> str:
        """A sentence about this file and some of its rows; of a frame of pandas, kept in it, which count from 0."""
        is_frame = is_kept(self.path)
        name = "The frame" if is_frame else str(self.path)
        if not rows:
            return f"{name}: {what}"
        shown = ", ".join(str(row if is_frame else self.lines[row]) for row in rows[:_SHOWN])
        more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
        return f"{name}, {'row' if is_frame else 'line'}{'s' if len(rows) > 1 else ''} {shown}{more}: {what}"


def glance(path: Path, content: bytes) -> Table:
    """The first lines, whatever is wrong with them; missing cells are empty. DataError if it is no text."""
    text = _text(path, content)
    lines = [line for line in text[:_LONGEST].splitlines() if line.strip() and not _EXCEL.fullmatch(line.strip())]
    reader = csv.reader(lines, delimiter=_separator(text), skipinitialspace=True)
    rows = [[cell.strip() for cell in cells] for cells in reader] or [[]]
    header, rows = (["path", "label"], rows) if _is_row_of_images(rows[0]) else (rows[0], rows[1:])
    filled = [[*cells, *[""] * len(header)][: len(header)] for cells in rows]
    return Table(path, tuple(header), filled, list(range(len(filled))))


def read_table(path: Path, content: bytes) -> Table:
    """The table in a file whose bytes are ``content``. DataError with file, line and cure if there is none."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path, content)
    text = _text(path, content)
    separator = _separator(text)
    rows, lines, start = [], [], 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append(stripped)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {start}: {error}. A quotation mark may be left open there; close it.") from error
    if lines and _EXCEL.fullmatch(rows[0][0]):
        rows, lines = rows[1:], lines[1:]
    if not rows:
        raise DataError(f"{path} is empty. Give a file with columns 'path' and 'label', one line per image.")
    return _checked(path, rows, lines)


def _checked(path: Path, rows: list[list[str]], lines: list[int]) -> Table:
    header = rows[0]
    if _is_row_of_images(header):
        header = ["path", "label"]
    else:
        rows, lines = rows[1:], lines[1:]
    while len(header) > 1 and not header[-1]:
        header = header[:-1]
    width = len(header)
    table = Table(path, tuple(header), rows, lines)
    wrong = [row for row, cells in enumerate(rows) if len(cells) < width or any(cells[width:])]
    if wrong:
        count = len(rows[wrong[0]])
        raise DataError(
            table.error(
                f"{count} cell{'s' if count != 1 else ''}, and the first line names {width} columns. Write as "
                "many cells, and put cells that hold the separator in quotation marks.",
                wrong,
            )
        )
    return table


def _is_row_of_images(cells: Sequence[str]) -> bool:
    """True if a first line is a row already: the path of an image and its label."""
    return len(cells) == 2 and is_picture(cells[0])


def _text(path: Path, content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    if b"\0" in content:
        raise DataError(f"{path} is not a text file. Give a file with columns 'path' and 'label', separated by commas.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _separator(text: str) -> str:
    """Separator of the cells of the first line that has any; spaces where nothing else does."""
    first = next((line for line in text.splitlines() if line.strip()), "")[:_LONGEST]
    if (said := _EXCEL.match(first)) and said[1]:
        return said[1]
    counts = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in _SEPARATORS}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] > 1 else " " if len(first.split()) == 2 else ","


def _read_parquet(path: Path, content: bytes) -> Table:
    try:
        import pandas

        frame = pandas.read_parquet(io.BytesIO(content))
    except ImportError as error:
        raise DataError(
            f"Reading {path} needs pandas and pyarrow. Install them (pip install pandas pyarrow), or save the table "
            "as CSV."
        ) from error
    except Exception as error:  # the readers raise their own kinds
        raise DataError(f"{path} cannot be read as Parquet: {error}. Save it again, or as CSV.") from error
    columns = tuple(str(name) for name in frame.columns)
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return Table(path, columns, rows, list(range(1, len(rows) + 1)))


def _cell(value: object) -> str:
    """Its text; empty where there is no value. A text is itself, whatever it says: a class may be called NaT."""
    if isinstance(value, str):
        return value.strip()
    is_missing = value is None or (isinstance(value, float) and value != value) or str(value) in ("<NA>", "NaT")
    return "" if is_missing else str(value).strip()


def refuse_empty(table: Table, cells: Sequence[str], what: str, errors: list[str]) -> None:
    """An error if some cells are empty."""
    empty = [row for row, cell in enumerate(cells) if not cell]
    if empty:
        errors.append(table.error(what, empty))


def plain(name: str) -> str:
    """A column's name without spaces, dashes, underscores and capitals."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
