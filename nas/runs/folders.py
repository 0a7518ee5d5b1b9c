"""Folders and names of runs: how one begins, is found and is read."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import stat
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nas import __version__
from nas.config import SearchConfig, StudyConfig
from nas.errors import RunError, attempt, nearest
from nas.files import NoLocks
from nas.runs.events import SearchFacts, SearchStarted, StudyFacts, StudyStarted
from nas.runs.fold import as_search, fold
from nas.runs.hints import RUNS, never_started, typed
from nas.runs.log import BESIDE, LOCK_NAME, LOG_NAME, EventLog, LogEntry, has_begun, is_running, read_log
from nas.runs.run import SearchRun
from nas.runs.study_run import StudyRun

PARTS = ("logs", "tensorboard", "weights")  # folders of every run
LONGEST_NAME = 200  # bytes of a run's name: files beside it have longer ones, and 255 is the end
SEARCHES = "searches"  # in the folder of a study: the runs of its searches


def training_name(search: str) -> str:
    """Of the run in which the winner of the search called ``search`` is trained for long, where it asked for that."""
    return f"{search}-train"


def start_search(folder: Path, config: SearchConfig, facts: SearchFacts) -> EventLog:
    """Create a search's folder and log. RunError if the run exists or its folder cannot be made."""
    return _begin(folder, SearchStarted(config, facts, versions()))


def start_study(folder: Path, config: StudyConfig, facts: StudyFacts) -> EventLog:
    """Create a baseline run's folder and log. RunError if the run exists or its folder cannot be made."""
    return _begin(folder, StudyStarted(config, facts, versions()))


def _begin(folder: Path, event: SearchStarted | StudyStarted) -> EventLog:
    made = True
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        made = False
        if not is_unborn(folder):
            raise RunError(
                f"Run {folder.name!r} exists already. To resume it: {typed('resume', folder)}. "
                "To start another: choose a new name with --run."
            ) from None
    except OSError as error:
        raise RunError(
            f"The run's folder {folder} cannot be created: {error.strerror}. Choose another --runs, or fix the "
            "cause and run the same command again."
        ) from error
    try:
        for name in PARTS:  # workers do not make them: a deleted run stays deleted
            (folder / name).mkdir(exist_ok=True)
        return EventLog(folder, event)
    except OSError as error:
        raise RunError(
            f"The log of run {folder.name!r} could not be written ({error.strerror}), and nothing was started. "
            "Make room "
            f"on the disk of {folder}, then run the same command again, or choose another --runs."
        ) from error
    except RunError as error:
        if made and isinstance(error.__cause__, NoLocks):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def under_free_name(
    create: Callable[[Path], EventLog], stem: str, source: str, *, name: str | None, runs: Path
) -> EventLog:
    """Create a run in ``runs / name``; without a name in ``STEM-SOURCE-N``, the first that is free, also if other
    runs start at the same moment. ``create`` makes the folder and its log. RunError if it cannot."""
    while True:
        folder = free_folder(stem, source, name=name, runs=runs)
        try:
            return create(folder)
        except RunError:
            if name or not folder.exists():
                raise


def free_folder(stem: str, source: str, *, name: str | None, runs: Path) -> Path:
    """Folder that ``under_free_name`` would create now."""
    what = "".join(c if c.isalnum() else "-" for c in Path(source).stem.lower()).strip("-") or "data"
    return runs / (name or new_name(f"{stem}-{what}", runs))


def not_begun(folder: Path, event: SearchStarted | StudyStarted) -> SearchRun | StudyRun:
    """The run that would begin with ``event`` in ``folder``. Writes nothing."""
    return fold(folder, [LogEntry(1, event, elapsed=0.0, time=time.time())])


def is_unborn(folder: Path) -> bool:
    """True if a kill or a full disk left it before its first event, empty but for our own files; such a folder is taken
    over."""
    try:
        foreign = [path for path in folder.iterdir() if not _is_empty_part(path)]
    except OSError:  # no folder
        return False
    return not foreign and not is_running(folder) and not has_begun(folder)


