"""The metrics of a trained network on one split.

Computed from three counts a class (``baselines.metrics``). torchmetrics does the same, but its import costs every
worker 3 s and 240 MB, and its calls a tenth of a short trial. What else a search may maximize is computed from the
logits, and from what enters the last layer: ``nas.config.objectives``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.evaluation import Evaluation
from baselines.metrics import METRICS, metrics_in
from nas.config.objectives import DEFAULT, measure
from nas.config.recipe import Metrics
from nas.errors import TrialError
from nas.training.augmentation import logits_of, normalize
from nas.training.classifier_head import last_linear
from nas.training.tensor_split import CHUNK, CPU_CHUNK

__all__ = ["classification_metrics", "embed", "evaluate"]


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
    objective: str = DEFAULT,
    test_flip: bool = False,
) -> Metrics:
    """Score ``model``, which lies on ``device``, on uint8 images (N, C, H, W) with int64 labels (N,).

    Returns every name of ``baselines.metrics.METRICS`` (0 to 1, higher is better), ``objective`` (of
    ``nas.config.objectives``) if it is none of these, ``recall_by_class`` (a list; 0 for a class without images) and
    ``loss``, the mean cross-entropy in nats. ``normalization`` is mean and standard deviation per channel, on a scale
    of 0 to 1. With ``confusion``, and up to 200 classes, "confusion" is
    the number of images of each true class (rows) by predicted class (columns). Runs in float32 without autocast, so
    that the metrics are those of the weights that are kept, and waits for the device only at the end. With
    ``test_flip`` logits, and what enters the last layer, are the means of an image and its mirror image. The model's
    mode is restored.
    """
    answers, bounds = _answering(model, images, normalization, device, batch_size, test_flip=test_flip)

    def embeddings() -> np.ndarray:
        return _entering_last_linear(model, num_classes, answers, bounds, test_flip=test_flip)

    with _evaluating(model):
        return _scored(answers, bounds, embeddings, labels, num_classes, confusion=confusion, objective=objective)


def embed(
    model: nn.Module,
    images: Tensor,
    normalization: tuple[Sequence[float], Sequence[float]],
    *,
    num_classes: int,
    device: torch.device | str,
    test_flip: bool = False,
) -> np.ndarray:
    """Inputs, float32 (N, D), of the last linear layer of ``model`` for uint8 images (N, C, H, W): see ``evaluate``.

    TrialError if the network does not end in a linear layer.
    """
    answers, bounds = _answering(model, images, normalization, device, None, test_flip=test_flip)
    with _evaluating(model):
        return _entering_last_linear(model, num_classes, answers, bounds, test_flip=test_flip)


Answers = Callable[[int, int], Tensor]
"""The logits of the images between two numbers."""
Bounds = Sequence[tuple[int, int]]
"""First and last number of each batch."""


def _answering(
    model: nn.Module, images: Tensor, normalization: tuple[Sequence[float], Sequence[float]],
    device: torch.device | str, batch_size: int | None, *, test_flip: bool,
) -> tuple[Answers, Bounds]:  # fmt: skip
    batch_size = batch_size or (CPU_CHUNK if torch.device(device).type == "cpu" else CHUNK)
    batch_size = min(batch_size, getattr(model, "most_at_once", batch_size))  # of networks that enlarge images
    mean, std = normalization
    mean_C, std_C = torch.tensor([*mean, *std], dtype=torch.float32, device=device).chunk(2)

    def answers(start: int, end: int) -> Tensor:
        batch_NCHW = normalize(images[start:end].to(device), mean_C, std_C)
        return logits_of(model, batch_NCHW, test_flip=test_flip)

    return answers, list(pairwise([*range(0, len(images), batch_size), len(images)]))


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Let ``model`` evaluate without gradients; its mode is restored."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def _scored(
    answers: Answers, bounds: Bounds, embeddings: Callable[[], np.ndarray],
    labels: Tensor, num_classes: int, *, confusion: bool, objective: str,
) -> Metrics:  # fmt: skip
    """The metrics of a network that ``answers`` images between two numbers with logits."""
    losses, predicted, kept = [], [], list[Tensor]()
    for start, end in bounds:
        logits_NC = answers(start, end)
        labels_N = labels[start:end].to(logits_NC.device)
        losses.append(F.cross_entropy(logits_NC, labels_N, reduction="sum").double())
        predicted.append(logits_NC.argmax(dim=1))
        kept += [] if objective in METRICS else [logits_NC]
    predicted_N, labels_N = torch.cat(predicted), labels.to(predicted[0].device)
    evaluation = Evaluation(
        lambda: labels_N.cpu(), lambda: torch.cat(kept).cpu(), embeddings, predicted=lambda: predicted_N.cpu(),
        counts=_counts(predicted_N, labels_N, num_classes),
    )  # fmt: skip
    found, loss = _metrics(evaluation), float(sum(losses)) / len(labels)
    if objective not in METRICS:
        if not math.isfinite(loss):
            raise TrialError(f"the loss is {loss}, so that the objective {objective} cannot be computed")
        found[objective] = measure(objective, evaluation)
    if confusion and num_classes <= MOST_CLASSES:
        found["confusion"] = confusion_matrix(predicted_N, labels_N, num_classes)
    return {**found, "loss": loss}


def classification_metrics(predicted_N: Tensor, labels_N: Tensor, num_classes: int) -> Metrics:
    """All metrics but the loss, from predicted and true classes (N,), see ``baselines.metrics``."""
    return _metrics(Evaluation((), num_classes=num_classes, counts=_counts(predicted_N, labels_N, num_classes)))


def _metrics(evaluation: Evaluation) -> Metrics:
    return {**metrics_in(evaluation), "recall_by_class": evaluation.recall_C.tolist()}


def _counts(predicted_N: Tensor, labels_N: Tensor, num_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class the images that were right, that are of it, and that were taken for it."""
    none_C = torch.zeros(num_classes, dtype=torch.float64, device=labels_N.device)
    one_N = torch.ones_like(labels_N, dtype=torch.float64)
    counted = [
        none_C.scatter_add(0, of_N, weight_N)
        for of_N, weight_N in ((labels_N, (predicted_N == labels_N).double()), (labels_N, one_N), (predicted_N, one_N))
    ]
    right_C, true_C, predicted_C = torch.stack(counted).cpu().numpy()  # the one transfer from the device
    return right_C, true_C, predicted_C


def _entering_last_linear(
    model: nn.Module, num_classes: int, answers: Answers, bounds: Bounds, *, test_flip: bool
) -> np.ndarray:
    """Inputs (N, D) of the layer that gives the logits, with ``test_flip`` the mean of both views, which come one
    after the other; TrialError if it is no linear layer."""
    taken: list[Tensor] = []
    views = 2 if test_flip else 1
    _, layer = last_linear(model, num_classes, "the objective reads what enters the last layer")
    handle = layer.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0].float().cpu()))
    try:
        for start, end in bounds:
            answers(start, end)
    finally:
        handle.remove()
    return torch.cat([sum(taken[at + 1 : at + views], taken[at]) / views for at in range(0, len(taken), views)]).numpy()


def confusion_matrix(predicted_N: Tensor, labels_N: Tensor, num_classes: int) -> list[list[int]]:
    """Number of images of each true class (rows) that were taken for each class (columns)."""
    pairs_N = labels_N * num_classes + predicted_N
    counts: list[list[int]] = torch.bincount(pairs_N, minlength=num_classes**2).view(num_classes, -1).tolist()
    return counts
