"""A search from its first trial to its winner: strategy, trials, confirmation, test.

The order of events is the program's promise: the test split is read once, after the winner is decided.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.engine.confirmation import choose_winner, confirm
from nas.engine.floor import Floor, record_floor
from nas.engine.runner import OpenExecutor
from nas.engine.session import session
from nas.engine.trial_loop import TrialLoop
from nas.executors import WorkerSlot
from nas.executors.devices import threads_together
from nas.runs import EventLog, Journal, Listener, SearchRun
from nas.stopwatch import OFF, Watch
from nas.strategies import Strategy, get_strategy


def run_search(
    run: SearchRun,
    log: EventLog,
    slots: Sequence[WorkerSlot],
    listeners: Sequence[Listener],
    open_executor: OpenExecutor,
    *,
    strategy: Strategy | None = None,
    floor: Floor | None = None,
    watch: Watch = OFF,
) -> SearchRun:
    """Carry out, or resume, the search in ``log`` to its end; ``run``, which is what it says, as it then stands.

    ``strategy`` proposes instead of the one that the settings name. ``floor`` is waited for before the confirmation; it
    decides nothing. Raises SearchStopped after too many failures in a row. A KeyboardInterrupt passes through after
    workers are ended; nothing that was recorded is lost in either case.
    """
    if run.is_done:
        return run
    journal = Journal(run, log, listeners, watch=watch)
    with session(journal, len(slots)):
        if strategy is None:
            kind = get_strategy(run.config.strategy)
            kind.prepare(journal, slots[0].device, threads_together(slots))  # before workers that would sit idle
            strategy = kind.strategy(run)
        with open_executor(slots) as executor:
            loop = TrialLoop(journal, executor)
            watch.switch("proposing")
            if not strategy.run(loop):
                journal.note(_nothing_left(run))
            loop.give_more_time()
            watch.switch("rest")
            if floor is not None:
                record_floor(journal, floor)
            confirm(run, loop.runner)
            if floor is not None:
                record_floor(journal, floor, last=True)
            choose_winner(run, loop.runner)
    return run


def _nothing_left(run: SearchRun) -> str:
    if run.candidates is not None:
        return f"Every candidate of the supernet was tried: {len(run.ranked_candidates)}."
    return f"Every architecture found to fit the budget was tried: {len(run.stage('search'))}."
