"""Settings of a training that are allowed and rarely meant: said in the plan."""

from __future__ import annotations

import math

from nas.config import Recipe
from nas.config.rates import cycle_at
from nas.units import counted

HIGH_RATE = {"adam": 1.0, "sgd": 10.0}  # by optimizer, learning rates above which hardly a network learns


def cautions(recipe: Recipe, train_images: int) -> list[str]:
    """A sentence for each, with what to type instead."""
    found = []
    if recipe.batch_size and recipe.batch_size > train_images:
        found.append(
            f"--batch-size {recipe.batch_size:,} is more than the {counted(train_images, 'image')} in train: every "
            "epoch is a single step. Smaller batches learn faster here."
        )
    if recipe.learning_rate > HIGH_RATE.get(recipe.optimizer, 10.0):
        found.append(
            f"--learning-rate {recipe.learning_rate:g} is far above what {recipe.optimizer} can train with: "
            "the loss will "
            "probably diverge. --learning-rate find looks for one."
        )
    if not recipe.classification_weight and not recipe.svm_head:
        found.append(
            "--classification-weight 0 leaves the last layer as it was made: only embeddings are trained, and metrics "
            "of predicted classes are chance. --svm-head makes a last layer of them."
        )
    if recipe.schedule == "warm-restarts":
        start, length = cycle_at(recipe.epochs, recipe)
        if start < recipe.epochs:
            left = (1 + math.cos(math.pi * (recipe.epochs - start) / length)) / 2
            ends = f"{start} or {start + length}" if start else f"{length}"
            found.append(
                f"{counted(recipe.epochs, 'epoch')} of warm-restarts end within a cycle, at {100 * left:.0f} % of the "
                f"peak learning rate. --epochs {ends} ends with a cycle, at 0."
            )
    return found
