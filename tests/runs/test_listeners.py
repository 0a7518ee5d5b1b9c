"""Listeners that are not ours: what goes wrong in them is noted, and the search continues."""

from __future__ import annotations

from pathlib import Path

import pytest
from registered import registering
from simulated_search import Simulated, begin, events_of, recorded, run_all, story

from nas.engine.search import run_search
from nas.errors import RunError
from nas.executors import WorkerSlot
from nas.runs import Listener, Run, SearchRun
from nas.runs.events import Event, Noted, SupernetProgress, TrialEnded, TrialSubmitted
from nas.runs.listeners import Guest, register_listener, registered_listeners

SEARCH = {"space": "vgg", "trials": 5, "confirm": 1}


def searched(folder: Path, *listeners: Listener) -> SearchRun:
    with begin(folder, **SEARCH) as log:
        slots = [WorkerSlot("cpu", 1)]
        return run_search(recorded(log), log, slots, listeners, lambda slots: Simulated())


def test_every_kind_of_error_is_noted_once_and_the_search_is_as_it_would_be(tmp_path: Path) -> None:
    heard: list[list[Event]] = [[], []]

    def moody(event: Event, run: Run) -> None:
        heard[0].append(event)
        if isinstance(event, TrialEnded):
            raise OSError(28, "No space left on device", f"{len(heard[0])}.txt")
        if isinstance(event, TrialSubmitted):
            raise RunError(f"no mood for\ntrial {event.id}")

    run = searched(tmp_path / "run", Guest("moody", moody), lambda event, run: heard[1].append(event))
    first, second = run.notes
    assert first.startswith("The listener moody failed: nas.errors.RunError: no mood for trial 1 (test_listeners.py:")
    assert "[Errno 28] No space left on device: '3.txt' (test_listeners.py:" in second
    assert second.endswith("the listener still receives later events; the same error is not reported again.")
    assert heard[0] == heard[1]  # it was told of everything, the notes about it too
    assert [event for event in heard[0] if isinstance(event, Noted)] == [Noted(first), Noted(second)]

    run_all(tmp_path / "without", **SEARCH)
    rest = [event for event in story(tmp_path / "run") if not isinstance(event, Noted)]
    assert rest == story(tmp_path / "without")


def test_what_is_told_and_not_recorded_may_fail_too(tmp_path: Path) -> None:
    from nas.runs import Journal

    def deaf(event: Event, run: Run) -> None:
        if isinstance(event, SupernetProgress):
            raise LookupError

    with begin(tmp_path / "run", **SEARCH) as log:
        journal = Journal(recorded(log), log, [Guest("deaf", deaf)])
        for step in (1, 2):
            journal.tell(SupernetProgress(1, step, 9, 0.5))
        (note,) = journal.run.notes
        assert note.startswith("The listener deaf failed: LookupError (test_listeners.py:")
    assert [event for event in events_of(tmp_path / "run") if isinstance(event, Noted)] == [Noted(note)]


def test_our_own_listeners_and_the_user_stop_a_search_as_before(tmp_path: Path) -> None:
    def full(event: Event, run: Run) -> None:
        raise RunError("A file of run 'a' could not be written (No space left on device).")

    with pytest.raises(RunError, match="could not be written"):
        searched(tmp_path / "a", full)

    def stop(event: Event, run: Run) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "b", Guest("stop", stop))


def test_a_name_is_registered_once() -> None:
    with registering():
        register_listener("mine")(print)
        assert registered_listeners() == [Guest("mine", print)]
        with pytest.raises(ValueError, match="the listener 'mine' exists already"):
            register_listener("mine")(print)
