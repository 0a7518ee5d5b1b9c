"""After the search: the best are trained again with several seeds, one wins, and it alone meets the test split."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

import numpy as np

from nas.config.auto_recipe import MOST_EPOCHS
from nas.config.objectives import lengthens_by
from nas.engine.advice import without_a_confirmation, without_a_trial
from nas.engine.runner import TrialRunner
from nas.engine.trial_loop import submission
from nas.errors import SearchStopped
from nas.runs import SearchRun, TrialRecord
from nas.runs.events import ConfirmationLengthened, TrialSubmitted, WinnerChosen
from nas.strategies import Proposal

MOST_LENGTHENED = 2 * MOST_EPOCHS  # what was seen to gain may take longer than what a rule says


def confirm(run: SearchRun, runner: TrialRunner) -> None:
    """Train the best again with several seeds each: one trial may have been lucky.

    Where the settings leave the length open, the first seed of each tells whether to train longer: while twice as many
    epochs gain more than noise, the next are trained twice as long again. The seeds that decide are of equal length.
    """
    best = run.best(run.config.confirm)
    while run.config.lengthen and 2 * run.confirm_epochs <= MOST_LENGTHENED:
        runner.train(_confirmations(run, best, run.seeds_to_confirm[:1]))
        longer = lengthened(run, best)
        if longer is None:
            break
        runner.journal.append(longer)
    runner.train(_confirmations(run, best, run.seeds_to_confirm))


def _confirmations(run: SearchRun, best: Sequence[TrialRecord], seeds: Iterable[int]) -> list[TrialSubmitted]:
    return [
        submission(run, f"{trial.id}.{seed}", Proposal(trial.sample), stage="confirm", of=trial.id)
        for trial in best
        for seed in seeds
    ]


def lengthened(run: SearchRun, best: Sequence[TrialRecord]) -> ConfirmationLengthened | None:
    """That confirmations are to train twice as long, since their first seeds gained by it over the trainings before
    them: the mean objective on select rose by more than its standard error. None: it did not.

    Of an objective that is no figure of every evaluation the error is not known: then balanced accuracy decides."""
    seed, trials = run.seeds_to_confirm[0], run.trials
    ids = [(trial.id if seed == 1 else f"{trial.id}.{seed - 1}", f"{trial.id}.{seed}") for trial in best]
    ended = [pair for pair in ids if all(id in trials and trials[id].status == "finished" for id in pair)]
    if not ended:
        return None
    shorter, longer = ([trials[id].metrics["select"] for id in column] for column in zip(*ended, strict=True))
    figure = lengthens_by(run.config.objective)
    before, after = (float(np.mean([each[figure] for each in column])) for column in (shorter, longer))
    recall_C = np.mean([each["recall_by_class"] for each in longer], axis=0)
    noise = standard_error(recall_C, np.array(run.facts.counts["select"], float))
    if after - before <= noise:
        return None
    epochs = [run.recipe(id).epochs for id in ended[0]]
    return ConfirmationLengthened(2 * run.confirm_epochs, list(zip(epochs, (before, after), strict=True)))


def standard_error(recall_C: np.ndarray, counts_C: np.ndarray) -> float:
    """Of the mean recall over classes: each is a share of ``counts_C`` images, of classes that have some."""
    present = counts_C > 0
    shares, counts = recall_C[present], counts_C[present]
    shares = (shares * counts + 1) / (counts + 2)  # a class that is all right or all wrong is not certain
    return float(np.sqrt((shares * (1 - shares) / counts).sum()) / present.sum())


def choose_winner(run: SearchRun, runner: TrialRunner) -> None:
    """The best mean over seeds wins, of those with most seeds; its trained seeds alone are scored on the test
    split, once. SearchStopped if there is nothing to choose from."""
    best = run.ranked()
    if not best:
        raise SearchStopped(f"No trial finished{without_a_trial(run)}")
    winner, repetitions = best[0], [best[0]]
    candidates = [trial for trial in best[: run.config.confirm] if run.confirmations(trial.id)]
    if run.stage("confirm") and not candidates:
        why = without_a_confirmation(run, out_of_time=runner.is_out_of_time())
        raise SearchStopped(f"No confirmation finished{why}")
    if candidates:
        winner = max(candidates, key=lambda trial: (len(run.confirmations(trial.id)), mean_score(run, trial)))
        repetitions = run.confirmations(winner.id)
    chosen = max(repetitions, key=lambda trial: _score(trial, run.config.objective))
    runner.journal.append(WinnerChosen(winner.id, chosen.id, runner.score_on_test(repetitions)))


def _score(trial: TrialRecord, objective: str) -> float:
    """Of a trial that finished; it may be below 0."""
    score = trial.score(objective)
    return -math.inf if score is None else score


def mean_score(run: SearchRun, trial: TrialRecord) -> float:
    """Mean of the objective over the confirmations of a search trial; it has at least one."""
    scores = [t.score(run.config.objective) for t in run.confirmations(trial.id)]
    return statistics.fmean(score for score in scores if score is not None)
