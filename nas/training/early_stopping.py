"""When a training stops before its last epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

History = Sequence[Mapping[str, float]]  # as ``nas.training.loop.Training`` has it


def curve(history: History, objective: str) -> list[float]:
    """The best ``objective`` on select so far, after each epoch."""
    return list(accumulate((row[f"select_{objective}"] for row in history), max))


def why_pruned(history: History, objective: str, floor: Sequence[float]) -> str | None:
    """Why a trial with this history is to be stopped now, None if it is not. ``floor`` as above; empty: never."""
    epoch = len(history)
    if not 0 < epoch <= len(floor):
        return None
    best = curve(history, objective)[-1]
    if best >= floor[epoch - 1]:
        return None
    return f"after epoch {epoch} of {len(floor)}: {best:.3f} on select, where {floor[epoch - 1]:.3f} was the least"
