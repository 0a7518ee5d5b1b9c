"""Where a run begins: its folder, its log, and the first event, which holds everything that decides it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nas import __version__
from nas.config import RunConfig
from nas.errors import RunError
from nas.options import Flags
from nas.runs import new_name
from nas.store import FORMAT, LOG_NAME, RunStore, is_running, stream_events, typed


def create_run(folder: Path, config: RunConfig, facts: dict[str, Any]) -> RunStore:
    """Create the run's folder and log. RunError if the run exists or its folder cannot be made."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if not never_started(folder):
            raise RunError(
                f"Run {folder.name!r} exists already. To go on with it: {typed('resume', folder)}. "
                "To start another: choose a new name with --run."
            ) from None
    except OSError as error:
        raise RunError(f"The run's folder {folder} cannot be made: {error.strerror}. Choose another --runs.") from error
    for name in ("logs", "tensorboard", "weights"):  # workers do not make them: a deleted run stays deleted
        (folder / name).mkdir(exist_ok=True)
    store = RunStore(folder)
    settings = config.model_dump(mode="json")
    store.append("run", {"format": FORMAT, "config": settings, "facts": facts, "versions": versions()})
    return store


def under_free_name(create: Callable[[Path], RunStore], what: str, source: str, flags: Flags) -> RunStore:
    """What ``create`` makes of a folder; without --run the first that is free, also if others start at the same
    moment."""
    runs = Path(flags["runs"])
    stem = "".join(c if c.isalnum() else "-" for c in Path(source).stem.lower()).strip("-") or "data"
    while True:
        name = flags["run"] or new_name(f"{what}-{stem}", runs)
        try:
            return create(runs / name)
        except RunError:
            if flags["run"] or not (runs / name).exists():
                raise


def never_started(folder: Path) -> bool:
    """Whether a kill left an empty log before its first event; such a folder is taken over."""
    ours = {"log", "", "logs", "tensorboard", "weights"}  # "" for the lock
    if any(path.name.split(".")[0] not in ours for path in folder.iterdir()) or is_running(folder):
        return False
    try:
        return next(stream_events(folder), None) is None
    except RunError:
        return not (folder / LOG_NAME).exists() or (folder / LOG_NAME).stat().st_size == 0


def name_faults(name: str | None, runs: Path) -> list[str]:
    """What is wrong with a name for a new run; None, a name of our choice, never is."""
    if name is None:
        return []
    if not name or name.startswith(".") or not all(c.isalnum() or c in "._-" for c in name):
        return [f"--run {name!r} is not a name: use letters, digits, '.', '-' and '_'."]
    if (runs / name).exists() and not never_started(runs / name):
        return [f"Run {name!r} exists already. To go on: {typed('resume', runs / name)}. Or choose another --run."]
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
