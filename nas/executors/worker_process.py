"""The inside of a worker process, whose device and threads are fixed in its environment."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
from multiprocessing import connection, parent_process
from typing import TYPE_CHECKING

from nas.errors import MachineError
from nas.executors.base import RunTrial, failure, run_guarded
from nas.executors.fork_server import configure_process
from nas.executors.messages import Broken, Ended, Epoch, Hindered, Message, Ready
from nas.plugins.loading import Carried, take_over
from nas.trials import TrialResult, TrialSpec

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

ORPHANED = 3  # exit status of a worker whose parent is gone; nobody is left to read it


def serve(
    channel: Connection[Message, TrialSpec],
    device: str,
    run_name: str,
    variables: dict[str, str],
    num_threads: int,
    plugins: tuple[Carried, ...] = (),
) -> None:
    """Run one specification after another until the parent closes the channel, ends this process, or dies.

    ``plugins``: what the parent has loaded, and trials may name.
    """
    live_with_parent()
    configure_process(variables, num_threads)
    os.dup2(2, 1)  # standard output belongs to the command (--json); a library that prints goes to stderr
    with contextlib.suppress(ConnectionError):  # the parent let go of this process, or is gone: nobody listens
        _serve(channel, device, run_name, plugins)


def _serve(channel: Connection[Message, TrialSpec], device: str, run_name: str, plugins: tuple[Carried, ...]) -> None:
    try:
        run = load_run(run_name)
        take_over(plugins)
    except Exception as error:
        # Whatever an import raises (a missing library, a broken CUDA installation) is the reason to report.
        channel.send(Broken(f"{type(error).__name__}: {error}"))
        return
    channel.send(Ready())
    while (spec := _receive(channel)) is not None:
        try:
            result = run_guarded(run, spec, device, lambda row: channel.send(Epoch(row)))
        except MachineError as error:
            channel.send(Hindered(str(error)))
            continue
        retiring = result.status == "failed" and not _device_works(device)
        _send_result(channel, spec, result, retiring)
        if retiring:
            return


def load_run(name: str) -> RunTrial:
    """The function that ``package.module:function`` names."""
    module, _, function = name.partition(":")
    run: RunTrial = getattr(importlib.import_module(module), function)
    return run


def _receive(channel: Connection[Message, TrialSpec]) -> TrialSpec | None:
    try:
        return channel.recv()
    except (EOFError, ConnectionError):
        return None


def _send_result(channel: Connection[Message, TrialSpec], spec: TrialSpec, result: TrialResult, retiring: bool) -> None:
    try:
        channel.send(Ended(result, retiring))
    except (OSError, EOFError):
        raise  # the parent is gone
    except Exception as error:
        # pickle raises many kinds, before anything is written: the channel is still good.
        channel.send(Ended(failure(spec, f"its result cannot be sent: {error}"), retiring))


def _device_works(device: str) -> bool:
    """False when a CUDA context is lost, as after an illegal access: every later trial would fail in it.

    Also gives cached memory back, since a neighbour on the same GPU may need what this trial ran out of.
    """
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda") or not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        return False
    return True


def live_with_parent() -> None:
    """Inside a new process: leave Ctrl-C to the parent, and end when it does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches the whole group
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_exit_with_parent, name="exit with parent", daemon=True).start()


def _exit_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(ORPHANED)  # immediately: no trial, no exit handler, nothing may outlive the search
