"""HTML and SVG put together from parts, so that text from outside is escaped wherever it stands."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nas.text import shown

_VOID = {"meta", "img", "input", "br"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Part = str | int | float | None | Iterable["Part"]  # None: nothing


def tag(_name: str, *parts: Part, **attributes: str | float | bool | None) -> Markup:
    """An element. Parts that are not ``Markup`` are escaped; an attribute that is None or False is left out, ``class_``
    stands for ``class``, and ``data_v`` for ``data-v``."""
    opening = _name + "".join(
        f" {_attribute(name)}" + ("" if value is True else f'="{html.escape(shown(str(value)))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if _name in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{joined(*parts)}</{_name}>")


def joined(*parts: Part) -> Markup:
    """Parts one after the other."""
    return Markup("".join(_part(part) for part in parts))


def name_of(text: str) -> Markup:
    """A name from outside, whose direction of writing cannot reach the text around it."""
    return tag("bdi", text)


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _part(part: Part) -> str:
    if part is None:
        return ""
    if isinstance(part, Markup):
        return part
    if isinstance(part, str):
        return html.escape(shown(part), quote=False)
    if isinstance(part, int | float):
        return html.escape(str(part))
    return "".join(map(_part, part))


@dataclass(frozen=True)
class Cell:
    """Of a table: what is read, and the number that it is sorted by, None for text."""

    text: Part
    value: float | None = None


@dataclass(frozen=True)
class Row:
    """Of a table; ``trial`` is the id that marks of pictures share with it."""

    cells: Sequence[Cell | Part]
    trial: str | None = None
    status: str | None = None


def number(value: float | None, text: str | None = None) -> Cell:
    """A cell with a number; a dash without one."""
    if value is None:
        return Cell("-")
    return Cell(f"{value:,}" if text is None else text, value)


def table(
    headings: Sequence[str], rows: Iterable[Row], *, caption: str, sortable: bool = False, id: str | None = None
) -> Markup:
    """A table whose columns can be sorted, if that is asked for; numbers stand to the right."""
    lines = list(rows)
    numeric = [
        column > 0 and bool(lines) and all(isinstance(row.cells[column], Cell) for row in lines)
        for column in range(len(headings))
    ]
    head = [
        tag("th", tag("button", words, type="button") if sortable else words, scope="col", class_=_kind(is_number))
        for words, is_number in zip(headings, numeric, strict=True)
    ]
    body = [
        tag("tr", [_cell(cell, numeric[place], place == 0) for place, cell in enumerate(row.cells)],
            data_trial=row.trial, data_status=row.status)
        for row in lines
    ]  # fmt: skip
    made = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", head)), tag("tbody", body),
        class_="sortable" if sortable else None, id=id,
    )  # fmt: skip
    return tag("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _kind(is_number: bool) -> str | None:
    return "n" if is_number else None


def _cell(cell: Cell | Part, is_number: bool, is_first: bool) -> Markup:
    name, scope = ("th", "row") if is_first else ("td", None)
    if isinstance(cell, Cell):
        return tag(name, cell.text, data_v=cell.value, class_=_kind(is_number), scope=scope)
    return tag(name, cell, class_=_kind(is_number), scope=scope)


def facts(pairs: Iterable[tuple[str, Part]]) -> Markup:
    """Names and what is said of them, a line each; those with nothing to say are left out."""
    return tag("dl", [(tag("dt", name), tag("dd", said)) for name, said in pairs if said is not None])


def commands(lines: Iterable[tuple[str, str]]) -> Markup:
    """Commands to type, each line with what it does."""
    return tag("div", [(tag("p", why), tag("pre", tag("code", typed), tabindex="0")) for why, typed in lines],
               class_="commands")  # fmt: skip


def folded(summary: Part, *parts: Part, is_open: bool = False) -> Markup:
    """Parts that are seen once their summary is clicked."""
    return tag("details", tag("summary", summary), *parts, open=is_open)
