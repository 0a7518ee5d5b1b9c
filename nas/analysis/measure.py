"""Confusion, calibration and curves, computed from a network's answers. Arrays in, records out; numpy alone.

scikit-learn gives the same curves (``tests/analysis/test_measure.py``), but its import takes longer than the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.metrics import metrics
from nas import __version__
from nas.analysis.record import (
    MOST_CLASSES,
    MOST_CURVES,
    MOST_PAIRS,
    MOST_POINTS,
    NUM_BINS,
    NUM_WORST,
    Analysis,
    Bin,
    Calibration,
    Curve,
    Curves,
)
from nas.errors import UsageError

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]
Points = npt.NDArray[np.float64]  # (n, 2)


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of a network to labelled images, all (N,) but for what is kept of a part of the images: the probabilities
    of all classes (S, C) of those at ``sample`` (S,), and the inputs of the last linear layer (E, D) of those at
    ``embedded`` (E,), None if there is no such layer."""

    labels: Labels
    predicted: Labels
    confidence: Floats
    sample: Labels
    probabilities: Floats
    embedded: Labels
    features: Floats | None = None

    @classmethod
    def of(cls, logits: Floats, labels: Labels, features: Floats | None = None) -> Answers:
        """Answers from logits (N, C) of all images, their labels (N,), and inputs of the last layer (N, D). UsageError
        if these do not fit each other."""
        logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
        if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
            raise UsageError(f"Logits {logits.shape} and labels {labels.shape} must be (N, classes) and (N,).")
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= logits.shape[1]:
            raise UsageError(f"Labels must be whole numbers from 0 to {logits.shape[1] - 1}.")
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = odds / odds.sum(axis=1, keepdims=True)
        every = np.arange(len(labels))
        return cls(labels.astype(np.int64), logits.argmax(1), shares.max(1), every, shares, every, features)


def measured(answers: Answers, classes: list[str], **known: Any) -> Analysis:
    """The metrics of an analysis, without images; ``known`` are other fields of it (run, data, split...)."""
    number = len(classes)
    labels, predicted = answers.labels, answers.predicted
    true_C, given_C = (np.bincount(each, minlength=number) for each in (labels, predicted))
    right_C = np.bincount(labels[labels == predicted], minlength=number)
    found = metrics(right_C.astype(float), true_C.astype(float), given_C.astype(float))
    sampled = labels[answers.sample]
    facts: dict[str, Any] = {
        "nasctl": __version__, "network": "", "run": None, "trial": None, "model": None, "data": "", "split": "given",
        "input_shape": (0, 0, 0), "train_counts": None, "layer": None,
    }  # fmt: skip
    return Analysis(
        **(facts | known),
        num_images=len(labels),
        num_classes=number,
        classes=list(classes),
        counts=true_C.tolist(),
        right=right_C.tolist(),
        recalls=[_share(right, of) for right, of in zip(right_C, true_C, strict=True)],
        precisions=[_share(right, of) for right, of in zip(right_C, given_C, strict=True)],
        accuracy=found["accuracy"],
        balanced_accuracy=found["balanced_accuracy"],
        macro_f1=found["macro_f1"],
        confusion=confusion(labels, predicted, number) if number <= MOST_CLASSES else None,
        worst_pairs=worst_pairs(labels, predicted, number),
        calibration=calibration(answers.confidence, labels == predicted),
        roc=roc_curves(answers.probabilities, sampled),
        pr=pr_curves(answers.probabilities, sampled),
    )


def confusion(labels: Labels, predicted: Labels, number: int) -> list[list[int]]:
    """Number of images of each true class (rows) that were taken for each class (columns)."""
    counts: list[list[int]] = np.bincount(labels * number + predicted, minlength=number**2).reshape(number, -1).tolist()
    return counts


