"""Losses that add the log of the class prior in training, so that the network itself learns to do without it."""

from __future__ import annotations

import functools

import torch.nn.functional as F

from nas.config import Recipe
from nas.training.class_counts import ClassCounts
from nas.training.losses.registry import PerImage, needed, register_loss, with_prior

CROSS_ENTROPY = functools.partial(F.cross_entropy, reduction="none")


@register_loss("balanced-softmax")
def balanced_softmax(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-log(n_y e^(z_y) / sum_j n_j e^(z_j))`` for logits z (Ren et al. 2020, equation 5)."""
    return with_prior(CROSS_ENTROPY, needed(counts).log_prior_C)


@register_loss("logit-adjustment")
def logit_adjustment(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-log softmax(z + tau log prior)_y`` for logits z (Menon et al. 2021, equation 10); tau = 1 is balanced
    softmax."""
    return with_prior(CROSS_ENTROPY, recipe.tau * needed(counts).log_prior_C)
