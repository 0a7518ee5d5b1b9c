"""One session of a run, from its first event to its last: what ends it early and where its time went is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nas.errors import RunError, SearchStopped
from nas.executors.base import Executor
from nas.runs.log import RunStore
from nas.runs.run import Run
from nas.stopwatch import OFF, Watch
from nas.trials.spec import TrialResult


@contextmanager
def stops_recorded(store: RunStore) -> Iterator[None]:
    """What ends a session early is written down, and goes on its way."""
    try:
        yield
    except KeyboardInterrupt:
        store.append("stopped", {"reason": "interrupted"})
        raise
    except SearchStopped as error:
        store.append("stopped", {"reason": str(error).splitlines()[0]})
        raise


@contextmanager
def profile_recorded(run: Run, store: RunStore, watch: Watch, num_slots: int) -> Iterator[None]:
    """Where a session's time went is written down at its end, however it ends; a kill leaves none."""
    try:
        yield
    finally:
        if seconds := watch.read():
            with suppress(RunError):  # a disk that refuses was reported already
                run.apply(store.append("profile", {"seconds": seconds, "workers": num_slots, "busy": watch.busy}))


def wait(executor: Executor, watch: Watch, timeout: float | None = None) -> list[TrialResult]:
    """``executor.wait``, as time in which the search waits and its workers do what the results say."""
    with watch.span("waiting"):
        results = executor.wait(timeout)
    if watch is not OFF:
        watch.busy += sum(result.seconds for result in results)
    return results
