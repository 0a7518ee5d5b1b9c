"""An evaluation as tables and words."""

from __future__ import annotations

from rich.table import Table

from nas.data.validation import some
from nas.export.evaluate import AVERAGES, ClassMetrics, Evaluation
from nas.report.metric_text import decimal
from nas.report.screen import Screen
from nas.report.tables.format import make_table
from nas.text import both_ends
from nas.units import counted

MOST_CLASSES = 20  # of a confusion matrix as text
MOST_ROWS = 100  # of the table of classes
MOST_FILES = 20  # that are named


def print_evaluation(console: Screen, found: Evaluation) -> None:
    """Metrics with their intervals, classes, who is taken for whom, and what to know of the data."""
    console.print(f"{found.data}, {found.part}: {found.images:,} images", highlight=False)
    console.print(_metrics(found))
    console.print(_averages(found))
    console.print(_classes(found))
    if len(found.by_class) <= MOST_CLASSES:
        console.print(_confusion(found))
    else:
        how = "--picture draws it, --json gives it" if found.confusion else "--json gives its cells that are not zero"
        console.print(f"The confusion matrix of {len(found.by_class):,} classes: {how}.")
    if found.confused:
        pairs = ", ".join(f"{true} for {given} ({count:,})" for true, given, count in found.confused)
        console.print(f"Most confused: {pairs}.", highlight=False)
    for words in remarks(found):
        console.print(words, style="yellow", highlight=False)


def remarks(found: Evaluation) -> list[str]:
    """Remarks on why the metrics say less than they seem to."""
    said = []
    if found.trained_on:
        said.append(
            f"{found.trained_on:,} of the {found.images:,} images are among those that the network was trained "
            "on: on these it does better than on new ones."
        )
    if found.missing:
        said.append(
            f"Without images here: {some(found.missing)}. Balanced accuracy leaves them out; in macro "
            "averages such a class counts as 0 if it was predicted."
        )
    if found.surplus:
        said.append(f"Not known to the network, and left out: {some(found.surplus)}.")
    if found.clipped:
        said.append(f"{counted(found.clipped, 'image')} with values outside the range of training, which were clipped.")
    if found.unscored:
        said.append(found.unscored)
    if found.broken:
        more = f"\n  ... and {len(found.broken) - MOST_FILES} more" if len(found.broken) > MOST_FILES else ""
        listed = "".join(f"\n  {name}" for name in found.broken[:MOST_FILES])
        said.append(f"{counted(len(found.broken), 'file')} could not be read:{listed}{more}")
    return said


def _metrics(found: Evaluation) -> Table:
    table = make_table("", ["metric"], ["value", "95 % interval"])
    first = [found.objective] if found.objective in found.metrics else []
    for name in dict.fromkeys([*first, *found.intervals]):
        low, high = found.intervals.get(name, (None, None))
        interval = "" if low is None else f"{decimal(low)} to {decimal(high)}"
        table.add_row(name.replace("_", " "), decimal(found.metrics[name]), interval)
    return table


def _averages(found: Evaluation) -> Table:
    table = make_table("", ["average"], ["precision", "recall", "F1"])
    for average in AVERAGES:
        table.add_row(average, *(decimal(found.metrics[f"{average}_{name}"]) for name in ("precision", "recall", "f1")))
    return table


def _classes(found: Evaluation) -> Table:
    table = make_table("", ["class"], ["images", "precision", "recall", "F1"])
    order = found.by_class
    if len(order) > MOST_ROWS:  # the best and the worst say most
        order = sorted((one for one in order if one.images), key=lambda one: (-one.recall, -one.f1))
    best, between, worst = both_ends(order, MOST_ROWS)
    for one in best:
        _add_class(table, one)
    if between:
        table.add_row(f"... {between:,} more, by recall ...")
    for one in worst:
        _add_class(table, one)
    return table


def _add_class(table: Table, one: ClassMetrics) -> None:
    metrics = (one.precision, one.recall, one.f1)
    table.add_row(one.name, f"{one.images:,}", *(decimal(metric) if one.images else "-" for metric in metrics))


def _confusion(found: Evaluation) -> Table:
    """Columns have numbers where names would be too wide."""
    names = [one.name for one in found.by_class]
    is_narrow = max(map(len, names)) <= 3
    heads = [name for name in names] if is_narrow else [str(number) for number in range(1, len(names) + 1)]
    rows = names if is_narrow else [f"{number} {name}" for number, name in zip(heads, names, strict=True)]
    table = make_table("Confusion matrix: true classes (rows) by predicted classes (columns)", ["class"], heads)
    for name, counts in zip(rows, found.confusion or [], strict=True):
        table.add_row(name, *(f"{count:,}" if count else "·" for count in counts))
    return table
