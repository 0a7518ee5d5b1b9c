"""Handing over a network of a run, with what is asked for besides the usual files."""

from __future__ import annotations

from pathlib import Path

from nas.errors import UsageError
from nas.export.request import Extras
from nas.runs import SearchRun, StudyRun


def extras_of(
    *, static: bool, with_preprocessing: bool, int8: bool, int8_max_drop: str | float | None, embedder: bool = False
) -> Extras:
    """Optional files of an export; UsageError if the drop is no share or int8 is not asked for."""
    if int8_max_drop is None:
        return Extras(static, with_preprocessing, int8, embedder=embedder)
    if not int8:
        raise UsageError("--int8-max-drop says what --int8 may lose: give --int8 too.")
    try:
        drop = float(int8_max_drop)
    except ValueError:
        drop = -1.0
    if not 0 <= drop <= 1:
        raise UsageError(f"--int8-max-drop {int8_max_drop} is not a share: give a number from 0 to 1, such as 0.02.")
    return Extras(static, with_preprocessing, int8, drop, embedder)


def exported(run: SearchRun | StudyRun, part: str | None, out: str | Path, extras: Extras) -> list[Path]:
    """The files of a new folder ``out``, each loaded again and checked. See ``nas.export.export_trial``."""
    from nas.export import export_trial

    return export_trial(run, part, Path(out), extras).files
