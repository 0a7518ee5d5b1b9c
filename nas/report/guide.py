"""Report on the guide of a search: its plan, its reason for a trial, and the accuracy of its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.config import SearchConfig
from nas.config.run import EXPLORED
from nas.runs import SearchRun, TrialRecord
from nas.runs.ranking import average_ranks
from nas.strategies.proposals import FIRST

LEAST = 4  # predicted trials that a correlation is told of


@dataclass(frozen=True)
class Foresight:
    """Accuracy of a predictor on ``trials`` before they were trained: Spearman's correlation of predicted and found,
    None if they are too few or all equal."""

    trials: int
    spearman: float | None


def plan_words(config: SearchConfig) -> str:
    """Description of a search's guide, for its plan."""
    if config.learn_from:
        return f"a predictor warm-started with the trials of {Path(config.learn_from).name}"
    return f"{EXPLORED} trials to explore, then guided by a predictor"


def foresight(run: SearchRun) -> Foresight:
    """Of the finished trials that were predicted."""
    objective = run.config.objective
    pairs = [(t.predicted[0], s) for t in run.stage("search") if t.predicted and (s := t.score(objective)) is not None]
    if len(pairs) < LEAST:
        return Foresight(len(pairs), None)
    predicted, found = (average_ranks(column) for column in zip(*pairs, strict=True))
    if not (np.ptp(predicted) and np.ptp(found)):
        return Foresight(len(pairs), None)
    return Foresight(len(pairs), round(float(np.corrcoef(predicted, found)[0, 1]), 3))


def foresight_words(run: SearchRun) -> str | None:
    """The same in a sentence; None where there is nothing to tell."""
    seen = foresight(run)
    if seen.spearman is None:
        return None
    return (
        f"Guide: predicted and actual scores of {seen.trials} trials have a Spearman correlation of {seen.spearman:.2f}"
    )


def proposal_words(run: SearchRun, trial: TrialRecord) -> str | None:
    """Reason why a trial of a guided search was proposed; None of any other trial."""
    if trial.note == FIRST:
        return "Trained because --first names it"
    if run.config.guide != "on" or trial.stage != "search":
        return None
    if trial.predicted is None:
        return "Chosen by what --learn-from found" if run.facts.learned else "Start-up trial, to explore"
    score, low, high = trial.predicted
    what = trial.note or "fresh sample"
    found = trial.score_so_far(run.config.objective)
    end = "" if found is None else f"; found {found:.3f}"
    return f"Chosen by the predictor, a {what}: {score:.3f} expected (90 % interval {low:.3f} to {high:.3f}){end}"
