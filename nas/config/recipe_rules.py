"""Rules between the settings of a recipe: which are used, which exclude others; and the recipe's name.

Here and not in the registries of losses and regularizers, so that checking a command needs no torch; tests hold both
together. What plug-ins registered is known beside it: of their losses, not which of a recipe's settings they read.
"""

from __future__ import annotations

from collections.abc import Collection

from nas.config.options import base_name, option_errors
from nas.config.recipe import RECIPES, Recipe
from nas.config.settings import settings_of
from nas.errors import nearest
from nas.plugins.loading import added_names

Setting = str | bool | int | float
"""What a setting of a recipe can be, where it is not left to its default by None."""

LOSS_SETTINGS: dict[str, tuple[str, ...]] = {  # the fields of a recipe that a loss reads
    "ce": ("label_smoothing",),
    "weighted-ce": ("label_smoothing",),
    "custom-ce": ("wrong_class_weight", "label_smoothing"),
    "focal": ("gamma",),
    "cb-ce": ("beta", "label_smoothing"),
    "cb-focal": ("beta", "gamma"),
    "ldam": ("margin", "scale"),
    "balanced-softmax": (),
    "logit-adjustment": ("tau",),
}
OVERSAMPLERS = ("none", "random", "augment", "smote", "borderline-smote")
REGULARIZERS = ("none", "l2-norms", "soft-orthogonality", "srip", "orthogonal-convolution")
SAMPLERS = ("uniform", "class-balanced", "class-groups")
METRIC_SETTINGS: dict[str, tuple[str, ...]] = {  # the fields that a metric loss reads, beside those of every one
    "none": (),
    "triplet": ("triplet_margin",),
    "triplet-semi-hard": ("triplet_margin",),
    "center": ("center_rate",),
}
OF_EVERY_METRIC_LOSS = ("metric_weight", "classification_weight")
MIXINGS = ("none", "mixup", "class-aware-mixup")
# Losses that correct for the frequency of classes; without a difference in frequency they are the other loss.
CORRECTING = {
    "weighted-ce": "ce", "cb-ce": "ce", "cb-focal": "focal", "balanced-softmax": "ce", "logit-adjustment": "ce",
}  # fmt: skip

SCHEDULE_SETTINGS: dict[str, tuple[str, ...]] = {  # the fields that one schedule alone reads
    "one-cycle": ("cycle_peak", "cycle_start", "cycle_end", "cycle_shape"),
    "exponential": ("decay",),
    "warm-restarts": ("restart_epochs", "restart_factor"),
}
SGD_SETTINGS = ("momentum", "nesterov")
# Settings that are told only where they are not at their default.
UNUSUAL = (
    "metric_loss", "svm_head",
    "rate_to_find", "ema", "augmentation", "erasing", "cutout_fill", "crop_border", "test_flip", "warmup",
    "rotate", "shift", "vertical_flip", "jitter", "blur", "select_every", "freeze", "erasing_area", "grey",
    *SCHEDULE_SETTINGS["one-cycle"], *SGD_SETTINGS,
)  # fmt: skip

_FLAGS = {given.path[0]: flag for flag, given in settings_of(Recipe).items()}
METHOD_FLAGS = {  # what a recipe's name stands for, by the setting's name
    given.path[0]: flag for flag, given in settings_of(Recipe).items() if given.setting.is_method
}


def flag(setting: str) -> str:
    """The flag of a setting of the recipe: ``--oversample`` of "oversampling"."""
    return "--" + _FLAGS.get(setting, setting).replace("_", "-")


def known_names(setting: str) -> Collection[str]:
    """Names that a setting chosen by name accepts, with what was registered; empty for any other setting."""
    tables: dict[str, Collection[str]]
    tables = {"loss": LOSS_SETTINGS, "regularizer": REGULARIZERS, "sampler": SAMPLERS, "mixing": MIXINGS}
    tables["oversampling"] = OVERSAMPLERS
    if setting not in tables:
        return []
    return list(dict.fromkeys([*tables[setting], *added_names(setting)]))


def check_name(setting: str, name: str) -> list[str]:
    """A sentence with the nearest name if ``setting`` is chosen by name and there is no such one; what is wrong with
    its options, "mse:reduction=sum"."""
    known = known_names(setting)
    if not known:
        return []
    if base_name(name) in known:
        return option_errors(setting, name)
    return [f"There is no {setting} {name!r}.{nearest(name, list(known))} {flag(setting)}: {', '.join(known)}."]


def unknown_names(recipe: Recipe) -> list[str]:
    """A sentence for each part of a recipe that nobody registered."""
    parts = ("loss", "regularizer", "sampler", "mixing", "oversampling")
    return [error for setting in parts for error in check_name(setting, getattr(recipe, setting))]


def check_together(recipe: Recipe, typed: Collection[str]) -> list[str]:
    """Contradictions within a recipe with known names, a sentence each with its cure.

    ``typed`` are the settings that were asked for one by one: those may not be ignored.
    """
    return [*_ignored(recipe, typed), *_corrected_twice(recipe), *_metric_errors(recipe, typed)]


