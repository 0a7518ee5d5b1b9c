"""Training loss of a study's members by what they have seen and by the time they took, where epochs do not compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.config.auto_recipe import images_per_epoch
from nas.report.plots import MOST_TOGETHER, Progress, progress_plot
from nas.runs import StudyRun, TrialRecord


def takes_different_steps(run: StudyRun) -> bool:
    """True if members have different optimizers or batches, and are few enough for one picture."""
    recipes = [member.recipe for member in run.config.members]
    steps = {(recipe.optimizer, recipe.momentum, recipe.nesterov, recipe.batch_size) for recipe in recipes}
    return len(steps) > 1 and len(recipes) <= MOST_TOGETHER


def draw_progress(path: Path, run: StudyRun, title: str, trials: Mapping[str, Sequence[TrialRecord]]) -> None:
    """Draw the picture of the members whose finished trainings ``trials`` are."""
    counts, curves = run.facts.counts["train"], dict[str, Progress]()
    for name, found in trials.items():
        histories = [run.history(trial) for trial in found]
        losses, seconds = ([[row[key] for row in rows] for rows in histories] for key in ("train_loss", "seconds"))
        curves[name] = Progress(images_per_epoch(run.config.member(name).recipe, counts), losses, seconds)
    progress_plot(path, f"Training loss: {title}", curves)
