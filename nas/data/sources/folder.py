"""A folder of class folders, or of ``train``, ``test`` and ``val`` folders that hold class folders each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from nas.data.sources.base import TEST, TRAIN, VAL, Found, Progress
from nas.data.sources.files import Entry, found_in_files
from nas.errors import DataError

_ALIASES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VAL,
    "valid": VAL,
    "validation": VAL,
    "test": TEST,
    "testing": TEST,
}
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"}


class Folder:
    """Images below a folder; hidden files and what is no image are passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.resolve().name
        self._roots: list[tuple[int, str, Path]] = []  # part, class, folder
        self._entries: list[Entry] = []

    def fingerprint(self) -> str:
        """A hash of every file's relative name, size and time of change; reads no file."""
        try:
            self._roots = list(_class_folders(self.path))
            self._entries = [entry for root in self._roots for entry in _entries(self.path, *root)]
        except OSError as error:
            raise DataError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error
        text = hashlib.blake2b(str(self.path.resolve()).encode(errors="surrogateescape"))
        for _, class_name, folder in self._roots:
            text.update(f"{class_name}\0{folder.name}\0".encode(errors="surrogateescape"))
        for entry in self._entries:
            text.update(f"{entry.name}\0{entry.size}\0{entry.changed}\0".encode(errors="surrogateescape"))
        return f"folder:{text.hexdigest()}"

    def look(self, progress: Progress | None) -> Found:
        """Read every file once: its hash, its header. Files without an image's suffix are tried too."""
        classes = tuple(sorted({class_name for _, class_name, _ in self._roots}))
        return found_in_files(self.path, self._entries, classes=classes, hint=self._hint(), progress=progress)

    def _hint(self) -> str:
        """Where the class folders may be instead, when the folder was named one level too high."""
        folders = {folder for _, _, folder in self._roots}
        inner = folders.pop() if len(folders) == 1 else None
        if inner and sum(child.is_dir() for child in inner.iterdir()) > 1:
            return f" Did you mean {inner}?"
        return ""


def _class_folders(path: Path) -> Iterator[tuple[int, str, Path]]:
    """Part, class name and folder of every class. DataError when there are no class folders."""
    children = _folders(path)
    aliases = [child for child in children if child.name.lower() in _ALIASES]
    parts = {_ALIASES[child.name.lower()] for child in aliases}
    if not (TRAIN in parts and (len(parts) > 1 or len(aliases) == len(children))):
        if children and len(aliases) == len(children) and (len(parts) > 1 or TEST in parts):
            there = children[0].name
            raise DataError(f"{path} has {there}/ but no train/. Put the training images in train/.")
        if not children:
            raise DataError(
                f"{path} has no class folders. Put the images of each class in a folder of their own, named "
                "after the class, or give another folder."
            )
        yield from ((TRAIN, child.name, child) for child in children)
        return
    faults = []
    for child in aliases:
        classes = _folders(child)
        if not classes:
            faults.append(f"{child} has no class folders. Put the images of each class in a folder below it.")
        yield from ((_ALIASES[child.name.lower()], inner.name, inner) for inner in classes)
    if faults:
        raise DataError(*faults)


def _folders(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return sorted(path / entry.name for entry in entries if entry.is_dir() and not _is_junk(entry.name))


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def _entries(root: Path, part: int, class_name: str, folder: Path) -> Iterator[Entry]:
    prefix = folder.relative_to(root).as_posix()
    with os.scandir(folder) as scanned:
        listed = sorted(scanned, key=lambda entry: entry.name)
    for entry in listed:
        if _is_junk(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(root, part, class_name, folder / entry.name)
        elif not entry.is_dir():
            try:
                status = entry.stat()
                yield Entry(f"{prefix}/{entry.name}", part, class_name, status.st_size, status.st_mtime_ns)
            except OSError:  # a link that leads nowhere: reading it will say so
                yield Entry(f"{prefix}/{entry.name}", part, class_name, -1, 0)
