"""What lies below a folder, scanned once: files, folders, and what is passed over and why."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"}
# Suffixes of pictures, whether the decoder reads them or not; known without loading it.
_READ = "jpg jpeg jpe jfif png gif bmp dib tif tiff webp ppm pgm pbm pnm jp2 j2k tga ico psd avif"
_CAMERAS = "dng cr2 cr3 nef arw raf orf rw2"
_OTHERS = {"heic": "HEIC", "heif": "HEIF", "jxl": "JPEG XL", "svg": "SVG", "exr": "OpenEXR", "hdr": "Radiance HDR",
           "dcm": "DICOM", **dict.fromkeys(_CAMERAS.split(" "), "a camera's raw format")}  # fmt: skip
# Why a picture of this suffix cannot be read, and what to do.
CONVERTIBLE = {
    f".{suffix}": f"{kind}, which is not read here: convert it to PNG or JPEG" for suffix, kind in _OTHERS.items()
}
PICTURES = frozenset(f".{suffix}" for suffix in [*_READ.split(" "), *_OTHERS])


class File(NamedTuple):  # made for every file at every start: half the time of a frozen dataclass
    """A file; ``name`` is relative to the data folder. Times are in nanoseconds."""

    name: str
    size: int  # bytes; -1: a link that leads nowhere
    changed: int
    node_changed: int  # its name, place or content: also where a program set the other time back
    inode: int


@dataclass(eq=False)
class Node:
    """A folder: what lies in it, sorted by name."""

    name: str
    path: Path
    files: list[File] = field(default_factory=list)
    folders: list[Node] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """This folder and all below it."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    @property
    def num_files(self) -> int:
        """In it and below it."""
        return sum(len(node.files) for node in self.walk())

    @property
    def has_images(self) -> bool:
        """Whether files lie directly in it that may be images."""
        return any(may_be_image(file.name) for file in self.files)

    @property
    def is_empty(self) -> bool:
        """Whether there is no image in it or below it."""
        return not any(node.has_images for node in self.walk())


@dataclass(frozen=True)
class Patterns:
    """Which files are taken: those whose name or path matches one of ``match``, if any, and none of ``ignore``."""

    match: Sequence[str] = ()
    ignore: Sequence[str] = ()

    @classmethod
    def of(cls, match: str | None, ignore: str | None) -> Patterns:
        """From texts with commas between patterns; capitals are not told from small letters."""
        split = [[part.strip().rstrip("/").lower() for part in (text or "").split(",")] for text in (match, ignore)]
        return cls(*(tuple(filter(None, parts)) for parts in split))

    def takes(self, name: str) -> bool:
        """Whether the file with this path below the data folder is taken, as far as its own name tells."""
        return (not self.match or _matches(name, self.match)) and not _matches(name, self.ignore)

    def enters(self, name: str) -> bool:
        """Whether the folder with this path is entered."""
        return not _matches(name, self.ignore)

    def enters_all(self, name: str) -> bool:
        """Whether all folders that lead to the file with this path are entered."""
        return not self.ignore or all(self.enters(str(folder)) for folder in list(PurePosixPath(name).parents)[:-1])


def _matches(name: str, patterns: Sequence[str]) -> bool:
    if not patterns:
        return False
    name = name.lower()
    last = name.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns for text in (name, last))


@dataclass
class Tree:
    """Everything below ``root``, but for hidden files, what patterns leave out, and our own output."""

    root: Node
    own: list[str] = field(default_factory=list)  # folders of runs and exports, by path
    unmatched: int = 0  # files that patterns left out
    circles: list[str] = field(default_factory=list)  # links to a folder that they lie in


def scan(path: Path, patterns: Patterns) -> Tree:
    """Scan a folder; linked folders are entered. OSError where one cannot be read."""
    tree = Tree(Node(path.resolve().name, path))
    _fill(tree, tree.root, "", patterns, (_identity(path),))
    return tree


def _fill(tree: Tree, node: Node, prefix: str, patterns: Patterns, above: tuple[tuple[int, int], ...]) -> None:
    with os.scandir(node.path) as scanned:
        listed = sorted(scanned, key=lambda entry: entry.name)
    for entry in listed:
        name = prefix + entry.name
        if entry.name.startswith(".") or entry.name.lower() in _JUNK:
            continue
        if not entry.is_dir():
            if patterns.takes(name):
                node.files.append(_file(entry, name))
            else:
                tree.unmatched += 1
            continue
        below = Node(entry.name, node.path / entry.name)
        if not patterns.enters(name):
            continue
        if _is_ours(below.path):
            tree.own.append(name)
        elif entry.is_symlink() and _identity(below.path) in above:
            tree.circles.append(name)
        else:
            node.folders.append(below)
            _fill(tree, below, f"{name}/", patterns, (*above, _identity(below.path)))


def _file(entry: os.DirEntry[str], name: str) -> File:
    try:
        status = entry.stat()
    except OSError:  # a link that leads nowhere: reading it will say so
        return File(name, -1, 0, 0, 0)
    return File(name, *stamp(status))


def stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    """What changes when a file does: bytes, times of change of content and of node (nanoseconds), inode."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_ours(path: Path) -> bool:
    """Whether it holds runs, is a run, or is an exported network."""
    if (path / "log.sqlite").is_file() or (
        (path / "model.json").is_file() and (path / "weights.safetensors").is_file()
    ):
        return True
    with os.scandir(path) as scanned:
        return any(entry.is_dir() and (path / entry.name / "log.sqlite").is_file() for entry in scanned)


def may_be_image(name: str) -> bool:
    """Whether a file of this name is surely or perhaps an image: by its suffix, or because it has none."""
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return not (dot and stem) or f".{suffix.lower()}" in PICTURES
