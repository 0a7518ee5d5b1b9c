"""Confidence intervals of test scores, over seeds and over images."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from baselines.metrics import METRICS
from nas.config.recipe import Metrics
from nas.report.metric_text import decimal
from nas.runs import SearchRun

AVERAGED = ("balanced_accuracy", "macro_recall", "accuracy")  # metrics whose chance by the images is known


@dataclass(frozen=True)
class Interval:
    """That holds the true mean with 95 %."""

    low: float
    high: float

    @property
    def words(self) -> str:
        return f"{decimal(self.low)} to {decimal(self.high)}"


def over_seeds(scores: list[float], objective: str) -> Interval | None:
    """Of the mean of trainings with other seeds: Student's t, for two or more; of shares within 0 and 1."""
    if len(scores) < 2:
        return None
    from scipy.special import stdtrit

    half = float(stdtrit(len(scores) - 1, 0.975)) * statistics.stdev(scores) / math.sqrt(len(scores))
    mean = statistics.fmean(scores)
    return (
        Interval(mean - half, mean + half)
        if objective not in METRICS
        else Interval(max(0.0, mean - half), min(1.0, mean + half))
    )


def by_images(run: SearchRun, split: str, metrics: Metrics) -> float | None:
    """Half of the interval that holds 95 % of what other images of the split, as many a class, would give a network
    with these ``metrics``: normal, from the binomial variances of the recalls. None for objectives that are no mean of
    recalls."""
    counts, recalls = run.facts.counts.get(split), metrics.get("recall_by_class")
    if counts is None or run.config.objective not in AVERAGED or not isinstance(recalls, list):
        return None
    seen = [(count, recall) for count, recall in zip(counts, map(_number, recalls), strict=True) if count]
    whole = sum(count for count, _ in seen)
    even = run.config.objective != "accuracy"
    weights = [1 / len(seen) if even else count / whole for count, _ in seen]
    variance = sum(w**2 * r * (1 - r) / n for w, (n, r) in zip(weights, seen, strict=True))
    return 1.96 * math.sqrt(variance)


def of_ranking(run: SearchRun) -> str | None:
    """Uncertainty that the number of images on the ranking split leaves, in a sentence."""
    best = run.best(1)
    error = by_images(run, run.judged_on, best[0].metrics.get(run.judged_on, {})) if best else None
    if error is None:
        return None
    images = sum(run.facts.counts[run.judged_on])
    return (
        f"The {images:,} images of the {run.judged_on} split give a sampling error of ± {decimal(error)} (95 %, one "
        "training): trials closer than that are tied."
    )


def _number(recall: object) -> float:
    return recall if isinstance(recall, float) else 0.0


def of_difference(first: Sequence[float], other: Sequence[float]) -> Interval | None:
    """That holds the difference of two means with 95 % (Welch 1947), from two or more values of each."""
    if min(len(first), len(other)) < 2:
        return None
    from scipy.special import stdtrit

    parts = [statistics.variance(values) / len(values) for values in (first, other)]
    error = math.sqrt(sum(parts))
    difference = statistics.fmean(first) - statistics.fmean(other)
    if not error:
        return Interval(difference, difference)
    freedom = error**4 / sum(part**2 / (len(values) - 1) for part, values in zip(parts, (first, other), strict=True))
    half = float(stdtrit(freedom, 0.975)) * error
    return Interval(difference - half, difference + half)
