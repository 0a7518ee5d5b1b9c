"""A comparison as people read it in a terminal."""

from __future__ import annotations

from pathlib import Path

from baselines.metrics import METRICS
from nas.report import metric_text
from nas.report.comparison import Compared, Comparison
from nas.report.screen import Screen
from nas.report.tables.format import compact, fitting, make_table
from nas.runs.events import FloorMeasured
from nas.units import clock, counted

NAME = 30  # characters of a run's name and a network's that numbers leave room for; longer ones are folded
SHOWN = {"balanced_accuracy": "balanced", "accuracy": "accuracy", "macro_f1": "macro F1", "worst_recall": "worst"}


def print_comparison(console: Screen, comparison: Comparison, plot: Path | None) -> None:
    """One table for sizes, metrics and differences, what the p of so few seeds can say, and where the plot is."""
    shown = _shown(comparison.objective)
    where = f"{comparison.title} on {comparison.data.name}: test split"
    title = f"{where}, {metric_text.unit(shown)}, mean ± std over seeds"
    headings = ("parameters", "MACs", *shown.values(), "better by", "95 %", "p")
    rows: list[list[str]] = []
    against = [None, *comparison.others]
    for row, test in zip(comparison.rows, against, strict=True):
        name = f"{'* ' if test is None else ''}{row.run}: {row.name}"
        cells = [metric_text.mean_std(metric, row.test[metric]) for metric in shown]
        rows.append([name, f"{row.params:,}", compact(row.macs), *cells, *_difference(comparison, test)])
    if comparison.floor is not None:
        rows.append(_floor_cells(comparison, comparison.floor))
    names, *numbers = zip(*rows, strict=True)
    longest = min(max(map(len, names)), NAME)
    kept = fitting(dict(zip(headings, numbers, strict=True)), console.width, _expendable(comparison), longest)
    table = make_table(title, ("run: network",), list(kept))
    for line in zip(names, *kept.values(), strict=True):
        table.add_row(*line)
    console.print(table)
    words = comparison.objective.replace("_", " ")
    lines = [
        f"*: {comparison.title}, {counted(comparison.first.seeds, 'seed')}. Better by: how much better it is in "
        f"{words}, the difference of the means; 95 %: its confidence interval (Welch), given two or more seeds "
        "of each. Worst: "
        "recall of the worst class.",
        *_least_p(comparison),
    ]
    for spent in comparison.compute:
        lines.append(
            f"Compute of {spent.run}: {counted(spent.trainings, 'training')}, {counted(spent.epochs, 'epoch')}, "
            f"{clock(spent.seconds)} of training"
        )
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
    if plot:
        console.print(f"Plot: {plot}", highlight=False, soft_wrap=True)


def _shown(objective: str) -> dict[str, str]:
    """The metrics of the table by name, with their headings: the objective among them if it is an author's own."""
    return SHOWN if objective in METRICS else {objective: objective.replace("_", " "), **SHOWN}


def _expendable(comparison: Comparison) -> list[str]:
    """The columns that a narrow terminal goes without, in this order: not those of the difference that is tested."""
    others = [heading for metric, heading in SHOWN.items() if metric != comparison.objective]
    return ["MACs", *reversed(others), "parameters"]


def _floor_cells(comparison: Comparison, floor: FloorMeasured) -> list[str]:
    """The row of the classical method that was chosen on rank: no parameters, no seeds to pair."""
    objective = comparison.objective
    mean = comparison.first.test[objective].mean
    better = "" if mean is None else metric_text.difference(objective, mean - floor.test[objective])
    cells = [metric_text.value(metric, floor.test.get(metric)) for metric in _shown(objective)]
    return [f"floor: {floor.method}", "-", "-", *cells, better, "", ""]


def _difference(comparison: Comparison, other: Compared | None) -> tuple[str, str, str]:
    """By how much the first is better, within which interval, and p; empty where that is not known, or of the first."""
    if other is None or other.means is None:
        return "", "", ""
    means, test, objective = other.means, other.against_first, comparison.objective
    interval = "-"
    if means.low is not None and means.high is not None:
        interval = f"{metric_text.difference(objective, means.low)} to {metric_text.difference(objective, means.high)}"
    p = "-" if test.p is None or test.pairs < 2 else f"{test.p:.3g} (n={test.pairs})"
    return metric_text.difference(objective, means.difference), interval, p


def _least_p(comparison: Comparison) -> list[str]:
    """Least p that the smallest number of pairs allows; empty where there is no pair."""
    tests = [other.against_first for other in comparison.others]
    least = {test.pairs: test.least_p for test in tests if test.least_p is not None}
    if not least:
        return []
    few = min(least)
    return [
        "p: exact sign-flip permutation test, two-sided, paired by seed number; with "
        f"{counted(few, 'pair')} it cannot be below {least[few]:.3g}"
        + (", so no difference can be significant at 0.05: train more seeds." if least[few] > 0.05 else ".")
    ]
