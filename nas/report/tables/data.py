"""``nasctl data``: what is in a data set, as a table."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from nas.data import DataReport
from nas.report.tables.format import make_table

MOST_CLASSES = 100  # rows of the table; a set with more shows the first and last of them
MOST_BROKEN = 20


def print_data(console: Console, report: DataReport) -> None:
    """Counts by class and split, what the images are like, and what cannot be read."""
    parts = {f"found ({name})": counts for name, counts in report.found.items()} | report.splits
    table = make_table(f"{escape(report.name)}: {len(report.classes)} classes", ("class",), tuple(parts))
    shown = range(len(report.classes))
    cut = len(shown) > MOST_CLASSES
    for index in [*shown[: MOST_CLASSES // 2], *shown[-MOST_CLASSES // 2 :]] if cut else shown:
        if cut and index == len(shown) - MOST_CLASSES // 2:
            table.add_row(f"... {len(shown) - MOST_CLASSES} more ...")
        table.add_row(Text(report.classes[index]), *(f"{counts[index]:,}" for counts in parts.values()))
    table.add_section()
    table.add_row("all", *(f"{sum(counts):,}" for counts in parts.values()))
    console.print(table)
    if report.input_shape:
        channels, height, width = report.input_shape
        console.print(f"Input of the network: {channels} x {height} x {width} (channels x height x width)")
    for title, counts in (
        ("Sizes", report.image_sizes),
        ("Modes", report.modes),
        ("Formats", report.formats),
    ):
        console.print(f"{title}: {_listed(counts)}", highlight=False, markup=False)
    if report.levels:
        black, white = report.levels
        console.print(f"Deeper than 8 bits: {black:g} to {white:g} become 0 to 255, for all images alike")
    if report.num_ignored:
        console.print(f"Files that are no images, ignored: {report.num_ignored:,}")
    if report.broken:
        console.print(f"Cannot be read: {len(report.broken):,}")
        for broken in report.broken[:MOST_BROKEN]:
            console.print(f"  {broken.name}: {broken.reason}", highlight=False, soft_wrap=True, markup=False)
        if len(report.broken) > MOST_BROKEN:
            console.print(f"  ... and {len(report.broken) - MOST_BROKEN:,} more")


def _listed(counts: dict[str, int]) -> str:
    words = [f"{name} ({count:,})" for name, count in list(counts.items())[:5]]
    return ", ".join(words) + (f", and {len(counts) - 5} more" if len(counts) > 5 else "") if words else "unknown"
