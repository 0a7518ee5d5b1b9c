"""Searches whose trials are simulated: hundreds of trials in a second, with a known best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from budgets import Budget, cost_of
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig
from nas.data import DataConfig
from nas.engine.plan import Plan, start
from nas.engine.search import run_search
from nas.executors import WorkerSlot
from nas.runs import EventLog, SearchRun, as_search
from nas.runs.events import CandidatesRanked, Event, SessionStarted, SessionStopped, SupernetEpoch, TrialEnded
from nas.runs.log import read_log
from nas.runs.run import fold
from nas.trials.spec import TrialResult, TrialSpec
from search_spaces import Task, get_space

TASK = Task((1, 8, 8), 10)
MOST = 60_000


class Simulated:
    """An executor with ``num_slots`` trials under way; a trial's length and score follow from its sample."""

    def __init__(self, num_slots: int = 1, *, fail: Sequence[str] = (), stop_after: int | None = None) -> None:
        self.num_slots, self.fail, self.stop_after = num_slots, fail, stop_after
        self.queue: list[tuple[float, TrialSpec]] = []
        self.clock = 0.0
        self.trained: list[str] = []
        self.tested: list[str] = []

    @property
    def num_running(self) -> int:
        return len(self.queue)

    def submit(self, spec: TrialSpec) -> None:
        assert self.num_running < self.num_slots
        self.queue.append((self.clock + 1 + spec.seed % 97, spec))

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        if self.stop_after is not None and len(self.trained) >= self.stop_after:
            raise KeyboardInterrupt
        self.clock, spec = min(self.queue, key=lambda entry: entry[0])
        self.queue.remove((self.clock, spec))
        if spec.test:
            self.tested.append(spec.id)
            return [TrialResult(spec.id, "finished", {"test": {"balanced_accuracy": score_of(spec)}})]
        self.trained.append(spec.id)
        if spec.id in self.fail or "all" in self.fail:
            return [TrialResult(spec.id, "failed", error="simulated")]
        Path(spec.weights_path or "").parent.mkdir(exist_ok=True)
        Path(spec.weights_path or "").write_text("weights")
        figures = {"balanced_accuracy": score_of(spec)}
        return [TrialResult(spec.id, "finished", {"select": figures, "rank": figures}, seconds=1.0)]

    def close(self) -> None:
        self.queue.clear()

    def __enter__(self) -> Simulated:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def score_of(spec: TrialSpec) -> float:
    """Best at many MACs for few parameters: to be found within the budget, away from its middle."""
    cost = cost_of(get_space(spec.space), spec.sample, TASK)
    return float(np.tanh(cost.macs / cost.params / 100)) + (spec.seed % 5) * 1e-4


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
    plan = Plan(chosen, get_space(chosen.space), TASK, budget, "", classes, [], {"train": [9] * 10}, "digits", "key")
    return start(plan, folder)


def recorded(log: EventLog) -> SearchRun:
    """The search that an open log tells of."""
    return as_search(fold(log.folder, log.entries()))


def events_of(folder: Path) -> list[Event]:
    """Everything that is recorded of a run."""
    return [entry.event for entry in read_log(folder, histories=True)]


def run_all(folder: Path, executor: Simulated | None = None, **changes: object) -> SearchRun:
    executor = executor or Simulated()
    with begin(folder, **changes) as log:
        return run_search(recorded(log), log, [WorkerSlot("cpu", 1)] * executor.num_slots, [], lambda slots: executor)


def go_on(folder: Path, executor: Simulated) -> SearchRun:
    with EventLog(folder) as log:
        return run_search(recorded(log), log, [WorkerSlot("cpu", 1)] * executor.num_slots, [], lambda slots: executor)


def story(folder: Path) -> list[Event]:
    """What happened, without when: the events of trials and the end."""
    return [event for event in events_of(folder) if not isinstance(event, SessionStarted | SessionStopped)]


def timeless(event: Event) -> Event:
    """An event without what differs from one run to the next: how long it took."""
    match event:
        case SupernetEpoch() | CandidatesRanked():
            return replace(event, seconds=0.0)
        case TrialEnded(result):
            history = [{name: figure for name, figure in row.items() if name != "seconds"} for row in result.history]
            return replace(event, result=replace(result, seconds=0.0, history=history))
    return event
