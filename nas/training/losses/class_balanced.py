"""Losses weighted by the effective number of images of a class (Cui et al. 2019)."""

from __future__ import annotations

from nas.config import Recipe
from nas.training.class_counts import ClassCounts, class_balanced_weights
from nas.training.losses.cross_entropy import cross_entropy, weighted
from nas.training.losses.focal import focal
from nas.training.losses.registry import PerImage, needed, register_loss


@register_loss("cb-ce")
def class_balanced_cross_entropy(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-w_y log p_y`` with w proportional to ``(1 - beta) / (1 - beta^n_y)`` and summing to the number of classes.

    As in the paper the mean is over images: under a strong imbalance most have a weight far below one.
    """
    return weighted(cross_entropy(recipe, counts), class_balanced_weights(needed(counts).sampled_C, recipe.beta))


@register_loss("cb-focal")
def class_balanced_focal(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-w_y (1 - p_y)^gamma log p_y``, with the weights of "cb-ce"."""
    return weighted(focal(recipe, counts), class_balanced_weights(needed(counts).sampled_C, recipe.beta))
