"""The pictures of a baseline run: what each shows, as figures, and the files they are drawn into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nas.errors import RunError
from nas.report.filters import FilterChoice, NetworkLayers, draw_filters, filters_of, layers_of, left_out_words
from nas.report.rivals import draw_rivals
from nas.report.study import finished, study_report
from nas.report.tensorboard.listener import write_member_pictures
from nas.runs import StudyRun, TrialRecord
from nas.runs.named import best_first
from nas.runs.trial_record import seed_number
from nas.units import counted

ALL = FilterChoice()


@dataclass(frozen=True)
class Pictures:
    """Files that were drawn, and in a sentence each what could not be."""

    files: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ClassBars:
    """Test images of every class and how many of them were recognised, on average over seeds; the classes with most
    training images first."""

    names: tuple[str, ...]
    images: tuple[int, ...]
    recognised: tuple[float, ...]


def write_pictures(run: StudyRun, choice: FilterChoice = ALL) -> Pictures:
    """Draw the report's pictures into the run's folder, and those of one member for TensorBoard too; none of a study
    without a finished training. UsageError, before anything is drawn, for layers that there are not."""
    trials = {member.name: found for member in run.config.members if (found := finished(run, member.name))}
    layers = layers_of(run, choice) if trials or choice.layers else {}
    if not trials:
        return Pictures()
    folder = run.folder / "report"
    folder.mkdir(exist_ok=True)
    album = _Album(run, folder, f"{run.config.study} on {run.facts.data_name}", Pictures())
    album.add_study(trials)
    for name, found in trials.items():
        drawn = {"class bars": album.add_bars(name, found)}
        if path := album.add_filters(name, layers[name], choice):
            drawn["filters"] = path
        write_member_pictures(run, name, drawn)
    album.pictures.files.extend(draw_rivals(run, study_report(run)))
    return album.pictures


def class_bars(run: StudyRun, trials: Sequence[TrialRecord]) -> ClassBars:
    """The bars of one member, from its finished trainings."""
    images, counts = run.facts.counts["test"], run.facts.counts["train"]
    recalls = mean_recalls(trials)
    order = sorted(range(len(images)), key=lambda index: -counts[index])
    return ClassBars(
        tuple(run.facts.classes[index] for index in order),
        tuple(images[index] for index in order),
        tuple(recalls[index] * images[index] for index in order),
    )


def mean_recalls(trials: Sequence[TrialRecord]) -> list[float]:
    """Test recall of every class, on average over the seeds of a member."""
    return [float(r) for r in np.mean([trial.metrics["test"]["recall_by_class"] for trial in trials], axis=0)]


@dataclass(frozen=True)
class _Album:
    """Pictures as they come; ``title`` is the study and its data."""

    run: StudyRun
    folder: Path
    title: str
    pictures: Pictures

    def add_study(self, trials: Mapping[str, Sequence[TrialRecord]]) -> None:
        """What has all members in it, and confusion matrices."""
        from nas.report.plots import confusion_plot, curves_plot, recall_plot

        classes, counts = self.run.facts.classes, self.run.facts.counts["train"]
        title = f"{self.title}, {counted(self.run.config.seeds, 'seed')}"
        recalls = {name: mean_recalls(found) for name, found in trials.items()}
        recall_plot(self._new("recall-by-class"), f"Test recall by class: {title}", classes, counts, recalls)
        objective = self.run.config.objective
        histories = {name: [self.run.history(trial) for trial in found] for name, found in trials.items()}
        train, select, score = (
            {name: [[row[key] for row in history] for history in found] for name, found in histories.items()}
            for key in ("train_loss", "select_loss", f"select_{objective}")
        )
        words, path = objective.replace("_", " "), self._new("learning-curves")
        curves_plot(path, f"Learning curves: {title}", train, select, score, score_name=words)
        for name, found in trials.items():
            matrices = [t.metrics["test"]["confusion"] for t in found if "confusion" in t.metrics["test"]]
            if matrices:
                words = f"{name}: {title}, test images of all seeds"
                confusion_plot(self._new(f"confusion-{name}"), words, classes, np.sum(matrices, axis=0))

    def add_bars(self, member: str, trials: Sequence[TrialRecord]) -> Path:
        """All test images of each class beside those recognised."""
        from nas.report.plots import bars_plot

        bars, path = class_bars(self.run, trials), self._new(f"class-bars-{member}")
        over = f"mean of {counted(len(trials), 'seed')}" if len(trials) > 1 else "1 seed"
        bars_plot(path, f"{member}: {self.title}, {over}", bars.names, bars.images, bars.recognised)
        return path

    def add_filters(self, member: str, layers: NetworkLayers, choice: FilterChoice) -> Path | None:
        """Filters of the seed that is best on rank; None, and a remark, where there is nothing to draw."""
        trial = best_first(self.run, member)[0]
        shown, weights = layers.chosen(choice.layers), self.run.weights(trial.id)
        if not shown:
            why = "has none of the layers chosen" if choice.layers else "trains no convolution larger than 1x1"
            self.pictures.remarks.append(f"No filters of {member}: it {why}.")
            return None
        if not weights.is_file():
            self.pictures.remarks.append(f"No filters of {member}: the weights of {trial.id} were not kept.")
            return None
        try:
            filters = filters_of(weights, shown, choice.count)
        except RunError as error:
            self.pictures.remarks.append(f"No filters of {member}: {error}")
            return None
        several = self.run.config.seeds > 1 and self.run.config.data.hold_out
        seed = f"seed {seed_number(trial.id)}" + (", the best on rank" if several else "")
        path, left_out = self._new(f"filters-{member}"), left_out_words(layers, shown, by_name=bool(choice.layers))
        draw_filters(path, f"{member}: {self.title}, {seed}", filters, left_out)
        return path

    def _new(self, name: str) -> Path:
        path = self.folder / f"{name}.png"
        self.pictures.files.append(path)
        return path
