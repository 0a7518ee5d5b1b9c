"""Layouts of folders other than one subdirectory per class, recognised where nothing else can be meant."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from nas.data.sources.base import PARTS, TEST, TRAIN, VAL
from nas.data.sources.folder_names import OF_IMAGES, part_and_class, part_of
from nas.data.sources.folders.reading import ClassFolder, Layout, Reading, shortened
from nas.data.sources.tree import File, Node
from nas.errors import DataError
from nas.units import counted

_NUMBERED = re.compile(r"(.*?[^\W\d_].*?)[ _.\-(]*\d+\)?")  # a name with a letter, then a number
_CAMERA = {
    "img", "image", "images", "dsc", "dscn", "dscf", "dscp", "pict", "pic", "photo", "picture", "frame", "scan", "file",
    "page", "screenshot", "sample", "gopr", "mvi", "vid", "pxl", "wp", "s", "p", "train", "test", "val", "valid",
}  # fmt: skip


def other_layout(reading: Reading) -> Layout | None:
    """The classes of a folder of another layout than class folders; None for the usual one."""
    node: Node | None = reading.tree.root
    while node:
        for understood in (_tiny_imagenet, _class_first, _split_and_class, _named_by_class):
            if layout := understood(reading, node):
                return replace(layout, remarks=(*layout.remarks, *reading.remarks, *_left_out(reading, node, layout)))
        node = node.full[0] if len(node.full) == 1 and not node.pictures else None
    return None


def _left_out(reading: Reading, node: Node, layout: Layout) -> list[str]:
    """Remarks on files that are not used, unless a note counts them."""
    used = {file.name for folder in layout.classes for file in folder.files}
    left = [file.name for each in reading.tree.root.walk() for file in each.files if file.name not in used]
    lone = [f"The data lie in {reading.shown(node)}, the only folder"] if node is not reading.tree.root else []
    if not left or layout.notes:
        return lone
    return [*lone, f"{counted(len(left), 'file')} elsewhere left out: {shortened(left)}"]


def _tiny_imagenet(reading: Reading, base: Node) -> Layout | None:
    """``train/ID/images``, and ``val/images`` whose labels are in ``val_annotations.txt``."""
    train, val, test = (_below(base, name) for name in ("train", "val", "test"))
    images, annotations = val and _below(val, "images"), base.path / "val" / "val_annotations.txt"
    if not (train and val and images and annotations.is_file()):
        return None
    classes = [ClassFolder(TRAIN, f.name, (_below(f, "images") or f).pictures) for f in train.folders]
    there, missing = {_last(file): file for file in images.pictures}, {}
    inner, patterns = images.path.relative_to(reading.tree.root.path).as_posix(), reading.tree.patterns
    labelled = set()
    for number, line in enumerate(annotations.read_text(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) < 2 or not cells[1].strip():
            raise DataError(
                f"{annotations}, line {number}: no class after the file's name. Write one, or remove the line."
            )
        name = f"{inner}/{cells[0]}"
        labelled.add(cells[0])
        if cells[0] not in there:
            if patterns.ignored_by(name) or not patterns.takes(name):
                continue
            missing[name] = "No such file or directory"
        classes.append(ClassFolder(VAL, cells[1].strip(), [there.get(cells[0], File(name, -1, 0, 0, 0))]))
    titles = _titles(base.path / "words.txt", {each.class_name for each in classes})
    classes = [each._replace(class_name=titles.get(each.class_name, each.class_name)) for each in classes]
    notes: Counter[str] = Counter()
    if without := len(set(there) - labelled):
        notes["Images of val without a line in val_annotations.txt, left out"] = without
    if test and (count := len((_below(test, "images") or test).pictures)):
        notes["Images of test without labels, left out"] = count
    remark = "read in the layout of Tiny ImageNet: train/ID/images, val/val_annotations.txt"
    return Layout(classes, (remark,), missing, notes)


def _titles(path: Path, identifiers: set[str]) -> dict[str, str]:
    """Names of classes: 'ID<tab>name, other names' a line; the ID is added where two have one name."""
    if not path.is_file():
        return {}
    pairs = [line.partition("\t") for line in path.read_text(errors="replace").splitlines()]
    names = {key: title.split(",")[0].strip() for key, _, title in pairs if key in identifiers and title.strip()}
    count = Counter(names.values())
    return {key: name if count[name] == 1 else f"{name} ({key})" for key, name in names.items()}


def _class_first(reading: Reading, base: Node) -> Layout | None:
    """``cat/train/*.jpg``: a folder for each class, and in each a folder for each split."""
    full = base.full
    if len(full) < 2 or any(part_of(f.name) is not None for f in full):
        return None
    classes = []
    for node in full:
        if node.pictures or not node.full or any(part_of(f.name) is None for f in node.full):
            return None
        for folder in node.full:
            lone = folder.full[0] if len(folder.full) == 1 and not folder.pictures else folder
            if not lone.pictures or lone.full or (lone is not folder and lone.name.lower() not in OF_IMAGES):
                return None
            classes.append(ClassFolder(part_of(folder.name) or TRAIN, node.name, lone.pictures))
    classes += [ClassFolder(TRAIN, node.name, []) for node in base.folders if node not in full]
    return Layout(classes, ("read as one folder per class, each with one folder per split",))


def _split_and_class(reading: Reading, base: Node) -> Layout | None:
    """``train_cat/``, ``train_dog/``, ``test_cat/``..., or with the split at the end."""
    told = [part_and_class(node.name) for node in base.full]
    named = [each for each in told if each]
    classes_of = {part: {name for other, name, _ in named if other == part} for part, _, _ in named}
    trained = classes_of.get(TRAIN, set())
    if len(named) < len(told) or len({is_first for *_, is_first in named}) > 1 or len(trained) < 2:
        return None
    if len(classes_of) < 2 or any(not node.pictures or node.full for node in base.full):
        return None
    if not all(trained & names for names in classes_of.values()):
        raise DataError(
            f"{shortened(f'{node.name}/' for node in base.full)} in {base.path} may say split and class, but no class "
            f"of train is in {' and '.join(PARTS[part] for part in sorted(classes_of) if part != TRAIN)}. If all are "
            "classes: --class-level 1; else put the images of each split and class in folders such as train/CLASS/."
        )
    classes = [ClassFolder(part, name, f.pictures) for (part, name, _), f in zip(named, base.full, strict=True)]
    part, name, _ = named[0]
    remark = f"read as folders whose names say split and class: {base.full[0].name} is {name} in {PARTS[part]}"
    return Layout(sorted(classes, key=lambda each: each.class_name), (remark,))


def _named_by_class(reading: Reading, base: Node) -> Layout | None:
    """``cat_1.jpg``, in one folder or in one for each split."""
    folders = [folder for folder in base.folders if folder.num_files]
    if any(part_of(f.name) is None or f.full for f in folders):
        return None
    classes: list[ClassFolder] = []
    notes: Counter[str] = Counter()
    for folder in folders or [base]:
        part = TRAIN if folder is base else part_of(folder.name) or TRAIN
        told = [_class_in_name(_last(file)) for file in folder.pictures]
        if told and not any(told) and part == TEST:
            notes[f"Images of {folder.name}/ without a class in their name, left out"] = len(told)
            continue
        if not told or not all(told):
            return None
        classes += [ClassFolder(part, name, [f]) for name, f in zip(told, folder.pictures, strict=True) if name]
    count = Counter(each.class_name for each in classes if each.part == TRAIN)
    if len(count) < 2 or min(count.values()) < 2 or any(name.lower() in _CAMERA for name in count):
        return None
    shown = shortened(f"{name} ({number:,})" for name, number in sorted(count.items()))
    where = "" if not folders else f" in {', '.join(PARTS[part] for part in sorted({each.part for each in classes}))}"
    remark = (
        f"classes are what file names say before their number{where}: {_last(classes[0].files[0])} is of class "
        f"{classes[0].class_name}; {shown}"
    )
    return Layout(classes, (remark,), notes=notes)


def _class_in_name(name: str) -> str | None:
    found = _NUMBERED.fullmatch(Path(name).stem)
    return found[1].rstrip(" _.-(") if found else None


def _below(node: Node, name: str) -> Node | None:
    return next((folder for folder in node.folders if folder.name == name), None)


def _last(file: File) -> str:
    """Its name without folders."""
    return file.name.rpartition("/")[2]
