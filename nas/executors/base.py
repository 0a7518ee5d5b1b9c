"""``Executor``: the contract between the engine and the processes that train."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from nas.errors import MachineError, machine_error
from nas.trials import TrialResult, TrialSpec

EpochReport = Callable[[dict[str, float]], None]
"""Called by a trial after each epoch with that epoch's row of its history."""

RunTrial = Callable[[TrialSpec, str, EpochReport], TrialResult]
"""Trains one specification on one device. Returns a result for every failure that it can see coming."""

EpochListener = Callable[[str, dict[str, float]], None]
"""Told, in the engine's own process, of an epoch: the trial's id and the row."""


@dataclass(frozen=True)
class WorkerSlot:
    """Room for one trial at a time: a device ("cpu" or "cuda:N") and its share of the CPU's threads."""

    device: str
    num_threads: int


class Executor(Protocol):
    """Runs up to ``num_slots`` trials in parallel. Used by one thread, which owns it and closes it.

    Every submitted trial comes back exactly once from ``wait``, whatever happens to it, unless the executor
    is closed first. A failed trial is a result with its reason, never an exception. What is the machine's error and
    not the trial's (a full disk) is a MachineError from any of its methods; it is then of no more use.
    """

    @property
    def num_slots(self) -> int:
        """Trials that it can run in parallel."""

    @property
    def num_running(self) -> int:
        """Trials submitted and not yet returned."""

    def submit(self, spec: TrialSpec) -> None:
        """Start a trial. Only while ``num_running < num_slots``; returns immediately."""

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        """Block until a trial ends; the trials that ended.

        Empty after ``timeout`` seconds without one, and immediately when none is running.
        """

    def close(self) -> None:
        """End every worker immediately, its trial included. May be called again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def each_result(executor: Executor, specs: Iterable[TrialSpec]) -> Iterator[TrialResult]:
    """The results of ``specs`` as trials end. Each is asked for when a slot is free for it, and no slot waits."""
    waiting = iter(specs)
    while True:
        while executor.num_running < executor.num_slots and (spec := next(waiting, None)) is not None:
            executor.submit(spec)
        if not executor.num_running:
            return
        yield from executor.wait()


TOO_LONG = "(--trial-timeout)"  # at the end of the reason of a trial that its time limit stopped


def was_too_long(reason: str) -> bool:
    """True if a trial failed since it reached its time limit."""
    return reason.endswith(TOO_LONG)


def failure(spec: TrialSpec, reason: str, *, seconds: float = 0.0) -> TrialResult:
    """The result of a trial that ended without one of its own."""
    return TrialResult(id=spec.id, status="failed", seconds=seconds, error=reason)


def run_guarded(run: RunTrial, spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """``run``, with whatever it raises turned into a failed result, or a MachineError if that is what it is."""
    try:
        return run(spec, device, report)
    except Exception as error:
        if message := machine_error(error):
            raise MachineError(message) from error
        # A trial must never take its worker or the search along, whatever it raised.
        return failure(spec, f"{type(error).__name__}: {error}")
