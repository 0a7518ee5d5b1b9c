"""One trial as the log knows it."""

from __future__ import annotations

import marshal
import sys
from dataclasses import dataclass
from typing import Literal, Self

from budgets import Cost
from nas.config.recipe import Metrics
from nas.runs.events import Stage, TrialEnded, TrialSubmitted
from search_spaces import Sample

NOTHING = marshal.dumps({})


@dataclass(slots=True)
class TrialRecord:
    """One training as the log knows it. ``status`` is "running" until a result is recorded.

    Its history stays in the log: ``Run.history``.
    """

    id: str
    stage: Stage
    of: str  # the search trial that a confirmation repeats, its own id in the search, the member of a study
    architecture: str
    sample: Sample
    cost: Cost
    seed: int
    note: str | None = None  # what the strategy said of its proposal
    predicted: tuple[float, float, float] | None = (
        None  # score, and the interval that holds 90 %, before it was trained
    )
    order: int = 0  # of its first submission among all trials of the run
    status: Literal["running", "finished", "failed", "pruned"] = "running"
    packed: bytes = NOTHING  # ``metrics``: as bytes a quarter of the memory
    epochs: int = 0  # of its history
    result_number: int | None = None  # of the event that holds its result
    seconds: float = 0.0
    training_memory: int | None = None  # bytes at the peak
    ended: float = 0.0  # seconds of work on the run until then
    error: str | None = None

    @classmethod
    def submitted(cls, event: TrialSubmitted, order: int) -> Self:
        """The trial that starts with ``event``."""
        return cls(
            id=event.id,
            stage=event.stage,
            of=event.of,
            architecture=event.architecture,
            sample=_sharing_names(event.sample),
            cost=event.cost,
            seed=event.seed,
            note=None if event.note is None else sys.intern(event.note),
            predicted=event.predicted,
            order=order,
        )

    def end(self, event: TrialEnded, number: int, elapsed: float) -> None:
        """Take in its result, which is event ``number``, after so many seconds of work on the run."""
        result = event.result
        self.status, self.error, self.seconds = result.status, result.error, result.seconds
        self.training_memory = result.training_memory
        self.packed = marshal.dumps(result.metrics)
        self.epochs, self.result_number, self.ended = event.epochs, number, elapsed

    @property
    def metrics(self) -> dict[str, Metrics]:
        """Metrics by split, a copy; empty unless it finished."""
        return marshal.loads(self.packed)  # type: ignore[no-any-return]

    def score(self, objective: str, split: str = "rank") -> float | None:
        """The metric that ranks it, or the same on another split; None unless it finished."""
        return self.score_so_far(objective, split) if self.status == "finished" else None

    def score_so_far(self, objective: str, split: str = "rank") -> float | None:
        """The same, also of a trial that was pruned, which ranks nowhere."""
        value = self.metrics.get(split, {}).get(objective)
        return float(value) if isinstance(value, (int, float)) else None


def _sharing_names(named: Sample) -> Sample:
    """A copy whose names are the same objects in all trials; JSON makes new ones each time."""
    return {sys.intern(name): value for name, value in named.items()}


def seed_number(trial_id: str) -> int:
    """Number of a trial among the repeated trainings, from 1: the last part of its id."""
    return int(trial_id.rpartition(".")[2])
