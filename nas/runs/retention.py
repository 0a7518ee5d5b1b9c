"""Which weights of a run stay on the disk."""

from __future__ import annotations

from nas.runs.run import SearchRun


def drop_weights(run: SearchRun) -> None:
    """Remove the weights of finished trials but the best ``keep`` of the search, and the confirmations; once
    there is a winner, of all confirmations but the winner's."""
    kept = {trial.id for trial in run.best(run.config.keep)}
    if run.winner:
        kept |= {run.winner.trial, run.winner.weights, *run.winner.test}
    else:
        kept |= {trial.id for trial in run.stage("confirm")}
    for path in list(run.weights("").parent.glob("*.safetensors")):  # as many as are kept, however many trials
        trial = run.trials.get(path.stem)
        if trial is not None and trial.id not in kept and trial.status != "running":
            path.unlink(missing_ok=True)
