"""Folders whose images a table beside them labels: the table should be given, not the folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from nas.data.sources.label_file import LabelFile
from nas.data.sources.tables import TEXT_SUFFIXES
from nas.data.sources.tree import is_folder, look_into
from nas.errors import DataError

_ANY_FOLDER = re.compile(
    r"(.*[ _-])?(images?|imgs?|photos?|pictures?|pics|data|jpe?g|png|masks?|annotations?|labels?|"
    r"(part|batch|chunk|folder|dir)[ _-]?\d*|\d+)([ _-]?(part[ _-]?)?\d+)?",
    re.IGNORECASE,
)
_LARGEST_TABLE = 50_000_000  # bytes of a table that is read to see whether it labels images


def refuse_table_beside(path: Path) -> None:
    """DataError where folders that do not look like classes hold images to which a table beside them gives labels."""
    try:
        seen, _ = look_into(path)
    except OSError:
        return  # whoever reads the folder says so
    folders = [entry.name for entry in seen if is_folder(entry)]
    tables = [path / e.name for e in seen if not is_folder(e) and Path(e.name).suffix.lower() in TEXT_SUFFIXES[:-1]]
    if not folders or not all(_ANY_FOLDER.fullmatch(name) for name in folders):
        return
    otherwise = " Or add --class-level 1, to take the folders as classes." if len(folders) > 1 else ""
    for table in tables:
        labels = _labels_in(table)
        if len(labels) > 1 and not labels <= set(folders):
            raise DataError(
                f"The folders in {path} ({_first(folders)}) do not look like classes, and {table.name} gives labels to "
                f"their images: {_first(sorted(labels))}. Give it: --data {shlex.quote(str(table))}.{otherwise}"
            )


def _first(names: Sequence[str]) -> str:
    return ", ".join([*names[:5], *(["..."] if len(names) > 5 else [])])


def _labels_in(table: Path) -> set[str]:
    """The labels that a table gives to images; none if it gives no images labels."""
    try:
        if table.stat().st_size > _LARGEST_TABLE:
            return set()
        source = LabelFile(table)
        source.fingerprint()
    except (OSError, DataError):
        return set()
    return source.labels
