"""One session of a run, from its first event to its last: what ends it early and where its time went is recorded."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nas.errors import MachineError, NasctlError, RunError, SearchStopped, machine_error
from nas.executors import Executor
from nas.plugins.loading import blamed
from nas.runs import EventLog, Journal, Run, SearchRun, StudyRun
from nas.runs.events import SessionProfiled, SessionStarted, SessionStopped
from nas.runs.folders import versions
from nas.runs.hints import typed
from nas.stopwatch import OFF, Watch
from nas.trials import TrialResult


@contextmanager
def session(journal: Journal[SearchRun] | Journal[StudyRun], num_slots: int) -> Iterator[None]:
    """Work on a run with ``num_slots`` workers. A kill leaves neither the reason nor the profile.

    SearchStopped, with what to do, for an error of the machine: trials that it befell have no result, and are trained
    again when the run is resumed.
    """
    run, log, watch = journal.run, journal.log, journal.watch
    try:
        run.apply(log.append(SessionStarted(num_slots, versions())))
        with _profiled(run, log, watch, num_slots):
            yield
    except KeyboardInterrupt:
        _record(log, "interrupted")
        raise
    except SearchStopped as error:
        _record(log, str(error).splitlines()[0])
        raise
    except Exception as error:
        reason = machine_error(error)
        if reason is None and (message := None if isinstance(error, NasctlError) else blamed(error)):
            _record(log, message)
            raise SearchStopped(_of_a_plugin(run, message)) from error
        if reason is None or not isinstance(error, MachineError | OSError):
            raise
        _record(log, reason)
        raise SearchStopped(
            f"Stopped: {reason.rstrip('.')}. No trial caused it, and everything recorded is kept. "
            f"When the cause is gone: {typed('resume', run.folder)}"
        ) from error


def _of_a_plugin(run: Run, error: str) -> str:
    """Message on a plug-in's own error, after its traceback was put where the trials' are."""
    path = run.folder / "logs" / "plugins.txt"
    with suppress(OSError), path.open("a", encoding="utf-8") as file:
        file.write(traceback.format_exc())
    return (
        f"Stopped by {error}. The traceback is in {path}. Everything recorded is kept; when the plug-in is "
        "fixed, give it again:"
        f" {typed('resume', run.folder)} --plugin FILE"
    )


def _record(log: EventLog, reason: str) -> None:
    """Record why the session ends, unless that cannot be written either."""
    with suppress(RunError):
        log.append(SessionStopped(reason))


@contextmanager
def _profiled(run: Run, log: EventLog, watch: Watch, num_slots: int) -> Iterator[None]:
    """Record the time by part, however the session ends."""
    try:
        yield
    finally:
        if seconds := watch.read():
            with suppress(RunError):  # a disk that refuses was reported already
                run.apply(log.append(SessionProfiled(seconds, num_slots, watch.busy)))


def wait(executor: Executor, watch: Watch, timeout: float | None = None) -> list[TrialResult]:
    """``executor.wait``, as time in which the search waits and its workers do what the results say."""
    with watch.span("waiting"):
        results = executor.wait(timeout)
    if watch is not OFF:
        watch.busy += sum(result.seconds for result in results)
    return results
