"""Fold of a log's events into the state of their run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nas.errors import RunError
from nas.runs.events import SearchStarted, StudyStarted
from nas.runs.hints import never_started, typed
from nas.runs.log import LogEntry
from nas.runs.run import Run, SearchRun
from nas.runs.study_run import StudyRun

_UNFIT = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


def fold(folder: Path, entries: Iterable[LogEntry]) -> SearchRun | StudyRun:
    """The run that ``entries`` tell of. RunError if they are empty, or of another version."""
    entries = iter(entries)
    if (first := next(entries, None)) is None:
        raise RunError(never_started(folder))
    run: SearchRun | StudyRun
    match first.event:
        case SearchStarted(config, facts, versions):
            run = SearchRun(folder=folder, config=config, facts=facts, versions=versions, started=first.time)
        case StudyStarted(config, facts, versions):
            run = StudyRun(folder=folder, config=config, facts=facts, versions=versions, started=first.time)
        case _:
            raise RunError(
                f"The log of run {folder.name!r} does not begin like that of a run. Remove {folder} and start "
                "a new run."
            )
    run.last_event = first.number
    for entry in entries:
        try:
            run.apply(entry)
        except KeyError as error:
            message = f"event {entry.number} is of trial {error}, which never started"
            raise RunError(f"The log of run {folder.name!r} cannot be read: {message}.") from error
        except _UNFIT as error:
            message = f"event {entry.number} ({type(entry.event).__name__}) does not fit those before it ({error})"
            raise RunError(f"The log of run {folder.name!r} cannot be read: {message}.") from error
    return run


def as_search(run: Run) -> SearchRun:
    """``run``, which is to be a search. RunError for a baseline run, which has no space, budget or winner."""
    if isinstance(run, SearchRun):
        return run
    assert isinstance(run, StudyRun)
    raise RunError(
        f"Run {run.name!r} is not a search: it trained the baseline study {run.config.study}. See what it "
        f"found: {typed('report', run.folder)}"
    )


def as_study(run: Run) -> StudyRun:
    """``run``, which is to be a baseline run. RunError for a search."""
    if isinstance(run, StudyRun):
        return run
    raise RunError(
        f"Run {run.name!r} is not a baseline run but a search. See what it found: {typed('status --run', run.folder)}"
    )
