"""Cross-entropy: plain, smoothed, and weighted by class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.config import Recipe
from nas.training.class_counts import ClassCounts
from nas.training.losses.registry import PerImage, needed, register_loss


@register_loss("ce")
def cross_entropy(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-log p_y``, with ``p = softmax(logits)``; in nats.

    With ``label_smoothing`` e: ``-(1 - e) log p_y - e * sum_j u_j log p_j`` (Szegedy et al. 2016), u = 1 / C or that
    of ``smooth_target``.
    """
    if recipe.label_smoothing and (target_C := smooth_target(recipe, counts)) is not None:

        def smoothed_to_prior(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
            log_p_NC = logits_NC.log_softmax(dim=1)
            every_N = log_p_NC @ target_C.to(log_p_NC.dtype)
            return -torch.lerp(_of_label(log_p_NC, labels_N), every_N, recipe.label_smoothing)

        return smoothed_to_prior

    def per_image(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        return F.cross_entropy(logits_NC, labels_N, reduction="none", label_smoothing=recipe.label_smoothing)

    return per_image


@register_loss("weighted-ce")
def weighted_cross_entropy(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """Cross-entropy times ``N / (K n_y)``, for K classes that have images: one on average over an epoch's images."""
    sampled_C = needed(counts).sampled_C
    present_C = sampled_C > 0
    weights_C = (sampled_C.sum() / (present_C.sum() * sampled_C.clamp(min=1))).where(present_C, 0.0)
    return weighted(cross_entropy(recipe, counts), weights_C)


def smooth_target(recipe: Recipe, counts: ClassCounts | None) -> Tensor | None:
    """Distribution (C,) that label smoothing mixes labels with, where it is not all classes alike (None).

    Under a prior, in training or taken off after it, that is the prior to the power of its tau. A network that learned
    labels smoothed evenly answers at least e / C for a rare class, and over a small prior that is more than a sure
    answer for a frequent one: at 100 to 1, e = 0.1 and 10 classes every image would be of the rarest. Smoothed to the
    prior, what is left of the logits is ``log((1 - e) p / prior + e)``, in the order without smoothing.
    """
    tau = recipe.prior_tau + recipe.post_hoc_tau
    return (tau * needed(counts).log_prior_C).softmax(dim=0) if tau else None


def _of_label(log_p_NC: Tensor, labels_N: Tensor) -> Tensor:
    return log_p_NC.gather(1, labels_N.unsqueeze(1)).squeeze(1)


def weighted(per_image: PerImage, weights_C: Tensor) -> PerImage:
    """``w_y L_n``: a loss times the weight of the image's class."""

    def weighted_per_image(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        return weights_C.to(logits_NC.dtype)[labels_N] * per_image(logits_NC, labels_N)

    return weighted_per_image
