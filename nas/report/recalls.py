"""Recall of each class, and whether the classes with few training images are the weak ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.config.recipe import Metrics
from nas.runs import Run, SearchRun
from nas.runs.ranking import average_ranks

LEAST = 5  # classes that a correlation is told of
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Recalls:
    """Of each class of a network, in the order of ``classes``: images to train on and of the split, and the recall,
    in the mean over ``seeds`` trainings; None without an image."""

    split: str
    seeds: int
    classes: tuple[str, ...]
    train: tuple[int, ...]
    counts: tuple[int, ...]
    recalls: tuple[float | None, ...]

    @property
    def words(self) -> str:
        """Description of where they are from."""
        return self.split + (f", mean of {self.seeds} seeds" if self.seeds > 1 else "")


def recalls_of(run: SearchRun) -> Recalls | None:
    """Of the winner on test; before there is one of the best trial on rank; None without a finished trial."""
    if not run.facts.counts:
        return None
    if run.winner is not None:
        return averaged(run, "test", list(run.winner.test.values()))
    best = run.best(1)
    return averaged(run, "rank", [best[0].metrics["rank"]]) if best else None


def averaged(run: Run, split: str, metrics: Sequence[Metrics]) -> Recalls | None:
    """Over the metrics of some trainings; None where recalls were not recorded."""
    known = [found for one in metrics if isinstance(found := one.get("recall_by_class"), list)]
    if not known:
        return None
    facts = run.facts
    counts = facts.counts[split]
    recalls = tuple(statistics.fmean(column) if count else None
                    for count, column in zip(counts, zip(*known, strict=True), strict=True))  # fmt: skip
    return Recalls(split, len(known), facts.classes, tuple(facts.counts["train"]), tuple(counts), recalls)


def rank_correlation(found: Recalls) -> float | None:
    """Spearman's, of the images that classes have to train on and their recall; None for few classes or equal ones."""
    pairs = [(train, recall) for train, recall in zip(found.train, found.recalls, strict=True) if recall is not None]
    if len(pairs) < LEAST:
        return None
    train, recall = (average_ranks(column) for column in zip(*pairs, strict=True))
    return float(np.corrcoef(train, recall)[0, 1]) if np.ptp(train) and np.ptp(recall) else None


def few_images_words(found: Recalls) -> str | None:
    """True if few training images go with weak classes, as far as so many classes can tell."""
    correlation = rank_correlation(found)
    if correlation is None:
        return None
    classes = sum(recall is not None for recall in found.recalls)
    p = p_of_correlation(correlation, classes)
    told = "so it cannot be told whether the number of images matters" if p >= SIGNIFICANT else (
        "classes with few training images tend to be the weak ones" if correlation > 0 else
        "classes with few training images are not the weak ones"
    )  # fmt: skip
    return (
        f"Recall and the number of training images correlate by {correlation:.2f} over {classes} classes (Spearman, "
        f"p = {p:.2g}): {told}."
    )


def p_of_correlation(correlation: float, count: int) -> float:
    """Two-sided, of a rank correlation of ``count`` pairs, by Student's t with count - 2 degrees of freedom (Zar 1972);
    good from about ten pairs on."""
    from scipy.special import stdtr

    if abs(correlation) >= 1:
        return 0.0
    t = abs(correlation) * math.sqrt((count - 2) / (1 - correlation**2))
    return 2 * float(stdtr(count - 2, -t))
