"""Searches whose trials are simulated: hundreds of trials in a second, with a known best."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from budgets import Budget
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig
from nas.data import DataConfig
from nas.engine.floor import Floor
from nas.engine.plan import Plan, start
from nas.engine.search import run_search
from nas.executors import WorkerSlot
from nas.runs import EventLog, SearchRun, as_search
from nas.runs.events import CandidatesRanked, Event, SessionStarted, SessionStopped, SupernetEpoch, TrialEnded
from nas.runs.fold import fold
from nas.runs.log import read_log
from nas.testing.strategies import MOST, TASK
from nas.testing.strategies import SimulatedExecutor as Simulated
from search_spaces import get_space


def config(**changes: object) -> SearchConfig:
    values = {
        "space": "resnet", "budget": Budget(max_params=MOST), "data": DataConfig(), "recipe": Recipe(),
        "trials": 30, "confirm": 2, "confirm_seeds": 3,
    }  # fmt: skip
    return SearchConfig(**(values | changes))


def begin(folder: Path, **changes: object) -> EventLog:
    chosen = config(**changes)
    budget = Budget(max_params=MOST, min_params=MOST // 2)
    classes = tuple("0123456789")
    plan = Plan(
        chosen,
        get_space(chosen.space),
        TASK,
        budget,
        "",
        classes,
        [],
        {"train": [9] * 10, "select": [9] * 10},
        "digits",
        "key",
    )
    return start(plan, folder)


def recorded(log: EventLog) -> SearchRun:
    """The search that an open log tells of."""
    return as_search(fold(log.folder, log.entries()))


def events_of(folder: Path) -> list[Event]:
    """Everything that is recorded of a run."""
    return [entry.event for entry in read_log(folder, histories=True)]


def run_all(
    folder: Path, executor: Simulated | None = None, *, floor: Floor | None = None, **changes: object
) -> SearchRun:
    with begin(folder, **changes) as log:
        return _to_the_end(log, executor or Simulated(), floor)


def resume(folder: Path, executor: Simulated, *, floor: Floor | None = None) -> SearchRun:
    with EventLog(folder) as log:
        return _to_the_end(log, executor, floor)


def _to_the_end(log: EventLog, executor: Simulated, floor: Floor | None) -> SearchRun:
    slots = [WorkerSlot("cpu", 1)] * executor.num_slots
    return run_search(recorded(log), log, slots, [], lambda slots: executor, floor=floor)


def story(folder: Path) -> list[Event]:
    """Events of trials and of the end, without times."""
    return [event for event in events_of(folder) if not isinstance(event, SessionStarted | SessionStopped)]


def timeless(event: Event) -> Event:
    """An event without what differs from one run to the next: how long it took."""
    match event:
        case SupernetEpoch() | CandidatesRanked():
            return replace(event, seconds=0.0)
        case TrialEnded(result):
            history = [{name: value for name, value in row.items() if name != "seconds"} for row in result.history]
            return replace(event, result=replace(result, seconds=0.0, training_memory=None, history=history))
    return event
