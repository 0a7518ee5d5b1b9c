"""Early stopping of a training, and its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

History = Sequence[Mapping[str, float]]  # as ``nas.training.loop.Training`` has it


@dataclass(frozen=True)
class Stop:
    """Reason why a training ended before its last epoch."""

    rule: Literal["patience", "pruned"]
    reason: str


def why_stopped(
    history: History, objective: str, threshold: Sequence[float], *, patience: int | None, waited: int
) -> Stop | None:
    """Reason to stop after the last epoch of ``history``: a pruner's ``threshold``, or the recipe's ``patience`` after
    ``waited`` epochs without a lower select_loss. None: continue."""
    if reason := why_pruned(history, objective, threshold):
        return Stop("pruned", reason)
    if patience is not None and waited >= patience:
        return Stop("patience", f"after epoch {len(history)}: select_loss has not improved for {patience} epochs")
    return None


def curve(history: History, objective: str) -> list[float]:
    """The best ``objective`` on select so far, after each epoch. One that was not scored has what the one before it
    has; before the first that was, what that has."""
    name = f"select_{objective}"
    first = next((row[name] for row in history if name in row), None)
    return (
        [] if first is None else list(accumulate((row.get(name, -math.inf) for row in history), max, initial=first))[1:]
    )


def why_pruned(history: History, objective: str, threshold: Sequence[float]) -> str | None:
    """Reason why a trial with this history is to be pruned now, None if it is not. ``threshold``: what it must have
    reached after each epoch (see ``strategies.base.StopRule``); empty: never."""
    epoch = len(history)
    if not 0 < epoch <= len(threshold):
        return None
    best = curve(history, objective)[-1]
    if best >= threshold[epoch - 1]:
        return None
    return f"after epoch {epoch} of {len(threshold)}: best {best:.3f} on select, {threshold[epoch - 1]:.3f} required"
