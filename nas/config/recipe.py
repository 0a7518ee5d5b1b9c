"""How a trial trains: one frozen, validated record, and the named ones."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from search_spaces.registry import Registry

# What a search may maximize, of the figures of ``nas.training.metrics``; here, so that checking needs no torch.
Objective = Literal[
    "balanced_accuracy", "accuracy", "worst_recall", "macro_precision", "macro_recall", "macro_f1",
    "weighted_precision", "weighted_recall", "weighted_f1", "micro_precision", "micro_recall", "micro_f1",
]  # fmt: skip
OBJECTIVES: tuple[str, ...] = get_args(Objective)

Figures = dict[str, float | list[float] | list[list[int]]]
"""Of a network on a split: scalars, lists by class, the confusion matrix."""


class Recipe(BaseModel):
    """Everything that decides a training besides the network, the data and the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = "custom-ce"
    loss: str = "custom-ce"  # of ``nas.training.losses``; its settings: ``nas.config.recipe_rules``
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="of the cross-entropies")
    wrong_class_weight: float = Field(default=0.1, ge=0, description="of the custom cross-entropy's second term")
    gamma: float = Field(default=2.0, ge=0, description="exponent of the focal losses")
    beta: float = Field(default=0.9999, ge=0, lt=1, description="of class-balanced weights (1 - beta) / (1 - beta^n)")
    tau: float = Field(default=1.0, ge=0, description="weight of the log prior in the logit-adjusted loss")
    margin: float = Field(default=0.5, gt=0, description="of the rarest class in LDAM")
    scale: float = Field(default=30.0, gt=0, description="of LDAM's cosines")
    # Share of the epochs after which every image is weighted with its class-balanced weight; None: never.
    deferred_reweighting: float | None = Field(default=None, ge=0, lt=1)
    prior_tau: float = Field(default=0.0, ge=0, description="times the log prior is added to the logits in training")
    post_hoc_tau: float = Field(default=0.0, ge=0, description="times the log prior is taken from trained logits")
    regularizer: str = "none"  # of ``nas.training.regularizers``
    regularizer_weight: float | None = Field(default=None, ge=0)  # None: the regularizer's own
    oversampling: str = "none"  # of ``nas.data.oversampling``
    oversampled_share: float = Field(default=0.5, gt=0, le=1, description="of an oversampled set, per epoch")
    sampler: str = "uniform"  # of ``nas.training.sampling``; "class-balanced": each class is equally likely
    mixing: str = "none"  # of ``nas.training.mixing``
    mixing_alpha: float = Field(default=1.0, gt=0, description="of the Beta distribution of a mixture's shares")
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(default=0.01, gt=0, description="maximum of the schedule")
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["one-cycle", "cosine", "step", "constant"] = "one-cycle"
    epochs: int = Field(default=24, ge=1)
    # Early stopping: epochs in a row without a lower loss on the select split; None: all epochs are trained.
    patience: int | None = Field(default=None, ge=1)
    keep_epoch: Literal["best", "last"] = "best"  # whose weights a training leaves
    # None: a twentieth of what an epoch sees, from 16 to 128, so that small sets get enough steps.
    batch_size: int | None = Field(default=None, ge=2)
    # Pixels that an image of 8 is padded by before a random crop; scales with the size.
    crop_padding: int = Field(default=1, ge=0)
    # Mirror images; None: a plan decides by the data (``nas.data.mirrors``); where there is none, colour images.
    flip: bool | None = None
    # Side of the erased square as a share of the image; 0, none: it costs tiny nets in short trainings.
    cutout: float = Field(default=0.0, ge=0, lt=1)


def default_batch_size(num_images: int) -> int:
    """The power of two, from 16 to 128, that gives an epoch about 20 steps or more: small sets need steps."""
    return min(max(16, 1 << (num_images // 20).bit_length() >> 1), 128)


_ALL = (
    Recipe(name="custom-ce", loss="custom-ce"),
    Recipe(name="custom-ce+prior", loss="custom-ce", prior_tau=1),
    Recipe(name="custom-ce+borderline-smote", loss="custom-ce", oversampling="borderline-smote"),
    Recipe(name="ce", loss="ce"),
    # The rest of the origin study's six settings.
    Recipe(name="ce+l2-norms", loss="ce", regularizer="l2-norms"),
    Recipe(name="focal", loss="focal"),
    Recipe(name="custom-ce+orthogonal-convolution", loss="custom-ce", regularizer="orthogonal-convolution"),
    Recipe(name="custom-ce+smote", loss="custom-ce", oversampling="smote"),
    # Other ways towards orthogonal weights.
    Recipe(name="custom-ce+soft-orthogonality", loss="custom-ce", regularizer="soft-orthogonality"),
    Recipe(name="custom-ce+srip", loss="custom-ce", regularizer="srip"),
    # For long-tailed data.
    Recipe(name="weighted-ce", loss="weighted-ce"),
    Recipe(name="ce+class-balanced-sampler", loss="ce", sampler="class-balanced"),
    Recipe(name="ce-drw", loss="ce", deferred_reweighting=0.8),
    Recipe(name="cb-ce", loss="cb-ce"),
    Recipe(name="cb-focal", loss="cb-focal"),
    Recipe(name="balanced-softmax", loss="balanced-softmax"),
    Recipe(name="logit-adjustment", loss="logit-adjustment"),
    Recipe(name="post-hoc-logit-adjustment", loss="ce", post_hoc_tau=1),
    Recipe(name="ldam", loss="ldam"),
    Recipe(name="ldam-drw", loss="ldam", deferred_reweighting=0.8),
    Recipe(name="mixup-drw", loss="ce", mixing="mixup", deferred_reweighting=0.8),
    Recipe(name="class-aware-mixup-drw", loss="ce", mixing="class-aware-mixup", deferred_reweighting=0.8),
    Recipe(name="auto"),  # custom-ce, with the prior where the data and the objective ask for it: ``auto_recipe``
)

RECIPES: Registry[Recipe] = Registry("recipe", "Recipes", ((recipe.name, recipe) for recipe in _ALL))


def named_recipe(name: str) -> Recipe:
    """The recipe called ``name``; UsageError names the nearest one."""
    return RECIPES.find(name)
