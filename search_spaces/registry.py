"""The spaces by name. A family registers itself with one decorator over its definition."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence

from search_spaces.errors import find_named
from search_spaces.space import Choices, Sample, SearchSpace, Task
from search_spaces.vocabulary import Choice, Node

_SPACES: dict[str, SearchSpace] = {}

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
        if name in _SPACES:
            raise ValueError(f"a search space {name!r} is registered already")
        listed = tuple(Choice(label, tuple(values)) for label, values in choices.items())
        space = SearchSpace(name, summary, listed, define, line, canonical)
        space.validate(canonical)
        _SPACES[name] = space
        return define

    return add


def space_names() -> list[str]:
    """Every registered space, in the order of the families' files."""
    _load_families()
    return sorted(_SPACES)


def get_space(name: str) -> SearchSpace:
    """The space ``name``; UsageError names the nearest one."""
    _load_families()
    return find_named(dict(sorted(_SPACES.items())), name, "search space", "Spaces")


def _load_families() -> None:
    """Import every module in ``search_spaces.families``; each registers itself."""
    from search_spaces import families

    for module in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"search_spaces.families.{module.name}")
