"""Folders laid out otherwise than one folder a class: recognised where nothing else can be meant, and said so."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nas.data.sources.base import PARTS, TEST, TRAIN, VAL, Found, Progress, Source
from nas.data.sources.files import Entry, found_in_files
from nas.data.sources.label_file import LabelFile
from nas.data.sources.layout import part_of
from nas.data.sources.tables import TEXT_SUFFIXES
from nas.data.sources.tree import Patterns, stamp
from nas.errors import DataError

_NUMBERED = re.compile(r"(.*?[^\W\d_].*?)[ _.\-(]*\d+\)?")  # a name with a letter, then a number
_CAMERA = {
    "img", "image", "images", "dsc", "dscn", "dscf", "dscp", "pict", "pic", "photo", "picture", "frame", "scan", "file",
    "page", "screenshot", "sample", "gopr", "mvi", "vid", "pxl", "wp", "s", "p", "train", "test", "val", "valid",
}  # fmt: skip
_ANY_FOLDER = re.compile(
    r"(.*[ _-])?(images?|imgs?|photos?|pictures?|pics|data|jpe?g|png|masks?|annotations?|labels?|"
    r"(part|batch|chunk|folder|dir)[ _-]?\d*|\d+)([ _-]?(part[ _-]?)?\d+)?",
    re.IGNORECASE,
)
_LARGEST_TABLE = 50_000_000  # bytes of a table that is read to see whether it labels images


class Listed:
    """Files whose parts and classes are known from where they lie. ``layout`` says what was understood."""

    def __init__(self, path: Path, files: Sequence[tuple[str, int, str]], layout: str) -> None:
        self.path = path
        self.name = path.resolve().name
        self.layout = layout
        self.remarks: Sequence[str] = (layout,)
        self.notes: Counter[str] = Counter()
        self._files = files  # name, part, class
        self._entries: list[Entry] = []
        self._missing: dict[str, str] = {}

    def only(self, patterns: Patterns) -> Listed:
        """Of these the files that patterns take."""
        self._files = [file for file in self._files if patterns.takes(file[0]) and patterns.enters_all(file[0])]
        return self

    def fingerprint(self) -> str:
        """A hash of every file's name, class, size and time of change; reads no file."""
        self._entries, self._missing = [], {}
        text = hashlib.blake2b(f"{self.path.resolve()}\0{self.layout}\0".encode(errors="surrogateescape"))
        for name, part, class_name in self._files:
            try:
                facts = stamp((self.path / name).stat())
            except OSError as error:
                facts = -1, 0, 0, 0
                self._missing[name] = error.strerror or "cannot be read"
            self._entries.append(Entry(name, part, class_name, *facts))
        text.update(repr([tuple(entry) for entry in self._entries]).encode())
        return f"listed:{text.hexdigest()}"

    def look(self, progress: Progress | None) -> Found:
        """Read every file once: its hash, its header."""
        classes = sorted({class_name for _, _, class_name in self._files})
        found = found_in_files(self.path, self._entries, classes=classes, missing=self._missing, progress=progress)
        return replace(found, notes=found.notes + self.notes)


def layout_of(path: Path, patterns: Patterns) -> Source | None:
    """The source for a folder of another layout than class folders; None for the usual one.

    DataError where a table of labels should be given instead.
    """
    try:
        source = _tiny_imagenet(path) or _class_first(path) or _named_by_class(path)
        return source.only(patterns) if source else None
    except OSError as error:
        raise DataError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error


