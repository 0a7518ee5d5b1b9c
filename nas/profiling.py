"""Where a run's time goes: a stopwatch whose time belongs to one name at any moment, so that the parts make the whole.

The process that searches has one, and so has every trial in its worker. Without --profile both are ``OFF``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from nas.executors.base import Executor
from nas.store import Event
from nas.trial import TrialResult

SEARCH_PARTS = ("starting", "supernet", "proposing", "waiting", "recording", "rest")
WITHOUT_WORKERS = ("starting", "supernet")  # of these
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

    ``settle`` is called before each switch and waits for work that was begun and goes on elsewhere, on a GPU.
    """

    def __init__(self, name: str, *, since: float | None = None, settle: Callable[[], None] | None = None) -> None:
        self._name, self._since = name, time.perf_counter() if since is None else since
        self._settle = settle
        self._seconds: dict[str, float] = {}

    def switch(self, name: str) -> None:
        if self._settle is not None:
            self._settle()
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
        return _rounded(self._seconds)

    def _take(self, name: str) -> None:
        now = time.perf_counter()
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + now - self._since
        self._name, self._since = name, now


def wait(executor: Executor, watch: Watch, timeout: float | None = None) -> list[TrialResult]:
    """``executor.wait``, as time in which the search waits and its workers do what the results say."""
    with watch.span("waiting"):
        results = executor.wait(timeout)
    if watch is not OFF:
        watch.busy += sum(result.seconds for result in results)
    return results


@dataclass
class Profile:
    """Where the time of a run went as its log tells it: seconds by name of all its sessions, and of all its trials."""

    search: dict[str, float] = field(default_factory=dict)
    trials: dict[str, float] = field(default_factory=dict)
    num_sessions: int = 0
    num_trials: int = 0
    worker_seconds: float = 0.0  # those of the sessions, times their workers
    busy_seconds: float = 0.0  # of trials that ended in them

    def take(self, event: Event) -> None:
        """Take one more event of the log into account."""
        body = event.body
        if event.kind == "profile":
            self.num_sessions += 1
            self.worker_seconds += body["workers"] * sum(
                seconds for name, seconds in body["seconds"].items() if name not in WITHOUT_WORKERS
            )
            self.busy_seconds += body["busy"]
            _add(self.search, body["seconds"])
        elif event.kind == "result" and body.get("profile"):  # earlier versions recorded none
            self.num_trials += 1
            _add(self.trials, body["profile"])

    def document(self) -> dict[str, Any] | None:
        """As JSON; None if nothing was measured."""
        if not self.num_sessions and not self.num_trials:
            return None
        return {
            "search": {"sessions": self.num_sessions, "seconds": _rounded(self.search)},
            "trials": {"trials": self.num_trials, "seconds": _rounded(self.trials)},
            "worker_seconds": round(self.worker_seconds, 6),
            "busy_seconds": round(self.busy_seconds, 6),
            "workers_busy": self.busy_seconds / self.worker_seconds if self.worker_seconds else None,
        }


def _add(total: dict[str, float], seconds: dict[str, float]) -> None:
    for name, more in seconds.items():
        total[name] = total.get(name, 0.0) + more


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in seconds.items()}
