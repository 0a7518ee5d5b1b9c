"""Time of a run by part, from its log."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import fsum
from typing import Any

from nas.runs.events import SessionProfiled
from nas.stopwatch import rounded
from nas.trials import TrialResult

SEARCH_PARTS = ("starting", "supernet", "proposing", "waiting", "recording", "rest")
WITHOUT_WORKERS = ("starting", "supernet")  # of these


@dataclass
class Profile:
    """Time of a run by part, as its log tells it: seconds by name of all its sessions, and of all its trials."""

    search: dict[str, float] = field(default_factory=dict)
    trials: dict[str, float] = field(default_factory=dict)
    num_sessions: int = 0
    num_trials: int = 0
    worker_seconds: float = 0.0  # those of the sessions, times their workers
    busy_seconds: float = 0.0  # of trials that ended in them

    def add_session(self, event: SessionProfiled) -> None:
        """Take in a session that ended."""
        self.num_sessions += 1
        self.worker_seconds += event.workers * fsum(  # exact in any order: the log sorts names
            seconds for name, seconds in event.seconds.items() if name not in WITHOUT_WORKERS
        )
        self.busy_seconds += event.busy
        _add(self.search, event.seconds)

    def add_trial(self, result: TrialResult) -> None:
        """Take in a trial that ended; nothing if it was not measured."""
        if result.profile:
            self.num_trials += 1
            _add(self.trials, result.profile)

    def document(self) -> dict[str, Any] | None:  # JSON on its way to standard output
        """As JSON; None if nothing was measured."""
        if not self.num_sessions and not self.num_trials:
            return None
        return {
            "search": {"sessions": self.num_sessions, "seconds": rounded(self.search)},
            "trials": {"trials": self.num_trials, "seconds": rounded(self.trials)},
            "worker_seconds": round(self.worker_seconds, 6),
            "busy_seconds": round(self.busy_seconds, 6),
            "workers_busy": self.busy_seconds / self.worker_seconds if self.worker_seconds else None,
        }


def _add(total: dict[str, float], seconds: dict[str, float]) -> None:
    for name, more in seconds.items():
        total[name] = total.get(name, 0.0) + more
