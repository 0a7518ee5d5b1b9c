"""Things by name: the one ``Registry`` of every kind of plug-in, and the registry of spaces.

A family registers itself with one decorator over its definition.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from search_spaces.errors import UsageError, nearest
from search_spaces.space import Choices, Sample, SearchSpace, Task
from search_spaces.vocabulary import Choice, Node

Entry = TypeVar("Entry")
OURS = ("search_spaces", "budgets", "baselines", "nas")  # packages whose entries are the program's own


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
        if (module := _registrant()) is not None:
            self._read()  # the program's own names come first
        if name in self._entries:
            theirs = next((one.place for one in _ADDED if one.registry is self and one.name == name), "")
            raise ValueError(f"the {self.kind} {name!r} exists already{theirs}: give this one another name")
        self._entries[name] = entry
        if module is not None:
            _ADDED.append(Addition(self, name, module))

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
        if (families := self._unread) is not None:
            for module in pkgutil.iter_modules(importlib.import_module(families).__path__):
                importlib.import_module(f"{families}.{module.name}")
            self._unread = None  # not before: an import that fails is tried again
        return self._entries


@dataclass(frozen=True, eq=False)
class Addition:
    """An entry that is not the program's own: a plug-in's, or of the program that uses this one."""

    registry: Registry[Any]
    name: str
    module: str  # whose code added it

    @property
    def entry(self) -> Any:
        return self.registry[self.name]

    @property
    def place(self) -> str:
        """Origin of what stands behind a name."""
        file = getattr(sys.modules.get(self.module), "__file__", None)
        return f", from {file or self.module}"


_ADDED: list[Addition] = []


def additions() -> Sequence[Addition]:
    """Everything that was added from outside the program, in that order."""
    return tuple(_ADDED)


def take_back(added: Iterable[Addition]) -> None:
    """Let these entries not have been added."""
    for one in added:
        _ADDED.remove(one)
        del one.registry._entries[one.name]


def _registrant() -> str | None:
    """The module whose code adds an entry just now: the innermost that is being imported. None: one of this program."""
    frame = sys._getframe(2)
    while frame.f_code.co_name != "<module>":
        if frame.f_back is None:
            return None
        frame = frame.f_back
    name = str(frame.f_globals.get("__name__"))
    return None if name.partition(".")[0] in OURS else name


SPACES: Registry[SearchSpace] = Registry("search space", "Spaces", families="search_spaces.families")

Definition = Callable[[Choices, Task], Node]


def register(
    name: str,
    *,
    summary: str,
    choices: Mapping[str, Sequence[int | str]],
    line: Callable[[Sample], str] | None = None,
    canonical: Sample | None = None,
) -> Callable[[Definition], Definition]:
    """Register a search space: a function that defines the network of a sample for a task.

    Args:
        name: Name for ``--space``.
        summary: One line of text for lists.
        choices: By label, the values to choose from.
        line: A sample in a few words, other ones for each; by default its values by label.
        canonical: A sample of usual size; by default the middle of every choice.

    Returns:
        A decorator that gives the definition back.

    Raises:
        ValueError: If the name is taken.
    """

    def add(define: Definition) -> Definition:
        listed = tuple(Choice(label, tuple(values)) for label, values in choices.items())
        usual = canonical or {choice.label: choice.values[len(choice.values) // 2] for choice in listed}
        space = SearchSpace(name, summary, listed, define, line or in_words, usual)
        space.validate(usual)
        SPACES.add(name, space)
        return define

    return add


register_space = register  # as plug-ins call it


def in_words(sample: Sample) -> str:
    """A sample by its labels: "width 8, depth 2"."""
    return ", ".join(f"{label} {value}" for label, value in sample.items())


def space_names() -> list[str]:
    """Return the names of all registered spaces, sorted."""
    return list(SPACES)


def get_space(name: str) -> SearchSpace:
    """Return the space ``name``.

    Raises:
        UsageError: Names the nearest space.
    """
    return SPACES.find(name)
