"""A study's fixed networks beside what a search found within their parameters, and random ones of their size."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines.studies import STUDIES
from nas.report.plots import Rivals, rivals_plot
from nas.report.study import MemberRow, StudyReport
from nas.runs import StudyRun

METRICS = ("accuracy", "macro_recall", "macro_f1")
KINDS = {None: "by hand", "found": "found by search", "random": "random"}
LOSSES = {"custom-ce": "custom cross-entropy", "ce": "cross-entropy, with and without a triplet or center loss"}
ORIGIN_CLASSES = 62  # of the origin study's data: on others its ResNet-18 says nothing


@dataclass(frozen=True)
class Against:
    """Comparison of the networks that searches found in one metric on test, in means over seeds."""

    metric: str
    pairs: int  # of a fixed network and a found one, trained alike
    at_least_as_good: int
    above_fixed: float | None  # the mean difference, found minus fixed; None without pairs
    above_random: float | None  # found minus random


def against(rows: Sequence[MemberRow]) -> list[Against]:
    """A comparison a metric; none where no search was part of the study, or nothing to compare has finished."""
    by_name = {row.name: row for row in rows}
    found = [row for row in rows if row.chosen == "found" and row.beside in by_name]
    drawn = {row.beside: row for row in rows if row.chosen == "random"}
    result = []
    for metric in METRICS:
        fixed = _differences([(row, by_name[row.beside or ""]) for row in found], metric)
        random = _differences([(row, drawn[row.beside]) for row in found if row.beside in drawn], metric)
        if fixed or random:
            result.append(
                Against(metric, len(fixed), sum(one >= 0 for one in fixed), _mean(fixed), _mean(random))
            )  # fmt: skip
    return result


def _differences(pairs: Sequence[tuple[MemberRow, MemberRow]], metric: str) -> list[float]:
    means = [(first.test[metric].mean, second.test[metric].mean) for first, second in pairs]
    return [first - second for first, second in means if first is not None and second is not None]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def against_words(one: Against) -> str:
    """A comparison in a line."""
    metric = one.metric.replace("_", " ").replace("f1", "F1")
    words = []
    if one.above_fixed is not None:
        words.append(
            f"at least as good as the hand-designed network in {one.at_least_as_good} of {one.pairs}, "
            f"{100 * one.above_fixed:+.1f} points on average"
        )
    if one.above_random is not None:
        words.append(f"{100 * one.above_random:+.1f} against random networks of the same size")
    return f"Found by search, {metric}: {'; '.join(words)}"


def rival_metrics(report: StudyReport) -> tuple[str, ...]:
    """Metrics that are drawn against parameters: accuracy and macro F1; none without rivals."""
    return ("accuracy", "macro_f1") if any(row.chosen for row in report.members if row.seeds) else ()


def draw_rivals(path: Path, run: StudyRun, report: StudyReport, metric: str) -> None:
    """Parameters against a metric on test."""
    rows = [row for row in report.members if row.seeds]
    loss = LOSSES.get(rows[0].recipe.loss, rows[0].recipe.loss)  # which all have
    panels = {
        _way(loss, way): Rivals(
            {
                label: [
                    (row.params, row.test[metric].mean or 0.0, row.test[metric].std)
                    for row in sorted(rows, key=lambda row: row.params)
                    if row.chosen == kind and row.recipe.oversampling == way
                ]
                for kind, label in KINDS.items()
            },
            _resnet18(way, metric) if len(run.facts.classes) == ORIGIN_CLASSES else None,
        )
        for way in dict.fromkeys(row.recipe.oversampling for row in rows)
    }
    rivals_plot(path, f"{run.config.study} on {run.facts.data_name}", metric, panels)


def _way(loss: str, oversampling: str) -> str:
    return loss + ("" if oversampling == "none" else f" after {oversampling}")


def _resnet18(oversampling: str, metric: str) -> tuple[str, float] | None:
    """Score that the origin study reports of its ResNet-18 by the same setting."""
    for member in STUDIES["resnet18-settings"].members:
        same = member.recipe.get("loss") == "custom-ce" and "regularizer" not in member.recipe
        if same and member.recipe.get("oversampling", "none") == oversampling and metric in member.reported:
            return "published ResNet-18, 9 times the images", member.reported[metric]
    return None
