"""Things by name: the one ``Registry`` of every kind of plug-in, and the registry of spaces.

A family registers itself with one decorator over its definition.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from search_spaces.errors import UsageError, nearest
from search_spaces.space import Choices, Sample, SearchSpace, Task
from search_spaces.vocabulary import Choice, Node

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry]):
    """The entries of one kind by name, in the order in which they were added. A name is given once.

    ``kind`` and ``plural`` are its words in messages: "There is no loss 'x'. Losses: ce, focal." ``families`` is a
    package whose modules are imported before the first look, each of which adds its own; names come sorted then,
    since the order of imports means nothing.
    """

    def __init__(
        self, kind: str, plural: str, entries: Iterable[tuple[str, Entry]] = (), *, families: str | None = None
    ) -> None:
        self.kind, self.plural = kind, plural
        self._sorted = families is not None
        self._unread = families
        self._entries: dict[str, Entry] = {}
        for name, entry in entries:
            self.add(name, entry)

    def add(self, name: str, entry: Entry) -> None:
        """Make ``entry`` known as ``name``; ValueError if the name is taken."""
        if name in self._entries:
            raise ValueError(f"the {self.kind} {name!r} exists already: give this one another name")
        self._entries[name] = entry

    def find(self, name: str) -> Entry:
        """The entry called ``name``; UsageError names the nearest one and lists them all."""
        if name not in self:
            names = list(self)
            raise UsageError(
                f"There is no {self.kind} {name!r}.{nearest(name, names)} {self.plural}: {', '.join(names)}."
            )
        return self[name]

    @contextmanager
    def replaced(self, name: str, entry: Entry) -> Iterator[None]:
        """Let ``entry`` stand in for the one called ``name`` for a while, as tests do; KeyError if there is none."""
        before = self[name]
        self._entries[name] = entry
        try:
            yield
        finally:
            self._entries[name] = before

    def __getitem__(self, name: str) -> Entry:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._read()) if self._sorted else self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, Entry]:
        """The entries, after every module of the families was imported."""
        if self._unread is not None:
            for module in pkgutil.iter_modules(importlib.import_module(self._unread).__path__):
                importlib.import_module(f"{self._unread}.{module.name}")
            self._unread = None  # not before: an import that fails is tried again
        return self._entries


SPACES: Registry[SearchSpace] = Registry("search space", "Spaces", families="search_spaces.families")

Definition = Callable[[Choices, Task], Node]


def register(
    name: str,
    *,
    summary: str,
    choices: Mapping[str, Sequence[int | str]],
    line: Callable[[Sample], str],
    canonical: Sample,
) -> Callable[[Definition], Definition]:
    """Make a definition a space under ``name``; a second space of that name is a ValueError."""

    def add(define: Definition) -> Definition:
        listed = tuple(Choice(label, tuple(values)) for label, values in choices.items())
        space = SearchSpace(name, summary, listed, define, line, canonical)
        space.validate(canonical)
        SPACES.add(name, space)
        return define

    return add


def space_names() -> list[str]:
    """Every registered space, sorted."""
    return list(SPACES)


def get_space(name: str) -> SearchSpace:
    """The space ``name``; UsageError names the nearest one."""
    return SPACES.find(name)
