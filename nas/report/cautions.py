"""Settings of a training that are allowed and rarely meant: said in the plan."""

from __future__ import annotations

from nas.config import Recipe
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
    return found
