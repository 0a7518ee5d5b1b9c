"""Writing down what happens in a run: recorded first, then taken into account, then told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from nas.runs.events import Event, Noted
from nas.runs.log import EventLog
from nas.runs.run import Run
from nas.stopwatch import OFF, Watch

Listener = Callable[[Event, Run], None]
"""Told of every event right after it is recorded, with the run as it then stands."""

KindOfRun = TypeVar("KindOfRun", bound=Run)


class Journal(Generic[KindOfRun]):
    """The events of one run from now on. Owns nothing: the log belongs to the caller."""

    def __init__(
        self, run: KindOfRun, log: EventLog, listeners: Sequence[Listener] = (), *, watch: Watch = OFF
    ) -> None:
        self.run, self.log, self.listeners, self.watch = run, log, listeners, watch

    def append(self, event: Event) -> None:
        """Record an event. RunError if the disk refuses; nothing has happened then."""
        with self.watch.span("recording"):
            self.run.apply(self.log.append(event))
            for listener in self.listeners:
                listener(event, self.run)

    def tell(self, event: Event) -> None:
        """Let listeners know of something that is not recorded."""
        for listener in self.listeners:
            listener(event, self.run)

    def note(self, text: str) -> None:
        """Record something that the user should know, once."""
        if text not in self.run.notes:
            self.append(Noted(text))