def _is_empty_part(path: Path) -> bool:
    if path.name in PARTS:
        return path.is_dir() and not any(path.iterdir())
    return path.name in (LOCK_NAME, LOG_NAME, *BESIDE) or path.name.startswith(f".tmp-{LOG_NAME}-")


def name_errors(name: str | None, runs: Path) -> list[str]:
    """Errors of a name for a new run; None, a name of our choice, has none."""
    if name is None:
        return []
    if not name or name.startswith(".") or not all(c.isalnum() or c in "._-" for c in name):
        return [f"--run {name!r} is not a valid name: use letters, digits, '.', '-' and '_'."]
    if len(os.fsencode(name)) > LONGEST_NAME:
        return [f"--run {name[:40]}... is longer than {LONGEST_NAME} bytes: choose a shorter name."]
    if (runs / name).exists() and not is_unborn(runs / name):
        if not (runs / name / LOG_NAME).exists():
            return [f"Run {name!r} exists already, as a folder of other files: {runs / name}. Choose another --run."]
        return [f"Run {name!r} exists already. To resume: {typed('resume', runs / name)}. Or choose another --run."]
    return []


def versions() -> dict[str, str]:
    """Of everything that decides what a search proposes and how it trains."""
    found = {"nasctl": __version__, "python": platform.python_version()}
    for name in ("torch", "nni", "numpy", "imbalanced-learn", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def load_run(name: str | None, runs: Path = RUNS) -> SearchRun | StudyRun:
    """The run called ``name`` (or given as a folder), or the newest that can be read; RunError names the nearest."""
    if name is not None:
        return read_run(find_run(name, runs))
    errors: list[str] = []
    for folder in run_folders(runs):
        run = attempt(partial(read_run, folder), errors)
        if run is not None:
            for error in errors:
                print(f"Unreadable: {error}\nThe newest run that can be read is taken: {run.name}", file=sys.stderr)
            return run
    if errors:
        raise RunError(*errors)
    return read_run(find_run(None, runs))


def load_search(name: str | None, runs: Path = RUNS) -> SearchRun:
    """As ``load_run``. RunError if it is a baseline run."""
    return as_search(load_run(name, runs))


def read_run(folder: Path) -> SearchRun | StudyRun:
    """The run in ``folder``. RunError if there is none, or its log cannot be read."""
    return fold(folder, read_log(folder))


def find_run(name: str | None, runs: Path = RUNS) -> Path:
    """The folder of a run; the newest for None."""
    folders = run_folders(runs)
    if name is None:
        if not folders:
            raise RunError(
                f"There is no run in {runs}/ yet. Start one: nasctl search --space densenet --max-params 150k"
            )
        return folders[0]
    for folder in (runs / name, Path(name)):
        if _changed(folder / LOG_NAME) is not None:
            return folder
    if (runs / name).is_dir() and is_unborn(runs / name):
        raise RunError(never_started(runs / name))
    names = [folder.name for folder in folders]
    listed = f" Runs: {', '.join(names[:10])}." if names else f" There is no run in {runs}/ yet."
    raise RunError(f"There is no run {name!r}.{nearest(name, names)}{listed}")


def run_folders(runs: Path = RUNS) -> list[Path]:
    """Folders with a log, the newest first; those whose log cannot be looked at, or is no file, come last."""
    try:
        found = {folder: _changed(folder / LOG_NAME) for folder in runs.iterdir()}
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        return []
    there = {folder: when for folder, when in found.items() if when is not None}
    return sorted(there, key=lambda folder: there[folder], reverse=True)


def _changed(log: Path) -> float | None:
    """Time of a log's last change, Unix time; 0 for one that cannot be looked at, None where there is nothing. OSError
    for a name that no file can have."""
    try:
        status = log.stat() if log.is_file() else log.lstat()
        return status.st_mtime if stat.S_ISREG(status.st_mode) else 0.0
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        is_nothing = error.errno in (errno.ENOENT, errno.ENOTDIR) or log.parent.name == "lost+found"
        return None if is_nothing else 0.0


def new_name(stem: str, runs: Path = RUNS) -> str:
    """``stem-1``, or the first number that is free."""
    number = 1
    while (runs / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"
