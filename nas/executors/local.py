"""Trials in persistent processes on this machine, one process per slot.

A worker that dies fails its own trial only, and its slot starts again. ``concurrent.futures`` would fail
every pending trial instead. POSIX only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from multiprocessing import connection, util
from multiprocessing import process as processes
from typing import TYPE_CHECKING, Any

from nas.awake import awake
from nas.closing import Closing
from nas.errors import MachineError, machine_error
from nas.executors.base import TOO_LONG, EpochListener, WorkerSlot, failure
from nas.executors.devices import worker_environment
from nas.executors.fork_server import TRAINING, context_of, inherited, server_id, start_server, why_it_died
from nas.executors.messages import Broken, Ended, Epoch, Hindered, Message, Ready
from nas.executors.mps import shared_gpus
from nas.executors.worker_process import serve
from nas.plugins.loading import carried
from nas.trials import TrialResult, TrialSpec

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess, SpawnProcess

START_LIMIT = 600.0  # seconds for a worker's imports; only a hanging file system takes longer
MOST_STARTS = 3  # of a process or a trial, where each time the server that forks died
UNKNOWN = 255  # what multiprocessing takes for the exit status of a process whose server died
END_LIMIT = 1.0  # seconds between asking a worker to end and killing it
LONGEST_SLEEP = 86_400.0  # seconds: the system's own waits end at 24 days


class LocalExecutor(Closing):
    """An ``Executor`` of processes that start as soon as it is made (see ``nas.executors.fork_server``).

    ``run`` names a ``RunTrial`` as "package.module:function"; the workers import it, this process does not.
    ``trial_timeout`` counts a trial's own seconds, neither its worker's start nor a suspension of both
    processes. ``on_epoch`` is called inside ``wait``.
    """

    def __init__(
        self,
        slots: Sequence[WorkerSlot],
        *,
        trial_timeout: float | None = None,
        run: str = TRAINING,
        on_epoch: EpochListener | None = None,
    ) -> None:
        assert slots, "an executor needs at least one slot"
        self.num_slots = len(slots)
        self._workers: list[_Worker] = []
        self._daemons = contextlib.ExitStack()
        # At the interpreter's exit multiprocessing joins its children: they must have been told to end.
        self._finalizer: Any = util.Finalize(self, _end_all, args=(self._workers, self._daemons), exitpriority=10)
        shared = self._daemons.enter_context(shared_gpus(slots))
        self._workers += [_Worker(slot, run, trial_timeout, on_epoch, shared.get(slot.device, {})) for slot in slots]
        for worker in self._workers:
            worker.start()

    @property
    def num_running(self) -> int:
        return sum(worker.spec is not None for worker in self._workers)

    def submit(self, spec: TrialSpec) -> None:
        idle = [worker for worker in self._workers if worker.spec is None]
        assert idle, "submit called while every slot is taken"
        min(idle, key=lambda worker: not worker.ready).submit(spec)

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        end = None if timeout is None else time.monotonic() + timeout
        while self.num_running:
            left = [worker.limit - awake() for worker in self._workers if worker.limit is not None]
            if not any(worker.error for worker in self._workers):
                self._sleep(min([*left, *([] if end is None else [end - time.monotonic()])], default=None))
            results = [result for worker in self._workers if (result := worker.poll()) is not None]
            errors = [worker.error for worker in self._workers if worker.error]
            if errors and not results:  # what ended beside them comes first
                raise MachineError(errors[0])
            if results or (end is not None and time.monotonic() >= end):
                return results
        return []

    def _sleep(self, seconds: float | None) -> None:
        """Until a worker sends something or dies, or for so long."""
        events = [event for worker in self._workers for event in worker.events()]
        connection.wait(events, None if seconds is None else min(max(0.0, seconds), LONGEST_SLEEP))

    def close(self) -> None:
        self._finalizer.cancel()
        _end_all(self._workers, self._daemons)


class _Worker:
    """One slot, its process, and the trial in it, as the executor sees them.

    ``spec`` is the trial in it or None; ``ready`` whether the process has finished its imports; ``limit`` the
    moment of ``nas.awake`` at which the process is to be killed; ``error`` what is wrong with the machine, where that
    keeps the trial from a result. ``variables`` are those of its environment beside the slot's.
    """

    def __init__(
        self,
        slot: WorkerSlot,
        run: str,
        trial_timeout: float | None,
        on_epoch: EpochListener | None,
        variables: Mapping[str, str],
    ) -> None:
        self._slot, self._variables = slot, variables
        self._run = run
        self._trial_timeout = trial_timeout
        self._on_epoch = on_epoch
        self._process: ForkServerProcess | SpawnProcess | None = None
        self._channel: Connection[TrialSpec, Message] | None = None
        self._start_error: str | None = None
        self._since = 0.0  # when the trial, or the start of the process before it, began
        self._server: int | None = None  # that the process was forked from
        self._losses = 0  # of the trial's processes, with their servers
        self.error: str | None = None
        self.ready = False
        self.spec: TrialSpec | None = None

    def start(self) -> None:
        """Replace the process, if any, by a new one; does not wait for it, but for a server that still imports.

        A server that died is started again. MachineError if it dies again and again, or nothing can be started.
        """
        self.end()
        reason = "a worker's process could not be started"
        try:
            for _ in range(MOST_STARTS):
                try:
                    self._begin()
                    return
                except (EOFError, ConnectionError):  # what multiprocessing raises if the server died meanwhile
                    reason = self._why_server_died() or reason
        except OSError as error:
            raise MachineError(f"{reason}: {machine_error(error) or error}") from error
        raise MachineError(f"{reason}; it was tried {MOST_STARTS} times")

    def _begin(self) -> None:
        start_server([self._slot], self._run)
        self._server = server_id()
        context = context_of(self._slot)
        self._channel, theirs = context.Pipe()
        device = "cuda:0" if self._slot.device.startswith("cuda") else self._slot.device  # the only one it sees
        # Not a daemon: those may not have children, and a data loader inside a trial may want some.
        variables = {**worker_environment(self._slot, os.environ), **self._variables}
        with inherited(variables):
            arguments = (theirs, device, self._run, dict(os.environ), self._slot.num_threads, carried())
            process = context.Process(target=serve, args=arguments, name="nasctl worker")
            process.start()
        self._process = process  # an interrupt before this line leaves none
        theirs.close()  # the worker's copy is then the only one, and its death closes the channel
        self._start_error = self.error = None
        self._since = awake()

    def _why_server_died(self) -> str | None:
        """Waits a little, since a dying process lets go of its files first; None if it lives, or there is none."""
        if self._slot.device != "cpu" or self._server is None:
            return None
        end = time.monotonic() + END_LIMIT
        while (reason := why_it_died(self._server)) is None and time.monotonic() < end:
            time.sleep(0.01)
        return reason

    def submit(self, spec: TrialSpec) -> None:
        assert self.spec is None
        self._losses = 0
        try:
            self._submit(spec)
        except MachineError as error:  # wait() tells, after what ended in other workers
            self.error, self.spec = str(error), spec

    def _submit(self, spec: TrialSpec) -> None:
        if self._process is not None:
            self._read()  # finds out if it died this moment, before the server has told
        if not self._is_alive():
            self.start()
        self.spec = spec
        self._since = awake()
        assert self._channel is not None
        with contextlib.suppress(ConnectionError):  # it died this moment: poll() sees that and fails the trial
            self._channel.send(spec)

    def events(self) -> list[Any]:
        """Objects to sleep on: its messages and its death."""
        return [] if self._process is None else [self._channel, self._process.sentinel]

    @property
    def limit(self) -> float | None:
        if self.spec is None:
            return None
        if not self.ready:
            return self._since + START_LIMIT
        return None if self._trial_timeout is None else self._since + self._trial_timeout

    def poll(self) -> TrialResult | None:
        """Take in what happened since the last call, without blocking; the result of a trial that ended."""
        spec = self.spec
        try:
            return self._poll()
        except MachineError as error:  # what ended in other workers comes first
            self.error, self.spec = str(error), spec
            return None

    def _poll(self) -> TrialResult | None:
        if self._process is None or self.error:
            return None
        alive = self._is_alive()  # asked before reading: what a dead worker sent last is then surely read
        result = self._read()
        if result is not None:
            return result
        if not alive:
            return self._after_death()
        if self.limit is not None and awake() >= self.limit:
            return self._after_limit()
        return None

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def _read(self) -> TrialResult | None:
        """Messages in the channel, up to and including the end of the trial."""
        assert self._channel is not None
        try:
            while self._channel.poll():
                result = self._take(self._channel.recv())
                if result is not None:
                    return result
        except (EOFError, OSError):  # the worker is dead, or will be in a moment
            self._reap(END_LIMIT)
        return None

    def _take(self, message: Message) -> TrialResult | None:
        match message:
            case Ready():
                self.ready = True
                self._since = awake()  # a trial submitted before this moment begins now
            case Broken(reason):
                self._start_error = reason
            case Epoch(row):
                assert self.spec is not None
                if self._on_epoch is not None:
                    self._on_epoch(self.spec.id, row)
            case Hindered(reason):
                self.error = reason
            case Ended(result, retiring):
                self.spec = None
                if retiring:
                    try:
                        self.start()
                    except MachineError as error:  # the result comes first
                        self.error = str(error)
                return result
        return None

    def _after_death(self) -> TrialResult | None:
        """Start the slot again and fail its trial; or begin it again, if nothing but the server died.

        A worker that died before it was ready is started only for the next trial: were it broken for good,
        starting it now would go round for ever.
        """
        assert self._process is not None
        if self._process.exitcode == UNKNOWN and (reason := self._why_server_died()):
            self._begin_again(reason)
            return None
        reason = describe_exit(self._process.exitcode)
        if not self.ready:
            reason = f"worker could not start: {self._start_error or reason}"
        return self._fail(reason, start=self.ready)

    def _begin_again(self, reason: str) -> None:
        """In a process of another server, since nobody knows any more how this one fares."""
        spec, self.spec = self.spec, None
        self._losses += 1
        if self._losses == MOST_STARTS:
            raise MachineError(f"{reason}; it was tried {MOST_STARTS} times")
        self.start()
        if spec is not None:
            self._submit(spec)

    def _after_limit(self) -> TrialResult | None:
        if self.ready:
            return self._fail(f"stopped after {self._trial_timeout:g} s {TOO_LONG}", start=True)
        return self._fail(f"worker did not start within {START_LIMIT:g} s", start=False)

    def _fail(self, reason: str, *, start: bool) -> TrialResult | None:
        """End the process; the failed result of its trial, if it had one."""
        seconds = awake() - self._since if self.ready else 0.0
        spec, self.spec = self.spec, None
        self.end()
        if start:
            self.start()
        return None if spec is None else failure(spec, reason, seconds=seconds)

    def ask_to_end(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def end(self, patience: float = 0.0) -> None:
        """Be rid of the process, killing it after ``patience`` seconds, until the next ``start``."""
        self._reap(patience)
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            try:
                self._process.close()  # a process whose server died ends by this
            except ValueError:  # it outlives SIGKILL, or its end is not told: this program ends without it
                processes._children.discard(self._process)  # type: ignore[attr-defined]
        self._process = self._channel = None
        self.ready = False

    def _reap(self, patience: float) -> None:
        if self._process is None:
            return
        self._process.join(patience)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(END_LIMIT)  # not for ever: a process stuck inside a driver may outlive SIGKILL


def describe_exit(code: int | None) -> str:
    """Reason why a worker is gone, for the log of the trial that it took along."""
    if code is None or code >= 0:
        return f"worker ended by itself with exit status {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    hint = "; probably the system ran out of memory" if -code == signal.SIGKILL else ""
    return f"worker was killed by signal {-code} ({name}){hint}"


def _end_all(workers: Sequence[_Worker], daemons: contextlib.ExitStack) -> None:
    for worker in workers:
        worker.ask_to_end()
    for worker in workers:
        worker.end(END_LIMIT)
    daemons.close()  # after the workers, or it would wait for them
