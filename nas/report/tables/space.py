"""``nasctl space``: how much a space holds, what share fits a budget, and what a trial of it costs here, as text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from rich.table import Table

from budgets import Costs
from budgets.budget import format_size
from nas.report.architecture import ArchitectureReport
from nas.report.screen import Screen
from nas.report.space import SpaceReport, Timing
from nas.report.tables.format import compact, make_table
from nas.report.tables.search import layers_table
from nas.units import clock, counted
from search_spaces import SearchSpace, get_space, space_names
from search_spaces.restriction import restriction_words, stem
from search_spaces.space import Values


def print_spaces(console: Screen) -> None:
    """Every space with what it varies."""
    table = make_table("Search spaces", ("name",), ("samples",), "what varies")
    for name in space_names():
        space = get_space(name)
        table.add_row(name, f"{space.num_samples:.2g}", space.summary)
    console.print(table)


def print_space(console: Screen, report: SpaceReport) -> None:
    """Everything about one space under one budget, for one data set."""
    space, task = report.space, report.task
    used = [choice for choice in space.choices_for(task) if len(choice.values) > 1]
    unused = sum(len(choice.values) > 1 for choice in space.choices) - len(used)
    lines = [
        f"{space.name}  {space.summary}",
        f"Input:   {'x'.join(map(str, task.input_shape))}, {task.num_classes} classes ({report.data_name})",
        f"Budget:  {report.budget}" + (f"\n         {report.note}" if report.note else ""),
        *([f"Within:  {words}"] if (words := restriction_words(space)) else []),
        f"Size:    {space.num_samples_for(task):,} combinations of {counted(len(used), 'choice')}" + _unused(unused),
        f"Fit:     {report.share}",
    ]
    console.print("\n".join(lines), title=space.name, highlight=False, soft_wrap=True)
    console.print(_choices_table(space))
    console.print(_costs_table(report.costs))
    _print_histogram(console, report.costs.params)
    console.print(_examples_table(report))
    if report.timing is not None:
        console.print(_timing(report.timing), highlight=False, soft_wrap=True)


def _unused(number: int) -> str:
    return f" (without effect on images of this size: {number} more)" if number else ""


def _timing(timing: Timing) -> str:
    return (
        f"A trial of {counted(timing.epochs, 'epoch')} takes about {timing.seconds:.1f} s here (the mean of "
        "several architectures)"
        f"; {counted(timing.trials, 'trial')} and {counted(timing.confirmations, 'confirmation')} of "
        f"{counted(timing.confirm_epochs, 'epoch')}, "
        f"{timing.num_slots} in parallel: about {clock(timing.total)}."
    )


def print_architecture(console: Screen, report: ArchitectureReport) -> None:
    """Its layers, what it takes on the data, and which limits it breaks."""
    console.print(layers_table(report.space, report.sample, report.task))
    shape = "x".join(map(str, report.task.input_shape))
    lines = [
        f"On {report.data_name}: {shape}, {report.task.num_classes} classes; {report.cost.size_bytes:,} bytes of "
        f"weights, {report.cost.peak_memory:,} bytes of activations at the peak",
        *([f"Budget: {report.budget}"] if report.budget.limits else []),
        *(f"Does not fit: {words}" for words in report.violations),
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def _choices_table(space: SearchSpace) -> Table:
    """The labels and values of all choices; those that are called alike and take the same are one row."""
    table = make_table("Choices", ("label",), (), "values")
    rows: dict[tuple[str, Values], list[str]] = {}
    for choice in space.choices:
        rows.setdefault((stem(choice.label), choice.values), []).append(choice.label)
    for (_, values), labels in rows.items():
        first = space.labels.index(labels[0])
        together = len(labels) > 2 and space.labels[first : first + len(labels)] == labels
        named = f"{labels[0]} to {labels[-1]}" if together else ", ".join(labels)
        table.add_row(named, ", ".join(map(str, values)))
    return table


def _costs_table(costs: Costs) -> Table:
    table = make_table("Feasible architectures", ("",), ("min", "median", "max"))
    for title, values in (
        ("parameters", costs.params),
        ("MACs", costs.macs),
        ("peak memory", costs.peak_memory),
    ):
        table.add_row(title, *(f"{value:,.0f}" for value in (values.min(), np.median(values), values.max())))
    return table


def _examples_table(report: SpaceReport) -> Table:
    table = make_table("Examples", (), ("parameters", "MACs"), f"{report.space.name} architecture")
    for example in report.examples:
        cost = example.cost
        table.add_row(f"{cost.params:,}", compact(cost.macs), report.space.line_of(example.sample, report.task))
    return table


def _print_histogram(console: Screen, params: npt.NDArray[np.int64], num_bins: int = 12, width: int = 36) -> None:
    """Bars of how many samples have about how many parameters."""
    counts, edges = np.histogram(params, bins=num_bins)
    console.print("Parameters of feasible architectures")
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        bar = "█" * round(width * count / counts.max()) or ("▏" if count else "")
        console.print(
            f"{format_size(low):>11} - {format_size(high):>11} {bar} {100 * count / len(params):.0f} %",
            highlight=False,
        )
