"""A grid on the page of a study: the best cells of each network, and what each axis does."""

from __future__ import annotations

from nas.report import metric_text
from nas.report.grid import Influence, grid_report
from nas.report.html.markup import Markup, Row, joined, number, table, tag
from nas.report.study import StudyReport
from nas.report.tables.grid import settings_words, with_interval
from nas.runs import StudyRun


def grid_section(run: StudyRun, report: StudyReport) -> Markup | None:
    """None of studies that are no grids, and before a cell has finished."""
    grid, objective = grid_report(run, report.members), run.config.objective
    if grid is None or not grid.best:
        return None
    best = [
        Row([one.network if cell is one.top[0] else "", settings_words(cell),
             number(cell.validation, metric_text.value(objective, cell.validation)),
             number(cell.test, metric_text.value("accuracy", cell.test)),
             number(one.published, metric_text.value("accuracy", one.published)) if cell is one.top[0] else ""],
            trial=cell.member)
        for one in grid.best
        for cell in one.top
    ]  # fmt: skip

    def against(one: Influence) -> str:
        return with_interval(objective, one.against_network, one.against_interval, sign=True)

    influence = [
        Row([one.axis, one.value, number(one.cells),
             number(one.validation, with_interval(objective, one.validation, one.validation_interval)),
             number(one.test, with_interval("accuracy", one.test, one.test_interval)),
             number(one.against_network, against(one))
             if one.axis != "network" else ""])
        for one in grid.influence
    ]  # fmt: skip
    words = (
        f"{grid.finished} of {grid.of_run} cells have finished; the whole grid has {grid.cells:,}. Cells are ranked by "
        f"{metric_text.label(objective)} on validation images (rank); pictures are of the best cell of each network."
    )
    counts = (
        [Row([name, number(before), number(grid.filled.after[name])]) for name, before in grid.filled.before.items()]
        if grid.filled
        else []
    )
    return joined(
        tag("p", words),
        table(("network", "cell", "validation", "test accuracy", "published"), best,
              caption="The best cells of each network; published: the best of each on other photos (%)"),
        table(("axis", "value", "cells", "validation", "test accuracy", "against its network's mean"), influence,
              caption="Influence of each axis: means over cells (%), in brackets 95 % intervals")
        if influence else None,
        table(("class", "training images", "filled up"), counts, caption="Minority classes filled up") if counts else
        None,
    )  # fmt: skip
