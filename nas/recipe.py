"""How a trial trains: one frozen, validated record, and the named ones."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from nas.errors import find_named

# What a search may maximize, of the figures of ``nas.metrics``; here, so that checking needs no torch.
Objective = Literal["balanced_accuracy", "accuracy", "macro_f1", "weighted_f1", "weighted_precision", "worst_recall"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)


class Recipe(BaseModel):
    """Everything that decides a training besides the network, the data and the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = "custom-ce"
    loss: str = "custom-ce"
    oversampling: str = "none"
    oversampled_share: float = Field(default=0.5, gt=0, le=1, description="of an oversampled set, per epoch")
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(default=0.01, gt=0, description="maximum of the schedule")
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    epochs: int = Field(default=24, ge=1)
    # None: a twentieth of what an epoch sees, from 16 to 128, so that small sets get enough steps.
    batch_size: int | None = Field(default=None, ge=2)
    # Pixels that an image of 8 is padded by before a random crop; scales with the size.
    crop_padding: int = Field(default=1, ge=0)
    # Mirror images; None: colour images only, since digits and letters have a hand.
    flip: bool | None = None
    # Side of the erased square as a share of the image; 0, none: it costs tiny nets in short trainings.
    cutout: float = Field(default=0.0, ge=0, lt=1)


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="custom-ce", loss="custom-ce"),
        Recipe(name="custom-ce+borderline-smote", loss="custom-ce", oversampling="borderline-smote"),
        Recipe(name="ce", loss="ce"),
    )
}


def named_recipe(name: str) -> Recipe:
    """The recipe called ``name``; UsageError names the nearest one."""
    return find_named(RECIPES, name, "recipe", "Recipes")
