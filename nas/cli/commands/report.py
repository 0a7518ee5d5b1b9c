"""``nasctl report``: one HTML file to send; of a study its table and pictures too."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from nas.api.settings import Flags, positive
from nas.cli.commands.output import console, outcome_document, print_json, show_outcome
from nas.config import raise_all
from nas.errors import NasctlError, UsageError, attempt
from nas.report.filters import FilterChoice, layers_of
from nas.report.html.write import check_target, write_comparison, write_report
from nas.runs import SearchRun, StudyRun
from nas.runs.named import load_whole, one_name

EVERY = 15.0  # seconds between two reports of a run that is not done


def report_command(flags: Flags) -> None:
    """The report of a run, also of one that is not finished, or one of several runs on the same images. Of a study the
    table is printed, and pictures whose trainings changed are drawn anew."""
    errors: list[str] = []
    names = flags["names"] or []
    if flags["run"] is not None and names[:1] != [flags["run"]]:
        names = [flags["run"], *names]
    runs = Path(flags["runs"])
    wanted = names or [one_name(None, None)]
    found = [run for name in wanted if (run := attempt(partial(load_whole, name, "report", runs), errors))]
    count = attempt(lambda: positive("filters", flags["filters"]), errors)
    layers = tuple(name for typed in (flags["layers"] or "").split(",") if (name := typed.strip()))
    filters = FilterChoice(count or FilterChoice.count, layers)
    out = Path(flags["out"]) if flags["out"] else None
    if out is not None:
        attempt(partial(check_target, out), errors)
    if len(wanted) > 1:
        errors += _errors_of_several(flags, out)
    elif found and (layers or count):
        if isinstance(found[0], SearchRun):
            errors.append("--filters and --layers belong to the report of a baseline run: leave them out, or draw the "
                          f"filters of a trial with 'nasctl analyze {found[0].name}'.")  # fmt: skip
        else:
            attempt(partial(layers_of, found[0], filters), errors)
    raise_all(errors)
    if len(found) > 1:
        assert out is not None
        _tell_path(write_comparison(found, out), as_json=flags["json"])
    elif flags["watch"]:
        _watch(found[0], out)
    else:
        _report(found[0], out, filters, as_json=flags["json"])


def _errors_of_several(flags: Flags, out: Path | None) -> list[str]:
    errors = []
    if out is None:
        errors.append("A report of several runs belongs to none of their folders: give it a file, --out report.html.")
    if flags["watch"]:
        errors.append("--watch follows one run: name one.")
    if flags["filters"] or flags["layers"]:
        errors.append("--filters and --layers belong to the report of one baseline run: leave them out.")
    return errors


def _report(run: SearchRun | StudyRun, out: Path | None, filters: FilterChoice, *, as_json: bool) -> None:
    if isinstance(run, StudyRun):
        whole = outcome_document(run, filters) if as_json else None  # draws the pictures, which the page shows
        if whole is None:
            show_outcome(run, filters)
        path = write_report(run, out, settings=settings_of(run))
        if whole is not None:
            print_json(whole | {"report": str(path)})
        else:
            _tell_path(path, as_json=False)
        return
    _tell_path(write_report(run, out, settings=settings_of(run)), as_json=as_json)


def settings_of(run: SearchRun | StudyRun) -> str | None:
    """The file that makes a search or a training again; None where flags cannot say how it was made, and of studies,
    whose data have to be read for that."""
    from nas.cli.written_settings import settings_text
    from nas.cli.written_training import training_text

    try:
        if isinstance(run, SearchRun):
            return settings_text(run)
        return training_text(run) if run.trains_one else None
    except NasctlError:
        return None


def _watch(run: SearchRun | StudyRun, out: Path | None) -> None:
    """Write it anew until the run is done or stopped; Ctrl-C ends that."""
    from nas.runs import load_run

    told = False
    try:
        while True:
            running = run.state == "running"
            path = write_report(run, out, settings=settings_of(run), watched=True)
            if not told:
                _tell_path(path, as_json=False)
                if running:
                    console.print(f"Rewritten every {EVERY:.0f} seconds until the run ends; Ctrl-C stops that.")
                told = True
            if not running:
                return
            time.sleep(EVERY)
            run = load_run(str(run.folder), run.folder.parent)
    except KeyboardInterrupt:
        raise UsageError("Stopped: the report stays as it was last written.") from None


def _tell_path(path: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"report": str(path)})
    else:
        console.print(f"Report: {path}", highlight=False, soft_wrap=True)
