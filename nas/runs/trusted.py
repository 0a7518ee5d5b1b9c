"""Checks of logs from strangers: nothing in one leads outside its run and the cache.

Ids of trials and names of members become names of files. A run's folder may have come from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from nas.config import SearchConfig, StudyConfig
from nas.errors import RunError
from nas.files import at_home
from nas.runs.events import (
    Event,
    SearchStarted,
    SettingsChanged,
    StudyStarted,
    TrialEnded,
    TrialSubmitted,
    WinnerChosen,
)

LONGEST = 200  # characters of a name that has to fit, with its ending, into the name of a file


def trusted(event: Event, number: int) -> Event:
    """Event ``number`` of a log, with nothing in it that leads elsewhere. RunError names an id that does.

    A cache folder that is none, or is not there, is left out: the run uses the cache of this machine, and its
    results are the same.
    """
    for name in _names(event):
        if not is_name(name):
            raise RunError(
                f"event {number} names {name!r:.80}, which is not the name of a trial: it would lead outside the run. "
                "The log was damaged, or made with malicious intent; do not use this run"
            )
    if isinstance(event, TrialSubmitted) and event.stage == "confirm" and not event.id.rpartition(".")[2].isdecimal():
        raise RunError(f"event {number} names {event.id!r}, which is not the name of a confirmation")
    match event:
        case SearchStarted() | SettingsChanged() | StudyStarted() if not _is_cache(event.config.data.cache_dir):
            data = event.config.data.model_copy(update={"cache_dir": None})
            changed: dict[str, Any] = {"config": event.config.model_copy(update={"data": data})}
            return replace(event, **changed)
    return event


def is_name(name: str) -> bool:
    """True if a file in a folder of the run can be called so."""
    return 0 < len(name) <= LONGEST and name[0] != "." and name.isprintable() and not set(name) & set("/\\\0")


def _names(event: Event) -> Iterable[str]:
    match event:
        case TrialSubmitted():
            return (event.id, event.of)
        case TrialEnded():
            return (event.result.id,)
        case WinnerChosen():
            return (event.trial, event.weights, *event.test)
        case StudyStarted() | SettingsChanged():
            return _members(event.config)
    return ()


def _members(config: SearchConfig | StudyConfig) -> Iterator[str]:
    if isinstance(config, StudyConfig):
        yield from (member.name for member in config.members)


def _is_cache(folder: str | None) -> bool:
    return folder is None or (at_home(folder) / "sets").is_dir()
