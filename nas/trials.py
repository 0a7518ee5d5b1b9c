"""One trial as the log knows it, and what is asked of all of them after every result: how many, how long, which are
best. That is brought up to date by each trial, never counted again: the hundred-thousandth result costs what the
first did."""

from __future__ import annotations

import bisect
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from budgets import Cost
from nas.store import Event
from search_spaces import Sample

Place = tuple[float, int, int, str]  # minus the score, parameters, order of submission, id: sorts from the best
FEW = 64  # new places that are put in one by one; more are sorted in together


@dataclass(slots=True)
class Trial:
    """One training as the log knows it. ``status`` is "running" until a result is recorded.

    Its history stays in the log: ``Run.history``.
    """

    id: str
    stage: str  # "search"; "confirm": trained again with another seed; "study": of a baseline run
    of: str  # the search trial that a confirmation repeats, its own id in the search, the member of a study
    architecture: str
    sample: Sample
    cost: Cost
    seed: int
    mutant: bool = False  # drawn as a mutant, see nas.recall; False where the log does not say
    order: int = 0  # of its first submission among all trials of the run
    status: str = "running"
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    epochs: int = 0  # of its history
    result_number: int | None = None  # of the event that holds its result
    seconds: float = 0.0
    error: str | None = None

    @classmethod
    def submitted(cls, body: Mapping[str, Any], order: int) -> Self:
        """The trial that an event "submitted" tells of."""
        cost = Cost(**{name: body[name] for name in ("params", "macs", "size_bytes", "peak_memory")})
        return cls(
            body["id"],
            sys.intern(body["stage"]),
            body["of"],
            body["architecture"],
            _sharing_names(body["sample"]),
            cost,
            body["seed"],
            mutant=body.get("mutant", False),
            order=order,
        )

    def end(self, event: Event) -> None:
        """Take in the event "result"."""
        body = event.body
        self.status, self.error, self.seconds = sys.intern(body["status"]), body["error"], body["seconds"]
        self.metrics = {sys.intern(split): _sharing_names(figures) for split, figures in body["metrics"].items()}
        self.epochs = body["epochs"] if "epochs" in body else len(body["history"])
        self.result_number = event.number

    def score(self, objective: str) -> float | None:
        """The figure that ranks it, None unless it finished."""
        value = self.metrics.get("rank", {}).get(objective) if self.status == "finished" else None
        return None if value is None else float(value)


class Tally:
    """Counts, seconds and the ranking of a run's trials. A trial leaves before it changes, and enters after.

    Trials of ``ranked_stage`` are ranked by ``objective``.
    """

    def __init__(self, ranked_stage: str, objective: str) -> None:
        self.ranked_stage, self.objective = ranked_stage, objective
        self._counts: Counter[tuple[str, str]] = Counter()  # by stage and status
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._ranking: list[Place] = []
        self._unsorted: list[Place] = []

    def enter(self, trial: Trial) -> None:
        """Count a trial as it now is."""
        self._counts[trial.stage, trial.status] += 1
        self._seconds[trial.stage, trial.status] += trial.seconds
        if (place := self._place(trial)) is not None:
            self._unsorted.append(place)

    def leave(self, trial: Trial) -> None:
        """Undo ``enter``."""
        self._counts[trial.stage, trial.status] -= 1
        self._seconds[trial.stage, trial.status] -= trial.seconds
        if (place := self._place(trial)) is not None:
            del self.ranking[bisect.bisect_left(self.ranking, place)]

    def _place(self, trial: Trial) -> Place | None:
        score = trial.score(self.objective) if trial.stage == self.ranked_stage else None
        return None if score is None else (-score, trial.cost.params, trial.order, trial.id)

    def count(self, status: str | None = None, *, stage: str | None = None) -> int:
        """Trials with a status, of a stage; None for any."""
        return sum(
            number
            for (of_stage, has_status), number in self._counts.items()
            if stage in (None, of_stage) and status in (None, has_status)
        )

    def mean_seconds(self, *, stage: str | None = None) -> float | None:
        """Of finished trials; None if there is none."""
        finished = self.count("finished", stage=stage)
        of_stage = [key for key in self._seconds if key[1] == "finished" and stage in (None, key[0])]
        return sum(self._seconds[key] for key in of_stage) / finished if finished else None

    @property
    def ranking(self) -> list[Place]:
        """The places, best first; not to be changed."""
        if len(self._unsorted) > FEW:
            self._ranking += self._unsorted
            self._ranking.sort()
        else:
            for place in self._unsorted:
                bisect.insort(self._ranking, place)
        self._unsorted.clear()
        return self._ranking


def _sharing_names(named: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose names are the same objects in all trials: JSON makes new ones each time, half of the memory."""
    return {sys.intern(name): value for name, value in named.items()}
