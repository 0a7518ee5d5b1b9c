"""Next commands to type about a run."""

from __future__ import annotations

import shlex
from pathlib import Path

RUNS = Path("runs")  # where runs lie unless told otherwise


def never_started(folder: Path) -> str:
    """Message on a run that was ended before it recorded anything."""
    return (
        f"Run {folder.name!r} never started: it was ended before anything was recorded, and there is nothing "
        "to resume. Run the command that began it once more:"
        f" its name is free ({typed('search --run', folder)} ...)."
    )


def loaded(folder: Path, trials: int | None = None) -> str:
    """Python call that resumes a run whose trials a program of the user's own trains; with more ``trials``."""
    return f"nas.Searcher.load({str(folder)!r}{f', trials={trials}' if trials else ''})"


def typed(command: str, folder: Path, part: str | None = None) -> str:
    """Command about a run, to be typed: ``nasctl resume NAME``, or ``NAME:PART``, with ``--runs`` if it lies
    elsewhere."""
    elsewhere = "" if folder.parent == RUNS else f" --runs {shlex.quote(str(folder.parent))}"
    named = folder.name if part is None else f"{folder.name}:{part}"
    return f"nasctl {command} {named}{elsewhere}"
