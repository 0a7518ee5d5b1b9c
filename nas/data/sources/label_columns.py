"""What the columns of a label file hold: files, labels, splits, groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nas.config.data import ROLES
from nas.data.sources.base import PART_OF, TRAIN
from nas.data.sources.tables import Table
from nas.errors import DataError, nearest

_NAMES = {  # of columns without spaces, dashes, underscores and capitals; the first that a table has is used
    "path": (
        "path", "filepath", "imagepath", "imgpath", "relpath", "file", "filename", "imagefile", "imagefilename",
        "imagename", "imgname", "image", "img", "picture", "photo", "imageid", "imgid", "isicid", "name", "uuid", "id",
    ),
    "label": (
        "label", "labels", "labelname", "class", "classes", "classname", "classlabel", "category", "categoryname",
        "target", "diagnosis", "dx", "species", "breed", "classid", "labelid", "categoryid", "kind", "type", "tag",
    ),
    "split": ("split", "subset", "partition", "set", "part", "fold", "usage"),
    "group": (
        "group", "groupid", "patient", "patientid", "subject", "subjectid", "person", "personid", "participant",
        "participantid", "video", "videoid", "lesionid", "caseid", "burst", "burstid", "sequence", "sequenceid",
    ),
}  # fmt: skip
_NAMED_SPLIT = _NAMES["split"][:3]  # a column so called holds splits; one called "set" may hold anything
_BITS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
CURE = "or say which column is which, for example --columns path=FILE,label=KIND"


def chosen_columns(table: Table, told: Mapping[str, str]) -> dict[str, str]:
    """Which column has which role; of several that hold bits, ``label`` is their names joined by '+'.

    ``told`` is what the user says; an empty name means that no column has the role. DataError if there is none with
    files or none with labels.
    """
    _raise(_unknown_columns(table, told))
    chosen = {role: name for role, name in told.items() if name}
    plain = {_plain(name): name for name in reversed(table.columns)}
    for role in ROLES:
        if role in told:
            continue
        free = [plain[word] for word in _NAMES[role] if word in plain and plain[word] not in chosen.values()]
        if role == "split":
            free = [name for name in free if _plain(name) in _NAMED_SPLIT or _holds_splits(table, name)]
        if free:
            chosen[role] = free[0]
    if "label" not in chosen and "path" in chosen:
        bits = [name for name in table.columns if name not in chosen.values() and _holds_bits(table.column(name))]
        if len(bits) > 1:
            chosen["label"] = "+".join(bits)
    missing = ["files" if role == "path" else "labels" for role in ("path", "label") if role not in chosen]
    if missing:
        what = f"no column is known to hold the {' and '.join(missing)}; there are: {', '.join(table.columns)}."
        _raise([table.fault(f"{what} Call the columns 'path' and 'label', {CURE}.")])
    return chosen


def _unknown_columns(table: Table, told: Mapping[str, str]) -> Iterator[str]:
    for role, name in told.items():
        names = name.split("+") if role == "label" and name not in table.columns else [name]
        for one in names:
            if one and one not in table.columns:
                yield table.fault(
                    f"there is no column {one!r}, which is to hold the {role}.{nearest(one, table.columns)} "
                    f"The columns are: {', '.join(table.columns)}."
                )


def _raise(faults: Iterable[str]) -> None:
    if found := list(faults):
        raise DataError(*found)


def labels_of(table: Table, chosen: Mapping[str, str], faults: list[str]) -> list[str]:
    """The label of every row; what is wrong with them goes into ``faults``."""
    name = chosen["label"]
    if name not in table.columns:
        return _one_hot(table, name.split("+"), faults)
    labels = table.column(name)
    refuse_empty(table, labels, f"no label in column {name!r}. Fill it in, or remove such lines.", faults)
    if all(_is_whole(label) for label in set(labels) - {""}):  # as programs write whole numbers beside gaps
        return [label.partition(".")[0] for label in labels]
    distinct = set(labels)
    for mark in "|;,":
        joined = [
            label for label in distinct if mark in label and {part.strip() for part in label.split(mark)} <= distinct
        ]
        if joined:
            rows = [row for row, label in enumerate(labels) if label in joined]
            faults.append(
                table.fault(f"several labels, {joined[0]!r}. An image has one: keep one, or remove such lines.", rows)
            )
    by_case: dict[str, list[str]] = {}
    for label in sorted(distinct):
        by_case.setdefault(label.casefold(), []).append(label)
    for alike in by_case.values():
        if len(alike) > 1 and len(alike[0]) > 1:  # letters are classes of their own
            rows = [row for row, label in enumerate(labels) if label in alike[1:]]
            faults.append(
                table.fault(f"the labels {', '.join(alike)} differ in capitals alone. Write them alike.", rows)
            )
    return labels


def _one_hot(table: Table, names: Sequence[str], faults: list[str]) -> list[str]:
    columns = [table.column(name) for name in names]
    wrong = [name for name, cells in zip(names, columns, strict=True) if not _holds_bits(cells)]
    if wrong:
        faults.append(table.fault(f"the columns {', '.join(wrong)} hold other things than 0 and 1. Leave them out."))
        return [""] * len(table.rows)
    bits = [[_BITS.get(cell.lower(), 0) for cell in cells] for cells in zip(*columns, strict=True)]
    uneven = [row for row, own in enumerate(bits) if sum(own) != 1]
    if uneven:
        faults.append(
            table.fault(
                f"{sum(bits[uneven[0]])} of the columns {', '.join(names)} are 1. An image has one label: correct or "
                "remove such lines, or say which columns are the labels: --columns label=A+B+C.",
                uneven,
            )
        )
    return [names[own.index(1)] if 1 in own else "" for own in bits]


def parts_of(table: Table, chosen: Mapping[str, str], faults: list[str]) -> list[int]:
    """The part of every row; all is train where no column says it."""
    if "split" not in chosen:
        return [TRAIN] * len(table.rows)
    name = chosen["split"]
    cells = table.column(name)
    unknown = [row for row, cell in enumerate(cells) if _plain(cell) not in PART_OF]
    if unknown:
        faults.append(
            table.fault(
                f"the split {cells[unknown[0]]!r} in column {name!r} is none of train, val and test. Write one of "
                "these, or --columns split= to let nasctl split.",
                unknown,
            )
        )
    return [PART_OF.get(_plain(cell), TRAIN) for cell in cells]


def groups_of(table: Table, chosen: Mapping[str, str], faults: list[str]) -> list[str]:
    """The group of every row; empty where no column says it."""
    if "group" not in chosen:
        return [""] * len(table.rows)
    groups = table.column(chosen["group"])
    cure = "Fill it in, remove such lines, or --columns group= to do without groups."
    refuse_empty(table, groups, f"no group in column {chosen['group']!r}. {cure}", faults)
    return groups


def refuse_empty(table: Table, cells: Sequence[str], what: str, faults: list[str]) -> None:
    """A fault if some cells are empty."""
    empty = [row for row, cell in enumerate(cells) if not cell]
    if empty:
        faults.append(table.fault(what, empty))


def _holds_splits(table: Table, name: str) -> bool:
    return all(_plain(cell) in PART_OF for cell in set(table.column(name)))


def _holds_bits(cells: Sequence[str]) -> bool:
    distinct = {cell.lower() for cell in cells}
    return distinct <= {*_BITS, ""} and any(_BITS.get(cell) for cell in distinct)


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.0+)?", text) is not None


def in_order(labels: set[str]) -> list[str]:
    """Sorted: whole numbers by value, else as text."""
    return sorted(labels, key=lambda label: (int(label), "")) if all(map(_is_int, labels)) else sorted(labels)


def _is_int(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
