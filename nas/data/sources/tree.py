"""Tree of files and folders below a folder, scanned once, with what is skipped and why."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import shlex
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from nas.errors import DataError

# What systems and programs leave beside people's files.
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "__pycache__", "@eadir", "#recycle", "$recycle.bin",
         "lost+found", "system volume information"}  # fmt: skip
_MOST_HIDDEN = 50_000
_DEEPEST = 50  # folders in one another
_MOST_LINKS = 3  # followed one behind the other: folders that link to each other would have no end
_ALWAYS_FINE = 1 << 30  # bytes: what unpacks to less is no bomb
_MOST_RATIO = 200  # unpacked to packed: images hardly shrink, what shrinks more than this is no data set
# Suffixes of pictures, whether the decoder reads them or not; known without loading it. All that it reads are here.
_READ = (
    "jpg jpeg jpe jfif png apng gif bmp dib tif tiff webp ppm pgm pbm pnm pfm jp2 j2k j2c jpc jpf jpx tga ico cur icns "
    "psd avif avifs pcx dcx dds sgi rgb rgba bw ras fit fits im msp pcd pxr qoi xbm xpm blp fli flc ftc ftu gbr icb "
    "vda vst iim"
)
_CAMERAS = "dng cr2 cr3 nef arw raf orf rw2"
_OTHERS = {"heic": "HEIC", "heif": "HEIF", "jxl": "JPEG XL", "svg": "SVG", "exr": "OpenEXR", "hdr": "Radiance HDR",
           "dcm": "DICOM", **dict.fromkeys(_CAMERAS.split(" "), "a camera's raw format")}  # fmt: skip
# Why a picture of this suffix cannot be read, and what to do.
CONVERTIBLE = {
    f".{suffix}": f"{kind}, which is not read here: convert it to PNG or JPEG" for suffix, kind in _OTHERS.items()
}
# What programs and authors leave beside data without a suffix; an image without one may be called anything else.
_DOCUMENTS = {"readme", "license", "licence", "copying", "copyright", "notice", "authors", "changelog", "changes",
              "history", "news", "todo", "install", "version", "citation", "makefile", "dockerfile", "md5sums",
              "md5sum", "sha1sums", "sha256sums", "checksums"}  # fmt: skip
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
        """True if files lie directly in it that may be images."""
        return any(may_be_image(file.name) for file in self.files)

    @property
    def is_empty(self) -> bool:
        """True if there is no image in it or below it."""
        return not any(node.has_images for node in self.walk())

    @property
    def full(self) -> list[Node]:
        """The folders in it that are not empty."""
        return [folder for folder in self.folders if not folder.is_empty]

    @property
    def pictures(self) -> list[File]:
        """The files in it that are images by their suffix."""
        return [file for file in self.files if is_picture(file.name)]


@dataclass(frozen=True)
class Patterns:
    """Patterns of files to take: those whose name or path matches one of ``match``, if any, and none of ``ignore``."""

    match: Sequence[str] = ()
    ignore: Sequence[str] = ()

    @classmethod
    def of(cls, match: str | None, ignore: str | None) -> Patterns:
        """Patterns from texts with commas between them; capitals are not told from small letters."""
        split = [[part.strip().rstrip("/").lower() for part in (text or "").split(",")] for text in (match, ignore)]
        return cls(*(tuple(filter(None, parts)) for parts in split))

    @property
    def take_all(self) -> bool:
        """True if ``--match '*'`` said that everything is meant, however it is called."""
        return "*" in self.match

    def ignoring(self, *patterns: str) -> str:
        """Flag to type to leave out these too."""
        return f"--ignore {shlex.quote(','.join(dict.fromkeys([*self.ignore, *patterns])))}"

    def takes(self, name: str) -> bool:
        """True if the file with this path below the data folder is one of ``match``."""
        return not self.match or _first_match(name, self.match) is not None

    def ignored_by(self, name: str) -> str | None:
        """The pattern because of which the file or folder with this path is left out."""
        return _first_match(name, self.ignore)


def _first_match(name: str, patterns: Sequence[str]) -> str | None:
    if not patterns:
        return None
    name = name.lower()
    last = name.rpartition("/")[2]
    return next((each for each in patterns if any(fnmatch.fnmatchcase(text, each) for text in (name, last))), None)


def ignoring(names: Iterable[str], patterns: Patterns) -> str:
    """Flag to type to leave out files or folders of these names too, whatever signs are in them."""
    return patterns.ignoring(*(re.sub("^ | $|,", "?", glob.escape(name)) for name in names))


@dataclass
class Tree:
    """Everything below ``root``, but for hidden files, what patterns leave out, and our own output."""

    root: Node
    patterns: Patterns = Patterns()
    own: list[str] = field(default_factory=list)  # folders of runs and exports, by path
    hidden: dict[str, int] = field(default_factory=dict)  # hidden files and folders, by path: how many pictures
    unmatched: Counter[str] = field(default_factory=Counter)  # files that patterns left out, by suffix
    ignored: set[str] = field(default_factory=set)  # the patterns of ``ignore`` that left something out
    circles: list[str] = field(default_factory=list)  # links to a folder that they lie in
    special: list[str] = field(default_factory=list)  # pipes, sockets, devices: reading them may never end

    def take_out(self, is_meant: Callable[[str], bool]) -> list[Node]:
        """Remove folders of such names, wherever they lie, and return them."""
        taken = []
        for node in self.root.walk():
            taken += [folder for folder in node.folders if is_meant(folder.name)]
            node.folders = [folder for folder in node.folders if not is_meant(folder.name)]
        return taken


def scan(path: Path, patterns: Patterns) -> Tree:
    """Scan a folder; linked folders are entered. OSError where one cannot be read."""
    tree = Tree(Node(path.resolve().name, path), patterns)
    above = [_identity(place) for place in (path.resolve(), *path.resolve().parents)]
    _fill(tree, tree.root, "", tuple(above), [])
    return tree


def look_into(path: Path) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Entries of a folder, by name: those to be seen, and those hidden. OSError if it cannot be read."""
    seen: list[os.DirEntry[str]] = []
    hidden: list[os.DirEntry[str]] = []
    with os.scandir(path) as scanned:
        for entry in sorted(scanned, key=lambda entry: entry.name):
            (hidden if is_hidden(entry.name) else seen).append(entry)
    return seen, hidden


