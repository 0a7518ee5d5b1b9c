"""Console, JSON output and the display of a run's outcome, shared by commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nas.cli.terminal import Terminal
from nas.report import run_document
from nas.report.documents import Document, document
from nas.runs import SearchRun, StudyRun

if TYPE_CHECKING:
    from nas.report.filters import FilterChoice

console = Terminal()


def outcome_document(run: SearchRun | StudyRun, filters: FilterChoice | None = None) -> Document:
    """Outcome of a run, as JSON; of a study with its pictures drawn, the ``filters`` chosen among them."""
    if isinstance(run, SearchRun):
        return run_document(run)
    from nas.report.grid import grid_report
    from nas.report.pictures import ALL, write_pictures
    from nas.report.rivals import against
    from nas.report.study import study_report

    report = study_report(run)
    pictures = write_pictures(run, filters or ALL, report)
    found = [document(one, metric="figure") for one in against(report.members)]
    files = {"pictures": [str(path) for path in pictures.files], "picture_remarks": pictures.remarks}
    grid = grid_report(run, report.members)
    return document(report) | ({"grid": document(grid)} if grid else {}) | {"found": found} | files


def show_outcome(run: SearchRun | StudyRun, filters: FilterChoice | None = None) -> None:
    """Print a run's outcome in words and tables; of a study with its pictures drawn, the ``filters`` chosen among
    them."""
    from nas.report.tables.profile import print_profile
    from nas.report.tables.search import print_outcome
    from nas.report.tables.supernet import print_supernet

    if isinstance(run, StudyRun):
        from nas.report.pictures import ALL, write_pictures
        from nas.report.study import study_report
        from nas.report.tables.study import print_study

        report = study_report(run)
        print_study(console, run, write_pictures(run, filters or ALL, report), report)
    else:
        print_supernet(console, run)
        print_outcome(console, run)
    print_profile(console, run)


def print_json(whole: Any) -> None:
    """One document on standard output."""
    print(json.dumps(whole, indent=2))
