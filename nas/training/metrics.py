"""The figures of a trained network on one split.

Computed from three counts a class (``baselines.figures``). torchmetrics does the same, but its import costs every
worker 3 s and 240 MB, and its calls a tenth of a short trial. The names a search may maximize: ``nas.config.recipe``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.figures import figures
from nas.config.recipe import Figures
from nas.training.augmentation import normalize
from nas.training.tensor_split import CHUNK, CPU_CHUNK

__all__ = ["classification_figures", "evaluate"]


MOST_CLASSES = 200  # of a confusion matrix: 40,000 numbers


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    normalization: tuple[Sequence[float], Sequence[float]],
    *,
    num_classes: int,
    device: torch.device | str,
    batch_size: int | None = None,
    confusion: bool = False,
) -> Figures:
    """Score ``model``, which lies on ``device``, on uint8 images (N, C, H, W) with int64 labels (N,).

    Returns every name of ``nas.config.recipe.OBJECTIVES`` (0 to 1, higher is better), ``recall_by_class`` (a list;
    0 for a class without images) and ``loss``, the mean cross-entropy in nats. ``normalization`` is mean and
    standard deviation per channel, on a scale of 0 to 1. With ``confusion``, and up to 200 classes, "confusion" is
    the number of images of each true class (rows) by predicted class (columns). Runs in float32 without autocast, so
    that the figures are those of the weights that are kept, and waits for the device only at the end. The model's
    mode is restored.
    """
    batch_size = batch_size or (CPU_CHUNK if torch.device(device).type == "cpu" else CHUNK)
    batch_size = min(batch_size, getattr(model, "most_at_once", batch_size))  # of networks that enlarge images
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
        found = classification_figures(predicted_N, labels_N, num_classes)
        if confusion and num_classes <= MOST_CLASSES:
            found["confusion"] = confusion_matrix(predicted_N, labels_N, num_classes)
    model.train(was_training)
    return {**found, "loss": loss.item() / len(images)}


def classification_figures(predicted_N: Tensor, labels_N: Tensor, num_classes: int) -> Figures:
    """All figures but the loss, from predicted and true classes (N,), see ``baselines.figures``."""
    none_C = torch.zeros(num_classes, dtype=torch.float64, device=labels_N.device)
    one_N = torch.ones_like(labels_N, dtype=torch.float64)
    counted = [
        none_C.scatter_add(0, of_N, weight_N)
        for of_N, weight_N in ((labels_N, (predicted_N == labels_N).double()), (labels_N, one_N), (predicted_N, one_N))
    ]
    right_C, true_C, predicted_C = torch.stack(counted).cpu().numpy()  # the one transfer from the device
    return {**figures(right_C, true_C, predicted_C), "recall_by_class": (right_C / true_C.clip(min=1)).tolist()}


def confusion_matrix(predicted_N: Tensor, labels_N: Tensor, num_classes: int) -> list[list[int]]:
    """How many images of each true class (rows) were taken for each class (columns)."""
    pairs_N = labels_N * num_classes + predicted_N
    counts: list[list[int]] = torch.bincount(pairs_N, minlength=num_classes**2).view(num_classes, -1).tolist()
    return counts