def worst_pairs(labels: Labels, predicted: Labels, number: int) -> list[tuple[int, int, int]]:
    """True class, class that it was taken for, images: the most first."""
    wrong = labels != predicted
    pairs, counts = np.unique(labels[wrong] * number + predicted[wrong], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_PAIRS]
    return [(int(pairs[at] // number), int(pairs[at] % number), int(counts[at])) for at in order]


def calibration(confidence: Floats, right: npt.NDArray[np.bool_], bins: int = NUM_BINS) -> Calibration:
    """Confidence against accuracy in bins of equal width, as Guo et al. (2017) have them: of ``confidence`` (N,), from
    0 to 1, and whether each answer is ``right`` (N,)."""
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums, rights = np.bincount(place, confidence, bins), np.bincount(place, right, bins)
    ece = float(np.abs(sums - rights).sum() / max(len(confidence), 1))
    edges = np.arange(bins + 1) / bins
    return Calibration(
        ece,
        [
            Bin(float(edges[at]), float(edges[at + 1]), int(counts[at]), _share(sums[at], counts[at]),
                _share(rights[at], counts[at]))
            for at in range(bins)
        ],
    )  # fmt: skip


def roc_curves(probabilities: Floats, labels: Labels) -> Curves:
    """Of each class against all others: probabilities (N, C), labels (N,)."""

    def curve(score: Floats, is_class: npt.NDArray[np.bool_]) -> tuple[float, Points]:
        right, wrong = _taken(score, is_class)
        points = np.stack([wrong / wrong[-1], right / right[-1]], axis=1)
        steps = np.diff(points, axis=0)
        area = float((steps[:, 0] * (points[1:, 1] + points[:-1, 1])).sum() / 2)
        is_corner = np.ones(len(points), dtype=bool)  # others lie on the line between their neighbours
        is_corner[1:-1] = np.diff(np.arctan2(steps[:, 1], steps[:, 0])) != 0
        return area, points[is_corner]

    grid = np.linspace(0, 1, MOST_POINTS - 1) ** 2  # close where good networks' curves bend
    return _curves(probabilities, labels, curve, lambda points: np.interp(grid, *points.T), grid, [(0.0, 0.0)])


def pr_curves(probabilities: Floats, labels: Labels) -> Curves:
    """Precision by recall, of each class against all others: probabilities (N, C), labels (N,). The area is the average
    precision; between two points precision is that of the right one."""

    def curve(score: Floats, is_class: npt.NDArray[np.bool_]) -> tuple[float, Points]:
        right, wrong = (counts[1:] for counts in _taken(score, is_class))
        points = np.stack([right / right[-1], right / (right + wrong)], axis=1)
        area = float((np.diff(points[:, 0], prepend=0.0) * points[:, 1]).sum())
        is_telling = (right > 0) & (np.arange(len(right)) <= np.searchsorted(points[:, 0], 1.0))
        points = points[is_telling]
        return area, np.concatenate([[(0.0, points[0, 1])], points])

    grid = np.linspace(0, 1, MOST_POINTS)

    def at_grid(points: Points) -> Floats:  # a step: of the recalls that reach it the least
        place = np.minimum(np.searchsorted(points[:, 0], grid), len(points) - 1)
        return np.asarray(points[place, 1])

    return _curves(probabilities, labels, curve, at_grid, grid, [])


def _taken(score: Floats, is_class: npt.NDArray[np.bool_]) -> tuple[Labels, Labels]:
    """Numbers of images of the class and of others with a score of at least each threshold, from none to all."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)  # equal scores are taken together
    right = np.cumsum(is_class[order])[ends]
    counts = right, ends + 1 - right
    return np.append(0, counts[0]), np.append(0, counts[1])


def _curves(probabilities: Floats, labels: Labels, curve: Any, at_grid: Any, grid: Floats, first: Any) -> Curves:
    """One for each class; ``at_grid`` reads a curve where the macro average has its points, which follow ``first``."""
    number = probabilities.shape[1]
    counts = np.bincount(labels, minlength=number)
    found: list[tuple[float, Points] | None] = [
        curve(probabilities[:, label], labels == label) if 0 < counts[label] < len(labels) else None
        for label in range(number)
    ]
    areas = [one[0] if one else None for one in found]
    known = [one for one in found if one]
    order = sorted((area, label) for label, area in enumerate(areas) if area is not None)
    drawn = {label for _, label in (order if number <= MOST_CURVES else order[:NUM_WORST])}
    classes = [
        Curve(area, _thinned(one[1]) if one and label in drawn else [])
        for label, (area, one) in enumerate(zip(areas, found, strict=True))
    ]
    if not known:
        return Curves(classes, Curve(None), len(labels))
    mean = np.mean([at_grid(points) for _, points in known], axis=0)
    points = [*first, *((_short(x), _short(y)) for x, y in zip(grid, mean, strict=True))]
    return Curves(classes, Curve(float(np.mean([area for area, _ in known])), points), len(labels))


def _thinned(points: Points) -> list[tuple[float, float]]:
    """At most ``MOST_POINTS`` of them, distributed evenly along the curve; the first and the last stay."""
    if len(points) > MOST_POINTS:
        along = np.concatenate([[0], np.cumsum(np.abs(np.diff(points, axis=0)).sum(axis=1))])
        wanted = np.linspace(0, along[-1], MOST_POINTS)
        points = points[np.unique(np.searchsorted(along, wanted).clip(0, len(points) - 1))]
    return [(_short(x), _short(y)) for x, y in points]


def _short(number: float) -> float:
    """Number with the digits that a picture can show, so that the file stays small."""
    return round(float(number), 5)


def _share(part: float, of: float) -> float | None:
    return float(part / of) if of else None
