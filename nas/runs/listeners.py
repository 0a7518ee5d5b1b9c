"""Listeners that are not the program's own: told of everything, and nothing that goes wrong in them ends a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nas.errors import told
from nas.runs.events import Event
from nas.runs.run import Run
from search_spaces.registry import Registry

Listener = Callable[[Event, Run], None]
"""Told of every event right after it is recorded, with the run as it then stands."""

LISTENERS: Registry[Listener] = Registry("listener", "Listeners")


def register_listener(name: str) -> Callable[[Listener], Listener]:
    """Let a function be told of every event of every run that this process carries out.

    It is called as ``fn(event, run)``, in the process that searches, which waits for it: ``event`` is one of
    ``nas.runs.events``, recorded already (but for ``SupernetProgress`` and ``StudySearchBegins``, which never are);
    ``run`` has taken it into account, and is not to be changed. What it raises becomes a note; a KeyboardInterrupt
    stops the run, as Ctrl-C does.

    Args:
        name: Name of the listener in notes.

    Returns:
        A decorator that gives the function back.

    Raises:
        ValueError: If the name is taken.

    ::

        @register_listener("count")
        def count(event, run):
            print(len(run.trials), "trials so far")
    """

    def register(listener: Listener) -> Listener:
        LISTENERS.add(name, listener)
        return listener

    return register


@dataclass(frozen=True)
class Guest:
    """A listener by its name; what it raises becomes a note (``Journal``), where what our own raise ends the run.

    ``author`` is the function that errors are traced to, if ``listener`` only calls it.
    """

    name: str
    listener: Listener
    author: object = None
    _noted: set[tuple[str, str]] = field(default_factory=set, repr=False, compare=False)  # kinds of error, and places

    def __call__(self, event: Event, run: Run) -> None:
        self.listener(event, run)

    def note_of(self, error: Exception) -> str | None:
        """Note on what it raised; None if an error of its kind, from the same place, was noted."""
        words = told(error, self.author or self.listener)
        known = type(error).__name__, words.rpartition("(")[2]
        if known in self._noted:
            return None
        self._noted.add(known)
        return (
            f"The listener {self.name} failed: {words}. The run continues, and the listener still receives later "
            "events; the same error is not reported again."
        )


def registered_listeners() -> list[Listener]:
    """All that were registered, as guests of a run."""
    return [Guest(name, listener) for name, listener in LISTENERS.items()]
