"""After the search: the best are trained again with several seeds, one wins, and it alone meets the test split."""

from __future__ import annotations

import statistics

from nas.engine.runner import TrialRunner
from nas.engine.trial_loop import submission
from nas.errors import SearchStopped
from nas.runs import SearchRun, TrialRecord
from nas.runs.events import WinnerChosen
from nas.runs.hints import typed


def confirm(run: SearchRun, runner: TrialRunner) -> None:
    """Train the best again with several seeds each: one trial may have been lucky."""
    best = run.best(run.config.confirm)
    runner.train(
        submission(run, f"{trial.id}.{n}", trial.sample, stage="confirm", of=trial.id)
        for trial in best
        for n in range(1, run.config.confirm_seeds + 1)
    )


def choose_winner(run: SearchRun, runner: TrialRunner) -> None:
    """The best mean over seeds wins, of those with most seeds; its trained seeds alone are scored on the test
    split, once. SearchStopped if there is nothing to choose from."""
    best = run.ranked()
    if not best:
        more = (
            f"To try others: {typed('resume', run.folder)} --trials {run.config.trials * 2}, or a longer --time-limit"
        )
        raise SearchStopped(f"No trial finished{_reasons(run.stage('search'))}{more}")
    winner, repetitions = best[0], [best[0]]
    candidates = [trial for trial in best[: run.config.confirm] if run.confirmations(trial.id)]
    if run.stage("confirm") and not candidates:
        again = f"To try again: {typed('resume', run.folder)}"
        raise SearchStopped(f"No confirmation finished{_reasons(run.stage('confirm'))}{again}")
    if candidates:
        winner = max(candidates, key=lambda trial: (len(run.confirmations(trial.id)), mean_score(run, trial)))
        repetitions = run.confirmations(winner.id)
    chosen = max(repetitions, key=lambda trial: trial.score(run.config.objective) or 0.0)
    runner.journal.append(WinnerChosen(winner.id, chosen.id, runner.score_on_test(repetitions)))


def mean_score(run: SearchRun, trial: TrialRecord) -> float:
    """Mean of the objective over the confirmations of a search trial; it has at least one."""
    scores = [t.score(run.config.objective) for t in run.confirmations(trial.id)]
    return statistics.fmean(score for score in scores if score is not None)


def _reasons(trials: list[TrialRecord]) -> str:
    failed = [f"  trial {trial.id}: {trial.error}" for trial in trials if trial.status == "failed"]
    return ":\n" + "\n".join([*failed[:10], ""]) if failed else " (none was started in the time). "
