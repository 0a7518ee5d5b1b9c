"""Folders whose images a table beside them labels: the table should be given, not the folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.data.sources.folder_names import part_of
from nas.data.sources.folders.reading import how_unlikely, shortened
from nas.data.sources.tables.label_file import LabelFile
from nas.data.sources.tables.table import TEXT_SUFFIXES
from nas.data.sources.tree import Node, is_folder, is_picture, look_into
from nas.errors import DataError

_ANY_FOLDER = re.compile(
    r"(.*[ _-])?(images?|imgs?|photos?|pictures?|pics|data|jpe?g|png|masks?|annotations?|labels?|"
    r"(part|batch|chunk|folder|dir)[ _-]?\d*|\d+)([ _-]?(part[ _-]?)?\d+)?",
    re.IGNORECASE,
)
_LARGEST_TABLE = 50_000_000  # bytes of a table that is read to see whether it labels images


def refuse_table_beside(base: Node) -> None:
    """DataError where images lie in no folders that look like classes, and a table beside them gives them labels, or
    would if it were in order."""
    path, folders, files = base.path, [f.name for f in base.full], [file.name.rpartition("/")[2] for file in base.files]
    try:
        if not (_no_classes(path, folders) if folders else any(map(is_picture, files))):
            return
    except OSError:
        return  # whoever reads the folder says so
    names = sorted((n for n in files if Path(n).suffix.lower() in TEXT_SUFFIXES[:-1]), key=how_unlikely)
    told = {name: _told_by(path / name) for name in names}
    good = [name for name in names if len(told[name].labels) > 1 and not told[name].labels <= set(folders)]
    wrong = [name for name in names if told[name].error]
    if not good and not wrong:
        return
    if folders:
        what, whose = f"The folders in {path} ({shortened(folders)}) do not look like classes", "their"
        way = " Or add --class-level 1, to take the folders as classes." if len(folders) > 1 else ""
    else:
        what, whose, way = f"{path} has no class folders", "its", ""
    if not good:
        raise DataError(
            f"{what}, and {wrong[0]} seems to give labels to {whose} images, but has an error. Correct it, then give "
            f"it: --data {shlex.quote(str(path / wrong[0]))}.{way}",
            told[wrong[0]].error,
        )
    beside = "".join(f" {name} has no labels." for name in names if told[name].lacks_labels)
    if more := [name for name in good[1:] if "submission" not in name.lower()]:
        beside += (
            f" The same holds for {shortened(more)}; to use all, put their lines in one table, with a column 'split'."
        )
    raise DataError(
        f"{what}, and {good[0]} gives labels to {whose} images: {shortened(sorted(told[good[0]].labels))}. Give it: "
        f"--data {shlex.quote(str(path / good[0]))}.{beside}{way}"
    )


def _no_classes(path: Path, folders: Sequence[str]) -> bool:
    """True if the names of all folders say what lies in them, or of what split, rather than of what class it is."""
    return all(
        _ANY_FOLDER.fullmatch(name) or (part_of(name, folders) is not None and not _has_folders(path / name))
        for name in folders
    )


@dataclass(frozen=True)
class _Told:
    """Content of a table beside images: labels, or only a list of them; or its error, if it means to give labels."""

    labels: frozenset[str] = frozenset()
    lacks_labels: bool = False
    error: str = ""


def _told_by(table: Path) -> _Told:
    source = LabelFile(table)
    try:
        if table.stat().st_size > _LARGEST_TABLE:
            return _Told()
        names_images, has_labels = source.glance()
    except (OSError, DataError):
        return _Told()
    try:
        source.fingerprint()
    except DataError as error:
        message = error.messages[0] if names_images and has_labels else ""
        return _Told(lacks_labels=names_images and not has_labels, error=message)
    return _Told(frozenset(source.labels))


def _has_folders(folder: Path) -> bool:
    """True if folders lie in it, hidden ones left out."""
    return any(map(is_folder, look_into(folder)[0]))
