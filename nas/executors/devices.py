"""Which worker slots this machine has room for, and how a process is tied to one."""

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

MAX_CPU_WORKERS = 16  # beyond it evolution learns from too few results, and threads per trial serve better
MEMORY_PER_WORKER = 1 << 30  # bytes: torch, a training's buffers, and a margin; the data set is shared


def plan_slots(device: str | None, workers: int | None, trials_per_gpu: int | None) -> list[WorkerSlot]:
    """One slot per concurrent trial, CPU threads divided evenly among them.

    ``device``: None for every GPU that torch sees, else the CPU; "cpu"; "cuda" for all; "cuda:N" for one.
    ``workers``: trials at once, in all; by default ``trials_per_gpu`` (4) on every GPU, or one per core.
    Raises UsageError with every fault of the three together. Does not import torch for "cpu".
    """
    faults = []
    if workers is not None and workers < 1:
        faults.append(f"--workers must be at least 1, not {workers}.")
    if trials_per_gpu is not None and trials_per_gpu < 1:
        faults.append(f"--trials-per-gpu must be at least 1, not {trials_per_gpu}.")
    gpus: list[str] = []
    try:
        gpus = _gpus(device)
    except UsageError as error:
        faults.extend(error.faults)
    else:
        if trials_per_gpu is not None and not gpus:
            faults.append("--trials-per-gpu needs a CUDA GPU, and this run is on the CPU; use --workers instead.")
    if faults:
        raise UsageError(*faults)
    devices = gpus or ["cpu"]
    default = len(gpus) * (trials_per_gpu or TRIALS_PER_GPU) if gpus else _default_cpu_workers(count_cores())
    return spread(devices, workers or default)


def spread(devices: Sequence[str], num_slots: int) -> list[WorkerSlot]:
    """So many slots on these devices, with the CPU's threads divided among them."""
    num_cores = count_cores()
    # Round robin: whatever the number of slots, no GPU has two more than another.
    return [
        WorkerSlot(devices[slot % len(devices)], num_threads=max(1, num_cores // num_slots))
        for slot in range(num_slots)
    ]


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
            f"There is no GPU {device}: {num_gpus} visible, cuda:0 to cuda:{num_gpus - 1}; "
            f"use one of these, or --device cuda for all."
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


def _default_cpu_workers(num_cores: int) -> int:
    # Nets this small gain little from a second thread, so: one process per core, as far as memory goes.
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(num_cores, MAX_CPU_WORKERS, memory // MEMORY_PER_WORKER))


def count_cores() -> int:
    """CPU cores that this process may use: its affinity mask, and its container's quota if that is less."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _container_quota(Path("/sys/fs/cgroup"))
    return affinity if quota is None else max(1, min(affinity, int(quota)))


def _container_quota(root: Path) -> float | None:
    """Cores granted by Linux control groups (version 2, then 1); None where there is no limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    return None if quota in ("max", "-1") else int(quota) / int(period)
