"""Writing down what happens in a run: recorded first, then taken into account, then told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from nas.errors import RunError, SearchStopped
from nas.profiling import OFF, Watch
from nas.runs import Run
from nas.store import Event, RunStore

Listener = Callable[[Event, Run], None]
"""Told of every event right after it is recorded, with the run as it then stands."""


class Journal:
    """The events of one run from now on. Owns nothing: the store belongs to the caller."""

    def __init__(
        self, run: Run, store: RunStore, listeners: Sequence[Listener] = (), *, watch: Watch = OFF
    ) -> None:
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


@contextmanager
def stops_recorded(store: RunStore) -> Iterator[None]:
    """What ends a session early is written down, and goes on its way."""
    try:
        yield
    except KeyboardInterrupt:
        store.append("stopped", {"reason": "interrupted"})
        raise
    except SearchStopped as error:
        store.append("stopped", {"reason": str(error).splitlines()[0]})
        raise


@contextmanager
def profile_recorded(run: Run, store: RunStore, watch: Watch, num_slots: int) -> Iterator[None]:
    """Where a session's time went is written down at its end, however it ends; a kill leaves none."""
    try:
        yield
    finally:
        if seconds := watch.read():
            with suppress(RunError):  # a disk that refuses was reported already
                run.apply(store.append("profile", {"seconds": seconds, "workers": num_slots, "busy": watch.busy}))
