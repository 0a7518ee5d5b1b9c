"""Removing runs: whole, what they wrote alone, and never one that somebody works on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas.data.cache import held
from nas.errors import RunError
from nas.files import hold_folder, take_lock
from nas.runs.folders import PARTS, SEARCHES, find_run, is_unborn, read_run
from nas.runs.hints import RUNS
from nas.runs.log import BESIDE, LOCK_NAME, LOG_NAME

# What runs write into their folders; a supernet's checkpoint and a study's pictures and searches are among it.
OURS = (LOG_NAME, *BESIDE, *PARTS, "supernet", "report", "report.html", "analysis", SEARCHES)


@dataclass(frozen=True)
class Removed:
    """A run that is gone: its folder, how many bytes it held, and files of others in it, which stay."""

    run: str
    folder: str
    num_bytes: int
    left: tuple[str, ...]


def removable(name: str, runs: Path = RUNS) -> Path:
    """The folder of the run called ``name``. RunError if there is none such, or it must not be removed."""
    if name[:1] not in ("", ".", "/") and (runs / name / LOCK_NAME).is_file() and is_unborn(runs / name):
        return runs / name
    if (runs / name).is_dir() and not (runs / name / LOG_NAME).is_file():
        raise RunError(f"{runs / name} is not a run: it stays as it is. 'nasctl status' lists the runs.")
    folder = find_run(name, runs)
    if folder.is_symlink():
        raise RunError(f"{folder} is a link: remove the run where it is, {folder.resolve()}, or the link by hand.")
    read_run(folder)  # a file of this name may be anything
    study = folder.absolute().parent
    if study.name == SEARCHES and (study.parent / LOG_NAME).is_file():
        raise RunError(f"{folder} is a search of the baseline run {study.parent.name!r}: remove that.")
    with _ours(folder):
        return folder


def remove(folder: Path) -> Removed:
    """Remove the run in ``folder``, of ``removable``. RunError if somebody began to work on it, or it cannot be."""
    num_bytes = held(folder)
    try:
        with _ours(folder):
            (folder / LOG_NAME).unlink(missing_ok=True)  # first: what a kill leaves is no run any more
            for path in _written(folder):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            (folder / LOCK_NAME).unlink(missing_ok=True)
        left = tuple(sorted(path.name for path in folder.iterdir()))
        if not left:
            folder.rmdir()
    except OSError as error:
        raise RunError(f"{folder} cannot be removed: {error.strerror} ({error.filename}). Make it writable.") from error
    return Removed(folder.name, str(folder), num_bytes - (held(folder) if left else 0), left)


def _written(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name in OURS or path.name.startswith(".tmp-")]


@contextmanager
def _ours(folder: Path) -> Iterator[None]:
    """Nobody else works on the run meanwhile. RunError if somebody does."""
    locks = []
    try:
        for lock in (hold_folder, lambda place, wait: take_lock(place / LOCK_NAME, wait=wait)):
            if (held_lock := lock(folder, wait=1)) is not None:
                locks.append(held_lock)
        yield
    except TimeoutError:
        raise RunError(
            f"Run {folder.name!r} is being worked on by another process: stop it first (Ctrl-C where it runs), then "
            "remove it."
        ) from None
    finally:
        for held_lock in locks:
            held_lock.release()
