"""The exception tree. Its root lives in the lowest package so that every layer can extend it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence


class NasctlError(Exception):
    """Anything the program says in one message instead of a traceback; ends with ``exit_code``."""

    exit_code = 1


class UsageError(NasctlError, ValueError):
    """Something the user can put right: what is wrong and what to type instead. Exit code 2.

    ``faults`` holds every fault that was found, each a full sentence with its cure, so that one run of a
    command reports them all. ``errors`` has the same as pairs of the setting that a fault is about, by its name in
    Python (``min_params``), and the sentence; without a setting the name is empty. The setting is the one whose flag
    the sentence names first, unless ``errors`` were given: then the sentences are in Python's words.
    """

    exit_code = 2

    def __init__(self, *faults: str, errors: tuple[tuple[str, str], ...] | None = None) -> None:
        super().__init__("\n".join(faults))
        self.faults: tuple[str, ...] = faults
        self.in_python = errors is not None
        self.errors: tuple[tuple[str, str], ...] = errors or tuple((_first_flag(fault), fault) for fault in faults)


def _first_flag(fault: str) -> str:
    found = re.search(r"--([a-z][a-z0-9-]*)", re.sub(r"nasctl [^.;:()]*", "", fault))  # those of commands are cures
    return found[1].replace("-", "_") if found else ""


SHORT = 4  # letters of a word that has something in common with most


def nearest(word: str, names: Sequence[str]) -> str:
    """' Did you mean X?' for the closest of ``names``, or an empty string when nothing is close."""
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5 if len(word) > SHORT else 0.65)
    return f" Did you mean {close[0]!r}?" if close else ""


class NotRepresentable(UsageError):
    """A space that a supernet cannot hold faithfully under weighted choices."""
