"""Tables as every report writes them, and large numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from rich import box
from rich.table import Table

from nas.report.screen import Screen

WIDE = 10_000  # characters: no column has to go
GAP = 3  # characters between two columns


def compact(value: float) -> str:
    """A large number in four characters or so: 642k, 1.36M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.0f}"


def in_lines(console: Screen, lines: Iterable[str]) -> str:
    """Lines that begin with a heading, in a terminal folded to its width under their text; elsewhere as they are."""
    if not console.is_terminal:
        return "\n".join(lines)
    fold = partial(
        textwrap.wrap, width=console.width, subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join("\n".join(fold(line)) for text in lines for line in text.split("\n"))


def fitting(
    columns: Mapping[str, Sequence[str]], width: int, expendable: Sequence[str], text: int = 0
) -> dict[str, Sequence[str]]:
    """Those of ``columns`` (cells by heading) that fit ``width`` characters beside ``text`` of them, without as many of
    the ``expendable`` ones, in this order, as have to go."""
    kept = dict(columns)
    for heading in expendable:
        widths = [max(map(len, [name, *cells])) for name, cells in kept.items()]
        if sum(widths) + GAP * (len(widths) - 1) + (text and GAP + text) <= width:
            break
        kept.pop(heading, None)
    return kept


def make_table(title: str, left: Sequence[str], right: Sequence[str] = (), text: str = "") -> Table:
    """Columns of words, of numbers, and at the end one of long text; where a table is too wide numbers stay whole."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in left:
        table.add_column(heading, overflow="fold")
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    if text:
        table.add_column(text, overflow="fold")
    return table
