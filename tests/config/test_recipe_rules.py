"""Rules between a recipe's settings, its name, and that its tables say what the registries hold."""

from __future__ import annotations

import pytest

from baselines.networks.resnet32 import LDAM_DRW
from nas.api.settings import search_config
from nas.config.recipe import RECIPES, Recipe, named_recipe
from nas.config.recipe_rules import (
    LOSS_SETTINGS,
    active_settings,
    check_together,
    described_name,
    known_names,
)
from nas.data.oversampling import OVERSAMPLERS
from nas.errors import UsageError
from nas.report.cautions import cautions
from nas.training.losses import LOSSES, make_loss
from nas.training.mixing import MIXINGS
from nas.training.regularizers import REGULARIZERS
from nas.training.sampling import SAMPLERS


def recipe_of(**flags: str | bool) -> Recipe:
    return search_config({"space": "vgg", **flags}).recipe


def error_of(**flags: str | bool) -> str:
    with pytest.raises(UsageError) as caught:
        recipe_of(**flags)
    assert len(caught.value.messages) == 1
    return caught.value.messages[0]


def test_tables_without_torch_are_those_of_the_registries() -> None:
    registries = {
        "loss": LOSSES, "regularizer": REGULARIZERS, "mixing": MIXINGS, "sampler": SAMPLERS,
        "oversampling": OVERSAMPLERS,
    }  # fmt: skip
    for setting, registry in registries.items():
        assert set(known_names(setting)) == set(registry), setting
    assert {setting for settings in LOSS_SETTINGS.values() for setting in settings} <= set(Recipe.model_fields)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_reads_the_settings_that_the_table_says_and_no_others(name: str) -> None:
    import torch

    from nas.training.class_counts import ClassCounts

    class Watched:
        """A recipe that remembers what was asked of it."""

        def __init__(self) -> None:
            self.asked: set[str] = set()

        def __getattr__(self, field: str) -> object:
            self.asked.add(field)
            return getattr(Recipe(loss=name), field)

    watched, number = Watched(), torch.tensor([5.0, 3.0], dtype=torch.float64)
    make_loss(watched, ClassCounts(number, number))(torch.zeros(1, 2), torch.tensor([0]))  # type: ignore[arg-type]
    fields = watched.asked - {"loss", "prior_tau", "deferred_reweighting"}  # what goes with any loss
    # LDAM's scale is also of the classifier; all it reads of it is asked here too.
    assert fields == set(LOSS_SETTINGS[name])


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "auto"])
def test_named_recipes_go_together_and_are_called_what_they_are(name: str) -> None:
    recipe = named_recipe(name)
    assert recipe.name == name
    assert check_together(recipe, ()) == []
    assert described_name(recipe) == name
    for setting in ("loss", "regularizer", "sampler", "mixing"):
        assert getattr(recipe, setting) in known_names(setting)


def test_the_six_settings_of_the_study() -> None:
    for name in (
        "ce+l2-norms",
        "custom-ce",
        "focal",
        "custom-ce+srip",
        "custom-ce+smote",
        "custom-ce+borderline-smote",
    ):
        assert name in RECIPES
    assert RECIPES["custom-ce+smote"].oversampled_share == 0.5


