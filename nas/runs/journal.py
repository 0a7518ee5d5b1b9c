"""Writing down what happens in a run: recorded first, then taken into account, then told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nas.runs.log import Event, RunStore
from nas.runs.run import Run
from nas.stopwatch import OFF, Watch

Listener = Callable[[Event, Run], None]
"""Told of every event right after it is recorded, with the run as it then stands."""


class Journal:
    """The events of one run from now on. Owns nothing: the store belongs to the caller."""

    def __init__(self, run: Run, store: RunStore, listeners: Sequence[Listener] = (), *, watch: Watch = OFF) -> None:
        self.run, self.store, self.listeners, self.watch = run, store, listeners, watch

    def append(self, kind: str, body: dict[str, Any]) -> None:
        """Record an event. RunError if the disk refuses; nothing has happened then."""
        with self.watch.span("recording"):
            event = self.store.append(kind, body)
            self.run.apply(event)
            for listener in self.listeners:
                listener(event, self.run)

    def note(self, text: str) -> None:
        """Record something that the user should know, once."""
        if text not in self.run.notes:
            self.append("note", {"text": text})
