"""Running trials: submitted, recorded, trained, recorded again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from nas.config.run import RunConfig
from nas.executors import Executor, LocalExecutor, WorkerSlot
from nas.runs.hints import typed
from nas.trials.spec import TrialResult

MOST_FAILURES = 10

OpenExecutor = Callable[[Sequence[WorkerSlot]], Executor]


def local_executor(config: RunConfig, on_epoch: Callable[[str, dict[str, float]], None]) -> OpenExecutor:
    """Opens worker processes for a list of slots."""
    return lambda slots: LocalExecutor(slots, trial_timeout=config.trial_timeout, on_epoch=on_epoch)


def unusable(result: TrialResult, objective: str) -> str | None:
    """Why a result that calls itself finished cannot be used; None if it can."""
    if objective not in result.metrics.get("rank", {}):
        return f"it reported no {objective}"
    for split, figures in result.metrics.items():
        for name, figure in figures.items():
            if isinstance(figure, float) and not math.isfinite(figure):
                return f"{name} on {split} is {figure}, not a number that ranks"
    return None


def why_stopped(folder: Path, failures: list[str]) -> str:
    reasons = "\n".join(f"  {failure}" for failure in failures)
    return (
        f"Stopped: {len(failures)} trials in a row failed:\n{reasons}\n"
        f"Their logs are in {folder / 'logs'}. When the cause is gone: {typed('resume', folder)}"
    )
