"""What a baseline run found: a document, and pictures, derived from its log."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.config.recipe import Figures
from nas.runs import StudyRun, TrialRecord

REPORTED = ("accuracy", "weighted_precision", "weighted_f1", "balanced_accuracy", "macro_f1", "worst_recall")


def study_document(run: StudyRun) -> dict[str, Any]:
    """The report as JSON."""
    rows = [member_row(run, member.name) for member in run.config.members]
    return {
        "run": run.name,
        "study": run.config.study,
        "sentence": run.config.sentence,
        "state": run.state,
        "data": {
            "name": run.facts.data_name, "key": run.facts.data_key, "counts": run.facts.counts,
            "classes": list(run.facts.classes), "imbalance": run.config.data.imbalance_factor,
        },
        "seeds": run.config.seeds,
        "split": "test",
        "members": rows,
        "agreement_with_published": agreement(rows),
        "notes": run.notes,
        "seconds": run.elapsed,
        "versions": run.versions,
    }  # fmt: skip


def member_row(run: StudyRun, name: str) -> dict[str, Any]:
    """One member: its network with its sizes, its recipe, and figures on the test split over its seeds."""
    member, facts = run.config.member(name), run.facts.members[name]
    trials = finished(run, name)
    failed = {t.id: t.error for t in run.stage("study") if t.of == name and t.status == "failed"}
    return {
        "name": name,
        "label": member.label,
        "network": facts.text,
        "params": facts.cost.params,
        "trainable": facts.trainable,
        "macs": facts.cost.macs,
        "recipe": member.recipe.model_dump(mode="json"),
        "seeds": len(trials),
        "test": {figure: spread([scalar(t.metrics["test"], figure) for t in trials]) for figure in REPORTED},
        "published_accuracy": None if member.published is None else member.published / 100,
        "epochs": [t.epochs for t in trials],
        "seconds": [t.seconds for t in trials],
        "failed": failed,
    }


def finished(run: StudyRun, member: str) -> list[TrialRecord]:
    """The trainings of a member that finished, by the number of their seed."""
    trials = [t for t in run.stage("study") if t.of == member and t.status == "finished"]
    return sorted(trials, key=lambda trial: seed_number(trial.id))


def seed_number(trial_id: str) -> int:
    """Which of the repeated trainings a trial is: the last part of its id."""
    return int(trial_id.rpartition(".")[2])


def scalar(figures: Figures, name: str) -> float:
    """One of the figures that are a number."""
    figure = figures[name]
    assert isinstance(figure, (int, float)), name
    return float(figure)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean and sample standard deviation over seeds; None where there are too few."""
    return {
        "mean": statistics.fmean(values) if values else None,
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "values": list(values),
    }


def agreement(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """How our order of the members agrees with the published one: Spearman's rank correlation of mean test accuracy,
    over those that have both; None below three."""
    both = [
        (row["published_accuracy"], row["test"]["accuracy"]["mean"])
        for row in rows
        if row["published_accuracy"] is not None and row["test"]["accuracy"]["mean"] is not None
    ]
    if len(both) < 3:
        return None
    published, ours = zip(*both, strict=True)
    if len(set(published)) == 1 or len(set(ours)) == 1:
        return None
    from scipy.stats import spearmanr  # takes a second

    return {"spearman": float(spearmanr(published, ours).statistic), "members": len(both)}


def write_pictures(run: StudyRun) -> list[Path]:
    """Draw the report's pictures into the run's folder; the files. None of a study without a finished training."""
    from nas.report.plots import confusion_plot, curves_plot, recall_plot

    trials = {member.name: finished(run, member.name) for member in run.config.members}
    trials = {name: found for name, found in trials.items() if found}
    if not trials:
        return []
    folder = run.folder / "report"
    folder.mkdir(exist_ok=True)
    seeds = f"{run.config.seeds} seed{'s' if run.config.seeds > 1 else ''}"
    title = f"{run.config.study} on {run.facts.data_name}, {seeds}"
    classes, counts = run.facts.classes, run.facts.counts["train"]
    recalls = {
        name: [float(recall) for recall in np.mean([t.metrics["test"]["recall_by_class"] for t in found], axis=0)]
        for name, found in trials.items()
    }
    files = [folder / "recall-by-class.png", folder / "learning-curves.png"]
    recall_plot(files[0], f"Test recall by class: {title}", classes, counts, recalls)
    objective = run.config.objective
    histories = {name: [run.history(trial) for trial in found] for name, found in trials.items()}
    losses, scores = (
        {name: [[row[key] for row in history] for history in found] for name, found in histories.items()}
        for key in ("train_loss", f"select_{objective}")
    )
    curves_plot(files[1], f"Learning curves: {title}", losses, scores, objective.replace("_", " "))
    for name, found in trials.items():
        matrices = [t.metrics["test"]["confusion"] for t in found if "confusion" in t.metrics["test"]]
        if matrices:
            files.append(folder / f"confusion-{name}.png")
            confusion_plot(files[-1], f"{name}: {title}, test images of all seeds", classes, np.sum(matrices, axis=0))
    return files
