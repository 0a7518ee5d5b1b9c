"""Metrics of a classifier by name, each a function of an ``Evaluation``. Definitions are scikit-learn's, which tests
compare with; all need three counts a class, the diagonal and the sums of rows and columns of the confusion matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from baselines.evaluation import Evaluation

Counts = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Metric = Callable[[Evaluation], float]


def balanced_accuracy(evaluation: Evaluation) -> float:
    """The mean recall of the classes that have images."""
    return float(evaluation.recall_C[evaluation.true_C > 0].mean())


def accuracy(evaluation: Evaluation) -> float:
    """The share of images that were right. With one label an image, micro precision, recall and F1 are this, since
    every image that is wrong is missed once and taken once; so is the recall weighted by the images of a class."""
    return float(evaluation.right_C.sum() / evaluation.true_C.sum())


def worst_recall(evaluation: Evaluation) -> float:
    """The lowest recall of the classes that have images."""
    return float(evaluation.recall_C[evaluation.true_C > 0].min())


def macro_precision(evaluation: Evaluation) -> float:
    """The mean precision of the classes that have images or were predicted."""
    return float(evaluation.precision_C[_seen(evaluation)].mean())


def macro_recall(evaluation: Evaluation) -> float:
    """The mean recall of the classes that have images or were predicted."""
    return float(evaluation.recall_C[_seen(evaluation)].mean())


def macro_f1(evaluation: Evaluation) -> float:
    """The mean F1 of the classes that have images or were predicted."""
    return float(evaluation.f1_C[_seen(evaluation)].mean())


def weighted_precision(evaluation: Evaluation) -> float:
    """The mean precision, each class weighted by its share of the images."""
    return float((evaluation.true_C / evaluation.true_C.sum()) @ evaluation.precision_C)


def weighted_f1(evaluation: Evaluation) -> float:
    """The mean F1, each class weighted by its share of the images."""
    return float((evaluation.true_C / evaluation.true_C.sum()) @ evaluation.f1_C)


def _seen(evaluation: Evaluation) -> npt.NDArray[np.bool_]:
    return evaluation.true_C + evaluation.predicted_C > 0


EQUAL_TO_ACCURACY = ("micro_precision", "micro_recall", "micro_f1", "weighted_recall")
METRICS: dict[str, Metric] = {
    "balanced_accuracy": balanced_accuracy,
    "accuracy": accuracy,
    "worst_recall": worst_recall,
    "macro_precision": macro_precision,
    "macro_recall": macro_recall,
    "macro_f1": macro_f1,
    "weighted_precision": weighted_precision,
    "weighted_f1": weighted_f1,
    **dict.fromkeys(EQUAL_TO_ACCURACY, accuracy),
}


def metrics(right_C: Counts, true_C: Counts, predicted_C: Counts) -> dict[str, float]:
    """By name, 0 to 1, higher is better; counts (C,) of images that were right, that are of a class, and that were
    taken for it. There is at least one image. A precision or recall that divides by zero is 0."""
    return metrics_in(Evaluation((), num_classes=len(true_C), counts=(right_C, true_C, predicted_C)))


def metrics_of(predicted_N: Labels, labels_N: Labels, num_classes: int) -> dict[str, float]:
    """``metrics`` from predicted and true classes (N,)."""
    return metrics_in(Evaluation(labels_N, predicted=predicted_N, num_classes=num_classes))


def metrics_in(evaluation: Evaluation) -> dict[str, float]:
    """Every one of ``METRICS``."""
    return {name: metric(evaluation) for name, metric in METRICS.items()}
