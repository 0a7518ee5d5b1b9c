"""Where the time of a run went, as its log tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nas.runs.log import Event
from nas.stopwatch import _rounded

SEARCH_PARTS = ("starting", "supernet", "proposing", "waiting", "recording", "rest")
WITHOUT_WORKERS = ("starting", "supernet")  # of these


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
