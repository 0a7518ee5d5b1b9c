"""The floor under a search in words."""

from __future__ import annotations

from nas.config.auto_recipe import is_imbalanced
from nas.runs import SearchRun
from nas.runs.events import FloorMeasured


def floor_words(floor: FloorMeasured, objective: str) -> str:
    """The method and its metric on the test split; what it was trained on, where that is less than there is."""
    sampled = floor.images < floor.of_images
    trained = f"; trained on {floor.images:,} of {floor.of_images:,} images" if sampled else ""
    return f"{floor.method} {floor.test[objective]:.3f} ({objective.replace('_', ' ')} on test{trained})"


def advice(run: SearchRun) -> str:
    """Advice on a winner below the floor."""
    uneven = is_imbalanced(run.facts.counts["train"])
    recipes = ["choose another recipe for imbalanced classes (--recipe)"] if uneven else []
    ways = [
        f"train longer (--epochs {2 * run.final_epochs})",
        *recipes,
        "allow a larger budget",
        f"try more architectures (--trials {2 * run.config.trials})",
    ]
    return (
        "The winner is below the classical baseline: a method without a neural network does better. To get above it: "
        f"{', '.join(ways[:-1])}, or {ways[-1]}."
    )
