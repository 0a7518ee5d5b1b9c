"""A search whose trials run in the caller's own process: for data so small that processes take longer to start.

A trial gives what it gives in a worker, bit for bit. Nothing can stop one that hangs, and a crash ends the caller too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.api import OpenRun, begun
from nas.config import SearchConfig, raise_all
from nas.engine.plan import plan_search
from nas.executors import InlineExecutor, WorkerSlot
from nas.report.live import Display, Silent
from nas.runs import SearchRun, as_search
from nas.runs.folders import name_errors
from nas.runs.hints import RUNS


def search_here(
    config: SearchConfig,
    *,
    name: str | None = None,
    runs: Path = RUNS,
    display: Display | None = None,
    curves: bool = True,
) -> SearchRun:
    """As ``nas.api.new_search`` and ``carry_out`` with one worker, in this process. There is no floor, and nothing is
    measured before.

    Without ``curves`` no files for TensorBoard are written. UsageError, SearchStopped, RunError as there.
    """
    raise_all(name_errors(name, runs))
    plan = plan_search(config.model_copy(update={"workers": 1, "floor": False}))
    return carry_out_here(begun(plan, name=name, runs=runs), display, curves=curves)


def carry_out_here(opened: OpenRun, display: Display | None = None, *, curves: bool = True) -> SearchRun:
    """As ``nas.api.carry_out``, of a search, in this process."""
    from nas.engine.search import run_search
    from nas.report import keep_files
    from nas.runs.retention import drop_weights
    from nas.trials.run_trial import run_trial

    run, slot = as_search(opened.run), opened.slots[0]
    with opened.log, display or Silent() as shown, undisturbed(slot):
        return run_search(
            run,
            opened.log,
            [slot],
            [keep_files if curves else lambda event, run: drop_weights(run), shown.on_event],
            lambda slots: InlineExecutor(run_trial, device=slot.device),
        )


@contextmanager
def undisturbed(slot: WorkerSlot) -> Iterator[None]:
    """Train here as a worker in ``slot`` would, and leave torch's threads, generators and memory as they were."""
    import torch

    from nas.trials.datasets import forget

    threads = torch.get_num_threads()
    gpus = [torch.device(slot.device).index or 0] if slot.device.startswith("cuda") else []
    torch.set_num_threads(slot.num_threads)
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        torch.set_num_threads(threads)
        forget()
