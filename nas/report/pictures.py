"""The pictures of a baseline run: what each shows, as metrics, and the files they are drawn into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np

from nas.analysis.convolutions import NetworkLayers, left_out_words
from nas.errors import RunError
from nas.report.answers import PICTURES, draw_answers, draws_answers
from nas.report.filters import FilterChoice, draw_filters, filters_of, layers_of
from nas.report.grid import GridReport, best_members, grid_report
from nas.report.rivals import draw_rivals, rival_metrics
from nas.report.stamps import Stamp, read_stamps, stamp_key, write_stamps
from nas.report.study import StudyReport, finished, study_report
from nas.report.tensorboard.listener import write_member_pictures
from nas.runs import StudyRun, TrialRecord
from nas.runs.named import best_first
from nas.runs.trial_record import seed_number
from nas.units import counted

ALL = FilterChoice()
LONG_NAME = 40  # characters of a member, whose titles then have two lines
Spread = tuple[float, tuple[float, float] | None, Sequence[float]]  # mean, interval, what they are of


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


def write_pictures(run: StudyRun, choice: FilterChoice = ALL, report: StudyReport | None = None) -> Pictures:
    """Draw the report's pictures into the run's folder, and those of one member for TensorBoard too; none of a study
    without a finished training. One that is there, drawn from the same trainings, stays. ``report``: the run's, if it
    is made already. UsageError, before anything is drawn, for layers that there are not."""
    trials = {name: found for name in best_members(run) if (found := finished(run, name))}
    layers = cache(lambda: layers_of(run, choice))  # torch counts them
    if choice.layers:
        layers()
    if not trials:
        return Pictures()
    folder = run.folder / "report"
    folder.mkdir(exist_ok=True)
    album = _Album(run, folder, f"{run.config.study} on {run.facts.data_name}", Pictures(), read_stamps(folder))
    album.add_study(trials)
    for name, found in trials.items():
        drawn = {"class bars": album.add_bars(name, found), "filters": album.add_filters(name, layers, choice)}
        if not album.new.isdisjoint(drawn.values()):
            write_member_pictures(run, name, {tag: path for tag, path in drawn.items() if path})
        if draws_answers(run):
            album.add_answers(name)
    report = report or study_report(run)
    album.add_rivals(trials, report)
    if grid := grid_report(run, report.members):
        album.add_influence(grid)
    write_stamps(folder, album.stamps)
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
    stamps: dict[str, Stamp]  # by the names of pictures what they were drawn from
    new: set[Path | None] = field(default_factory=set)  # drawn by this call

    def add_study(self, trials: Mapping[str, Sequence[TrialRecord]]) -> None:
        """Add the pictures with all members in them, and confusion matrices."""
        from nas.report.plots import confusion_plot, recall_plot
        from nas.report.progress import draw_progress, takes_different_steps

        classes, counts = self.run.facts.classes, self.run.facts.counts["train"]
        title = f"{self.title}, {counted(self.run.config.seeds, 'seed')}"
        recalls = {name: mean_recalls(found) for name, found in trials.items()}
        about = f"Test recall by class: {title}"
        self._add("recall-by-class", _every(trials), lambda path: recall_plot(path, about, classes, counts, recalls))
        self._add("learning-curves", _every(trials), lambda path: self._draw_curves(path, title, trials))
        if takes_different_steps(self.run):
            self._add("training-loss", _every(trials), lambda path: draw_progress(path, self.run, title, trials))
        for name, found in trials.items():
            matrices = [t.metrics["test"]["confusion"] for t in found if "confusion" in t.metrics["test"]]
            if matrices:
                words, whole = f"{self._named(name)}{title}, test images of all seeds", np.sum(matrices, axis=0)
                self._add(
                    f"confusion-{name}", found, partial(confusion_plot, title=words, classes=classes, confusion=whole)
                )

    def _named(self, member: str) -> str:
        """A member at the beginning of a title; the long names of cells have a line of their own."""
        return f"{member}:\n" if len(member) > LONG_NAME else f"{member}: "

    def _draw_curves(self, path: Path, title: str, trials: Mapping[str, Sequence[TrialRecord]]) -> None:
        from nas.report.plots import curves_plot

        objective = self.run.config.objective
        histories = {name: [self.run.history(trial) for trial in found] for name, found in trials.items()}
        train, select, score = (
            {name: [_by_epoch(history, key) for history in found] for name, found in histories.items()}
            for key in ("train_loss", "select_loss", f"select_{objective}")
        )
        about = f"Learning curves: {title}"
        curves_plot(path, about, train, select, score, metric=objective)

    def add_bars(self, member: str, trials: Sequence[TrialRecord]) -> Path | None:
        """All test images of each class beside those recognised."""
        from nas.report.plots import bars_plot

        bars = class_bars(self.run, trials)
        over = f"mean of {counted(len(trials), 'seed')}" if len(trials) > 1 else "1 seed"
        about = f"{self._named(member)}{self.title}, {over}"
        return self._add(
            f"class-bars-{member}",
            trials,
            lambda path: bars_plot(path, about, bars.names, bars.images, bars.recognised),
        )

    def add_filters(
        self, member: str, layers: Callable[[], Mapping[str, NetworkLayers]], choice: FilterChoice
    ) -> Path | None:
        """Filters of the seed that is best on rank; None, and a remark, where there is nothing to draw."""
        trial = best_first(self.run, member)[0]
        weights = self.run.weights(trial.id)
        return self._add(
            f"filters-{member}",
            [trial],
            lambda path: self._draw_filters(path, member, trial, layers()[member], choice),
            choice,
            weights.stat().st_mtime_ns if weights.is_file() else None,
        )

    def _draw_filters(
        self, path: Path, member: str, trial: TrialRecord, layers: NetworkLayers, choice: FilterChoice
    ) -> str | None:
        shown, weights = layers.chosen(choice.layers), self.run.weights(trial.id)
        if not shown:
            why = "has none of the layers chosen" if choice.layers else "trains no convolution larger than 1x1"
            return f"No filters of {member}: it {why}."
        if not weights.is_file():
            return f"No filters of {member}: the weights of {trial.id} were not kept."
        try:
            filters = filters_of(weights, shown, choice.count)
        except RunError as error:
            return f"No filters of {member}: {error}"
        several = self.run.config.seeds > 1 and self.run.config.data.hold_out
        seed = f"seed {seed_number(trial.id)}" + (", the best on rank" if several else "")
        left_out = left_out_words(layers, shown, by_name=bool(choice.layers))
        draw_filters(path, f"{member}: {self.title}, {seed}", filters, left_out)
        return None

    def add_answers(self, member: str) -> None:
        """ROC curves and embeddings of the seed that is best on rank. One pass over the test images gives all."""
        trial = best_first(self.run, member)[0]
        weights = self.run.weights(trial.id)
        paths = {name: self.folder / f"{name}-{member}.png" for name in PICTURES}
        first, *others = paths.values()
        drawn = self._add(
            first.stem,
            [trial],
            lambda _: draw_answers(paths, self.run, trial),
            weights.stat().st_mtime_ns if weights.is_file() else None,
        )
        if drawn is not None:
            self.pictures.files.extend(path for path in others if path.is_file())

    def add_rivals(self, trials: Mapping[str, Sequence[TrialRecord]], report: StudyReport) -> None:
        """Parameters against metrics, of a study whose networks compete."""
        for metric in rival_metrics(report):
            name = f"{metric.replace('_', '-')}-by-parameters"
            self._add(name, _every(trials), partial(draw_rivals, run=self.run, report=report, metric=metric))

    def add_influence(self, grid: GridReport) -> None:
        """Add the scores on validation images by the values of each axis of a grid."""
        from nas.report.plots import influence_plot

        objective, axes = self.run.config.objective, dict[str, dict[str, Spread]]()
        for one in grid.influence:
            interval = one.validation_interval
            ends = (interval.low, interval.high) if interval else None
            axes.setdefault(one.axis, {})[f"{one.value} ({one.cells})"] = (one.validation, ends, one.scores)
        if axes:
            about = f"{self.title}: {grid.finished} cells, means with 95 % intervals"
            trials = [trial for trial in self.run.stage("study") if trial.status == "finished"]
            self._add("influence", trials, partial(influence_plot, title=about, axes=axes, metric=objective))

    def _add(
        self, name: str, trials: Sequence[TrialRecord], draw: Callable[[Path], str | None], *more: object
    ) -> Path | None:
        """A picture that follows from ``trials`` and ``more``: drawn, unless it is there and was drawn from the same.

        None if ``draw`` gives a remark, why there is none.
        """
        path, key = self.folder / f"{name}.png", stamp_key(trials, *more)
        known = self.stamps.get(name)
        if known is None or known.key != key or not (known.remark or path.is_file()):
            known = self.stamps[name] = Stamp(key, draw(path))
            self.new.add(path)
        if known.remark:
            self.pictures.remarks.append(known.remark)
            return None
        self.pictures.files.append(path)
        return path


def _every(trials: Mapping[str, Sequence[TrialRecord]]) -> list[TrialRecord]:
    return [trial for found in trials.values() for trial in found]


def _by_epoch(history: Sequence[Mapping[str, float]], key: str) -> list[float]:
    """A curve with a value for each epoch; one that was not scored lies on the line between those that were."""
    known = [(row["epoch"], row[key]) for row in history if key in row]
    if len(known) == len(history):
        return [value for _, value in known]
    epochs, values = zip(*known, strict=True)
    return [float(value) for value in np.interp([row["epoch"] for row in history], epochs, values)]