def refuse_table_beside(path: Path) -> None:
    """DataError where folders that do not look like classes hold images to which a table beside them gives labels."""
    try:
        folders, files = _listed(path)
    except OSError:
        return  # whoever reads the folder says so
    tables = [path / name for name in files if Path(name).suffix.lower() in TEXT_SUFFIXES[:-1]]
    if not folders or not all(_ANY_FOLDER.fullmatch(name) for name in folders):
        return
    for table in tables:
        labels = _labels_in(table)
        if len(labels) > 1 and not labels <= set(folders):
            raise DataError(
                f"The folders in {path} ({_first(folders)}) do not look like classes, and {table.name} gives labels to "
                f"their images: {_first(sorted(labels))}. Give it: --data {table}. Or add --class-level 1, to take the "
                "folders as classes."
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


def _tiny_imagenet(path: Path) -> Listed | None:
    """``train/ID/images``, and ``val/images`` whose labels are in ``val_annotations.txt``."""
    annotations = path / "val" / "val_annotations.txt"
    if not (annotations.is_file() and (path / "val" / "images").is_dir() and (path / "train").is_dir()):
        return None
    files = []
    for name in _listed(path / "train")[0]:
        inner = f"train/{name}/images" if (path / "train" / name / "images").is_dir() else f"train/{name}"
        files += [(f"{inner}/{image}", TRAIN, name) for image in _images(path / inner)]
    labelled = set()
    for number, line in enumerate(annotations.read_text(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) < 2 or not cells[1].strip():
            raise DataError(
                f"{annotations}, line {number}: no class after the file's name. Write one, or remove the line."
            )
        labelled.add(cells[0])
        files.append((f"val/images/{cells[0]}", VAL, cells[1].strip()))
    titles = _titles(path / "words.txt", {class_name for _, _, class_name in files})
    named = [(name, part, titles.get(class_name, class_name)) for name, part, class_name in files]
    source = Listed(path, named, "read as Tiny ImageNet is laid out: train/ID/images, val/val_annotations.txt")
    without = len(set(_images(path / "val" / "images")) - labelled)
    if without:
        source.notes["Images of val without a line in val_annotations.txt, left out"] = without
    tests = [folder for folder in (path / "test" / "images", path / "test") if folder.is_dir()]
    if tests and (count := len(_images(tests[0]))):
        source.notes["Images of test without labels, left out"] = count
    return source


def _titles(path: Path, identifiers: set[str]) -> dict[str, str]:
    """Names of classes: 'ID<tab>name, other names' a line; the ID is added where two have one name."""
    if not path.is_file():
        return {}
    pairs = [line.partition("\t") for line in path.read_text(errors="replace").splitlines()]
    names = {key: title.split(",")[0].strip() for key, _, title in pairs if key in identifiers and title.strip()}
    count = Counter(names.values())
    return {key: name if count[name] == 1 else f"{name} ({key})" for key, name in names.items()}


def _class_first(path: Path) -> Listed | None:
    """``cat/train/*.jpg``: a folder for each class, and in each a folder for each split."""
    classes = _listed(path)[0]
    if len(classes) < 2 or any(part_of(name) is not None for name in classes):
        return None
    files: list[tuple[str, int, str]] = []
    for class_name in classes:
        folders, images = _listed(path / class_name)
        if not folders or any(part_of(name) is None for name in folders) or any(map(_is_image, images)):
            return None
        for folder in folders:
            for image in _images(path / class_name / folder):
                files.append((f"{class_name}/{folder}/{image}", part_of(folder) or TRAIN, class_name))
    return Listed(path, files, "read as a folder for each class, and in each one for each split") if files else None


def _named_by_class(path: Path) -> Listed | None:
    """``cat_1.jpg``, in one folder or in one for each split."""
    folders, _ = _listed(path)
    if any(part_of(name) is None for name in folders):
        return None
    files: list[tuple[str, int, str]] = []
    left_out: Counter[str] = Counter()
    for folder in folders or [""]:
        part = part_of(folder) or TRAIN if folder else TRAIN
        inner, _ = _listed(path / folder)
        images = _images(path / folder)
        if inner and folder:
            return None
        classes = [_class_in_name(name) for name in images]
        if not any(classes) and part == TEST and images:
            left_out[f"Images of {folder}/ without a class in their name, left out"] = len(images)
            continue
        if not images or not all(classes):
            return None
        prefix = f"{folder}/" if folder else ""
        files += [(prefix + name, part, str(class_name)) for name, class_name in zip(images, classes, strict=True)]
    count = Counter(class_name for _, part, class_name in files if part == TRAIN)
    if len(count) < 2 or min(count.values()) < 2 or any(name.lower() in _CAMERA for name in count):
        return None
    example, _, class_name = files[0]
    shown = ", ".join(f"{name} ({number:,})" for name, number in sorted(count.items())[:6])
    more = f" and {len(count) - 6} more" if len(count) > 6 else ""
    where = "" if not folders else f" in {', '.join(PARTS[part] for part in sorted({part for _, part, _ in files}))}"
    source = Listed(
        path,
        files,
        f"classes are what file names say before their number{where}: {Path(example).name} is of class {class_name}; "
        f"{shown}{more}",
    )
    source.notes += left_out
    return source


def _class_in_name(name: str) -> str | None:
    found = _NUMBERED.fullmatch(Path(name).stem)
    return found[1].rstrip(" _.-(") if found else None


def _images(folder: Path) -> list[str]:
    return [name for name in _listed(folder)[1] if _is_image(name)]


def _is_image(name: str) -> bool:
    from nas.data.images import SUFFIXES, suffix_of

    return suffix_of(name) in SUFFIXES


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """Names of folders and of files, sorted, hidden ones left out."""
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as scanned:
        for entry in scanned:
            if not entry.name.startswith(".") and entry.name != "__MACOSX":
                (folders if entry.is_dir() else files).append(entry.name)
    return sorted(folders), sorted(files)
