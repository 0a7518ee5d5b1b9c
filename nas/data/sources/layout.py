"""Which folders hold which class of which split, found out from their names and from where images lie.

What cannot be told for sure is asked: DataError with the ways to answer. What is passed over is named in remarks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from nas.data.sources.base import PART_WORDS, PARTS, TEST, TRAIN
from nas.data.sources.tree import File, Node, Tree, may_be_image
from nas.errors import DataError
from nas.units import counted, listed

Level = int | Literal["leaf"] | None

_WORDS = {part: set(words) for part, words in PART_WORDS.items()}
# What a split's folder may be called beside that.
_BESIDE = {"set", "sets", "data", "dataset", "split", "images", "image", "imgs", "img", "pictures", "photos", "folder",
           "folders", "files", "seg", "part", "new", "final"}  # fmt: skip
_TEXTS = (".csv", ".tsv", ".parquet")  # files that may hold labels
_SHOWN = 6


class ClassFolder(NamedTuple):
    """The files of one class in one part."""

    part: int
    class_name: str
    files: Sequence[File]


@dataclass(frozen=True)
class Layout:
    """How a folder is read; ``num_beside`` counts files that are passed over because of where they lie."""

    classes: list[ClassFolder]
    remarks: tuple[str, ...] = ()
    num_beside: int = 0


@dataclass
class _Reading:
    """What is understood so far."""

    tree: Tree
    level: Level
    remarks: list[str] = field(default_factory=list)
    num_beside: int = 0

    def shown(self, node: Node) -> str:
        """The folder as the user would type it after the data folder."""
        inner = node.path.relative_to(self.tree.root.path).as_posix()
        return f"{inner}/" if inner != "." else str(node.path)


def understand(tree: Tree, level: Level = None) -> Layout:
    """The classes of a folder. DataError if there are none, or if it cannot be told which they are.

    ``level`` is how many folders below the data folder, or below a split's, those of the classes are; "leaf": those
    that hold the images.
    """
    reading = _Reading(tree, level)
    base = tree.root
    splits = _splits(reading, base)
    while not splits and (only := _only_folder(base)):
        reading.remarks += _beside(reading, base, [only], "the one that holds images")
        base = only
        splits = _splits(reading, base)
    if base is not tree.root:
        reading.remarks.append(f"The data lie in {reading.shown(base)}, the only folder")
    starts = [(part, _entered(start)) for part, start in splits] if splits else [(TRAIN, base)]
    chosen = level or _level(reading, [start for _, start in starts])
    classes = [each for part, start in starts for each in _classes(reading, part, start, chosen)]
    reading.remarks += _left_out(reading, base, [start for _, start in starts])
    return Layout(classes, tuple(reading.remarks), reading.num_beside)


def _entered(node: Node) -> Node:
    """A split's folder, or the one below that lies alone in it, as in ``train/train/CLASS``."""
    while only := _only_folder(node):
        node = only
    return node


def _only_folder(node: Node) -> Node | None:
    """The one folder below ``node`` that holds anything, if images can only be in folders below that one."""
    full = [folder for folder in node.folders if not folder.is_empty]
    if len(full) != 1 or node.has_images or full[0].has_images:
        return None
    return full[0]


# ---- splits


def part_of(name: str, sibling_names: Sequence[str] = ()) -> int | None:
    """The part (TRAIN, VAL or TEST) that a folder's name tells, in any case and with usual words beside it; or None.

    Other words are allowed where the names of siblings have them too: ``pets_train`` beside ``pets_test``.
    """
    words = _words(name)
    found = {part for part, known in _WORDS.items() for word in words if word in known}
    if len(found) != 1:
        return None
    (part,) = found
    rest = [word for word in words if word not in _WORDS[part] and word not in _BESIDE]
    if not rest:
        return part
    for sibling in sibling_names:
        others = _words(sibling)
        told = {other for other, known in _WORDS.items() for word in others if word in known} - {part}
        known = _BESIDE.union(*(_WORDS[other] for other in told))
        if len(told) == 1 and rest == [word for word in others if word not in known]:
            return part
    return None


