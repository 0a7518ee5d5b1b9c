"""A search from its settings to its winner: data, budget, strategy, trials, confirmation, test.

The order of events is the program's promise: the test split is read once, after the winner is decided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from nas.engine.confirmation import choose_winner, confirm
from nas.engine.runner import OpenExecutor
from nas.engine.session import profile_recorded, stops_recorded
from nas.engine.trial_loop import TrialLoop
from nas.executors import WorkerSlot
from nas.runs.folders import versions
from nas.runs.journal import Journal, Listener
from nas.runs.log import RunStore
from nas.runs.run import Run, fold
from nas.stopwatch import OFF, Watch
from nas.strategies.replayed_proposals import RecallingProposer


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
            from nas.strategies.oneshot.stage import find_candidates

            with watch.span("supernet"):  # before workers that would sit idle
                find_candidates(Journal(run, store, listeners, watch=watch), slots[0].device)
        else:
            import nas.strategies.nni_multi_trial  # noqa: F401  # takes a second, in which the workers' server imports torch
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
    from nas.strategies.nni_multi_trial import run_strategy

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
