"""Metrics of a network on a split, and whether they are numbers at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from baselines import verification
from nas.config.objectives import DEFAULT
from nas.config.recipe import Metrics
from nas.errors import TrialError
from nas.training.metrics import embed, evaluate
from nas.training.tensor_split import JoinedSplit, TensorSplit


def evaluate_split(
    model: nn.Module,
    split: TensorSplit | JoinedSplit,
    normalization: tuple[Sequence[float], Sequence[float]],
    *,
    num_classes: int,
    device: torch.device | str,
    batch_size: int | None = None,
    confusion: bool = False,
    objective: str = DEFAULT,
    test_flip: bool = False,
) -> Metrics:
    """The metrics of ``model`` on a split, which is read a batch at a time (see ``nas.training.metrics.evaluate``).

    With ``test_flip``, as of a recipe, by the mean of the logits of an image and its mirror image.
    """
    images = cast(Tensor, split)  # all that is asked of the images is their number, and slices of them
    return evaluate(
        model, images, split.labels, normalization, num_classes=num_classes, device=device, batch_size=batch_size,
        confusion=confusion, objective=objective, test_flip=test_flip,
    )  # fmt: skip


def verify_split(
    model: nn.Module,
    identities: TensorSplit,
    normalization: tuple[Sequence[float], Sequence[float]],
    *,
    num_classes: int,
    device: torch.device | str,
    test_flip: bool = False,
) -> Metrics:
    """The metrics of verification (see ``baselines.verification``) on pairs of images of ``identities``, whose labels
    need not be classes of ``model``. TrialError if there is nothing to compare, or an embedding is not finite."""
    images = cast(Tensor, identities)
    vectors = embed(model, images, normalization, num_classes=num_classes, device=device, test_flip=test_flip)
    if not np.isfinite(vectors).all():
        raise TrialError("embeddings are not finite numbers, so that no images can be compared")
    return {**verification.verify(vectors, identities.labels.cpu().numpy()).metrics}


def check_finite(record: dict[str, float], name: str, more: str = "") -> None:
    """TrialError with the epoch, the learning rate and ``more`` if ``record[name]`` is not a finite number."""
    if not math.isfinite(record[name]):
        raise TrialError(
            f"{name} is {record[name]} in epoch {record['epoch']:.0f}, "
            f"where the learning rate reached {record['learning_rate']:.3g}{more}"
        )
