"""Counts, times and the order of a run's trials, brought up to date by each trial and never counted again."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt

from nas.runs.trial_record import TrialRecord

Place = tuple[float, int, int, str]  # minus the score, parameters, order of submission, id: sorts from the best
FEW = 64  # new places that are put in one by one; more are sorted in together


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

    def enter(self, trial: TrialRecord) -> None:
        """Count a trial as it now is."""
        self._counts[trial.stage, trial.status] += 1
        self._seconds[trial.stage, trial.status] += trial.seconds
        if (place := self._place(trial)) is not None:
            self._unsorted.append(place)

    def leave(self, trial: TrialRecord) -> None:
        """Undo ``enter``."""
        self._counts[trial.stage, trial.status] -= 1
        self._seconds[trial.stage, trial.status] -= trial.seconds
        if (place := self._place(trial)) is not None:
            del self.ranking[bisect.bisect_left(self.ranking, place)]

    def _place(self, trial: TrialRecord) -> Place | None:
        score = trial.score(self.objective) if trial.stage == self.ranked_stage else None
        return None if score is None else (-score, trial.cost.params, trial.order, trial.id)

    def count(self, status: str | None = None, *, stage: str | None = None) -> int:
        """Trials with a status, of a stage; None for any."""
        return sum(
            number
            for (of_stage, has_status), number in self._counts.items()
            if stage in (None, of_stage) and status in (None, has_status)
        )

    def mean_seconds(self, *statuses: str, stage: str | None = None) -> float | None:
        """Of trials with one of ``statuses``, if none is named of finished ones; None if there is none."""
        statuses = statuses or ("finished",)
        number = sum(self.count(status, stage=stage) for status in statuses)
        counted = [key for key in self._seconds if key[1] in statuses and stage in (None, key[0])]
        return sum(self._seconds[key] for key in counted) / number if number else None

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


def average_ranks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The places (N,) of N values in ascending order, from 1; equal values have the mean of their places."""
    _, which, counts = np.unique(np.asarray(values, float), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which.reshape(-1)], float)
