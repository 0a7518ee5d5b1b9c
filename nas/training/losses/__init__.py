"""Losses by name, one file a family; each makes a function of logits and labels from a recipe and class counts.

A new loss is one decorated function in a family's file, imported here, and its settings in ``nas.config.recipe_rules``;
the contract tests run over every registered name. What makes one number of a batch is in ``registry`` alone.
"""

from __future__ import annotations

from nas.training.losses import class_balanced, cross_entropy, custom, focal, ldam, prior
from nas.training.losses.registry import (
    LOSSES,
    PerImage,
    TrainingLoss,
    find_loss,
    is_reweighted,
    make_loss,
    register_loss,
)

__all__ = ["LOSSES", "PerImage", "TrainingLoss", "find_loss", "is_reweighted", "make_loss", "register_loss"]

FAMILIES = (cross_entropy, custom, focal, class_balanced, ldam, prior)  # importing them registers their losses
