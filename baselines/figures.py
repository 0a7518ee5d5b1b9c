"""Figures of a classifier, from three counts a class: the diagonal and the sums of rows and columns of its confusion
matrix. Definitions are scikit-learn's, which tests compare with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

# With one label an image each of these is the accuracy: every image that is wrong is missed once and taken once.
EQUAL_TO_ACCURACY = ("micro_precision", "micro_recall", "micro_f1", "weighted_recall")


def figures(right_C: Counts, true_C: Counts, predicted_C: Counts) -> dict[str, float]:
    """By name, 0 to 1, higher is better; counts (C,) of images that were right, that are of a class, and that were
    taken for it. There is at least one image.

    Balanced accuracy and the worst recall are over the classes that have images; macro precision, recall and F1 over
    those that have images or were predicted. A precision or recall that divides by zero is 0.
    """
    recall_C, precision_C = right_C / np.maximum(true_C, 1), right_C / np.maximum(predicted_C, 1)
    f1_C, share_C = 2 * right_C / np.maximum(true_C + predicted_C, 1), true_C / true_C.sum()
    seen_C, accuracy = true_C + predicted_C > 0, right_C.sum() / true_C.sum()
    values = {
        "balanced_accuracy": recall_C[true_C > 0].mean(),
        "accuracy": accuracy,
        "worst_recall": recall_C[true_C > 0].min(),
        "macro_precision": precision_C[seen_C].mean(),
        "macro_recall": recall_C[seen_C].mean(),
        "macro_f1": f1_C[seen_C].mean(),
        "weighted_precision": share_C @ precision_C,
        "weighted_f1": share_C @ f1_C,
        **dict.fromkeys(EQUAL_TO_ACCURACY, accuracy),
    }
    return {name: float(value) for name, value in values.items()}


def figures_of(predicted_N: Labels, labels_N: Labels, num_classes: int) -> dict[str, float]:
    """``figures`` from predicted and true classes (N,)."""
    right_N = labels_N[predicted_N == labels_N]
    counts = (np.bincount(of_N, minlength=num_classes).astype(float) for of_N in (right_N, labels_N, predicted_N))
    return figures(*counts)
