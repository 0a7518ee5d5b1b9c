"""Writing down what happens in a run: recorded first, then taken into account, then told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from nas.runs.events import Event, Noted
from nas.runs.listeners import Guest, Listener
from nas.runs.log import EventLog
from nas.runs.run import Run
from nas.stopwatch import OFF, Watch

KindOfRun = TypeVar("KindOfRun", bound=Run)


class Journal(Generic[KindOfRun]):
    """The events of one run from now on. Owns nothing: the log belongs to the caller.

    What our own listeners raise passes through: a full disk, say, ends the run. What a ``Guest`` raises, unless it is
    KeyboardInterrupt, is noted once for each place that it comes from, and the run continues.
    """

    def __init__(
        self, run: KindOfRun, log: EventLog, listeners: Sequence[Listener] = (), *, watch: Watch = OFF
    ) -> None:
        self.run, self.log, self.listeners, self.watch = run, log, listeners, watch

    def append(self, event: Event) -> None:
        """Record an event. RunError if the disk refuses; nothing has happened then."""
        with self.watch.span("recording"):
            self.run.apply(self.log.append(event))
            errors = self._told(event)
        for error in errors:
            self.note(error)

    def tell(self, event: Event) -> None:
        """Let listeners know of something that is not recorded."""
        for error in self._told(event):
            self.note(error)

    def note(self, text: str) -> None:
        """Record something that the user should know, once."""
        if text not in self.run.notes:
            self.append(Noted(text))

    def _told(self, event: Event) -> list[str]:
        """Tell every listener; what was new in what went wrong with guests."""
        errors: list[str | None] = []
        for listener in self.listeners:
            if not isinstance(listener, Guest):
                listener(event, self.run)
                continue
            try:
                listener(event, self.run)
            except Exception as error:
                errors.append(listener.note_of(error))
        return [message for message in errors if message is not None]
