"""A listener of one's own: a line in the run's folder for every trial that ends."""

from nas.plugins import register_listener
from nas.runs import Run
from nas.runs.events import Event, TrialEnded


@register_listener("diary")
def diary(event: Event, run: Run) -> None:
    if isinstance(event, TrialEnded):
        trial = run.trials[event.result.id]
        with (run.folder / "diary.txt").open("a") as file:
            print(trial.id, trial.status, trial.score(run.config.objective), file=file)
