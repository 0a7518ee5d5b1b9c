"""Cross-entropy: plain, smoothed, and weighted by class."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nas.config import Recipe
from nas.training.class_counts import ClassCounts
from nas.training.losses.registry import PerImage, needed, register_loss


@register_loss("ce")
def cross_entropy(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-log p_y``, with ``p = softmax(logits)``; in nats.

    With ``label_smoothing`` e: ``-(1 - e) log p_y - e / C * sum_j log p_j`` (Szegedy et al. 2016).
    """

    def per_image(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        return F.cross_entropy(logits_NC, labels_N, reduction="none", label_smoothing=recipe.label_smoothing)

    return per_image


@register_loss("weighted-ce")
def weighted_cross_entropy(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """Cross-entropy times ``N / (K n_y)``, for K classes that have images: one on average over an epoch's images."""
    drawn_C = needed(counts).drawn_C
    present_C = drawn_C > 0
    weights_C = (drawn_C.sum() / (present_C.sum() * drawn_C.clamp(min=1))).where(present_C, 0.0)
    return weighted(cross_entropy(recipe, counts), weights_C)


def weighted(per_image: PerImage, weights_C: Tensor) -> PerImage:
    """``w_y L_n``: a loss times the weight of the image's class."""

    def weighted_per_image(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        return weights_C.to(logits_NC.dtype)[labels_N] * per_image(logits_NC, labels_N)

    return weighted_per_image
