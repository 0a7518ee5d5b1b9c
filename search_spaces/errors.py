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

    ``messages`` are full sentences, each with its cure: every error that was found, so that one run of a command
    reports them all. ``errors`` has them as pairs: the setting that an error is about, by its name in Python
    (``min_params``), and the message; without a setting the name is empty. The setting is the one whose flag
    the message names first, unless ``errors`` were given: then the messages are in Python's words.
    """

    exit_code = 2

    def __init__(self, *messages: str, errors: tuple[tuple[str, str], ...] | None = None) -> None:
        super().__init__("\n".join(messages))
        self.messages: tuple[str, ...] = messages
        self.in_python = errors is not None
        self.errors: tuple[tuple[str, str], ...] = errors or tuple(
            (_first_flag(message), message) for message in messages
        )


def _first_flag(message: str) -> str:
    found = re.search(r"--([a-z][a-z0-9-]*)", re.sub(r"nasctl [^.;:()]*", "", message))  # those of commands are cures
    return found[1].replace("-", "_") if found else ""


SHORT = 4  # letters of a word that has something in common with most


def nearest(word: str, names: Sequence[str]) -> str:
    """' Did you mean X?' for the closest of ``names``, or an empty string when nothing is close."""
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5 if len(word) > SHORT else 0.65)
    return f" Did you mean {close[0]!r}?" if close else ""


class NotRepresentable(UsageError):
    """A space that a supernet cannot hold faithfully under weighted choices."""