def _ignored(recipe: Recipe, typed: Collection[str]) -> list[str]:
    errors = []
    of_losses = {setting for settings in LOSS_SETTINGS.values() for setting in settings}
    known = set(LOSS_SETTINGS.get(recipe.loss, of_losses))  # a plug-in's loss may read any
    for setting in sorted(of_losses.intersection(typed) - known):
        if setting == "beta" and recipe.deferred_reweighting is not None:
            continue
        using = [name for name, settings in LOSS_SETTINGS.items() if setting in settings]
        errors.append(
            f"{flag(setting)} is ignored by the loss {recipe.loss}: leave it out, or choose --loss "
            f"{' or '.join(using)}."
        )
    for setting, owner in (("regularizer_weight", "regularizer"), ("oversampled_share", "oversampling")):
        if setting in typed and getattr(recipe, owner) == "none":
            errors.append(f"{flag(setting)} belongs to {flag(owner)} NAME, which is missing: give both or neither.")
    if "erasing_area" in typed and not recipe.erasing:
        errors.append("--erase-area belongs to --erase P, which is missing: give both or neither.")
    if "cutout_fill" in typed and not recipe.cutout:
        errors.append("--cutout-fill belongs to --cutout X, which is missing: give both or neither.")
    return errors + _ignored_by_schedule(recipe, typed) + _ignored_by_optimizer(recipe, typed)


def _ignored_by_schedule(recipe: Recipe, typed: Collection[str]) -> list[str]:
    errors = [
        f"{flag(setting)} is ignored by the schedule {recipe.schedule}: leave it out, or choose --schedule {owner}."
        for owner, settings in SCHEDULE_SETTINGS.items()
        for setting in settings
        if setting in typed and owner != recipe.schedule
    ]
    if recipe.schedule == "one-cycle" and "warmup" in typed:
        errors.append(
            "--warmup is ignored by the schedule one-cycle, which rises until --cycle-peak: leave it out, or choose "
            "--schedule cosine, step, constant, exponential or warm-restarts."
        )
    return errors


def _ignored_by_optimizer(recipe: Recipe, typed: Collection[str]) -> list[str]:
    if recipe.optimizer != "sgd":
        return [
            f"{flag(setting)} is ignored by the optimizer {recipe.optimizer}: leave it out, or choose --optimizer sgd."
            for setting in SGD_SETTINGS
            if setting in typed
        ]
    if "nesterov" in typed and recipe.nesterov and not recipe.momentum:
        return ["--nesterov needs a momentum, and --momentum is 0: leave out one of the two."]
    return []


def _metric_errors(recipe: Recipe, typed: Collection[str]) -> list[str]:
    """Errors of metric losses, and of a last layer that is made after training."""
    errors = []
    if recipe.metric_loss == "none":
        for setting in (*OF_EVERY_METRIC_LOSS, "triplet_margin", "center_rate"):
            if setting in typed:
                errors.append(f"{flag(setting)} belongs to --metric-loss NAME, which is missing: give both or neither.")
        if not recipe.classification_weight and not errors:
            errors.append("A recipe without weight on its loss needs a --metric-loss: give one.")
    else:
        for owner, settings in METRIC_SETTINGS.items():
            for setting in set(settings).intersection(typed) - set(METRIC_SETTINGS[recipe.metric_loss]):
                message = (
                    f"{flag(setting)} is ignored by the metric loss {recipe.metric_loss}: leave it out, or choose "
                    f"--metric-loss {owner}."
                )
                errors += [message] if owner != "triplet-semi-hard" else []
        if recipe.mixing != "none":
            errors.append(
                f"The metric loss {recipe.metric_loss} compares images of one class with those of others, and --mixup "
                f"{recipe.mixing} makes images of two classes: leave out one of the two."
            )
    if recipe.svm_head and recipe.post_hoc_tau > 0:
        errors.append(
            "--svm-head makes a last layer that counts all classes alike, from which no prior can be subtracted: leave "
            "it out, or choose another --recipe."
        )
    if not recipe.classification_weight and "patience" in typed:
        errors.append(
            "--patience waits for a lower loss of the last layer, which --classification-weight 0 does not train: "
            "leave out one of the two."
        )
    return errors


