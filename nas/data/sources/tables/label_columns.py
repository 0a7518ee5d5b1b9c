"""Columns of a label file: files, labels, splits, groups."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nas.config.data import ROLES
from nas.data.sources.folder_names import likeness
from nas.data.sources.tables.split_columns import flagged_part, flags_in_words, split_column
from nas.data.sources.tables.table import Table, plain, refuse_empty
from nas.data.sources.tree import is_picture
from nas.errors import DataError, nearest
from nas.units import counted, listed

_NAMES = {  # of columns without spaces, dashes, underscores and capitals; the first that a table has is used
    "path": (
        "path", "paths", "filepath", "filepaths", "imagepath", "imagepaths",
        "imgpath", "relpath", "file", "filename", "filenames", "fname", "imagefile",
        "imagefilename", "imagename", "imgname", "image", "images", "img", "picture", "photo", "imageid", "imgid",
        "isicid", "name", "uuid", "idcode", "id",
    ),
    "label": (
        "label", "labels", "labelname", "class", "classes", "classname", "classlabel", "category", "categoryname",
        "target", "diagnosis", "dx", "species", "breed", "classid", "labelid", "categoryid", "kind", "type", "tag",
        "level", "grade",
    ),
    "group": (
        "group", "groupid", "patient", "patientid", "subject", "subjectid", "person", "personid", "participant",
        "participantid", "video", "videoid", "lesionid", "caseid", "burst", "burstid", "sequence", "sequenceid",
    ),
}  # fmt: skip
_WEAK = _NAMES["label"][-5:]  # what they say of an image is its label only where no other column is
_BITS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
_NO_VALUE = {"", "nan", "na", "n/a", "null", "none", "<na>", "nat"}  # as programs write that there is none
_SHOWN = 6
_PIXELS = 48  # columns of numbers from which on they are taken for pixels
_COLUMNS = 20  # that are named where none fits: a table of pixels has hundreds
CURE = "or say which column is which, for example --columns path=FILE,label=KIND"


def chosen_columns(table: Table, told: Mapping[str, str], remarks: list[str]) -> dict[str, str]:
    """Column of each role; of several that hold bits, their names joined by '+'.

    ``told`` is what the user says; an empty name means that no column has the role. What should be known of the choice
    goes into ``remarks``. DataError if no column has files or none labels, or if several could.
    """
    _raise(_unknown_columns(table, told))
    chosen = {role: name for role, name in told.items() if name}
    same: list[str] = []
    for role in ROLES:
        if role in told:
            continue
        taken = {part for name in chosen.values() for part in _parts_of_name(table, name)}
        free = [name for name in dict.fromkeys(table.columns) if name and name not in taken]
        if found := _column_for(role, table, free, same):
            chosen[role] = found
    missing = ["files" if role == "path" else "labels" for role in ("path", "label") if role not in chosen]
    if missing:
        if "files" in missing and (pixels := _columns_of_pixels(table)):
            what = (
                f"it holds pixels ({listed(pixels, 3)}) and no file names, which is not supported. Write each line as"
            )
            _raise([table.error(f"{what} an image, or put all into an .npz file with the arrays images and labels.")])
        known = listed(table.columns, _COLUMNS)
        what = f"no column is known to hold the {' and '.join(missing)}; the columns are: {known}."
        how = "Name the columns 'path' and 'label' in the first line"
        _raise([table.error(f"{what} {how}, {CURE}.")])
    used = [part for name in chosen.values() for part in _parts_of_name(table, name)]
    _raise(_called_alike(table, used))
    if same:
        remarks.append(
            f"labels by column {chosen['label']!r}; {listed(map(repr, same), _SHOWN)} would give the same classes"
        )
    unused = [name for name in dict.fromkeys(table.columns) if name and name not in [*used, *same]]
    if unused:
        roles = {"path": "files", "label": "labels", "split": "splits", "group": "groups"}
        shown = (
            f"{roles[role]} by {_shown(chosen[role])}{flags_in_words(table, chosen[role]) if role == 'split' else ''}"
            for role in ROLES
            if role in chosen
        )
        remarks.append(
            f"columns of {table.path.name}: {', '.join(shown)}; not used: {listed(unused, _SHOWN)} (--columns chooses)"
        )
    elif "split" in chosen and (words := flags_in_words(table, chosen["split"])):
        remarks.append(f"splits by column {chosen['split']!r}{words}")
    return chosen


def _columns_of_pixels(table: Table) -> list[str]:
    """The column of all pixels as in FER-2013, or one for each pixel as in MNIST's tables."""
    if together := [name for name in table.columns if plain(name) in ("pixels", "pixel")]:
        return together
    numeric = [name for name, cell in zip(table.columns, table.rows[0], strict=False) if _is_number(cell)]
    return numeric[1:4] if len(numeric) > max(_PIXELS, len(table.columns) - 3) else []


