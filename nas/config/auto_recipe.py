"""Recipe values chosen from the data: epochs, batch size, and the correction of an imbalance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.config.objectives import is_balanced
from nas.config.recipe import Recipe
from nas.config.recipe_rules import CORRECTING, described_name

AUTO = "auto"
UNEVEN = 1.5  # times the images of the smallest class that the largest must have to be called an imbalance

# Epochs and batch, from trainings of random networks on sets of 143 to 13,000 images (docs/recipes.md): up to about
# 5,000 images longer trainings were better everywhere; more images need fewer epochs, and more steps all the same.
LEAST_EPOCHS, MOST_EPOCHS = 24, 240
LEAST_IMAGES_SEEN = 33_000
EPOCHS_BY_ROOT = 1_800  # epochs times the square root of the number of images
SMALL_BATCH, LARGE_BATCH, LARGE_SET = 64, 128, 20_000


def resolve_recipe(recipe: Recipe, counts: Sequence[int], objective: str) -> tuple[Recipe, str]:
    """``recipe`` with everything that it leaves open, and a sentence on what was chosen from the data, or warns.

    Open are epochs and batch, where they were not given (``model_fields_set``), and the loss of the recipe "auto".
    ``counts``: training images of each class.
    """
    changes: dict[str, int | float | str] = {}
    seen = images_per_epoch(recipe, counts)
    if "epochs" not in recipe.model_fields_set:
        changes["epochs"] = default_epochs(seen)
    if recipe.batch_size is None:
        changes["batch_size"] = min(LARGE_BATCH if seen >= LARGE_SET else SMALL_BATCH, max(2, seen))
    sentence = ""
    if recipe.name == AUTO:
        if is_imbalanced(counts) and is_balanced(objective):
            changes["prior_tau"] = 1.0
            sentence = f"classes are imbalanced, {_ratio(counts)}: training adds their log prior to the logits"
        changes["name"] = described_name(recipe.model_copy(update=changes))
    elif is_imbalanced(counts):
        sentence = contradiction(recipe, counts, objective)
    return recipe.model_copy(update=changes), sentence


def default_epochs(num_images: int) -> int:
    """Epochs for a training that sees ``num_images`` images in each."""
    wanted = max(LEAST_IMAGES_SEEN / num_images, EPOCHS_BY_ROOT / math.sqrt(num_images))
    return min(MOST_EPOCHS, max(LEAST_EPOCHS, math.ceil(wanted)))


def contradiction(recipe: Recipe, counts: Sequence[int], objective: str) -> str:
    """A warning if a recipe and the objective weigh the classes of an imbalanced set differently, else nothing."""
    words = objective.replace("_", " ")
    if is_balanced(objective) and not meets_imbalance(recipe):
        return (
            f"{recipe.name} weights imbalanced classes ({_ratio(counts)}) by their frequency, but {words} weights all "
            "classes equally, as --recipe auto does"
        )
    if objective == "accuracy" and meets_imbalance(recipe):
        return (
            f"{recipe.name} weights imbalanced classes ({_ratio(counts)}) equally, but {words} weights them by their "
            "frequency, as --recipe custom-ce does"
        )
    return ""


def meets_imbalance(recipe: Recipe) -> bool:
    """True if a recipe corrects for classes that come unequally often."""
    return (
        recipe.loss in CORRECTING
        or recipe.loss == "ldam"
        or bool(recipe.prior_tau or recipe.post_hoc_tau)
        or recipe.deferred_reweighting is not None
        or recipe.oversampling != "none"
        or recipe.sampler == "class-balanced"
    )


def is_imbalanced(counts: Sequence[int]) -> bool:
    """True if the largest class has clearly more training images than the smallest."""
    return max(counts) >= UNEVEN * max(1, min(counts))


def images_per_epoch(recipe: Recipe, counts: Sequence[int]) -> int:
    """Number of images of an epoch on a set with these counts: oversampling fills every class up to the largest."""
    oversampled = recipe.oversampling != "none"
    return images_seen(max(counts) * len(counts) if oversampled else sum(counts), recipe, oversampled=oversampled)


def images_seen(num_images: int, recipe: Recipe, *, oversampled: bool) -> int:
    """Number of the images that an epoch sees: a share of an oversampled set, all of any other."""
    return max(2, math.ceil((recipe.oversampled_share if oversampled else 1.0) * num_images))


def _ratio(counts: Sequence[int]) -> str:
    return f"{max(counts) / max(1, min(counts)):.3g} to 1"
