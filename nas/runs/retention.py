"""Retention of a run's weights on the disk."""

from __future__ import annotations

from nas.runs.fold import as_study
from nas.runs.named import best_first
from nas.runs.run import Run, SearchRun


def drop_weights(run: Run) -> None:
    """Remove the weights of finished trials but those that ``keep`` asks for.

    Of a search: the best ``keep``, and the confirmations; once there is a winner, of these the winner's alone. Of a
    baseline run: the best ``keep`` trainings of each member, all for None.
    """
    kept = _kept_of_search(run) if isinstance(run, SearchRun) else _kept_of_study(run)
    for path in list(run.weights("").parent.glob("*.safetensors")):  # as many as are kept, however many trials
        trial = run.trials.get(path.stem)
        if trial is not None and trial.id not in kept and trial.status != "running":
            path.unlink(missing_ok=True)


def _kept_of_search(run: SearchRun) -> set[str]:
    kept = {trial.id for trial in run.best(run.config.keep)}
    if run.winner:
        return kept | {run.winner.trial, run.winner.weights, *run.winner.test}
    return kept | {trial.id for trial in run.stage("confirm")}


def _kept_of_study(run: Run) -> set[str]:
    config = as_study(run).config
    if config.keep is None:
        return set(run.trials)
    kept = {trial.id for member in config.members for trial in best_first(as_study(run), member.name)[: config.keep]}
    if config.teachers and not as_study(run).is_done:  # others are still to learn from them
        kept |= {trial.id for trial in run.trials.values() if trial.of in config.teachers}
    return kept