def _words(name: str) -> list[str]:
    """'trainSet-2' as train, set; 'testdata' as test, data."""
    words: list[str] = []
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name):
        lower = word.lower()
        stem = next((lower.removesuffix(end) for end in _BESIDE if lower.endswith(end) and lower != end), lower)
        words += [stem, lower.removeprefix(stem)] if any(stem in known for known in _WORDS.values()) else [lower]
    return ["holdout" if pair == ("hold", "out") else pair[0] for pair in _pairs(words)]


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Every word with the next one; what is told by two stands once."""
    skip = False
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if not skip and word:
            yield word, following
        skip = (word, following) == ("hold", "out")


def _splits(reading: _Reading, base: Node) -> list[tuple[int, Node]] | None:
    """The folders of splits, or None where there are none."""
    names = [folder.name for folder in base.folders]
    named = [(part, f) for f in base.folders if (part := part_of(f.name, names)) is not None]
    if not named:
        return None
    others = [f for f in base.folders if not f.is_empty and all(f is not each for _, each in named)]
    parts = {part for part, _ in named}
    deep = [f for _, f in named if any(not inner.is_empty for inner in f.folders)]
    has_train = TRAIN in parts
    if not has_train:
        if not others and (len(parts) > 1 or TEST in parts) and (deep or len(named) > 1):
            there = named[0][1].name
            raise DataError(f"{base.path} has {there}/ but no train/. Put the training images in train/.")
        if deep and reading.level is None:
            raise _doubt(base, named, others)
        return None
    if len(parts) == 1 and others:  # a class may be called train
        if deep and reading.level is None:
            raise _doubt(base, named, others)
        return None
    if not deep and others:
        return None
    if reading.level is not None and not deep:
        return None
    _check(reading, named)
    return named


def _check(reading: _Reading, named: list[tuple[int, Node]]) -> None:
    """DataError unless each part has one folder, and class folders below it."""
    faults = []
    for part, number in Counter(part for part, _ in named).items():
        if number > 1:
            same = [f.name for other, f in named if other == part]
            faults.append(
                f"{_list(f'{name}/' for name in same)} all look like {PARTS[part]} images. Put them together, or leave "
                f"all but one out: --ignore {','.join(same[1:])}."
            )
    for _, folder in named:
        if not folder.folders:
            hint = _label_hint(reading, folder)
            faults.append(
                f"{folder.path} has no class folders. Put the images of each class in a folder below it{hint}, or "
                f"leave it out: --ignore {folder.name}. If these folders are classes: --class-level 1."
            )
    if faults:
        raise DataError(*faults)


def _doubt(base: Node, named: list[tuple[int, Node]], others: list[Node]) -> DataError:
    splits = _list(f"{f.name}/" for _, f in named)
    return DataError(
        f"{base.path} holds {splits} as splits do, and beside it {_list(f'{f.name}/' for f in others)}. If all are "
        f"classes, add --class-level 1; if not, leave out the others: --ignore {','.join(f.name for f in others)}."
    )


# ---- classes


def _level(reading: _Reading, starts: list[Node]) -> Level:
    """How deep the class folders are, where it was not said. DataError if that is a question."""
    tops = [top for start in starts for top in start.folders if not top.is_empty]
    inner = [[f for f in top.folders if not f.is_empty] for top in tops]
    if not any(inner):
        return 1
    below = sum(len(node.files) for top in tops for node in top.walk() if node is not top)
    if any(top.has_images for top in tops):
        reading.remarks.append(
            f"{counted(below, 'file')} in folders below the class folders count as theirs; for other classes: "
            "--class-level leaf"
        )
        return 1
    if all(len(each) == 1 for each in inner) and len({each[0].name for each in inner}) == 1 and len(tops) > 1:
        return 1  # every class keeps its images in a folder called images, say
    raise DataError(_question(reading, starts))


def _question(reading: _Reading, starts: list[Node]) -> str:
    levels: list[tuple[str, list[str]]] = []
    depth = max((len(trail) for start in starts for trail, _ in _images(start)), default=1)
    for level in range(1, depth + 1):
        names = {trail[level - 1] for start in starts for trail, _ in _images(start) if len(trail) >= level}
        levels.append((str(level), sorted(names)))
    where = _list(reading.shown(start) for start in starts)
    ways = "".join(
        f"\n  --class-level {level}   {counted(len(names), 'class', 'classes')}: {_list(names)}"
        for level, names in levels
    )
    return f"In {where} no folder holds images itself: they lie deeper. Say which folders are the classes:{ways}"


def _images(start: Node, trail: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Every folder that holds images, with the names of the folders that lead to it."""
    if trail and start.has_images:
        yield trail, start
    for folder in start.folders:
        yield from _images(folder, (*trail, folder.name))


