"""Median pruning: a trial is stopped at a threshold by epoch, from the curves of the trials before it.

A median rule (Golovin et al. 2017, "Google Vizier", section 3.2.2) that begins gently, since early epochs say little,
and leaves a margin, since some of the best are late: from a third of the epochs on a trial must not be clearly below
the worst quarter of those before it, from half on not clearly below their median. How much that saves and what it
costs is measured by ``benchmarks/pruning.py``.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from nas.runs import TrialRecord
from nas.strategies.base import StopRule
from nas.training.early_stopping import History, curve

LEAST_TRIALS = 4  # before any is judged by them
MOST_TRIALS = 100  # that judge one: the newest, since evolution leaves the first far behind
LEAST_EPOCHS = 3  # before any is judged
BEGIN, FULL = 1 / 3, 1 / 2  # shares of the epochs from which on, and from which on in full, trials are judged
FIRST_SHARE, FULL_SHARE = 1 / 4, 1 / 2  # of the earlier trials, which a trial must not be below then
CLEAR = 0.05  # what a trial lacks of that to be stopped: on small splits less is chance

Curve = Sequence[float]  # the best so far after each epoch; never falls


def pruning_thresholds(curves: Sequence[Curve], epochs: int) -> tuple[float, ...]:
    """Pruning thresholds after each of a trial's ``epochs``, given the curves of the trials before it; 0, or -inf of an
    objective that may be below 0, where nothing is pruned, as after the last epoch. Empty if there are too few curves.

    A curve that ends early counts with its last value from there on. So the median stays what it was with all
    trials trained to the end, as long as those that were stopped had stayed below it; the median of the others
    would rise with every trial that is stopped.
    """
    curves = [curve for curve in curves if curve]
    if len(curves) < LEAST_TRIALS:
        return ()
    anything = 0.0 if all(curve[0] >= 0 for curve in curves) else -math.inf
    least = [anything] * epochs
    for epoch in range(max(LEAST_EPOCHS, math.ceil(BEGIN * epochs)), epochs):
        bests = [curve[min(epoch, len(curve)) - 1] for curve in curves]
        progress = min(1.0, (epoch / epochs - BEGIN) / (FULL - BEGIN))
        share = FIRST_SHARE + (FULL_SHARE - FIRST_SHARE) * progress
        least[epoch - 1] = max(anything, float(np.quantile(bests, share)) - CLEAR)
    return tuple(least)


class MedianPruner:
    """A ``Pruner``: a trial is judged by all that had ended, the newest of them, when it was submitted. So a trial
    that starts again after a kill is judged as it was before it.

    ``course`` are the submissions and results of a search in their order (``SearchRun.course``), which grows. ``read``
    gives the history of a trial that ended; it is asked for those that judge alone.
    """

    def __init__(
        self, course: Sequence[tuple[str, TrialRecord]], read: Callable[[TrialRecord], History], objective: str,
        epochs: int,
    ) -> None:  # fmt: skip
        self._course, self._epochs = course, epochs
        self._curves: OrderedDict[str, Curve] = OrderedDict()
        self._read, self._objective = read, objective
        self._seen = 0  # of the course
        self._ended: list[TrialRecord] = []  # those that failed judge nobody
        self._before: dict[str, int] = {}  # by trial: how many had ended when it was submitted

    def threshold(self, trial_id: str) -> StopRule:
        """Pruning thresholds of a trial, by epoch."""
        for what, trial in itertools.islice(self._course, self._seen, None):
            if what == "submitted":
                self._before[trial.id] = len(self._ended)
            elif trial.status != "failed":
                self._ended.append(trial)
        self._seen = len(self._course)
        before = self._before[trial_id]
        return pruning_thresholds(
            [self._curve(judge) for judge in self._ended[max(0, before - MOST_TRIALS) : before]], self._epochs
        )

    def _curve(self, trial: TrialRecord) -> Curve:
        """Of a trial that ended; the last ones asked for stay in memory."""
        if trial.id not in self._curves:
            self._curves[trial.id] = curve(self._read(trial), self._objective)
        self._curves.move_to_end(trial.id)
        if len(self._curves) > 2 * MOST_TRIALS:
            self._curves.popitem(last=False)
        return self._curves[trial.id]
