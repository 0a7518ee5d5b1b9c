"""A search from its settings to its winner: data, budget, strategy, trials, confirmation, test.

The order of events is the program's promise: the test split is read once, after the winner is decided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from budgets import Budget
from budgets.draw import settle
from nas.config import RunConfig, SearchConfig
from nas.confirm import choose_winner, confirm
from nas.data import Dataset, open_data
from nas.errors import RunError, UsageError, attempt
from nas.executors import Executor, LocalExecutor, WorkerSlot, plan_slots
from nas.journal import Journal, Listener, profile_recorded, stops_recorded
from nas.loop import TrialLoop
from nas.profiling import OFF, Watch
from nas.recall import RecallingProposer
from nas.runs import Run, fold
from nas.starting import create_run, versions
from nas.store import RunStore
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
    data_key: str  # of the images and their splits
    training: dict[str, Any] | None = None  # how trials are carried out, where that was measured (``nas.tuning``)
    packing: dict[str, Any] | None = None  # how many trials share a GPU, if measured (see ``nas.packing``)


def plan_search(config: SearchConfig, *, progress: Callable[[int, int], None] | None = None) -> Plan:
    """Open the data, settle the budget, find the devices. UsageError with every fault found."""
    faults: list[str] = []
    space = attempt(lambda: get_space(config.space), faults)
    asked = attempt(lambda: Budget(**config.budget.model_dump()), faults)
    slots = attempt(lambda: plan_slots(config.device, config.workers, config.trials_per_gpu), faults)
    data = attempt(lambda: open_data(config.data, progress=progress), faults)
    task = attempt(lambda: Task(data.input_shape, len(data.classes)), faults) if data else None
    settled = attempt(lambda: settle(space, task, asked), faults) if space and task and asked else None
    if faults:
        raise UsageError(*faults)
    assert space and task and settled and slots and data
    budget, note = settled
    if config.one_shot:
        from nas.oneshot.planning import check_plan

        check_plan(config, space, task, budget, device=slots[0].device, train_counts=data.counts["train"])
    return Plan(config, space, task, budget, note, data.classes, slots, counts_by_split(data), data.name, data.key)


def start(plan: Plan, folder: Path) -> RunStore:
    """Create the run's folder and log. RunError if the run exists or its folder cannot be made."""
    facts = {
        "input_shape": list(plan.task.input_shape),
        "classes": list(plan.classes),
        "budget": asdict(plan.budget),
        "note": plan.note,
        "counts": plan.counts,
        "data_name": plan.data_name,
        "data_key": plan.data_key,
        "packing": plan.packing,
        "population": plan.config.population,  # a resumed search may get more trials, but no other population
        "keeps_rare": True,  # see Proposer; runs recorded without it go on as they began
    }
    if plan.training is not None:
        facts["training"] = plan.training
    return create_run(folder, plan.config, facts)


def search(
    store: RunStore,
    slots: Sequence[WorkerSlot],
    listeners: Sequence[Listener],
    open_executor: OpenExecutor,
    *,
    run: Run | None = None,
    watch: Watch = OFF,
) -> Run:
    """Run, or go on with, the search in ``store`` to its end; the run as it then stands. ``run``: what the log says,
    if known.

    Raises SearchStopped after too many failures in a row. A KeyboardInterrupt passes through after workers
    are ended; nothing that was recorded is lost in either case.
    """
    run = run or fold(store.folder, store.stream())
    if run.winner:
        return run
    with stops_recorded(store), profile_recorded(run, store, watch, len(slots)):
        run.apply(store.append("session", {"workers": len(slots), "versions": versions()}))
        if run.search.one_shot:
            from nas.oneshot.stage import find_candidates

            with watch.span("supernet"):  # before workers that would sit idle
                find_candidates(Journal(run, store, listeners, watch=watch), slots[0].device)
        else:
            import nas.nni_bridge  # noqa: F401  # takes a second, in which the workers' server imports torch
        with open_executor(slots) as executor:
            loop = TrialLoop(run=run, store=store, executor=executor, listeners=listeners, watch=watch)
            watch.switch("proposing")
            _propose(run, loop)
            watch.switch("rest")
            confirm(run, loop)
            choose_winner(run, loop)
    return run


def _propose(run: Run, loop: TrialLoop) -> None:
    """Let the strategy propose trials until a limit is reached or nothing is left to try."""
    if run.candidates is not None:
        _propose_candidates(run.candidates["ranked"], loop)
        return
    from nas.nni_bridge import run_strategy

    redraw = "keeps_rare" not in run.facts
    proposer = loop.proposer = RecallingProposer(loop.space, loop.task, loop.budget, redraw=redraw)
    proposer.recorded = run.stage("search")
    left = run_strategy(run.search.strategy, proposer, loop, seed=run.config.seed, population=run.facts["population"])
    if not left:
        loop.note(f"Every architecture found to fit the budget was tried: {len(run.stage('search'))}.")


def _propose_candidates(ranked: list[dict[str, Any]], loop: TrialLoop) -> None:
    """Submit what the supernet ranked, the best first."""
    left = deque(ranked)
    while loop.slot_free():  # also after the last, since it takes in what was recorded
        if not left:
            loop.note(f"Every candidate of the supernet was tried: {len(ranked)}.")
            break
        loop.submit(left.popleft()["sample"])
    loop.drain()


def check_data(run: Run, *, progress: Callable[[int, int], None] | None = None) -> None:
    """RunError if the data of a recorded run are not what they were, DataError if they cannot be read."""
    data = open_data(run.config.data, progress=progress)
    if data.key != run.facts["data_key"] or list(data.classes) != run.facts["classes"]:
        raise RunError(
            f"The data {run.config.data.source} changed since run {run.name!r} began: its trials would be ranked on "
            "other images. Put the data back as they were, or start a new run."
        )


def local_executor(config: RunConfig, on_epoch: Callable[[str, dict[str, float]], None]) -> OpenExecutor:
    """Opens worker processes for a list of slots."""
    return lambda slots: LocalExecutor(slots, trial_timeout=config.trial_timeout, on_epoch=on_epoch)


def counts_by_split(data: Dataset) -> dict[str, list[int]]:
    """How many images of each class a split has, as JSON holds it."""
    return {str(name): list(map(int, counts)) for name, counts in data.counts.items()}