def _classes(reading: _Reading, part: int, start: Node, level: Level) -> Iterator[ClassFolder]:
    """The classes below ``start``, by name; folders of one name are one class."""
    files: dict[str, list[File]] = {}
    above: list[str] = []
    places: Counter[str] = Counter()

    def enter(node: Node, trail: tuple[str, ...]) -> None:
        name = _class_of(node, trail, level)
        if name is None:
            above.extend(file.name for file in node.files if may_be_image(file.name)) if trail else None
        else:
            places[name] += level != "leaf" and len(trail) == level
            files.setdefault(name, []).extend(node.files)
        for folder in node.folders:
            enter(folder, (*trail, folder.name))

    enter(start, ())
    if not files:
        what = f" {level} folders below it" if isinstance(level, int) and level > 1 else ""
        raise DataError(
            f"{start.path} has no class folders{what}. Put the images of each class in a folder of their own, named "
            f"after the class, or give another folder{_label_hint(reading, start)}."
        )
    if above:
        reading.num_beside += len(above)
        reading.remarks.append(f"{counted(len(above), 'image')} above the class folders left out: {_list(above)}")
    merged = [name for name, number in places.items() if number > 1]
    if merged:
        reading.remarks.append(f"Folders of the same name in several places are one class: {_list(merged)}")
    yield from (ClassFolder(part, name, files[name]) for name in sorted(files))


def _class_of(node: Node, trail: tuple[str, ...], level: Level) -> str | None:
    if level == "leaf":
        return trail[-1] if trail and node.has_images else None
    assert level is not None
    return trail[level - 1] if len(trail) >= level else None


# ---- what is passed over


def _left_out(reading: _Reading, base: Node, starts: list[Node]) -> Iterator[str]:
    """Files and folders that belong to no class."""
    tree = reading.tree
    if tree.own:
        yield f"Output of nasctl left out: {_list(f'{name}/' for name in tree.own)}"
    if tree.circles:
        yield f"Links to a folder that they lie in, left out: {_list(tree.circles)}"
    if tree.unmatched:
        yield f"{counted(tree.unmatched, 'file')} left out by --match and --ignore"
    if base not in starts:
        yield from _beside(reading, base, starts, "the splits")
    for node in dict.fromkeys([tree.root.path, base.path, *(start.path for start in starts)]):
        yield from _files_beside(reading, node, [tree.root, base, *starts])


def _beside(reading: _Reading, node: Node, taken: list[Node], what: str) -> Iterator[str]:
    """Folders of ``node`` but ``taken``."""
    left = [f for f in node.folders if f.num_files and f not in taken]
    if left:
        reading.num_beside += sum(f.num_files for f in left)
        shown = (f"{f.name}/ ({counted(f.num_files, 'file')})" for f in left)
        yield f"Folders beside {what} left out: {_list(shown)}"


def _files_beside(reading: _Reading, path: object, nodes: list[Node]) -> Iterator[str]:
    node = next(each for each in nodes if each.path == path)
    if node.files:
        reading.num_beside += len(node.files)
        names = sorted((file.name for file in node.files), key=lambda name: (not name.lower().endswith(_TEXTS), name))
        hint = _label_hint(reading, node)
        yield f"{counted(len(names), 'file')} beside the class folders left out: {_list(names)}{hint}"


def _label_hint(reading: _Reading, node: Node) -> str:
    """Names a file of labels that lies there or at the top."""
    for each in (node, reading.tree.root):
        for file in each.files:
            if file.name.lower().endswith(_TEXTS):
                return f"; if {file.name} holds labels, name it: --data {reading.tree.root.path / file.name}"
    return ""


def _list(names: Iterable[str]) -> str:
    return listed(names, _SHOWN)
