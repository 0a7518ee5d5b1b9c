"""Training recipe of a trial: one frozen, validated record, and the named recipes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from nas.config.options import resolve_options
from nas.config.settings import Setting
from search_spaces.registry import Registry

Metrics = dict[str, float | list[float] | list[list[int]]]
"""Of a network on a split: scalars, lists by class, the confusion matrix."""


class Recipe(BaseModel):
    """Everything that decides a training besides the network, the data and the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[
        str,
        Setting(
            "Named recipe: custom-ce, ce, focal, ce+l2-norms, custom-ce+srip, custom-ce+borderline-smote, "
            "balanced-softmax, ldam-drw... An unknown name lists all. [default: auto: custom-ce, with the log "
            "class prior added to the logits in training where classes are imbalanced and the objective is balanced]",
            "NAME",
            flag="recipe",
            offers="recipes",
        ),
    ] = "custom-ce"
    loss: Annotated[  # of ``nas.training.losses``; its settings: ``nas.config.recipe_rules``
        str,
        Setting(
            "Loss: ce, weighted-ce, custom-ce, focal, cb-ce, cb-focal, ldam, balanced-softmax or logit-adjustment. "
            "This option and those below change the recipe.",
            "NAME",
            is_method=True,
        ),
    ] = "custom-ce"
    label_smoothing: Annotated[
        float, Setting("Label smoothing of ce, weighted-ce, custom-ce and cb-ce. [default: 0]", "X", is_method=True)
    ] = Field(default=0.0, ge=0, lt=1)
    wrong_class_weight: float = Field(default=0.1, ge=0, description="of the custom cross-entropy's second term")
    gamma: Annotated[float, Setting("Exponent of the losses focal and cb-focal. [default: 2]", "X", is_method=True)] = (
        Field(default=2.0, ge=0)
    )
    beta: float = Field(default=0.9999, ge=0, lt=1, description="of class-balanced weights (1 - beta) / (1 - beta^n)")
    tau: float = Field(default=1.0, ge=0, description="weight of the log prior in the logit-adjusted loss")
    margin: float = Field(default=0.5, gt=0, description="of the rarest class in LDAM")
    scale: float = Field(default=30.0, gt=0, description="of LDAM's cosines")
    # Share of the epochs after which every image is weighted with its class-balanced weight; None: never.
    deferred_reweighting: Annotated[
        float | None,
        Setting(
            "Re-weight classes (DRW) after this share of the epochs, such as 0.8. [default: never]",
            "SHARE",
            is_method=True,
        ),
    ] = Field(default=None, ge=0, lt=1)
    prior_tau: float = Field(default=0.0, ge=0, description="times the log prior is added to the logits in training")
    post_hoc_tau: float = Field(default=0.0, ge=0, description="times the log prior is subtracted from trained logits")
    regularizer: Annotated[  # of ``nas.training.regularizers``
        str,
        Setting(
            "Regularizer added to the loss: l2-norms, soft-orthogonality, srip, orthogonal-convolution. "
            "[default: none]",
            "NAME",
            is_method=True,
        ),
    ] = "none"
    regularizer_weight: Annotated[  # None: the regularizer's own
        float | None,
        Setting("Weight of the regularizer. [default: 0.01; 1e-4 for soft-orthogonality]", "X", is_method=True),
    ] = Field(default=None, ge=0)
    oversampling: Annotated[  # of ``nas.data.oversampling``
        str,
        Setting(
            "Oversample rare classes: random, smote, borderline-smote... [default: none]",
            "NAME",
            flag="oversample",
            is_method=True,
        ),
    ] = "none"
    oversampled_share: Annotated[
        float, Setting("Share of the oversampled split that an epoch sees. [default: 0.5]", "X", is_method=True)
    ] = Field(default=0.5, gt=0, le=1)
    sampler: Annotated[  # of ``nas.training.sampling``
        str,
        Setting(
            "Sampling of training images: uniform; class-balanced, with every class equally often; or class-groups, "
            "uniform with four of a class at a time, for triplets."
            " [default: uniform]",
            "NAME",
            is_method=True,
        ),
    ] = "uniform"
    mixing: Annotated[  # of ``nas.training.mixing``
        str,
        Setting(
            "Mix pairs of images: mixup or class-aware-mixup. [default: none]",
            "NAME",
            flag="mixup",
            is_method=True,
        ),
    ] = "none"
    mixing_alpha: float = Field(default=1.0, gt=0, description="of the Beta distribution of a mixture's shares")
    metric_loss: Annotated[  # ``nas.training.metric_losses``
        Literal["none", "triplet", "triplet-semi-hard", "center"],
        Setting(
            "Loss on embeddings, the inputs of the last layer, added to --loss: triplet (of each image the hardest "
            "positive and negative in the batch), triplet-semi-hard or center. [default: none]",
            "NAME",
            is_method=True,
        ),
    ] = "none"
    metric_weight: Annotated[  # None: the loss's own
        float | None,
        Setting("Weight of the metric loss. [default: 1; 0.003 for center]", "X", is_method=True),
    ] = Field(default=None, gt=0)
    triplet_margin: Annotated[float, Setting("Margin of the triplet losses. [default: 0.2]", "X", is_method=True)] = (
        Field(default=0.2, gt=0)
    )
    center_rate: Annotated[
        float,
        Setting("Learning rate of the centers of the classes in the metric loss center. [default: 0.5]", "X",
                is_method=True),
    ] = Field(default=0.5, gt=0, le=1)  # fmt: skip
    classification_weight: Annotated[
        float,
        Setting("Weight of --loss beside a metric loss; 0: the metric loss alone. [default: 1]", "X", is_method=True),
    ] = Field(default=1.0, ge=0)
    svm_head: Annotated[  # ``nas.training.svm_head``
        bool,
        Setting(
            "After training, replace the last layer by a linear SVM on its inputs, whose cost is chosen on select.",
            is_method=True,
        ),
    ] = False
    optimizer: Annotated[Literal["adam", "sgd"], Setting("Optimizer: adam or sgd. [default: adam]", "NAME")] = "adam"
    momentum: Annotated[float, Setting("Momentum of sgd; 0 for none. [default: 0.9]", "X")] = Field(
        default=0.9, ge=0, lt=1
    )
    nesterov: Annotated[
        bool, Setting("Nesterov momentum in sgd, or the classical one. [default: --nesterov]", off="no_nesterov")
    ] = True  # without momentum it is neither
    learning_rate: Annotated[
        float,
        Setting("Peak learning rate; find: by a range test, as in 'nasctl lr-find'.", "X|find"),
    ] = Field(default=0.01, gt=0)
    rate_to_find: bool = False  # until a plan has found it
    weight_decay: Annotated[float, Setting("Weight decay of the optimizer. [default: 0]", "X")] = Field(
        default=0.0, ge=0
    )
    ema: Annotated[
        float,
        Setting(
            "Score and keep an exponential moving average of the weights with this decay, such as 0.999, warmed up "
            "over the first steps. [default: 0: none]",
            "X",
        ),
    ] = Field(default=0.0, ge=0, lt=1)
    schedule: Annotated[
        Literal["one-cycle", "cosine", "step", "constant", "exponential", "warm-restarts"],
        Setting(
            "Learning rate schedule: one-cycle, cosine, step, constant, exponential or warm-restarts (cosine, again "
            "and again). [default: one-cycle]",
            "NAME",
        ),
    ] = "one-cycle"
    warmup: Annotated[  # None: as the schedule has it
        float | None,
        Setting(
            "Epochs of linear warm-up, of any schedule but one-cycle; at most half of all. [default: 0; for step a "
            "40th of the epochs, in five steps]",
            "N",
        ),
    ] = Field(default=None, ge=0)
    decay: Annotated[
        float, Setting("Factor of the learning rate after each epoch of exponential. [default: 0.97]", "GAMMA")
    ] = Field(default=0.97, gt=0, le=1)
    restart_epochs: Annotated[int, Setting("Epochs until the first restart of warm-restarts. [default: 10]", "N")] = (
        Field(default=10, ge=1)
    )
    restart_factor: Annotated[
        int,
        Setting("How many times as long as the cycle before it each later one of warm-restarts is. [default: 2]", "N"),
    ] = Field(default=2, ge=1)
    cycle_peak: Annotated[
        float, Setting("Point of the training, as a share, at which one-cycle peaks. [default: 0.25]", "SHARE")
    ] = Field(default=0.25, ge=0, lt=1)
    cycle_start: Annotated[
        float, Setting("Initial learning rate of one-cycle, as a share of the peak. [default: 0.1]", "SHARE")
    ] = Field(default=0.1, ge=0, le=1)
    cycle_end: Annotated[
        float, Setting("Final learning rate of one-cycle, as a share of the peak. [default: 0]", "SHARE")
    ] = Field(default=0.0, ge=0, le=1)
    cycle_shape: Annotated[
        Literal["cosine", "linear"],
        Setting("Decay of one-cycle after its peak: cosine or linear. [default: cosine]", "NAME"),
    ] = "cosine"
    epochs: Annotated[
        int,
        Setting("Epochs of every training. [default: 24 to 240, fewer for more images; half as many for trials]", "N"),
    ] = Field(default=24, ge=1)
    patience: Annotated[  # None: all epochs are trained
        int | None,
        Setting("Early stopping: end a trial after N epochs without a lower loss on select. [default: never]", "N"),
    ] = Field(default=None, ge=1)
    keep_epoch: Literal["best", "last"] = "best"  # whose weights a training leaves
    select_every: Annotated[
        int,
        Setting(
            "Score a training on select after every Nth epoch and the last; only then can it stop early. [default: 1]",
            "N",
        ),
    ] = Field(default=1, ge=1)
    freeze: Annotated[
        str,
        Setting(
            "Modules of a fixed network that do not learn: net.layer1,'net.layer2.*'. [default: those that its kind "
            "has frozen]",
            "NAMES",
        ),
    ] = ""
    # None: a twentieth of what an epoch sees, from 16 to 128, so that small sets get enough steps.
    batch_size: Annotated[
        int | None, Setting("Images per training step. [default: 64; 128 for 20,000 images or more]", "N")
    ] = Field(default=None, ge=1)
    # Pixels that an image of 8 is padded by before a random crop; scales with the size.
    crop_padding: int = Field(default=1, ge=0)
    crop_border: Annotated[
        Literal["repeat", "black"],
        Setting("Padding of shifted images: repeat (the border) or black. [default: repeat]", "NAME"),
    ] = "repeat"
    # None: a plan decides by the data (``nas.data.mirrors``); where there is none, colour images.
    flip: Annotated[
        bool | None,
        Setting(
            "Flip images horizontally at random in training. [default: colour images, unless they are digits or "
            "letters, or classes are each other's mirror image]"
        ),
    ] = None
    augmentation: Annotated[  # ``nas.training.trivial_augment``
        Literal["none", "trivial"],
        Setting(
            "trivial: TrivialAugment Wide, one random operation per image (shear, shift, rotation by up to 135 "
            "degrees, "
            "brightness, colour, contrast, sharpness, posterize, solarize, autocontrast, equalize); it never flips. "
            "[default: none]",
            "NAME",
            flag="augment",
        ),
    ] = "none"
    # Of photos: ``nas.training.photo``.
    rotate: Annotated[
        float, Setting("Rotate images at random by up to this many degrees either way. [default: 0]", "DEGREES")
    ] = Field(default=0.0, ge=0, le=180)
    shift: Annotated[
        float,
        Setting("Shift images at random by up to this share of their sides, beside the crop. [default: 0]", "SHARE"),
    ] = Field(default=0.0, ge=0, lt=1)
    vertical_flip: Annotated[float, Setting("Probability of a vertical flip in training. [default: 0]", "P")] = Field(
        default=0.0, ge=0, le=1
    )
    jitter: Annotated[
        float,
        Setting(
            "Change brightness, contrast, saturation and hue at random by up to this share; hue, of the circle, by up "
            "to 0.5. [default: 0]",
            "SHARE",
        ),
    ] = Field(default=0.0, ge=0, le=1)
    blur: Annotated[float, Setting("Probability of a Gaussian blur of 3x3 pixels in training. [default: 0]", "P")] = (
        Field(default=0.0, ge=0, le=1)
    )
    # 0, none: it costs tiny nets in short trainings.
    cutout: Annotated[float, Setting("Side of the cutout square, as a share of the image's. [default: 0]", "X")] = (
        Field(default=0.0, ge=0, lt=1)
    )
    cutout_fill: Annotated[  # None: the mean colour of the training images
        float | None,
        Setting("Value of the cutout square in every channel, from 0 to 1. [default: the mean colour]", "X"),
    ] = Field(default=None, ge=0, le=1)
    erasing: Annotated[  # Zhong et al. 2017
        float,
        Setting(
            "Probability of random erasing: a rectangle of 2 to 33 % of an image. [default: 0]",
            "P",
            flag="erase",
        ),
    ] = Field(default=0.0, ge=0, le=1)
    erasing_area: Annotated[  # None: as Zhong et al. 2017
        float | None,
        Setting(
            "Area of the erased rectangle as a share of the image, which turns black, not the mean colour. "
            "[default: 0.02 to 0.33]",
            "SHARE",
            flag="erase_area",
        ),
    ] = Field(default=None, gt=0, lt=1)
    grey: Annotated[
        float,
        Setting("Probability that a colour image turns grey in training. [default: 0]", "P", flag="random_grey"),
    ] = Field(default=0.0, ge=0, le=1)
    test_flip: Annotated[
        bool,
        Setting(
            "Test-time augmentation: score the mean of the logits of an image and its mirror image, on all splits."
        ),
    ] = False

    @field_validator("loss", "regularizer", "oversampling", "sampler", "mixing")
    @classmethod
    def _in_one_form(cls, text: str, info: ValidationInfo) -> str:
        """Equal choices are equal texts: "mse:reduction=sum"."""
        return resolve_options(str(info.field_name), text)


def judged_at_the_end(recipe: Recipe) -> bool:
    """True if metrics of an epoch say nothing: the last layer learns nothing, and is made after the last epoch."""
    return recipe.svm_head and not recipe.classification_weight


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
