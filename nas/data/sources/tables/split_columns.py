"""Columns of a label file that tell splits: a word in each cell, or a column of 0 and 1 for each split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nas.data.sources.base import PART_OF, PARTS, TEST, TRAIN, VAL
from nas.data.sources.folder_names import part_of
from nas.data.sources.tables.table import Table, plain, refuse_empty
from nas.errors import DataError

_NAMED = ("split", "subset", "partition")  # a column so called holds splits
_USUAL = ("set", "part", "fold", "usage")  # one so called may hold anything
_FLAGS = {"0": False, "0.0": False, "false": False, "f": False, "no": False, "n": False,
          "1": True, "1.0": True, "true": True, "t": True, "yes": True, "y": True}  # fmt: skip


def split_column(table: Table, free: Sequence[str]) -> str:
    """The column of ``free`` with each row's split; of several with flags their names joined by '+'; empty: none.

    DataError where columns contradict each other.
    """
    named = sorted((name for name in free if plain(name) in _NAMED), key=lambda name: _NAMED.index(plain(name)))
    worded = [name for name in free if name not in named and _holds_splits(table, name)]
    flags = "+".join(name for name in free if flagged_part(name) is not None and _holds_flags(table, name))
    found = [*named, *worded, *([flags] if flags else [])]
    if not found:
        return ""
    errors: list[str] = []
    parts = parts_of(table, found[0], errors)
    for other in [] if errors else found[1:]:
        others = parts_of(table, other, errors)
        rows = [row for row, (one, two) in enumerate(zip(parts, others, strict=True)) if one != two]
        if rows and not errors:
            one, two = PARTS[parts[rows[0]]], PARTS[others[rows[0]]]
            what = f"{found[0]!r} says {one}, and {other!r} says {two}. Say which column holds the splits:"
            raise DataError(table.error(f"{what} {table.flag('split', found[0], other)}.", rows))
    return found[0]


def parts_of(table: Table, name: str, errors: list[str]) -> list[int]:
    """The part of every row by the column ``name``, or by several joined by '+'; what is wrong goes into ``errors``."""
    names = [name] if name in table.columns else name.split("+")
    if all(flagged_part(each) is not None and _holds_flags(table, each) for each in names):
        return _by_flags(table, names, errors)
    if name not in table.columns:
        errors.append(
            table.error(
                f"the columns {', '.join(names)} are not one column of 0 and 1 for each split, called "
                "is_train, is_val and "
                f"is_test. Name one column, or {table.flag('split', '')} to let nasctl split."
            )
        )
        return [TRAIN] * len(table.rows)
    cells = table.column(name)
    part = {cell: _part(cell) for cell in set(cells)}
    unknown = [row for row, cell in enumerate(cells) if part[cell] is None]
    if unknown:
        errors.append(
            table.error(
                f"the split {cells[unknown[0]]!r} in column {name!r} is none of train, val and test. Write one of "
                f"these, or {table.flag('split', '')} to let nasctl split.",
                unknown,
            )
        )
    return [part[cell] or TRAIN for cell in cells]


def flags_in_words(table: Table, name: str) -> str:
    """Meaning of 0 and 1, where ``name`` is one column of them; else nothing."""
    part = flagged_part(name) if name in table.columns else None
    if part is None or not _holds_flags(table, name):
        return ""
    return f" (1: {PARTS[part]}, 0: {PARTS[_rest({part}) or TRAIN]})"


def flagged_part(name: str) -> int | None:
    """The part that a column of 0 and 1 so called tells: is_train, isTest, in_test_set, val."""
    bare = re.sub(r"^([iI][sSnN]|[fF]or)(?=[A-Z_ -])[_ -]*", "", name)
    return PART_OF.get(plain(name).removeprefix("is"), part_of(bare))


def _by_flags(table: Table, names: Sequence[str], errors: list[str]) -> list[int]:
    told: list[set[int]] = [set() for _ in table.rows]
    own = {name: flagged_part(name) for name in names}
    for name, part in own.items():
        cells = [cell.lower() for cell in table.column(name)]
        if not {"0", "0.0"}.isdisjoint(cells):  # else nothing in a cell is how people say no
            refuse_empty(table, cells, f"neither 0 nor 1 in column {name!r}. Write one of them.", errors)
        for row, cell in enumerate(cells):
            if _FLAGS.get(cell) and part is not None:
                told[row].add(part)
    rest = _rest({part for part in own.values() if part is not None})
    wrong = [row for row, parts in enumerate(told) if len(parts) > 1 or (not parts and rest is None)]
    if wrong:
        errors.append(
            table.error(
                f"{len(told[wrong[0]]) or 'none'} of the columns {', '.join(names)} say yes. An image is in one split: "
                f"correct such lines, or {table.flag('split', '')} to let nasctl split.",
                wrong,
            )
        )
    return [min(parts, default=rest or TRAIN) for parts in told]


def _rest(flagged: set[int]) -> int | None:
    """The part of rows without any flag: train, or test where train has a flag; None where both have one."""
    return TRAIN if TRAIN not in flagged else TEST if TEST not in flagged else None


def _part(cell: str) -> int | None:
    return PART_OF.get(plain(cell), part_of(cell))


def _holds_splits(table: Table, name: str) -> bool:
    parts = {_part(cell) for cell in set(table.column(name))}
    return None not in parts and (plain(name) in _USUAL or TRAIN in parts)


def _holds_flags(table: Table, name: str) -> bool:
    """True if some rows are flagged and some are not. Where most are, "valid" means that they are in order."""
    cells = [cell.lower() for cell in table.column(name)]
    if not set(cells) <= {*_FLAGS, ""}:
        return False
    number = sum(_FLAGS.get(cell, False) for cell in cells)
    is_order = flagged_part(name) == VAL and "valid" in plain(name) and "validation" not in plain(name)
    return 0 < number < (len(cells) / 2 if is_order else len(cells))


def split_of(table: Table, chosen: Mapping[str, str], errors: list[str]) -> list[int]:
    """The part of every row; all is train where no column says it."""
    return parts_of(table, chosen["split"], errors) if "split" in chosen else [TRAIN] * len(table.rows)