def usual_column(role: str, columns: Iterable[str]) -> str | None:
    """The first column that is called as those of this role usually are."""
    named = {plain(name): name for name in columns}
    return next((named[word] for word in _NAMES[role] if word in named), None)


def _shown(name: str) -> str:
    names = name.split("+")
    return name if len(names) <= _SHOWN else listed(names, _SHOWN)


def _parts_of_name(table: Table, name: str) -> list[str]:
    return [name] if name in table.columns else name.split("+")


def _column_for(role: str, table: Table, free: Sequence[str], same: list[str]) -> str:
    if role == "split":
        return split_column(table, free)
    words = _NAMES[role]
    known = sorted((name for name in free if plain(name) in words), key=lambda name: words.index(plain(name)))
    if role == "path":
        return _path_column(table, known)
    if role == "label":
        found = _label_column(table, known, same) or _bit_columns(table, free)
        if found:
            return found
    return known[0] if known else ""


def _path_column(table: Table, known: Sequence[str]) -> str:
    """The first that names images by their suffix, else the first. DataError where two name different ones."""
    if len(known) < 2:
        return known[0] if known else ""
    named = [name for name in known if all(map(is_picture, filter(None, table.column(name))))]
    if not named:
        return known[0]
    files = [cell.replace("\\", "/").rpartition("/")[2] for cell in table.column(named[0])]
    for other in named[1:]:
        others = (cell.replace("\\", "/").rpartition("/")[2] for cell in table.column(other))
        rows = [row for row, (one, two) in enumerate(zip(files, others, strict=True)) if one != two]
        if rows:
            what = f"the columns {named[0]!r} and {other!r} name different files. Say which are the images:"
            raise DataError(table.error(f"{what} {table.flag('path', named[0], other)}.", rows))
    return named[0]


def _label_column(table: Table, known: Sequence[str], same: list[str]) -> str:
    """The one with the labels; those that part the images alike go into ``same``, and the one with names is taken.

    DataError where columns part them differently, but for a name that says little beside one that says more.
    """
    telling = [name for name in known if len(set(table.column(name))) > 1]
    strong = [name for name in telling if plain(name) not in _WEAK] or telling
    if len(strong) < 2:
        return strong[0] if strong else ""
    alike = [name for name in telling if _one_to_one(table.column(strong[0]), table.column(name))]
    if rivals := [name for name in strong if name == strong[0] or name not in alike][1:]:
        rivals = [strong[0], *rivals]
        classes = {name: len(set(table.column(name)) - {""}) for name in rivals}
        shown = ", ".join(f"{name!r} ({counted(number, 'class', 'classes')})" for name, number in classes.items())
        raise DataError(
            table.error(f"several columns may hold the labels: {shown}. Say which: {table.flag('label', *rivals)}.")
        )
    chosen = next((name for name in alike if not all(map(_is_number, table.column(name)))), alike[0])
    same += [name for name in alike if name != chosen]
    return chosen


def _one_to_one(one: Sequence[str], other: Sequence[str]) -> bool:
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


def _bit_columns(table: Table, free: Sequence[str]) -> str:
    bits = [name for name in free if flagged_part(name) is None and _holds_bits(table.column(name))]
    return "+".join(bits) if len(bits) > 1 else ""


def _called_alike(table: Table, used: Sequence[str]) -> Iterator[str]:
    for name in dict.fromkeys(used):
        if table.columns.count(name) > 1:
            yield table.error(f"{table.columns.count(name)} columns are called {name!r}. Give them different names.")


def _unknown_columns(table: Table, told: Mapping[str, str]) -> Iterator[str]:
    for role, name in told.items():
        names = name.split("+") if role in ("label", "split") and name not in table.columns else [name]
        for one in names:
            if one and one not in table.columns:
                yield table.error(
                    f"there is no column {one!r}, which is to hold the {role}.{nearest(one, table.columns)} "
                    f"The columns are: {listed(table.columns, _COLUMNS)}."
                )


def _raise(errors: Iterable[str]) -> None:
    if found := list(errors):
        raise DataError(*found)


