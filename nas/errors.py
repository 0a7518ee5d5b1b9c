"""The leaves of the exception tree that belong to the engine; the root is in ``search_spaces.errors``."""

from __future__ import annotations

import errno
import inspect
import os
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from search_spaces.errors import NasctlError, UsageError, nearest

__all__ = [
    "DataError",
    "ExportError",
    "MachineError",
    "NasctlError",
    "ObjectiveError",
    "PluginError",
    "ReplayError",
    "RunError",
    "SearchStopped",
    "TrialError",
    "UsageError",
    "attempt",
    "file_error",
    "machine_error",
    "nearest",
    "out_of_memory",
    "reason",
    "told",
]

Outcome = TypeVar("Outcome")
MACHINE = frozenset(  # what is wrong with a disk or the system, and not with what was to be done
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO", "EMFILE", "ENFILE", "EACCES", "EPERM", "ESTALE", "ENODEV")
    if hasattr(errno, name)
)
PATHS = frozenset(  # what is wrong with a path that was given
    getattr(errno, name) for name in ("ENOENT", "ENOTDIR", "EISDIR", "EEXIST", "ENOTEMPTY", "ELOOP", "EINVAL", "ENXIO")
)
_OURS = re.compile(r"\.tmp-([^/]+)-[0-9a-f]{12}")  # what a file is called while it is written
_IN_WORDS = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE))
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")  # numpy's error for a full disk has no number
ALLOCATION = ("out of memory", "can't allocate memory", "ALLOC_FAILED")  # what CUDA, the CPU, cuBLAS say


class DataError(UsageError):
    """The data cannot be used as asked: missing, empty, broken, one class only, a class too small."""


class RunError(UsageError):
    """A run folder is missing, exists already, is unreadable, or was written by another version."""


class PluginError(RunError):
    """A plug-in cannot be loaded, or must not be: it is missing, changed, broken, or nobody vouched for it."""


class ReplayError(RunError):
    """The strategy, replayed, proposed something else than the log holds."""


class TrialError(NasctlError):
    """A training that cannot continue (the loss is not finite, say); fails its own trial only."""


class ObjectiveError(TrialError):
    """An objective, an author's own, that gave no finite number for a network."""


class SearchStopped(NasctlError):
    """The search ended early for a reason that the message gives (too many failures in a row)."""


class MachineError(NasctlError):
    """The machine, not the trial, is the cause: a full disk, an I/O error, too many open files, a process that cannot
    be started. The trial has no result; trained again it gives the one that it would have given."""


class ExportError(NasctlError):
    """An exported file did not pass its check; nothing was written."""


def attempt(step: Callable[[], Outcome], errors: list[str]) -> Outcome | None:
    """The outcome of ``step``, or None with its errors added to ``errors``."""
    try:
        return step()
    except UsageError as error:
        errors.extend(error.messages)
        return None


def machine_error(error: BaseException) -> str | None:
    """Message on the machine, in one line, if it is why ``error`` was raised; None if it is not."""
    if isinstance(error, MachineError):
        return str(error)
    for cause in _causes(error):
        if isinstance(cause, OSError) and (cause.errno in MACHINE or _SHORT_WRITE.search(str(cause))):
            break
        if not isinstance(cause, NasctlError) and any(words in str(cause) for words in _IN_WORDS):
            break  # libraries that are not written in Python say it in words
    else:
        return None
    if isinstance(error, NasctlError):
        return " ".join(str(error).split())
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror + (f" ({cause.filename})" if cause.filename else "")
    return " ".join(str(cause).split())


def reason(error: OSError | ValueError) -> str:
    """Reason why a file cannot be read or written, in the system's words, without the name that it has while it is
    written."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _OURS.sub(r"\1", " ".join(str(error).split()))


def file_error(error: BaseException) -> str | None:
    """Message on a path, in one line, if it is why ``error`` was raised; None if it is not."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"{str(error.filename)[:40]}... is longer than the name of a file or a run can be: give another."
    if isinstance(error, OSError) and error.errno in PATHS and error.filename is not None:
        path = _OURS.sub(r"\1", os.fsdecode(error.filename))
        return f"{path}: {error.strerror}. Give a path that can be used."
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "A path holds a null character, which no file can have: give another."
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error``, what it was raised from, and so on."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def out_of_memory(error: Exception) -> bool:
    """True if a training failed because memory ran out, on whatever device."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in ALLOCATION)
    )


def told(error: BaseException, function: object) -> str:
    """Message of ``error`` with its place: "ValueError: too few (metric.py:12)". The place is the last one in the file
    of ``function``, an author's own, from which it came; else the last of all."""
    words = " ".join(traceback.format_exception_only(error)[-1].split())
    places = traceback.extract_tb(error.__traceback__)
    inner = inspect.unwrap(getattr(function, "func", function))  # type: ignore[arg-type]
    if not hasattr(inner, "__code__"):  # an object that is called
        inner = vars(type(inner)).get("__call__", inner)
    file = inner.__code__.co_filename if hasattr(inner, "__code__") else ""
    own = [place for place in places if place.filename == file] or places
    return f"{words} ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else words
