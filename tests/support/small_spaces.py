"""Real search spaces with fewer values a choice, whose supernets train in a second."""

from __future__ import annotations

from dataclasses import replace

from search_spaces import SearchSpace, get_space


def trimmed(name: str, keep: int) -> SearchSpace:
    """The space ``name`` with the first ``keep`` values of every choice; its canonical sample is of no use."""
    space = get_space(name)
    choices = tuple(replace(choice, values=choice.values[:keep]) for choice in space.choices)
    return replace(space, choices=choices, _definitions={})
