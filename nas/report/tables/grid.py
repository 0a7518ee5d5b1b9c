"""A grid as people read it in a terminal."""

from __future__ import annotations

from rich.table import Table

from nas.report import metric_text
from nas.report.grid import Cell, GridReport
from nas.report.intervals import Interval
from nas.report.screen import Screen
from nas.report.tables.format import make_table
from nas.runs import StudyRun
from nas.runs.hints import typed


def print_grid(console: Screen, run: StudyRun, grid: GridReport) -> None:
    """The best of each network, the five best of each, recall of each class, what each axis does, class counts."""
    objective = run.config.objective
    console.print(
        f"{grid.finished} of {grid.of_run} cells have finished; the whole grid has {grid.cells:,}", highlight=False
    )
    if not grid.best:
        return
    console.print(best_table(grid, objective, run.facts.data_name))
    console.print(
        "published: of the best cell of each on axe, book and hammer, 35 test images a class", highlight=False
    )
    console.print(top_table(grid, objective))
    console.print(recall_table(grid, run.facts.classes))
    if grid.influence:
        console.print(influence_table(grid, objective))
    if grid.filled:
        table = make_table("Training images of each class", ("classes",), tuple(grid.filled.before))
        for words, counts in (("as they are", grid.filled.before), ("filled up", grid.filled.after)):
            table.add_row(words, *(f"{count:,}" for count in counts.values()))
        console.print(table)
    rows = typed("trials --csv --run", run.folder)
    console.print(f"All cells, a row each:  {rows}", highlight=False, soft_wrap=True)


def best_table(grid: GridReport, objective: str, data: str) -> Table:
    """The best cell of each network by validation, beside what was published of the best cell of that network."""
    title = f"Best cell of each network on {data}, by {metric_text.label(objective)} on validation images (rank)"
    headings = ("cells", "validation", "test acc.", "published acc.")
    table = make_table(title, ("network",), headings, "cell")
    for one in grid.best:
        best = one.top[0]
        table.add_row(one.network, f"{one.cells}", metric_text.value(objective, best.validation),
                      metric_text.value("accuracy", best.test), metric_text.value("accuracy", one.published),
                      settings_words(best))  # fmt: skip
    return table


def top_table(grid: GridReport, objective: str) -> Table:
    """The best cells of each network."""
    table = make_table("The best five cells of each network", ("network",), ("validation", "test acc."), "cell")
    for one in grid.best:
        for place, cell in enumerate(one.top):
            table.add_row("" if place else one.network, metric_text.value(objective, cell.validation),
                          metric_text.value("accuracy", cell.test), settings_words(cell))  # fmt: skip
    return table


def recall_table(grid: GridReport, classes: tuple[str, ...], most: int = 8) -> Table:
    """Test recall of each class by the best cell of each network; of many classes the first."""
    shown = classes[:most]
    more = f", {len(classes) - most} more in --json" if len(classes) > most else ""
    table = make_table(f"Test recall (%) of each class by the best cell of each network{more}", ("network",), shown)
    for one in grid.best:
        table.add_row(one.network, *(metric_text.value("accuracy", one.recall_by_class[name]) for name in shown))
    return table


def influence_table(grid: GridReport, objective: str) -> Table:
    """Mean and 95 % interval over cells by the values of each axis."""
    title = "Influence of each axis: means over cells (%), in brackets 95 % intervals"
    headings = ("cells", "validation", "test acc.", "validation - its network's mean")
    table = make_table(title, ("axis", "value"), headings)
    axis = ""
    for one in grid.influence:
        against = with_interval(objective, one.against_network, one.against_interval, sign=True)
        table.add_row(
            "" if one.axis == axis else one.axis, one.value, f"{one.cells}",
            with_interval(objective, one.validation, one.validation_interval),
            with_interval("accuracy", one.test, one.test_interval), "" if one.axis == "network" else against,
        )  # fmt: skip
        axis = one.axis
    return table


def settings_words(cell: Cell) -> str:
    """The place of a cell in the grid."""
    begun = "pretrained" if cell.pretrained else "from scratch"
    filled = "as they are" if cell.filled == "none" else "filled up"
    return (
        f"{begun}, learning rate {cell.learning_rate:g}, weight decay {cell.weight_decay:g}, gamma {cell.decay:g}, "
        f"classes {filled}"
    )


def with_interval(name: str, mean: float, interval: Interval | None, *, sign: bool = False) -> str:
    """A mean and, in brackets, its interval."""
    write = metric_text.difference if sign else metric_text.value
    if interval is None:
        return write(name, mean)
    return f"{write(name, mean)} ({write(name, interval.low)} to {write(name, interval.high)})"
