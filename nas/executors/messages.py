"""Messages of a worker process to its executor. The other way travel ``TrialSpec`` objects, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from nas.trials import TrialResult


@dataclass(frozen=True)
class Ready:
    """Everything is imported; the next specification runs immediately."""


@dataclass(frozen=True)
class Broken:
    """The worker cannot start, and ends."""

    reason: str


@dataclass(frozen=True)
class Epoch:
    """An epoch of the running trial ended."""

    row: dict[str, float]


@dataclass(frozen=True)
class Ended:
    """The running trial ended. ``retiring``: the worker ends too, since its device is unusable to it."""

    result: TrialResult
    retiring: bool


@dataclass(frozen=True)
class Hindered:
    """Message that what runs has no result, because of a machine error."""

    reason: str


Message = Ready | Broken | Epoch | Ended | Hindered
