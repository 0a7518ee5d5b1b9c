"""After the search: the best are trained again with several seeds, one wins, and it alone meets the test split."""

from __future__ import annotations

import statistics

from nas.engine.trial_loop import TrialLoop
from nas.errors import SearchStopped
from nas.runs.hints import typed
from nas.runs.run import Run, Trial


def confirm(run: Run, loop: TrialLoop) -> None:
    """Train the best again with several seeds each: one trial may have been lucky."""
    best = run.best(run.search.confirm)
    loop.repeat([(f"{trial.id}.{n}", trial) for trial in best for n in range(1, run.search.confirm_seeds + 1)])


def choose_winner(run: Run, loop: TrialLoop) -> None:
    """The best mean over seeds wins, of those with most seeds; its trained seeds alone are scored on the test
    split, once. SearchStopped if there is nothing to choose from."""
    best = run.ranked()
    if not best:
        more = (
            f"To try others: {typed('resume', run.folder)} --trials {run.search.trials * 2}, or a longer --time-limit"
        )
        raise SearchStopped(f"No trial finished{_reasons(run.stage('search'))}{more}")
    winner, repetitions = best[0], [best[0]]
    candidates = [trial for trial in best[: run.search.confirm] if run.confirmations(trial.id)]
    if run.stage("confirm") and not candidates:
        again = f"To try again: {typed('resume', run.folder)}"
        raise SearchStopped(f"No confirmation finished{_reasons(run.stage('confirm'))}{again}")
    if candidates:
        winner = max(candidates, key=lambda trial: (len(run.confirmations(trial.id)), mean_score(run, trial)))
        repetitions = run.confirmations(winner.id)
    chosen = max(repetitions, key=lambda trial: trial.score(run.config.objective) or 0.0)
    tests = loop.score_on_test(repetitions)
    loop.end({"trial": winner.id, "weights": chosen.id, "test": tests})


def mean_score(run: Run, trial: Trial) -> float:
    """Mean of the objective over the confirmations of a search trial; it has at least one."""
    scores = [t.score(run.config.objective) for t in run.confirmations(trial.id)]
    return statistics.fmean(score for score in scores if score is not None)


def _reasons(trials: list[Trial]) -> str:
    failed = [f"  trial {trial.id}: {trial.error}" for trial in trials if trial.status == "failed"]
    return ":\n" + "\n".join([*failed[:10], ""]) if failed else " (none was started in the time). "