def labels_of(table: Table, chosen: Mapping[str, str], errors: list[str], remarks: list[str]) -> list[str]:
    """The label of every row; what is wrong with them goes into ``errors``, what should be known into ``remarks``."""
    name = chosen["label"]
    if name not in table.columns:
        return _one_hot(table, name.split("+"), errors)
    labels = [unicodedata.normalize("NFC", label) for label in table.column(name)]  # one text, one class
    distinct = set(labels) - {""}
    none = {label for label in distinct if label.lower() in _NO_VALUE}
    if none and distinct > none and all(map(_is_number, distinct - none)):
        what = f"{min(none)!r} beside numbers in column {name!r} is not a label. Write one, or remove such lines."
        errors.append(table.error(what, [row for row, label in enumerate(labels) if label in none]))
    elif none:
        remarks.append(
            f"{listed(map(repr, sorted(none)), _SHOWN)} in column {name!r} counts as a class "
            f"({counted(sum(label in none for label in labels), 'line')}); where it means that there is no label, "
            "remove such lines"
        )
    refuse_empty(table, labels, f"no label in column {name!r}. Fill it in, or remove such lines.", errors)
    if all(map(_is_whole, distinct - none)):  # as programs write whole numbers beside gaps
        labels = [_whole(label) if _is_whole(label) else label for label in labels]
        distinct = set(labels) - {""}
    if joined := _joined(distinct):
        rows = [row for row, label in enumerate(labels) if label in joined]
        what = f"several labels, {labels[rows[0]]!r}. An image has one: keep one, or remove such lines."
        errors.append(table.error(what, rows))
    if words := sorted(label for label in distinct if len(parts := label.split()) > 1 and distinct.issuperset(parts)):
        remarks.append(f"{listed(map(repr, words), _SHOWN)} in column {name!r} counts as a class of its own")
    _refuse_alike(table, labels, errors)
    return labels


def _joined(distinct: set[str]) -> set[str]:
    """Those that are lists: of labels that stand alone too, or with a mark that no name has."""
    found = {label for label in distinct if re.fullmatch(r"[^|]+(\|[^|]+)+|\[.*,.*\]|\{.*,.*\}", label)}
    for mark in ";,":
        parts = {label: {part.strip() for part in label.split(mark)} for label in distinct if mark in label}
        found |= {label for label, own in parts.items() if own <= distinct}
        if mark == ";":
            found |= {one for one, own in parts.items() if any(own & parts[two] for two in parts if two != one)}
    return found


def _refuse_alike(table: Table, labels: Sequence[str], errors: list[str]) -> None:
    """Errors where classes are surely one, written in two ways; letters are classes of their own."""
    spellings: dict[str, list[str]] = {}
    for label in sorted(set(labels) - {""}):
        key = str(float(label)) if _is_number(label) else likeness(label)
        spellings.setdefault(key, []).append(label)
    for alike in spellings.values():
        if len(alike) > 1 and (len(alike[0]) > 1 or len(alike[1]) > 1):
            rows = [row for row, label in enumerate(labels) if label in alike[1:]]
            what = "capitals" if len({label.casefold() for label in alike}) == 1 else "how they are written"
            shown = ", ".join(alike if what == "capitals" else map(repr, alike))
            errors.append(
                table.error(
                    f"the labels {shown} differ in {what} alone. Write the labels of one class the same way, "
                    "and rename the others.",
                    rows,
                )
            )


def _one_hot(table: Table, names: Sequence[str], errors: list[str]) -> list[str]:
    columns = [table.column(name) for name in names]
    wrong = [name for name, cells in zip(names, columns, strict=True) if not _holds_bits(cells)]
    if wrong:
        errors.append(
            table.error(f"the columns {', '.join(wrong)} hold other values than 0 and 1. Leave these columns out.")
        )
        return [""] * len(table.rows)
    bits = [[_BITS.get(cell.lower(), 0) for cell in cells] for cells in zip(*columns, strict=True)]
    uneven = [row for row, own in enumerate(bits) if sum(own) != 1]
    if uneven:
        errors.append(
            table.error(
                f"{sum(bits[uneven[0]])} of the columns {', '.join(names)} are 1. An image has one label: correct or "
                "remove such lines, or say which columns are the labels: --columns label=A+B+C.",
                uneven,
            )
        )
    return [names[own.index(1)] if 1 in own else "" for own in bits]


def groups_of(table: Table, chosen: Mapping[str, str], errors: list[str]) -> list[str]:
    """The group of every row; empty where no column says it."""
    if "group" not in chosen:
        return [""] * len(table.rows)
    groups = [unicodedata.normalize("NFC", group).casefold() for group in table.column(chosen["group"])]
    if all(_is_whole(group) for group in set(groups) - {""}):
        groups = [_whole(group) for group in groups]  # however one is written: what is parted would leak
    cure = f"Fill it in, remove such lines, or {table.flag('group', '')} to do without groups."
    refuse_empty(table, groups, f"no group in column {chosen['group']!r}. {cure}", errors)
    return groups


def _holds_bits(cells: Sequence[str]) -> bool:
    distinct = {cell.lower() for cell in cells}
    return distinct <= {*_BITS, ""} and any(_BITS.get(cell) for cell in distinct)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d*)?(e[+-]?\d{1,2})?", text, re.IGNORECASE | re.ASCII) is not None


def _is_whole(text: str) -> bool:
    return _is_number(text) and float(text).is_integer()


def _whole(text: str) -> str:
    """A whole number without a fraction; zeros before it stay."""
    return str(int(float(text))) if "e" in text.lower() else text.partition(".")[0]


def in_order(labels: set[str]) -> list[str]:
    """Sorted: whole numbers by value, else as text."""
    return sorted(labels, key=lambda label: (int(label), "")) if all(map(_is_int, labels)) else sorted(labels)


def _is_int(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
