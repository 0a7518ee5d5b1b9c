"""Early end of a search: a score is reached, or nothing better has been found for long."""

from __future__ import annotations

import math

from nas.config import SearchConfig
from nas.runs import SearchRun


class EarlyEnd:
    """Reads the course of a search as it grows. Once its trials have ended they stay so, also when one that still ran
    then turns out better, and when the search is resumed; other settings are another question, asked from the start.
    """

    def __init__(self) -> None:
        self._config: SearchConfig | None = None
        self._reason: str | None = None

    def reason(self, run: SearchRun) -> str | None:
        """Reason why no trial may start any more, in a sentence; None: one may."""
        if run.config is not self._config:
            self._begin(run.config)
        while self._reason is None and self._seen < len(run.course):
            what, trial = run.course[self._seen]
            self._seen += 1
            if what == "result" and trial.status != "failed":  # which says nothing of the architecture
                self._reason = self._after(trial.id, trial.score(run.config.objective), run.config)
        return self._reason

    def _begin(self, config: SearchConfig) -> None:
        self._config, self._seen = config, 0
        self._reason = None
        self._best, self._best_id, self._without = -math.inf, "", 0

    def _after(self, trial_id: str, score: float | None, config: SearchConfig) -> str | None:
        """The reason once a trial finished, or was pruned: then it has no score, and is no better than the best."""
        goal, patience = config.stop_when, config.search_patience
        if score is not None and score > self._best:
            self._best, self._best_id, self._without = score, trial_id, 0
        else:
            self._without += 1
        if goal is not None and score is not None and score >= goal:
            return f"No more trials: trial {trial_id} scored {score:.4g}, and --stop-when is {goal:g}."
        if patience is None or self._without < patience:
            return None
        what = f"last {self._without} were no better than trial {self._best_id}"
        if not self._best_id:
            what = f"first {self._without} were stopped early"
        return f"No more trials: the {what}, and --search-patience is {patience}."
