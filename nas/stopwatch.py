"""Stopwatch of a run's time by part: at any moment it runs for one name, so that the parts make the whole.

The process that searches has one, and so has every trial in its worker. Without --profile both are ``OFF``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

TRIAL_PARTS = ("opening", "data", "forward/backward", "evaluation", "rest")


class Watch:
    """Measures nothing: what there is without --profile."""

    busy = 0.0  # seconds of the trials that were waited for

    def switch(self, name: str) -> None:
        """The time from now on belongs to ``name``."""

    def span(self, name: str) -> AbstractContextManager[None]:
        """The time inside belongs to ``name``, that after it to what it belonged to before."""
        return nullcontext()

    def read(self) -> dict[str, float]:
        """Seconds by name until now; empty if nothing is measured."""
        return {}


OFF = Watch()


class Stopwatch(Watch):
    """Measures from ``since``, a reading of ``time.perf_counter``, or from now; ``name`` is what comes first.

    ``synchronize`` is called before each switch and waits for work that was begun and continues elsewhere, on a GPU.
    """

    def __init__(self, name: str, *, since: float | None = None, synchronize: Callable[[], None] | None = None) -> None:
        self._name, self._since = name, time.perf_counter() if since is None else since
        self._synchronize = synchronize
        self._seconds: dict[str, float] = {}

    def switch(self, name: str) -> None:
        if self._synchronize is not None:
            self._synchronize()
        self._take(name)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        before = self._name
        self.switch(name)
        try:
            yield
        finally:
            self.switch(before)

    def read(self) -> dict[str, float]:
        self._take(self._name)
        return rounded(self._seconds)

    def _take(self, name: str) -> None:
        now = time.perf_counter()
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + now - self._since
        self._name, self._since = name, now


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    """To microseconds."""
    return {name: round(value, 6) for name, value in seconds.items()}
