"""``nasctl data``: what is in a data set, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from nas.config import DataConfig
from nas.data import DataReport
from nas.data.dataset import IDENTITY_SPLITS, SPLIT_NAMES, Pair
from nas.data.sources.base import PARTS
from nas.data.writing import WrittenSet
from nas.report.screen import Screen
from nas.report.tables.format import make_table
from nas.text import both_ends
from nas.units import counted, memory

MOST_CLASSES = 100  # rows of the table; a set with more shows the first and last of them
MOST_BROKEN = 20
MOST_PAIRS = 3  # of each kind


def print_data(console: Screen, report: DataReport) -> None:
    """Counts by class and split, what the images are like, and what cannot be read."""
    parts = {f"found ({name})": counts for name, counts in report.found.items()} | report.splits
    title = f"{report.name}: {counted(len(report.classes), 'class', 'classes')}"
    console.print(title, style="table.title", highlight=False, soft_wrap=True)  # longer than a table
    table = make_table("", ("class",), tuple(parts))
    first, between, last = both_ends(range(len(report.classes)), MOST_CLASSES)
    for indexes in (first, last):
        for index in indexes:
            table.add_row(report.classes[index], *(f"{counts[index]:,}" for counts in parts.values()))
        if between and indexes is first:
            table.add_row(f"... {between:,} more ...")
    table.add_section()
    table.add_row("all", *(f"{sum(counts):,}" for counts in parts.values()))
    console.print(table)
    for fact in _facts(report):
        console.print(fact, highlight=False, soft_wrap=True)
    if report.proposal:
        console.print(
            f"Needs a size: {report.proposal_reason} Add {report.proposal}, or another size.",
            highlight=False, soft_wrap=True, style="yellow",
        )  # fmt: skip
    for line in _duplicates(report):
        console.print(line, highlight=False, soft_wrap=True)
    if report.broken:
        console.print(f"Cannot be read: {len(report.broken):,}")
        for broken in report.broken[:MOST_BROKEN]:
            console.print(f"  {broken.name}: {broken.reason}", highlight=False, soft_wrap=True)
        if len(report.broken) > MOST_BROKEN:
            console.print(f"  ... and {len(report.broken) - MOST_BROKEN:,} more")


def print_written(console: Screen, written: WrittenSet, config: DataConfig) -> None:
    """Print what was written, what could not be kept, and how to search on it."""
    counts = {part: sum(of_classes) for part, of_classes in written.counts.items()}
    lines = [
        f"Written: {written.path}, {counted(counts['train'], 'training image')}, {written.num_synthetic:,} of them "
        f"synthetic; {counts['val']:,} of val (select and rank), {counts['test']:,} of test",
        f"Which are synthetic: {written.table}",
        *(f"{note[:1].upper()}{note[1:]}." for note in written.notes),
    ]
    again = " --allow-duplicates" if config.allow_duplicates else ""
    lines.append(
        f"Search on it: nasctl search --space resnet --max-params 80k --data {quote(str(written.path))}{again}"
    )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _facts(report: DataReport) -> Iterator[str]:
    """Facts about the images, and their preparation."""
    if report.input_shape:
        channels, height, width = report.input_shape
        yield f"Input of the network: {channels} x {height} x {width} (channels x height x width)"
    if report.preprocessing:
        yield f"Pixels: {report.preprocessing.words}"
    yield f"Sizes: {_listed(report.image_sizes)}"
    yield f"Modes: {_listed(report.modes)}"
    yield f"Formats: {_listed(report.formats)}"
    if report.levels:
        black, white = report.levels
        yield f"Deeper than 8 bits: {black:g} to {white:g} become 0 to 255, for all images alike"
    yield from (f"{note}: {count:,}" for note, count in report.notes.items())
    yield from (f"{remark[:1].upper()}{remark[1:]}." for remark in report.remarks)
    if report.cache_path and report.cache_bytes:
        held, total = map(memory, report.cache_bytes)
        yield f"Decoded copy: {held} in {report.cache_path}; all sets there take {total}, and may be deleted"
    if report.num_ignored:
        yield f"Files that are not images, or are in no class folder: {report.num_ignored:,}"


def _duplicates(report: DataReport) -> Iterator[str]:
    """Number of images that occur more than once, and the first pairs, by where they stand."""
    kinds = (("Identical", " = ", report.duplicates.identical), ("Nearly identical", " ~ ", report.duplicates.similar))
    for kind, sign, pairs in kinds:
        if pairs:
            yield f"{kind} images: {counted(len(pairs), 'pair')}"
        by_place: dict[tuple[int, str], list[Pair]] = {}
        for pair in pairs:
            for place in _places(pair):
                by_place.setdefault(place, []).append(pair)
        for (_, words), here in sorted(by_place.items(), key=lambda one: one[0]):
            more = f", and {len(here) - MOST_PAIRS:,} more" if len(here) > MOST_PAIRS else ""
            yield f"  {len(here):,} {words}: " + ", ".join(sign.join(pair.names) for pair in here[:MOST_PAIRS]) + more


def _places(pair: Pair) -> Iterator[tuple[int, str]]:
    """Splits of a pair, with a number by which the worst comes first."""
    same_class = pair.classes[0] == pair.classes[1]
    if not same_class:
        yield 0, "in two classes"
    if pair.parts[0] != pair.parts[1]:
        yield 1, "in its own {} and {}".format(*sorted(pair.parts, key=PARTS.index))
        return
    one, other = sorted(pair.splits, key=[*SPLIT_NAMES, *IDENTITY_SPLITS, "none"].index)
    if one != other != "none":
        yield 2, f"in the splits {one} and {other}"
    elif same_class:
        yield 3, "within a class"


def _listed(counts: dict[str, int]) -> str:
    words = [f"{name} ({count:,})" for name, count in list(counts.items())[:5]]
    return ", ".join(words) + (f", and {len(counts) - 5} more" if len(counts) > 5 else "") if words else "unknown"
