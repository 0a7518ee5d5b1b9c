"""A folder of class folders, or of ``train``, ``test`` and ``val`` folders that hold class folders each."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from nas.data.dataset import Broken, Preprocessing
from nas.data.sources.base import PARTS, TEST, TRAIN, VAL, Found, Progress
from nas.data.threads import map_chunks
from nas.errors import DataError

if TYPE_CHECKING:
    from nas.data.images import Header

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


class Entry(NamedTuple):  # made for every file at every start: half the time of a frozen dataclass
    """A file that may be an image; ``name`` is relative to the data folder."""

    name: str
    part: int
    class_name: str
    size: int  # bytes
    changed: int  # nanoseconds


@dataclass(frozen=True)
class _Looked:
    """What one look at one file gave; exactly one of ``header`` and ``trouble`` unless it is no image."""

    digest: bytes
    header: Header | None
    trouble: str | None = None
    unreadable: bool = False


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
        total = 2 * len(self._entries)
        chunks = map_chunks(
            lambda rows: [_look_at(self.path, self._entries[row]) for row in rows],
            len(self._entries),
            lambda done: progress(done, total) if progress else None,
        )
        looked = [one for chunk in chunks for one in chunk]
        return self._found(list(zip(self._entries, looked, strict=True)))

    def _found(self, looked: list[tuple[Entry, _Looked]]) -> Found:
        classes = tuple(sorted({class_name for _, class_name, _ in self._roots}))
        label_of = {name: label for label, name in enumerate(classes)}
        images = [(entry, one) for entry, one in looked if one.header or one.trouble]
        good = [(entry, one.header) for entry, one in images if one.header]
        present = np.zeros((len(PARTS), len(classes)), dtype=np.int64)
        for entry, _ in images:
            present[entry.part, label_of[entry.class_name]] += 1
        names = [entry.name for entry, _ in good]

        def read(row: int, target: Preprocessing) -> npt.NDArray[np.uint8]:
            from nas.data.images import decode_file

            return decode_file((self.path / names[row]).read_bytes(), target)

        return Found(
            classes=classes,
            labels=np.array([label_of[entry.class_name] for entry, _ in good], dtype=np.int64),
            parts=np.array([entry.part for entry, _ in good], dtype=np.uint8),
            names=names,
            sizes=np.array([(header.height, header.width) for _, header in good], dtype=np.int64).reshape(-1, 2),
            grey=all(header.grey for _, header in good),
            digest=_digest(images),
            read=read,
            present=present,
            modes=Counter(header.mode for _, header in good),
            formats=Counter(header.format for _, header in good),
            broken=tuple(Broken(entry.name, one.trouble) for entry, one in images if one.trouble),
            num_ignored=len(looked) - len(images),
            repeatable=not any(one.unreadable for _, one in images),
            hint=self._hint(),
            notes=Counter(note for _, header in good for note in header.notes),
            extents=[(entry.part, header.extent) for entry, header in good if header.extent],
        )

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


def _look_at(root: Path, entry: Entry) -> _Looked:
    from nas.data.images import SUFFIXES, read_header, reason, suffix_of

    must_be_image = suffix_of(entry.name) in SUFFIXES
    try:
        content = (root / entry.name).read_bytes()
    except OSError as error:
        return _Looked(b"", None, error.strerror or "cannot be read", unreadable=True)
    digest = hashlib.blake2b(content, digest_size=16).digest()
    try:
        header = read_header(content)
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files
        why = "an empty file" if not content else reason(error)
        return _Looked(digest, None, why if must_be_image else None)
    return _Looked(digest, header)


def _digest(images: list[tuple[Entry, _Looked]]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for entry, one in images:
        total.update(f"{entry.part}\0{entry.class_name}\0{entry.name}\0".encode(errors="surrogateescape"))
        total.update(one.digest)
    return total.hexdigest()
