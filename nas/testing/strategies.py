"""Contract tests of strategies, in searches whose trials are simulated: a second for a hundred of them.

A strategy under test is made by a function of the search, as the registry has it; an ``AskTell`` of one's own becomes
one by ``strategies.base.Driven``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from budgets import Budget, cost_of
from nas.closing import Closing
from nas.config import DataConfig, Recipe, SearchConfig
from nas.config.recipe import Metrics
from nas.engine.plan import Plan, start
from nas.engine.search import run_search
from nas.executors import WorkerSlot
from nas.runs import EventLog, SearchRun, as_search
from nas.runs.events import Event, SessionStarted, SessionStopped, TrialEnded
from nas.runs.fold import fold
from nas.runs.folders import read_run
from nas.runs.log import read_log
from nas.strategies.registry import MakeStrategy, driven
from nas.trials import TrialResult, TrialSpec
from search_spaces import Task, get_space

TASK = Task((1, 8, 8), 10)
TRIALS = 24
MOST = 60_000  # parameters


class SimulatedExecutor(Closing):
    """An ``Executor`` with ``num_slots`` trials under way, whose length and score follow from their samples and seeds.

    ``fail`` names trials that fail. After ``stop_after`` results it raises KeyboardInterrupt, as Ctrl-C does.
    """

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
        assert self.num_running < self.num_slots, "submit called while every slot is taken"
        self.queue.append((self.clock + 1 + spec.seed % 97, spec))

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        """The trial that ends next, whatever ``timeout`` is."""
        if self.stop_after is not None and len(self.trained) >= self.stop_after:
            raise KeyboardInterrupt
        self.clock, spec = min(self.queue, key=lambda entry: entry[0])
        self.queue.remove((self.clock, spec))
        metrics: Metrics = {"balanced_accuracy": score_of(spec)}
        if spec.test:
            self.tested.append(spec.id)
            return [TrialResult(spec.id, "finished", {"test": metrics})]
        self.trained.append(spec.id)
        if spec.id in self.fail or "all" in self.fail:
            return [TrialResult(spec.id, "failed", error="simulated")]
        Path(spec.weights_path or "").parent.mkdir(exist_ok=True)
        Path(spec.weights_path or "").write_text("weights")
        return [TrialResult(spec.id, "finished", {"select": metrics, "rank": metrics}, seconds=1.0)]

    def close(self) -> None:
        self.queue.clear()


def score_of(spec: TrialSpec) -> float:
    """Best at many MACs for few parameters: to be found within the budget, away from its middle."""
    cost = cost_of(get_space(spec.space), spec.sample, TASK)
    return float(np.tanh(cost.macs / cost.params / 100)) + (spec.seed % 5) * 1e-4


def check_strategy(make: MakeStrategy, *, space: str = "vgg") -> None:
    """Check every promise of this module.

    Args:
        make: The strategy, as ``register_strategy`` takes it: a run to an ``AskTell`` or ``Strategy``.
        space: Name of the space that is searched.

    Raises:
        AssertionError: With the promise that was broken.
    """
    check_proposals(make, space=space)
    check_failures(make, space=space)
    check_resume(make, space=space)


def check_proposals(make: MakeStrategy, *, space: str = "vgg") -> None:
    """It keeps within the budget, trains no architecture twice, and equal seeds propose the same."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [_searched(Path(folder) / name, make, SimulatedExecutor(), space) for name in "ab"]
        trials = runs[0].stage("search")
        assert trials, "no trial was proposed"
        assert len({trial.architecture for trial in trials}) == len(trials), "an architecture was proposed twice"
        proposed = [[trial.sample for trial in run.stage("search")] for run in runs]
        assert proposed[0] == proposed[1], "equal seeds propose different architectures: use the seed alone"


def check_failures(make: MakeStrategy, *, space: str = "vgg") -> None:
    """It continues after trials that failed, also several in parallel, and is told of each trial that ended."""
    with tempfile.TemporaryDirectory() as folder:
        run = _searched(Path(folder) / "run", make, SimulatedExecutor(3, fail=["2", "3", "7"]), space)
        finished = [trial.id for trial in run.stage("search") if trial.status == "finished"]
        assert len(finished) == len(run.stage("search")) - 3, "trials were lost after others failed"


def check_resume(make: MakeStrategy, *, space: str = "vgg", stops: Sequence[int] = (0, 1, 7, TRIALS - 1)) -> None:
    """Stopped after any number of results and resumed, it continues as if it had not been: with one worker the same
    log, with several no trial is trained twice."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        _searched(whole, make, SimulatedExecutor(), space)
        for workers in (1, 3):
            for stop in stops:
                place = Path(folder) / f"{workers}-{stop}"
                first, second = SimulatedExecutor(workers, stop_after=stop), SimulatedExecutor(workers)
                try:
                    _searched(place, make, first, space)
                except KeyboardInterrupt:
                    before = story(place)
                    _searched(place, make, second, space)
                    assert story(place)[: len(before)] == before, "resuming changed what was recorded"
                assert not set(first.trained) & set(second.trained), "a trial was trained twice"
                if workers == 1:
                    assert story(place) == story(whole), f"stopped after {stop} results it went another way"


def story(folder: Path) -> list[Event]:
    """Events of a run, without times and sessions."""
    events = [entry.event for entry in read_log(folder, histories=True)]
    told = [event for event in events if not isinstance(event, SessionStarted | SessionStopped)]
    return [replace(e, result=replace(e.result, seconds=0.0)) if isinstance(e, TrialEnded) else e for e in told]


def _searched(folder: Path, make: MakeStrategy, executor: SimulatedExecutor, space: str) -> SearchRun:
    """A search begun in ``folder``, or resumed, to its end."""
    with EventLog(folder) if folder.exists() else _begun(folder, space) as log:
        run = as_search(fold(folder, log.entries()))
        slots = [WorkerSlot("cpu", 1)] * executor.num_slots
        run_search(run, log, slots, [], lambda slots: executor, strategy=driven(make(run)))
    return as_search(read_run(folder))


def _begun(folder: Path, space: str) -> EventLog:
    config = SearchConfig(
        space=space, budget=Budget(max_params=MOST), data=DataConfig(), recipe=Recipe(), trials=TRIALS, confirm=1
    )
    plan = Plan(
        config, get_space(space), TASK, Budget(max_params=MOST, min_params=MOST // 2), "", tuple("0123456789"), [],
        {"train": [9] * 10}, "digits", "key",
    )  # fmt: skip
    return start(plan, folder)
