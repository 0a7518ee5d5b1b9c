"""The leaves of the exception tree that belong to the engine; the root is in ``search_spaces.errors``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from search_spaces.errors import NasctlError, UsageError, nearest

__all__ = [
    "DataError",
    "ExportError",
    "NasctlError",
    "ReplayError",
    "RunError",
    "SearchStopped",
    "TrialError",
    "UsageError",
    "attempt",
    "nearest",
    "out_of_memory",
]

Outcome = TypeVar("Outcome")
ALLOCATION = ("out of memory", "can't allocate memory", "ALLOC_FAILED")  # what CUDA, the CPU, cuBLAS say


class DataError(UsageError):
    """The data cannot be used as asked: missing, empty, broken, one class only, a class too small."""


class RunError(UsageError):
    """A run folder is missing, exists already, is unreadable, or was written by another version."""


class ReplayError(RunError):
    """The strategy, replayed, proposed something else than the log holds."""


class TrialError(NasctlError):
    """A training that cannot go on (the loss is not finite, say); fails its own trial only."""


class SearchStopped(NasctlError):
    """The search ended early for a reason that the message gives (too many failures in a row)."""


class ExportError(NasctlError):
    """An exported file did not pass its check; nothing was written."""


def attempt(step: Callable[[], Outcome], faults: list[str]) -> Outcome | None:
    """The outcome of ``step``, or None with its faults added to ``faults``."""
    try:
        return step()
    except UsageError as error:
        faults.extend(error.faults)
        return None


def out_of_memory(error: Exception) -> bool:
    """Whether a training failed because memory ran out, on whatever device."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in ALLOCATION)
    )
