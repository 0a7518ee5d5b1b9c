"""What a strategy and a search know of each other, in words of neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from search_spaces import Sample

Tell = Callable[[str, float | None], None]
"""Tells a strategy the score of a trial by its id; None: the trial failed."""


class Trials(Protocol):
    """What a strategy needs of the search."""

    def attend(self, tell: Tell) -> None:
        """Every result from now on is told to ``tell``."""

    def slot_free(self) -> bool:
        """Block until one more trial may start; False when none may any more."""

    def submit(self, sample: Sample) -> str:
        """Start a trial of a sample; its id."""

    def drain(self) -> None:
        """Block until every trial that runs has ended."""