def test_flags_change_a_recipe_and_its_name() -> None:
    recipe = recipe_of(
        loss="cb-focal", gamma="1", regularizer="srip", regularizer_weight="0.1", mixup="mixup",
        weight_decay="1e-4", patience="3", epochs="7",
    )  # fmt: skip
    assert (recipe.loss, recipe.gamma, recipe.regularizer, recipe.regularizer_weight) == ("cb-focal", 1, "srip", 0.1)
    assert (recipe.mixing, recipe.weight_decay, recipe.patience, recipe.epochs) == ("mixup", 1e-4, 3, 7)
    assert recipe.name == "cb-focal+srip+mixup"
    assert recipe_of(loss="ldam", deferred_reweighting="0.7").name == "ldam-drw"
    assert recipe_of(recipe="ldam-drw", sampler="uniform").deferred_reweighting == 0.8
    assert recipe_of(sampler="class-balanced").name == "custom-ce+class-balanced-sampler"
    assert recipe_of(oversample="borderline-smote", oversampled_share="1").oversampled_share == 1
    assert recipe_of() == RECIPES["auto"]
    assert recipe_of(epochs="3", weight_decay="0.1", regularizer="srip").name == "auto"  # named when data are known
    assert recipe_of(recipe="custom-ce", mixup="mixup").name == "custom-ce+mixup"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"loss": "ce", "gamma": "2"}, "--gamma is ignored by the loss ce: leave it out, or choose --loss focal"),
        ({"loss": "focal", "label_smoothing": "0.1"}, "--label-smoothing is ignored by the loss focal"),
        ({"cutout_fill": "0.5"}, "--cutout-fill belongs to --cutout X"),
        ({"erase_area": "0.1"}, "--erase-area belongs to --erase P"),
        ({"warmup": "5"}, "--warmup is ignored by the schedule one-cycle"),
        ({"schedule": "cosine", "cycle_peak": "0.2"}, "--cycle-peak is ignored by the schedule cosine"),
        ({"decay": "0.9"}, "--decay is ignored by the schedule one-cycle: leave it out, or choose --schedule exp"),
        ({"schedule": "exponential", "restart_epochs": "5"}, "or choose --schedule warm-restarts."),
        ({"schedule": "warm-restarts", "cycle_end": "0.1"}, "--cycle-end is ignored by the schedule warm-restarts"),
        ({"schedule": "exponential", "decay": "1.5"}, "--decay '1.5' cannot be used: give a number of at most 1"),
        ({"schedule": "warm-restarts", "restart_factor": "0"}, "give a number of at least 1"),
        ({"momentum": "0.5"}, "--momentum is ignored by the optimizer adam: leave it out, or choose --optimizer sgd."),
        ({"nesterov": True}, "--nesterov is ignored by the optimizer adam"),
        ({"optimizer": "sgd", "momentum": "0", "nesterov": True}, "--nesterov needs a momentum, and --momentum is 0"),
        ({"optimizer": "sgd", "momentum": "1"}, "--momentum '1' cannot be used: give a number below 1"),
        ({"recipe": "custom-ce+prior", "deferred_reweighting": "0.8"}, "so that together they would overcorrect"),
        ({"augment": "trivail"}, "--augment 'trivail' cannot be used"),
        ({"erase": "1.5"}, "--erase '1.5' cannot be used"),
        ({"regularizer_weight": "1"}, "--regularizer-weight belongs to --regularizer NAME"),
        ({"oversampled_share": "1"}, "--oversampled-share belongs to --oversample NAME"),
        ({"sampler": "class-balanced", "loss": "balanced-softmax"}, "so that it would be the same as ce"),
        ({"oversample": "borderline-smote", "loss": "cb-focal"}, "so that it would be the same as focal"),
        ({"sampler": "class-balanced", "deferred_reweighting": "0.8"}, "Deferred reweighting corrects"),
        ({"recipe": "post-hoc-logit-adjustment", "sampler": "class-balanced"}, "Post hoc tau corrects"),
        ({"recipe": "post-hoc-logit-adjustment", "loss": "ldam"}, "gives cosines"),
        ({"recipe": "custom-ce+prior", "sampler": "class-balanced"}, "Prior tau corrects"),
        ({"recipe": "custom-ce+prior", "loss": "balanced-softmax"}, "and so does this recipe's prior"),
        ({"loss": "focl"}, "Did you mean 'focal'?"),
        ({"regularizer": "l2"}, "There is no regularizer 'l2'"),
        ({"sampler": "balanced"}, "Did you mean 'class-balanced'?"),
        ({"mixup": "class-aware"}, "Did you mean 'class-aware-mixup'?"),
        ({"oversample": "borderline-smot"}, "Did you mean 'borderline-smote'?"),
        ({"deferred_reweighting": "1"}, "give a number below 1"),
        ({"patience": "0"}, "--patience '0' cannot be used: give a number of at least 1"),
        ({"triplet_margin": "1"}, "--triplet-margin belongs to --metric-loss NAME, which is missing"),
        ({"metric_loss": "triplet", "center_rate": "0.1"}, "choose --metric-loss center"),
        ({"metric_loss": "center", "triplet_margin": "0.1"}, "is ignored by the metric loss center"),
        ({"metric_loss": "triplet", "mixup": "mixup"}, "makes images of two classes: leave out one of the two"),
        ({"classification_weight": "0"}, "--classification-weight belongs to --metric-loss NAME"),
        ({"metric_loss": "triplets"}, "--metric-loss 'triplets' cannot be used"),
        ({"metric_loss": "center", "classification_weight": "0", "patience": "2"}, "--patience waits for a lower loss"),
        ({"recipe": "post-hoc-logit-adjustment", "svm_head": True}, "from which no prior can be subtracted"),
        ({"strategy": "darts", "metric_loss": "center"}, "--strategy darts cannot use --metric-loss"),
        ({"strategy": "darts", "svm_head": True}, "--strategy darts cannot use --svm-head"),
        ({"strategy": "darts", "regularizer": "srip"}, "--strategy darts cannot use the regularizer srip"),
    ],
)  # fmt: skip
def test_settings_that_do_nothing_or_exclude_each_other_are_one_sentence(
    flags: dict[str, str | bool], words: str
) -> None:
    assert words in error_of(**flags)


