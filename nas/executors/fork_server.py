"""Start of worker processes: forked, in milliseconds, from a server process that imported torch once.

Workers on a CPU share what the server imported, in time and in memory. It trains nothing, starts no thread, and ends
with this process. Workers on a GPU are spawned instead and import for themselves: whether CUDA works in a process that
was forked depends on what the libraries did before.

None of them imports the program that starts them, as multiprocessing's processes do: what they run is in our packages.
So a script needs no ``if __name__ == "__main__":``, and a notebook, or a program from standard input, works alike.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import current_process, forkserver, resource_tracker, spawn
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

from nas.errors import UsageError
from nas.executors.base import WorkerSlot
from nas.executors.devices import worker_environment
from nas.executors.out_of_memory import oom_kills

TRAINING = "nas.trials.run_trial:run_trial"

_one_thread = threading.RLock()  # what is inherited belongs to the whole process
_deaths: dict[int, str] = {}  # of servers, by process id: why they are gone
_kills_before = 0  # by lack of memory, when the server was last seen to live


def check_may_start() -> None:
    """UsageError, in one sentence, where this process may not start others."""
    process = current_process()
    if getattr(process, "_inheriting", False):  # multiprocessing's own mark; it refuses with a page
        raise UsageError(
            "A search cannot start while multiprocessing imports this program into a child process: put the "
            "code that starts your processes under"
            ' if __name__ == "__main__".'
        )
    if process.daemon:
        raise UsageError(
            "A search starts processes, and this one is a daemon of multiprocessing (a worker of a Pool, say), which "
            "may not: start the search from the main process, or from a thread."
        )


def start_server(slots: Sequence[WorkerSlot], run: str = TRAINING) -> None:
    """Let the server import in the background what ``run`` needs, if workers in ``slots`` will be forked from it.

    Returns immediately. A server that runs already is left as it is. OSError if it cannot be started.
    """
    global _kills_before
    slot = next((slot for slot in slots if slot.device == "cpu"), None)
    if slot is None:
        return
    if run == TRAINING:
        multiprocessing.get_context("forkserver").set_forkserver_preload(["nas.executors.preload"])
    resource_tracker.ensure_running()  # the server would start it, and it unblocks the interrupt signal
    # It looks for modules where this process does; by itself it would look in the working folder first.
    path = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}
    if (server := server_id()) is None or why_it_died(server):
        _kills_before = oom_kills()
    with inherited(worker_environment(slot, os.environ) | path):
        forkserver.ensure_running()


def server_id() -> int | None:
    """The process id of the server that was started last, whether it lives or not."""
    found: int | None = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # no other way to see it
    return found


def why_it_died(server: int) -> str | None:
    """Reason why the server of that process id is gone; None while it lives. It stays for multiprocessing to reap."""
    if server not in _deaths:
        try:
            ended = os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            _deaths[server] = "ended"  # reaped already
        else:
            if ended is None:
                return None
            _deaths[server] = _described(ended)
    return f"the process that workers are forked from {_deaths[server]}"


def _described(ended: os.waitid_result) -> str:
    if ended.si_code == os.CLD_EXITED:
        return f"ended by itself with exit status {ended.si_status}"
    if oom_kills() > _kills_before:
        return "was killed by the system, which ran out of memory: free some, or use fewer --workers"
    name = signal.Signals(ended.si_status).name if ended.si_status in set(signal.Signals) else "unknown"
    hint = "; probably the system ran out of memory: free some, or use fewer --workers"
    return f"was killed by signal {ended.si_status} ({name})" + (hint if name == "SIGKILL" else "")


def context_of(slot: WorkerSlot) -> ForkServerContext | SpawnContext:
    """Multiprocessing context that starts processes in ``slot``."""
    if slot.device == "cpu":
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


def configure_process(variables: Mapping[str, str], num_threads: int) -> None:
    """Inside a new worker: the environment of its parent and slot, which a forked process does not have."""
    os.environ.clear()
    os.environ.update(variables)
    torch = sys.modules.get("torch")
    if torch is not None:  # imported in the server, which read its variables
        torch.set_num_threads(num_threads)


@contextlib.contextmanager
def inherited(variables: Mapping[str, str]) -> Iterator[None]:
    """Processes started inside find ``variables`` in their environment and the interrupt signal blocked, and do not
    import this program's main module. One thread at a time.

    Set from outside, since a new process imports modules, and may read the variables, before any code of ours.
    Likewise a Ctrl-C in that time would print a traceback for each worker.
    """
    with _one_thread, _main_left_out():
        before = {name: os.environ.get(name) for name in variables}
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def _main_left_out() -> Iterator[None]:
    """Leave out, for processes that this thread starts, the program that multiprocessing tells them to import."""
    whole, this_thread = spawn.get_preparation_data, threading.get_ident()

    def told(name: str) -> dict[str, Any]:
        facts = whole(name)
        if threading.get_ident() == this_thread:  # processes of other threads are none of ours
            for main in ("init_main_from_name", "init_main_from_path"):
                facts.pop(main, None)
        return facts

    spawn.get_preparation_data = told
    try:
        yield
    finally:
        spawn.get_preparation_data = whole