def is_folder(entry: os.DirEntry[str]) -> bool:
    """True if it is a folder or leads to one; a link to itself does not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_hidden(name: str) -> bool:
    """True if a file or folder of this name is for programs, not for people."""
    return name.startswith(".") or name.lower() in _JUNK


def _fill(tree: Tree, node: Node, prefix: str, above: tuple[tuple[int, int], ...], links: list[str]) -> None:
    """``above``: the folders that this one lies in; ``links``: those that it was reached by."""
    seen, hidden = look_into(node.path)
    for entry in hidden:
        if number := _num_pictures(entry):
            tree.hidden[prefix + entry.name] = number
    for entry in seen:
        name = prefix + entry.name
        if pattern := tree.patterns.ignored_by(name):
            tree.ignored.add(pattern)
        if not is_folder(entry):
            _add_file(tree, node, entry, name, is_taken=not pattern and tree.patterns.takes(name))
            continue
        below = Node(entry.name, node.path / entry.name)
        if pattern:
            continue
        is_link = entry.is_symlink()
        if is_link and (_leads_up(below.path, above) or len(links) == _MOST_LINKS):
            tree.circles.append(name)
        elif name.count("/") >= _DEEPEST:
            raise DataError(
                f"{tree.root.path / name.split('/')[0]} holds folders nested more than {_DEEPEST} deep. Give a "
                "folder further down,"
                f" or leave them out: {tree.patterns.ignoring(name.split('/')[0])}."
            )
        elif _is_ours(below.path):
            tree.own.append(name)
        else:
            node.folders.append(below)
            _fill(tree, below, f"{name}/", (*above, _identity(below.path)), [*links, name] if is_link else links)


def _add_file(tree: Tree, node: Node, entry: os.DirEntry[str], name: str, *, is_taken: bool) -> None:
    if not is_taken:
        tree.unmatched[suffix_of(name)] += 1
        return
    try:
        status = entry.stat()
    except OSError:  # a link that leads nowhere: reading it will say so
        node.files.append(File(name, -1, 0, 0, 0))
        return
    if stat.S_ISREG(status.st_mode):
        node.files.append(File(name, *stamp(status)))
    else:
        tree.special.append(name)


def _num_pictures(entry: os.DirEntry[str]) -> int:
    """Number of hidden pictures, without what macOS keeps beside each file of a strange disk.

    At most ``_MOST_HIDDEN`` files are looked at: there may be copies of a whole disk.
    """
    if not entry.is_dir(follow_symlinks=False):
        names: Iterable[str] = [entry.name]
    else:
        names = (name for _, _, files in os.walk(entry.path) for name in files)
    return sum(is_picture(name) and not name.startswith("._") for name in islice(names, _MOST_HIDDEN))


def stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    """Stamp that changes when a file does: bytes, times of change of content and of node (nanoseconds), inode."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _leads_up(path: Path, above: tuple[tuple[int, int], ...]) -> bool:
    try:
        return _identity(path) in above
    except OSError:
        return True


def most_unpacked(packed: int) -> int:
    """Bytes that an archive of ``packed`` bytes may hold; one that holds more was made to fill a disk or a memory."""
    return max(_ALWAYS_FINE, _MOST_RATIO * packed)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_ours(path: Path) -> bool:
    """True if it holds runs, is a run, or is an exported network."""
    if (path / "log.sqlite").is_file() or (
        (path / "model.json").is_file() and (path / "weights.safetensors").is_file()
    ):
        return True
    with os.scandir(path) as scanned:
        return any(is_folder(entry) and (path / entry.name / "log.sqlite").is_file() for entry in scanned)


def may_be_image(name: str) -> bool:
    """True if a file of this name is surely or perhaps an image: by its suffix, or because it has none."""
    if suffix := suffix_of(name):
        return suffix in PICTURES
    return name.rpartition("/")[2].lower() not in _DOCUMENTS


def is_picture(name: str) -> bool:
    """True if a file is an image by its suffix."""
    return suffix_of(name) in PICTURES


def suffix_of(name: str) -> str:
    """'.png' of 'a/1.PNG'; nothing for what only begins with a dot."""
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""
