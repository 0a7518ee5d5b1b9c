"""The most memory that one training took."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # see proc_pid_clear_refs(5)


def watched(device: str) -> Callable[[], int | None]:
    """Begin to watch the memory of ``device``; the function that tells the peak in bytes since then.

    On a GPU it is that of tensors, on a CPU the most resident memory of this process, libraries and data included; None
    where the system does not tell it for a part of a process's life.
    """
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return lambda: torch.cuda.max_memory_allocated(device)
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:  # another system than Linux, or one that forbids it
        return lambda: None
    return _resident_peak


def _resident_peak() -> int | None:
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None
