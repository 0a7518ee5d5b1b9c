"""A search from its settings to its winner: data, budget, strategy, trials, confirmation, test.

The order of events is the program's promise: the test split is read once, after the winner is decided.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from budgets import Budget
from budgets.draw import settle
from nas import __version__
from nas.config import SearchConfig
from nas.data import Dataset, open_data
from nas.errors import RunError, UsageError
from nas.executors import Executor, LocalExecutor, WorkerSlot, plan_slots
from nas.loop import Listener, TrialLoop
from nas.proposals import Proposer
from nas.runs import Run, Trial, fold
from nas.store import FORMAT, LOG_NAME, RunStore, is_running, read_events, typed
from search_spaces import SearchSpace, Task, get_space

OpenExecutor = Callable[[Sequence[WorkerSlot]], Executor]


@dataclass(frozen=True)
class Plan:
    """What is known before the first trial: everything here is checked, and nothing is written yet."""

    config: SearchConfig
    space: SearchSpace
    task: Task
    budget: Budget
    note: str  # what was settled about the budget
    classes: tuple[str, ...]
    slots: list[WorkerSlot]
    counts: dict[str, list[int]]
    data_name: str


def plan_search(config: SearchConfig, *, progress: Callable[[int, int], None] | None = None) -> Plan:
    """Open the data, settle the budget, find the devices. UsageError with every fault found."""
    faults: list[str] = []
    space = _attempt(lambda: get_space(config.space), faults)
    asked = _attempt(lambda: Budget(**config.budget.model_dump()), faults)
    slots = _attempt(lambda: plan_slots(config.device, config.workers, config.trials_per_gpu), faults)
    data = _attempt(lambda: open_data(config.data, progress=progress), faults)
    task = _attempt(lambda: Task(data.input_shape, len(data.classes)), faults) if data else None
    settled = _attempt(lambda: settle(space, task, asked), faults) if space and task and asked else None
    if faults:
        raise UsageError(*faults)
    assert space and task and settled and slots and data
    budget, note = settled
    return Plan(config, space, task, budget, note, data.classes, slots, _counts(data), data.name)


def start(plan: Plan, folder: Path) -> RunStore:
    """Create the run's folder and log. RunError if the run exists or its folder cannot be made."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if not never_started(folder):
            raise RunError(
                f"Run {folder.name!r} exists already. To go on with it: {typed('resume', folder)}. "
                "To start another: choose a new name with --run."
            ) from None
    except OSError as error:
        raise RunError(f"The run's folder {folder} cannot be made: {error.strerror}. Choose another --runs.") from error
    store = RunStore(folder)
    facts = {
        "input_shape": list(plan.task.input_shape),
        "classes": list(plan.classes),
        "budget": asdict(plan.budget),
        "note": plan.note,
        "counts": plan.counts,
        "data_name": plan.data_name,
        "population": plan.config.population,  # a resumed search may get more trials, but no other population
    }
    config = plan.config.model_dump(mode="json")
    store.append("run", {"format": FORMAT, "config": config, "facts": facts, "versions": versions()})
    return store


def never_started(folder: Path) -> bool:
    """Whether a kill left an empty log before its first event; such a folder is taken over."""
    if any(path.name.split(".")[0] not in ("log", "") for path in folder.iterdir()) or is_running(folder):
        return False
    try:
        return not read_events(folder)
    except RunError:
        return not (folder / LOG_NAME).exists() or (folder / LOG_NAME).stat().st_size == 0


def search(
    store: RunStore, slots: Sequence[WorkerSlot], listeners: Sequence[Listener], open_executor: OpenExecutor
) -> Run:
    """Run, or go on with, the search in ``store`` to its end; the run as it then stands.

    Raises SearchStopped after too many failures in a row. A KeyboardInterrupt passes through after workers
    are ended; nothing that was recorded is lost in either case.
    """
    recorded = store.events()
    run = fold(store.folder, recorded)
    config = run.config
    space, task = get_space(config.space), Task(tuple(run.facts["input_shape"]), len(run.facts["classes"]))
    budget = Budget(**run.facts["budget"])
    if run.winner:
        return run
    with open_executor(slots) as executor:
        from nas.nni_bridge import run_strategy  # seconds, while the workers start

        run.apply(store.append("session", {"workers": len(slots), "versions": versions()}))
        loop = TrialLoop(
            run=run, store=store, executor=executor, space=space, task=task, budget=budget,
            recorded=recorded, listeners=listeners, most_trials=config.trials, time_limit=config.time_limit,
        )  # fmt: skip
        proposer = Proposer(space, task, budget)
        run_strategy(config.strategy, proposer, loop, seed=config.seed, population=run.facts["population"])
        _confirm(run, loop)
        _choose_winner(run, loop)
    return run


def _confirm(run: Run, loop: TrialLoop) -> None:
    """Train the best again with several seeds each: one trial may have been lucky."""
    best = run.ranked()[: run.config.confirm]
    loop.repeat([(f"{trial.id}.{n}", trial) for trial in best for n in range(1, run.config.confirm_seeds + 1)])


def _choose_winner(run: Run, loop: TrialLoop) -> None:
    """The best mean over seeds wins; its trained seeds alone are scored on the test split, once."""
    best = run.ranked()
    if not best:
        loop.end("no trial finished")
        return
    objective = run.config.objective
    confirmed = [(mean_score(run, trial), trial) for trial in best[: run.config.confirm]]
    scored = [(score, trial) for score, trial in confirmed if score is not None]
    winner = max(scored, key=lambda pair: pair[0])[1] if scored else best[0]
    repetitions = run.confirmations(winner.id)
    chosen = max(repetitions, key=lambda trial: trial.score(objective) or 0.0) if repetitions else winner
    tests = loop.score_on_test(repetitions)
    loop.end("done", winner={"trial": winner.id, "weights": chosen.id, "test": tests})


def mean_score(run: Run, trial: Trial) -> float | None:
    """Mean of the objective over the confirmations of a search trial; None if it has none."""
    scores = [t.score(run.config.objective) for t in run.confirmations(trial.id)]
    finished = [score for score in scores if score is not None]
    return statistics.fmean(finished) if finished else None


def local_executor(config: SearchConfig, on_epoch: Callable[[str, dict[str, float]], None]) -> OpenExecutor:
    """Opens worker processes for a list of slots."""
    return lambda slots: LocalExecutor(slots, trial_timeout=config.trial_timeout, on_epoch=on_epoch)


def versions() -> dict[str, str]:
    """Of everything that decides what a search proposes and how it trains."""
    found = {"nasctl": __version__, "python": platform.python_version()}
    for name in ("torch", "nni", "numpy", "imbalanced-learn", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def _counts(data: Dataset) -> dict[str, list[int]]:
    return {str(name): list(map(int, counts)) for name, counts in data.counts.items()}


def _attempt(step: Callable[[], Any], faults: list[str]) -> Any:
    """The outcome of ``step``, or None with its faults noted."""
    try:
        return step()
    except UsageError as error:
        faults.extend(error.faults)
        return None
