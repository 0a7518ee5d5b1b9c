"""Detection of folders of splits by their names; in doubt a DataError with ways to answer."""

from __future__ import annotations

import shlex
from collections import Counter

from nas.data.sources.base import PARTS, TRAIN
from nas.data.sources.folder_names import part_of
from nas.data.sources.folders.reading import Reading, shortened
from nas.data.sources.tree import Node
from nas.errors import DataError


def named_splits(base: Node) -> list[tuple[int, Node]]:
    """The folders in ``base`` that are called as splits are."""
    names = [folder.name for folder in base.folders]
    return [(part, f) for f in base.folders if (part := part_of(f.name, names)) is not None]


def splits_in(reading: Reading, base: Node) -> list[tuple[int, Node]] | None:
    """The folders of splits, or None where there are none."""
    named = named_splits(base)
    if not named:
        return None
    others = [f for f in base.full if all(f is not each for _, each in named)]
    parts = {part for part, _ in named}
    if len(named) == 1 and not others and {TRAIN} < {part for part, _ in named_splits(named[0][1])}:
        return None  # the splits lie in the only folder, whatever it is called
    deep = [f for _, f in named if f.full]
    if TRAIN not in parts:
        return _without_train(reading, base, named, others) if reading.level is None else None
    if len(parts) == 1 and others:  # a class may be called train
        if deep and reading.level is None:
            raise _doubt(reading, base, named, others)
        return None
    if not deep and others:
        return None
    if reading.level is not None and not deep:
        return None
    _check(reading, base, named)
    return named


def _without_train(
    reading: Reading, base: Node, named: list[tuple[int, Node]], others: list[Node]
) -> list[tuple[int, Node]] | None:
    """The folders of splits where none is to train on: a network can be scored on them. To train one is refused where
    it is asked for."""
    deep = any(f.full for _, f in named)
    if (deep and others) or len(others) > 1:  # invalid/ beside valid/ is a class
        raise _doubt(reading, base, named, others)
    if deep:
        _check(reading, base, named)
        reading.remarks.append(_way_to_train(reading, named))
        return named
    if len(named) > 1 and not others:
        raise DataError(f"{base.path} has {named[0][1].name}/ but no train/. {_way_to_train(reading, named)}.")
    return None


def _way_to_train(reading: Reading, named: list[tuple[int, Node]]) -> str:
    ways = [reading.tree.root.path / f.path for _, f in named if len(f.full) > 1]
    hint = f", or give one of them alone: --data {shlex.quote(str(ways[0]))}" if ways else ""
    return f"Put the training images in train/{hint}"


def _check(reading: Reading, base: Node, named: list[tuple[int, Node]]) -> None:
    """DataError unless each part has one folder, and class folders below it."""
    otherwise = " If these folders are classes: --class-level 1." if len(base.full) > 1 else ""
    several = {part for part, number in Counter(part for part, _ in named).items() if number > 1}
    if several and not any(f.folders for _, f in named):
        raise DataError(
            f"{shortened(f'{f.name}/' for _, f in named)} in {base.path} have names of splits and no class folders "
            f"below them. Put the images of each class in a folder such as {named[0][1].name}/CLASS/ or train/CLASS/."
            f"{otherwise}"
        )
    errors = []
    for part in sorted(several):
        same = [f for other, f in named if other == part]
        errors.append(
            f"{shortened(f'{f.name}/' for f in same)} all look like {PARTS[part]} images. Put them together, or leave "
            f"all but one out: {reading.ignoring(same[1:])}."
        )
    flat = [(part, f) for part, f in named if not f.folders or _is_flat_twice(f)]
    to_leave = [f for part, f in flat if part != TRAIN]
    for part, folder in flat:
        leave = f", or leave {'it' if len(to_leave) == 1 else 'such folders'} out: {reading.ignoring(to_leave)}"
        errors.append(
            f"{folder.path} has no class folders. Put the images of each class in a folder below it"
            f"{reading.label_hint(folder)}{leave if part != TRAIN else ''}.{otherwise}"
        )
    if errors:
        raise DataError(*errors)


def _is_flat_twice(folder: Node) -> bool:
    """As in ``my_test/my_test/*.jpg``: the folder below is no class."""
    return len(folder.full) == 1 and not folder.full[0].full and folder.full[0].name == folder.name


def _doubt(reading: Reading, base: Node, named: list[tuple[int, Node]], others: list[Node]) -> DataError:
    has_train = any(part == TRAIN for part, _ in named)
    left, what = (others, "the others") if has_train else ([f for _, f in named], "those")
    splits = shortened(f"{f.name}/" for _, f in named)
    return DataError(
        f"{base.path} holds {splits}, named like splits, and beside them "
        f"{shortened(f'{f.name}/' for f in others)}. If all are "
        f"classes, add --class-level 1; if not, leave out {what}: {reading.ignoring(left)}."
    )