def test_settings_that_count_are_told_and_others_are_not() -> None:
    told = active_settings(RECIPES["ldam-drw"])
    assert (told["loss"], told["margin"], told["scale"], told["beta"]) == ("ldam", 0.5, 30, 0.9999)
    assert told["deferred_reweighting"] == 0.8
    assert not {"gamma", "tau", "wrong_class_weight", "regularizer", "oversampled_share", "mixing"} & set(told)
    assert "gamma" in active_settings(RECIPES["focal"]) and "beta" not in active_settings(RECIPES["focal"])
    assert active_settings(RECIPES["ce+l2-norms"])["regularizer"] == "l2-norms"
    new = {"ema", "augmentation", "erasing", "crop_border", "test_flip", "warmup", "cutout_fill", "cycle_peak"}
    new |= {"rotate", "shift", "vertical_flip", "jitter", "blur", "select_every"}
    assert not new & set(active_settings(Recipe()))
    changed = recipe_of(ema="0.99", augment="trivial", erase="0.2", crop_border="black", cycle_peak="0.2",
                        test_flip=True, cutout="0.2", cutout_fill="0.4", rotate="40", shift="0.2",
                        vertical_flip="0.5", jitter="0.2", blur="0.1", select_every="2")  # fmt: skip
    assert new - set(active_settings(changed)) == {"warmup"}
    assert active_settings(recipe_of(schedule="cosine", warmup="3"))["warmup"] == 3
    by_epochs = {"momentum", "nesterov", "decay", "restart_epochs", "restart_factor"}
    assert not by_epochs & set(active_settings(recipe_of(optimizer="sgd", schedule="cosine")))
    told = active_settings(recipe_of(optimizer="sgd", momentum="0", nesterov=False, schedule="exponential"))
    assert {name: told.get(name) for name in by_epochs} == {
        "momentum": 0, "nesterov": False, "decay": 0.97, "restart_epochs": None, "restart_factor": None,
    }  # fmt: skip
    assert by_epochs - set(active_settings(Recipe(schedule="warm-restarts"))) == {"momentum", "nesterov", "decay"}


def test_metric_losses_are_told_and_named() -> None:
    told = active_settings(recipe_of(metric_loss="triplet", metric_weight="2", loss="ce"))
    assert (told["metric_loss"], told["metric_weight"], told["triplet_margin"]) == ("triplet", 2, 0.2)
    assert not {"center_rate", "svm_head"} & set(told)
    of_metrics = {"metric_loss", "metric_weight", "triplet_margin", "center_rate", "classification_weight", "svm_head"}
    assert not of_metrics & set(active_settings(Recipe()))
    assert recipe_of(metric_loss="center", sampler="class-groups", loss="ce").name == "ce+class-groups-sampler+center"
    alone = recipe_of(metric_loss="triplet", classification_weight="0", svm_head=True)
    assert described_name(alone) == "triplet+svm-head"
    assert not cautions(alone, 100) and "metrics of predicted classes are chance" in cautions(
        alone.model_copy(update={"svm_head": False}), 100
    )[0].replace("\n", " ")


def test_the_training_of_long_tail_studies_is_a_recipe() -> None:
    recipe = RECIPES["ldam-drw"].model_copy(update=LDAM_DRW)
    assert Recipe.model_validate(recipe.model_dump()) == recipe