def _corrected_twice(recipe: Recipe) -> list[str]:
    """Corrections for frequencies that the recipe itself makes equal, which would do nothing."""
    errors = []
    even = "--sampler class-balanced" if recipe.sampler == "class-balanced" else f"--oversample {recipe.oversampling}"
    if recipe.sampler == "class-balanced" or recipe.oversampling != "none":
        if plain := CORRECTING.get(recipe.loss):
            errors.append(
                f"The loss {recipe.loss} corrects for classes that are sampled unequally often, and {even} "
                f"samples them equally, so that it would be the same as {plain}:"
                f" leave out {even}, or choose --loss {plain}."
            )
        for setting, used in (
            ("deferred_reweighting", recipe.deferred_reweighting is not None),
            ("post_hoc_tau", recipe.post_hoc_tau > 0),
            ("prior_tau", recipe.prior_tau > 0),
        ):
            if used:
                errors.append(
                    f"{setting.replace('_', ' ').capitalize()} corrects for classes that are sampled unequally often, "
                    f"and {even} samples them equally, so that it would do nothing: leave out one of the two."
                )
    if recipe.prior_tau > 0 and (recipe.loss in CORRECTING or recipe.loss == "ldam"):
        errors.append(
            f"The loss {recipe.loss} corrects for classes that are sampled unequally often, and so does this recipe's "
            "prior: choose --loss ce, custom-ce or focal, or another --recipe."
        )
    if recipe.prior_tau > 0 and recipe.deferred_reweighting is not None:
        errors.append(
            "Deferred reweighting makes rare classes count more, and so does this recipe's prior, so that "
            "together they would overcorrect:"
            " leave out --deferred-reweighting, or choose a --recipe without a prior."
        )
    if recipe.loss == "ldam" and recipe.post_hoc_tau > 0:
        errors.append(
            "The loss ldam gives cosines instead of logits, from which a prior cannot be subtracted: choose "
            "--loss ce, or "
            "another --recipe."
        )
    return errors


def learns_evenly(recipe: Recipe) -> bool:
    """True if the logits that a recipe trains count all classes alike, whatever their frequency; what is taken from
    them afterwards does not matter."""
    return (
        recipe.loss in CORRECTING
        or recipe.prior_tau > 0
        or recipe.deferred_reweighting is not None
        or recipe.oversampling != "none"
        or recipe.sampler == "class-balanced"
    )


def answers_evenly(recipe: Recipe) -> bool:
    """True if the finished network counts all classes alike."""
    return learns_evenly(recipe) or recipe.post_hoc_tau > 0


def described_name(recipe: Recipe) -> str:
    """A name that says what a recipe does, after settings of it were changed; that of a named recipe if there is one.

    Of optimizer, schedule, epochs and augmentation it says nothing.
    """
    parts = _parts(recipe)
    known = next((name for name, named in RECIPES.items() if name != "auto" and _parts(named) == parts), None)
    return known or "+".join(parts)


def _parts(recipe: Recipe) -> list[str]:
    parts = [recipe.loss + ("-drw" if recipe.deferred_reweighting is not None else "")]
    parts = parts if recipe.classification_weight else []
    parts += ["prior"] if recipe.prior_tau else []
    parts += [name for name in (recipe.regularizer, recipe.oversampling, recipe.mixing) if name != "none"]
    parts += [f"{recipe.sampler}-sampler"] if recipe.sampler in ("class-balanced", "class-groups") else []
    parts += [recipe.metric_loss] if recipe.metric_loss != "none" else []
    parts += ["svm-head"] if recipe.svm_head else []
    parts += ["label-smoothing"] if recipe.label_smoothing else []
    return parts + (["post-hoc-logit-adjustment"] if recipe.post_hoc_tau else [])


def active_settings(recipe: Recipe) -> dict[str, Setting]:
    """The settings that decide a training by this recipe, in order; those that it ignores are left out."""
    values = recipe.model_dump()
    of_losses = {setting for settings in LOSS_SETTINGS.values() for setting in settings}
    ignored = of_losses - set(LOSS_SETTINGS.get(recipe.loss, ()))
    if recipe.deferred_reweighting is not None:
        ignored.discard("beta")
    ignored.add("name")
    ignored |= {"warmup"} if recipe.schedule == "one-cycle" else set()
    ignored |= {each for owner, of in SCHEDULE_SETTINGS.items() if owner != recipe.schedule for each in of}
    ignored |= set() if recipe.optimizer == "sgd" else set(SGD_SETTINGS)
    ignored |= set() if recipe.cutout else {"cutout_fill"}
    ignored |= set() if recipe.erasing else {"erasing_area"}
    of_metrics = {*OF_EVERY_METRIC_LOSS, *(each for settings in METRIC_SETTINGS.values() for each in settings)}
    used = {*OF_EVERY_METRIC_LOSS, *METRIC_SETTINGS[recipe.metric_loss]} if recipe.metric_loss != "none" else set()
    ignored |= of_metrics - used
    for owner, setting in (
        ("regularizer", "regularizer_weight"), ("oversampling", "oversampled_share"), ("mixing", "mixing_alpha"),
    ):  # fmt: skip
        if values[owner] == "none":
            ignored |= {owner, setting}
    off = {
        name for name in ("label_smoothing", "prior_tau", "post_hoc_tau", "weight_decay", "cutout") if not values[name]
    }
    off |= {name for name in UNUSUAL if values[name] == Recipe.model_fields[name].get_default()}
    return {name: value for name, value in values.items() if name not in ignored | off and value is not None}
