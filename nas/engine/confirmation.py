"""After the search: the best are trained again with several seeds, one wins, and it alone meets the test split."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

from nas.config.auto_recipe import MOST_EPOCHS
from nas.config.objectives import lengthens_by
from nas.engine.advice import without_a_confirmation, without_a_trial
from nas.engine.race import rounds, widths
from nas.engine.runner import TrialRunner
from nas.engine.trial_loop import submission
from nas.errors import SearchStopped
from nas.runs import SearchRun, TrialRecord
from nas.runs.events import ConfirmationLengthened, ScoresExpected, TrialSubmitted, WinnerChosen
from nas.runs.standings import confirmed, leader, promise, promising, seed_scores
from nas.strategies import Proposal
from nas.strategies.guided_proposals import expected_scores

MOST_LENGTHENED = 2 * MOST_EPOCHS  # what was seen to gain may take longer than what a rule says


def confirm(run: SearchRun, runner: TrialRunner) -> None:
    """Train the best again with several seeds, more of them the better they do: one trial may have been lucky.

    Where the settings leave the length open, the first seed of the best tells whether to train longer: while twice as
    many epochs gain more than noise, the next are trained twice as long again. The seeds that decide are of equal
    length. Which trials get how many of them is a race (``nas.engine.race``); in a guided search those enter it that
    are expected to be the best by all trials together.
    """
    if run.config.guide == "on" and run.config.confirm:
        expect_scores(run, runner)
    best = promising(run, run.config.confirm)
    while run.config.lengthen and 2 * run.confirm_epochs <= MOST_LENGTHENED:
        runner.train([_confirmation(run, trial.id, run.first_deciding) for trial in best])
        longer = lengthened(run, best)
        if longer is None:
            break
        runner.journal.append(longer)
    seeds = run.config.confirm_seeds
    first = run.first_deciding
    field = promising(run, max(widths(run.config.confirm, seeds, run.num_ranked)))
    candidates = {trial.id: promise(run, trial) for trial in field}
    for training in rounds(candidates, run.config.confirm, seeds, lambda *of: seed_scores(run, *of)):
        runner.train([_confirmation(run, trial_id, first + seed) for trial_id, seed in training])


def expect_scores(run: SearchRun, runner: TrialRunner) -> None:
    """Record what a guided search expects of its trials, once they are all there."""
    found = expected_scores(run)
    if found.keys() != run.expected.keys():
        runner.journal.append(ScoresExpected(found))


def _confirmation(run: SearchRun, trial_id: str, seed: int) -> TrialSubmitted:
    return submission(run, f"{trial_id}.{seed}", Proposal(run.trials[trial_id].sample), stage="confirm", of=trial_id)


def lengthened(run: SearchRun, best: Sequence[TrialRecord]) -> ConfirmationLengthened | None:
    """That confirmations are to train twice as long, since their first seeds gained by it over the trainings before
    them: the mean objective on select rose by more than its standard error. None: it did not.

    Of an objective that is no metric of every evaluation the error is not known: then balanced accuracy decides."""
    seed, trials = run.first_deciding, run.trials
    ids = [(trial.id if seed == 1 else f"{trial.id}.{seed - 1}", f"{trial.id}.{seed}") for trial in best]
    ended = [pair for pair in ids if all(id in trials and trials[id].status == "finished" for id in pair)]
    if not ended:
        return None
    shorter, longer = ([trials[id].metrics["select"] for id in column] for column in zip(*ended, strict=True))
    metric = lengthens_by(run.config.objective)
    before, after = (float(np.mean([each[metric] for each in column])) for column in (shorter, longer))
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
    """The best of those confirmed wins (``nas.runs.standings.leader``); its trained seeds alone are scored on the test
    split, once. SearchStopped if there is nothing to choose from."""
    best = run.best(1)
    if not best:
        raise SearchStopped(f"No trial finished{without_a_trial(run)}")
    ranked = confirmed(run)
    if run.stage("confirm") and not ranked:
        why = without_a_confirmation(run, out_of_time=runner.is_out_of_time())
        raise SearchStopped(f"No confirmation finished{why}")
    winner, repetitions = best[0], best
    if ranked:
        winner = run.trials[[*ranked][leader([*ranked.values()])]]
        repetitions = run.confirmations(winner.id)
    chosen = max(repetitions, key=lambda trial: _score(trial, run.config.objective))
    runner.journal.append(WinnerChosen(winner.id, chosen.id, runner.score_on_test(repetitions)))


def _score(trial: TrialRecord, objective: str) -> float:
    """Of a trial that finished; it may be below 0."""
    score = trial.score(objective)
    return -math.inf if score is None else score


def mean_score(run: SearchRun, trial: TrialRecord) -> float:
    """Mean of the objective over the confirmations of a search trial; it has at least one."""
    return statistics.fmean(seed_scores(run, trial.id))
