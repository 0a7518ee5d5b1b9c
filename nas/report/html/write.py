"""Reports as files: written whole or not at all, and never over a file that is something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nas.errors import UsageError
from nas.files import write_atomically
from nas.report.html.page import GENERATOR
from nas.report.html.search import search_page
from nas.report.html.several import several_page
from nas.report.html.study import study_page
from nas.runs import SearchRun, StudyRun, as_study

NAME = "report.html"  # in the folder of a run
HEAD = 2_000  # characters in which a report says what it is

SettingsOf = Callable[[SearchRun | StudyRun], str | None]
"""The file that makes a run again, as text; None where there is none."""


def report_page(run: SearchRun | StudyRun, *, settings: str | None = None, watched: bool = False) -> str:
    """The report of one run as HTML. ``settings``: the file that makes it again; ``watched``: it is written anew as the
    run is not done, and a browser reads it again."""
    if isinstance(run, SearchRun):
        return search_page(run, settings=settings, watched=watched)
    return study_page(as_study(run), settings=settings, watched=watched)


def write_report(run: SearchRun | StudyRun, out: Path | None = None, *, settings: str | None = None,
                 watched: bool = False) -> Path:  # fmt: skip
    """Write the report of one run, into its folder unless ``out`` names a file; the file. UsageError if it cannot be
    written there."""
    path = run.folder / NAME if out is None else out
    check_target(path)
    return _write(path, report_page(run, settings=settings, watched=watched))


def write_comparison(runs: Sequence[SearchRun | StudyRun], out: Path) -> Path:
    """Write one report of several runs on the same images; the file. UsageError if they are not, or it cannot be
    written there."""
    check_target(out)
    return _write(out, several_page(runs))


def check_target(path: Path) -> None:
    """UsageError if no report can be put there, or what is there is no report of ours."""
    try:
        if path.is_dir():
            raise UsageError(f"--out {path} is a folder: name a file in it, such as {path / NAME}.")
        if not path.parent.is_dir():
            raise UsageError(f"--out {path}: there is no folder {path.parent}. Create it first, or choose another.")
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                if f'content="{GENERATOR} ' not in file.read(HEAD):
                    raise UsageError(f"--out {path} exists already, and is not a report of nasctl: name another file.")
    except OSError as error:
        raise UsageError(f"--out {path} cannot be used: {error.strerror}. Name another file.") from error


def _write(path: Path, text: str) -> Path:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}. Name another file with --out.") from error
    return path
