"""NVIDIA's Multi-Process Service for a run's own workers, where it is installed: their kernels run in parallel.

Without it a GPU gives its processes turns, and a small network's kernels leave most of it idle in theirs. A daemon of
ours serves one GPU and one run. An error of one worker on the device fails the trials beside it, as every MPS does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection
from pathlib import Path

from nas.executors.base import WorkerSlot
from nas.executors.devices import worker_environment
from nas.files import scratch_folder

CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
USUAL_PIPES = Path("/tmp/nvidia-mps")  # of a daemon that was started without naming a folder
START_LIMIT, END_LIMIT = 20.0, 10.0  # seconds

# Ends the daemon when its standard input closes: when we are done, or killed, in whatever way.
WATCH = f"""
{CONTROL} -d >/dev/null && echo started && read -r _
echo quit | {CONTROL} >/dev/null
rm -rf -- "${PIPES}"
"""

# The driver alone, in a process of its own: connecting starts the server, and where that fails every trial would.
CONNECT = """
import ctypes
cuda, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
raise SystemExit(bool(cuda.cuInit(0) or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)))
"""

Variables = dict[str, str]


def connects(variables: Variables) -> bool:
    """True if a process with these variables gets the GPU."""
    command, environment = [sys.executable, "-c", CONNECT], {**os.environ, **variables}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=START_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@contextlib.contextmanager
def shared_gpus(
    slots: Sequence[WorkerSlot], *, works: Callable[[Variables], bool] = connects
) -> Iterator[Mapping[str, Variables]]:
    """For each GPU with several slots the variables, beside ``worker_environment``'s, that let workers share it.

    None where MPS is not installed, is there already, or does not start; a run then continues without. The daemons end
    with the block, or with this process.
    """
    variables: dict[str, Variables] = {}
    with contextlib.ExitStack() as daemons:
        several = [device for device, number in Counter(slot.device for slot in slots).items() if number > 1]
        for device in several if _may_start() else []:
            seen = worker_environment(WorkerSlot(device, 1), os.environ)["CUDA_VISIBLE_DEVICES"]
            if not device.startswith("cuda") or (folder := _started(seen, daemons)) is None:
                continue
            # The daemon sees this GPU alone, and so counts it as its first.
            found = {PIPES: folder, LOGS: folder, "CUDA_VISIBLE_DEVICES": seen if "-" in seen else "0"}
            if works(found):
                variables[device] = found
        yield variables


def _may_start() -> bool:
    return bool(shutil.which(CONTROL)) and PIPES not in os.environ and not (USUAL_PIPES / "control").exists()


def _started(visible: str, daemons: contextlib.ExitStack) -> str | None:
    """The folder of a new daemon for the GPU ``visible``; None if it did not start. Folders of runs that were killed
    together with what ends their daemons go, and the daemons."""
    folder = str(daemons.enter_context(scratch_folder("nasctl-mps", before_removal=_quit)))
    environment = os.environ | {PIPES: folder, LOGS: folder, "CUDA_VISIBLE_DEVICES": visible}
    watch = subprocess.Popen(
        ["/bin/sh", "-c", WATCH], env=environment, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    daemons.callback(_end, watch)
    assert watch.stdout is not None
    return folder if connection.wait([watch.stdout.fileno()], START_LIMIT) and watch.stdout.readline() else None


def _end(watch: subprocess.Popen[str]) -> None:
    try:
        watch.communicate(timeout=END_LIMIT)  # closes its input
    except subprocess.TimeoutExpired:
        watch.kill()  # it asks the daemon to end, which waits for what still runs: no run shall wait for that
        watch.communicate()


def _quit(folder: Path) -> None:
    """End the daemon in a folder, if one lives that nobody watches. OSError if it does not end: it still serves."""
    try:
        subprocess.run(
            [CONTROL], input="quit\n", env=os.environ | {PIPES: str(folder)}, text=True, capture_output=True,
            timeout=END_LIMIT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(str(folder)) from error
