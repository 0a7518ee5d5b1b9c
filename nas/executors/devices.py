"""Worker slots of this machine, and binding of a process to one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.errors import UsageError
from nas.executors.base import WorkerSlot

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

TRIALS_PER_GPU = 4
"""Networks of this size leave a GPU idle between their short kernels: four processes fill the gaps. Each
costs about 0.5 GB of GPU memory for its context, so four also fit the smallest GPUs in use."""

NO_GPU = "No CUDA GPU is visible (nvidia-smi lists them, CUDA_VISIBLE_DEVICES hides them); use --device cpu."

LIMITING_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # what users and batch systems limit a process with

MAX_CPU_WORKERS = 16  # beyond it evolution learns from too few results, and threads per trial serve better
MEMORY_PER_WORKER = 1 << 30  # bytes: torch, a training's buffers, and a margin; the data set is shared


def plan_slots(
    device: str | None, workers: int | None, trials_per_gpu: int | None, threads: int | None = None
) -> list[WorkerSlot]:
    """One slot per concurrent trial, CPU threads divided evenly among them (see ``distribute``).

    ``device``: None for every GPU that torch sees, else the CPU; "cpu"; "cuda" for all; "cuda:N" for one.
    ``workers``: trials in parallel, in all; by default ``trials_per_gpu`` (4) on every GPU, or one per core.
    ``threads``: of each trial; None: as ``distribute`` divides them.
    Raises UsageError with every error of the three together. Does not import torch for "cpu".
    """
    errors = []
    if workers is not None and workers < 1:
        errors.append(f"--workers must be at least 1, not {workers}.")
    if trials_per_gpu is not None and trials_per_gpu < 1:
        errors.append(f"--trials-per-gpu must be at least 1, not {trials_per_gpu}.")
    gpus: list[str] = []
    try:
        gpus = _gpus(device)
    except UsageError as error:
        errors.extend(error.messages)
    else:
        if trials_per_gpu is not None and not gpus:
            errors.append("--trials-per-gpu needs a CUDA GPU, and this run is on the CPU; use --workers instead.")
    if errors:
        raise UsageError(*errors)
    devices = gpus or ["cpu"]
    default = len(gpus) * (trials_per_gpu or TRIALS_PER_GPU) if gpus else _default_cpu_workers(threads or 1)
    return distribute(devices, workers or default, threads)


def distribute(devices: Sequence[str], num_slots: int, threads: int | None = None) -> list[WorkerSlot]:
    """So many slots on these devices, each with so many ``threads`` of the CPU.

    By default the cores are divided among them, as far as the environment allows. But one worker on a CPU has one
    thread: sums are rounded otherwise with another number of threads, and equal seeds give equal logs wherever it runs.
    """
    alone_on_cpu = num_slots == 1 and devices[0] == "cpu"
    each = threads or (1 if alone_on_cpu else limited(max(1, count_cores() // num_slots)))
    # Round robin: whatever the number of slots, no GPU has two more than another.
    return [WorkerSlot(devices[slot % len(devices)], num_threads=each) for slot in range(num_slots)]


def limited(threads: int, environment: Mapping[str, str] = os.environ) -> int:
    """``threads``, or fewer where OMP_NUM_THREADS or MKL_NUM_THREADS allow a process only so many."""
    asked = [environment.get(name, "").partition(",")[0].strip() for name in LIMITING_VARIABLES]
    limits = [int(text) for text in asked if text.isascii() and text.isdigit() and int(text) > 0]
    return min([threads, *limits])


def recorded_threads(slots: Sequence[WorkerSlot]) -> int | None:
    """Number of threads of each worker as a run records it; they decide how sums are rounded on a CPU."""
    return next((slot.num_threads for slot in slots if slot.device == "cpu"), None)


def threads_together(slots: Sequence[WorkerSlot]) -> int | None:
    """Of one process that works while no worker of ``slots`` does: as many as all of them have, as far as the
    environment allows; None on GPUs, where it may take what it finds."""
    if slots[0].device != "cpu":
        return None
    return slots[0].num_threads if len(slots) == 1 else limited(sum(slot.num_threads for slot in slots))


def _gpus(device: str | None) -> list[str]:
    """The CUDA devices that ``device`` means; none for the CPU."""
    if device == "cpu":
        return []
    if device is not None and not re.fullmatch(r"cuda(:\d+)?", device):
        raise UsageError(f"There is no device {device!r}. Use --device cpu, --device cuda, or --device cuda:0.")
    if not _may_have_gpu():
        if device is None:
            return []
        raise UsageError(NO_GPU)
    import torch  # seconds, and only needed here

    # Counted through the driver's management library: this process must not open a CUDA context of its own.
    num_gpus = torch.cuda.device_count()
    if device is None:
        return [f"cuda:{index}" for index in range(num_gpus)]
    if num_gpus == 0:
        raise UsageError(NO_GPU)
    if device == "cuda":
        return [f"cuda:{index}" for index in range(num_gpus)]
    if int(device.removeprefix("cuda:")) >= num_gpus:
        raise UsageError(
            f"There is no GPU {device}: the visible ones are cuda:0 to cuda:{num_gpus - 1} ({num_gpus}); use "
            "one of these"
            f", or --device cuda for all."
        )
    return [f"cuda:{int(device.removeprefix('cuda:'))}"]


def _may_have_gpu() -> bool:
    """False where Linux has no driver of NVIDIA (also on Jetson, under WSL) or AMD: torch would see no GPU either."""
    drivers = ("nvidiactl", "nvhost-gpu", "nvgpu", "dxg", "kfd")
    return sys.platform != "linux" or any(Path("/dev", name).exists() for name in drivers)


def worker_environment(slot: WorkerSlot, parent: Mapping[str, str]) -> dict[str, str]:
    """The variables that tie a process to its slot, given those of its parent.

    ``slot.device`` counts the GPUs that the *parent* sees, so "cuda:1" under
    ``CUDA_VISIBLE_DEVICES=4,GPU-ab`` is "GPU-ab". The worker sees that GPU alone,
    as "cuda:0"; a CPU worker sees none.
    """
    variables = dict.fromkeys(THREAD_VARIABLES, str(slot.num_threads))
    visible = ""
    if slot.device.startswith("cuda"):
        index = int(slot.device.removeprefix("cuda").removeprefix(":") or 0)
        listed = parent.get("CUDA_VISIBLE_DEVICES")
        visible = str(index) if listed is None else listed.split(",")[index].strip()
    return variables | {"CUDA_VISIBLE_DEVICES": visible}


def _default_cpu_workers(threads: int) -> int:
    # Nets this small gain little from a second thread, so: one process per core, as far as memory goes.
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(count_cores() // threads, MAX_CPU_WORKERS, memory // MEMORY_PER_WORKER))


def count_cores() -> int:
    """CPU cores that this process may use: its affinity mask, and its container's quota if that is less."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _container_quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return affinity if quota is None else max(1, min(affinity, int(quota)))


def _container_quota(root: Path, own: Path) -> float | None:
    """Cores granted by Linux control groups (version 2 and 1): the least that this process's group, which the file
    ``own`` names, and those above it grant; None where there is no limit."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        lines = []
    # Inside a container the files of its own group often lie at the root, whatever the group is called.
    folders = [root, root / "cpu"]
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if not controllers or "cpu" in controllers.split(","):
            base = root / "cpu" if controllers else root
            group = base / path.strip("/")
            folders += [folder for folder in (group, *group.parents) if folder.is_relative_to(base)]
    quotas = [quota for folder in folders if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def _quota(folder: Path) -> float | None:
    """Cores that one control group grants; None if it does not say."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError):
        return None
