"""The figures of a trained network on one split, by torchmetrics.

Importing torchmetrics takes seconds, and its functional part brings in as much: only workers import this
module. The names a search may maximize are in ``nas.recipe``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)
from torchmetrics.classification.stat_scores import MulticlassStatScores

from nas.augmentation import normalize
from nas.recipe import OBJECTIVES

__all__ = ["OBJECTIVES", "Figures", "classification_figures", "evaluate"]

Figures = dict[str, float | list[float] | list[list[int]]]

MOST_CLASSES = 200  # of a confusion matrix: 40,000 numbers


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    normalization: tuple[Sequence[float], Sequence[float]],
    *,
    num_classes: int,
    device: torch.device | str,
    batch_size: int = 1024,
    confusion: bool = False,
) -> Figures:
    """Score ``model``, which lies on ``device``, on uint8 images (N, C, H, W) with int64 labels (N,).

    Returns every name of ``nas.recipe.OBJECTIVES`` (0 to 1, higher is better), ``recall_by_class`` (a list;
    0 for a class without images) and ``loss``, the mean cross-entropy in nats. ``normalization`` is mean and
    standard deviation per channel, on a scale of 0 to 1. With ``confusion``, and up to 200 classes, "confusion" is
    the number of images of each true class (rows) by predicted class (columns). Runs in float32 without autocast, so
    that the figures are those of the weights that are kept, and waits for the device only at the end. The model's
    mode is restored.
    """
    mean, std = normalization
    mean_C, std_C = torch.tensor([*mean, *std], dtype=torch.float32, device=device).chunk(2)
    loss = torch.zeros((), device=device, dtype=torch.float64)
    predicted = []
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            logits_NC = model(normalize(images[batch].to(device), mean_C, std_C)).float()
            loss += F.cross_entropy(logits_NC, labels[batch].to(device), reduction="sum")
            predicted.append(logits_NC.argmax(dim=1))
        predicted_N, labels_N = torch.cat(predicted), labels.to(device)
        figures = classification_figures(predicted_N, labels_N, num_classes)
        if confusion and num_classes <= MOST_CLASSES:
            figures["confusion"] = confusion_matrix(predicted_N, labels_N, num_classes)
    model.train(was_training)
    return {**figures, "loss": loss.item() / len(images)}


def classification_figures(predicted_N: Tensor, labels_N: Tensor, num_classes: int) -> Figures:
    """All figures but the loss, from predicted and true classes; definitions as in scikit-learn.

    Balanced accuracy and the worst recall are over the classes that have images.
    """
    names = ("accuracy", "macro_f1", "weighted_f1", "weighted_precision", "recall_by_class")
    metrics = MetricCollection(
        {
            "accuracy": _Accuracy(num_classes, average="weighted", validate_args=False),
            "macro_f1": _F1(num_classes, average="macro", validate_args=False),
            "weighted_f1": _F1(num_classes, average="weighted", validate_args=False),
            "weighted_precision": _Precision(num_classes, average="weighted", validate_args=False),
            "recall_by_class": _Recall(num_classes, average="none", validate_args=False),
        },
        compute_groups=[list(names)],  # all five read the same counts, which are made once
    ).to(labels_N.device)
    metrics.update(predicted_N, labels_N)
    computed = metrics.compute()
    recall_C = computed["recall_by_class"]
    present_C = torch.zeros_like(recall_C).index_fill_(0, labels_N, 1.0)
    balanced_accuracy = (recall_C * present_C).sum() / present_C.sum()
    worst_recall = torch.where(present_C > 0, recall_C, 1.0).min()
    scalars = [*(computed[name] for name in names[:-1]), balanced_accuracy, worst_recall]
    values = torch.cat([torch.stack(scalars), recall_C]).tolist()  # the one transfer from the device
    figures: Figures = dict(zip((*names[:-1], "balanced_accuracy", "worst_recall"), values, strict=False))
    return {**figures, "recall_by_class": values[len(scalars) :]}


def confusion_matrix(predicted_N: Tensor, labels_N: Tensor, num_classes: int) -> list[list[int]]:
    """How many images of each true class (rows) were taken for each class (columns)."""
    pairs_N = labels_N * num_classes + predicted_N
    counts: list[list[int]] = torch.bincount(pairs_N, minlength=num_classes**2).view(num_classes, -1).tolist()
    return counts


class _CountsByScatter(MulticlassStatScores):
    """The counts per class of torchmetrics without its C x C matrix: 800 MB at 10,000 classes."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add predicted and true classes, both (N,)."""
        none = torch.zeros(self.num_classes or 0, dtype=torch.int64, device=target.device)
        one_N = torch.ones_like(target)
        tp = none.scatter_add(0, target, (preds == target).long())
        fn = none.scatter_add(0, target, one_N) - tp
        fp = none.scatter_add(0, preds, one_N) - tp
        self._update_state(tp, fp, len(target) - tp - fp - fn, fn)


class _Accuracy(_CountsByScatter, MulticlassAccuracy):
    """Weighted by the number of images a class has, recall is accuracy."""


class _F1(_CountsByScatter, MulticlassF1Score):
    pass


class _Precision(_CountsByScatter, MulticlassPrecision):
    pass


class _Recall(_CountsByScatter, MulticlassRecall):
    pass
