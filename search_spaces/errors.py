"""The exception tree. Its root lives in the lowest package so that every layer can extend it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TypeVar

Named = TypeVar("Named")


class NasctlError(Exception):
    """Anything the program says in one message instead of a traceback; ends with ``exit_code``."""

    exit_code = 1


class UsageError(NasctlError, ValueError):
    """Something the user can put right: what is wrong and what to type instead. Exit code 2.

    ``faults`` holds every fault that was found, each a full sentence with its cure, so that one run of a
    command reports them all.
    """

    exit_code = 2

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults: tuple[str, ...] = faults


def nearest(word: str, names: Sequence[str]) -> str:
    """' Did you mean X?' for the closest of ``names``, or an empty string when nothing is close."""
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def find_named(table: Mapping[str, Named], name: str, kind: str, plural: str) -> Named:
    """The entry of ``table`` called ``name``; UsageError names the nearest one and lists them all."""
    if name not in table:
        hint = nearest(name, list(table))
        raise UsageError(f"There is no {kind} {name!r}.{hint} {plural}: {', '.join(table)}.")
    return table[name]


def add_named(table: MutableMapping[str, Named], name: str, entry: Named, what: str) -> None:
    """Make ``entry`` that of ``name``; ValueError if the name is taken. ``what``: such as "a loss"."""
    if name in table:
        raise ValueError(f"{what} named {name!r} exists already")
    table[name] = entry


class NotRepresentable(UsageError):
    """A space that a supernet cannot hold faithfully under weighted choices."""
