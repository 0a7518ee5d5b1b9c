"""The origin study: its six settings, and its eight networks beside what a search finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from baselines.networks.origin import ORIGIN_NETS
from baselines.studies.base import Member, Settings, Study


def _reported(accuracy: float, weighted: tuple[float, ...] = (), macro: tuple[float, ...] = ()) -> Mapping[str, float]:
    """Published metrics; weighted: precision, F1; macro: precision, recall, F1."""
    names = ("accuracy", "weighted_precision", "weighted_f1", "macro_precision", "macro_recall", "macro_f1")
    return dict(zip(names, (accuracy, *weighted, *macro), strict=False))


def _settings() -> tuple[Member, ...]:
    custom = {"loss": "custom-ce"}

    def lengths(batch_size: int, epochs: int, patience: int) -> Settings:
        return {"batch_size": batch_size, "epochs": epochs, "patience": patience}

    return (
        Member(
            "1-ce-l2", "cross-entropy + 0.01 x sum of L2 norms", {"loss": "ce", "regularizer": "l2-norms"},
            lengths(512, 10, 3), reported=_reported(0.840, (0.84, 0.82), (0.77, 0.70, 0.70)),
        ),
        Member(
            "2-custom-ce", "custom cross-entropy", custom, lengths(256, 10, 3),
            reported=_reported(0.877, (0.87, 0.87), (0.82, 0.76, 0.76)),
        ),
        Member(
            "3-focal", "softmax focal loss, gamma 2", {"loss": "focal"}, lengths(448, 10, 3),
            reported=_reported(0.839, (0.85, 0.82), (0.78, 0.73, 0.72)),
        ),
        Member(
            "4-custom-ce-orthogonal", "custom cross-entropy + orthogonal convolution",
            {**custom, "regularizer": "orthogonal-convolution"}, lengths(512, 10, 3),
            reported=_reported(0.793, (0.82, 0.78), (0.72, 0.68, 0.64)),
        ),
        Member(
            "5-custom-ce-smote", "custom cross-entropy after SMOTE", {**custom, "oversampling": "smote"},
            lengths(512, 5, 5), reported=_reported(0.844, (0.86, 0.85)),
        ),
        Member(
            "6-custom-ce-borderline-smote", "custom cross-entropy after Borderline-SMOTE",
            {**custom, "oversampling": "borderline-smote"}, lengths(512, 5, 5),
            reported=_reported(0.834, (0.85, 0.84), (0.73, 0.75, 0.72)),
        ),
    )  # fmt: skip


# Of the eight small networks: accuracy, weighted F1, macro precision, recall and F1. The last was oversampled.
_HAND_NETS_REPORTED = {
    "model1": (0.824, 0.81, 0.73, 0.68, 0.69), "model1_heavy": (0.866, 0.86, 0.77, 0.75, 0.75),
    "model2": (0.843, 0.83, 0.75, 0.71, 0.70), "model2_2": (0.870, 0.86, 0.82, 0.74, 0.74),
    "model3": (0.867, 0.85, 0.80, 0.73, 0.73), "model3_2": (0.876, 0.87, 0.81, 0.76, 0.77),
    "model4": (0.869, 0.86, 0.80, 0.75, 0.75), "model3_blsmote": (0.848, 0.82, 0.82, 0.69, 0.66),
}  # fmt: skip


def _reported_of(name: str, *, oversampled: bool) -> Mapping[str, float]:
    if oversampled != (name == "model3_blsmote"):
        return {}
    names = ("accuracy", "weighted_f1", "macro_precision", "macro_recall", "macro_f1")
    return dict(zip(names, _HAND_NETS_REPORTED[name], strict=True))


def _hand_nets() -> tuple[Member, ...]:
    recipes = {  # by the setting's number
        "2": ("custom cross-entropy", "custom-ce"),
        "6": ("after Borderline-SMOTE", "custom-ce+borderline-smote"),
    }
    members = list[Member]()
    for name, net in ORIGIN_NETS.items():
        for number, (words, recipe) in recipes.items():
            hand = Member(
                f"{name}-setting{number}", f"{name}, {words}",
                {"name": recipe, "loss": "custom-ce", "oversampling": "borderline-smote" if number == "6" else "none"},
                network=name, reported=_reported_of(name, oversampled=number == "6"),
            )  # fmt: skip
            beside = replace(hand, reported={}, space=net.space, beside=hand.name)
            found = replace(
                beside, name=f"{hand.name}-found", label=f"found within the parameter count of {name}, {words}",
                rival="found",
            )  # fmt: skip
            sampled = replace(
                beside, name=f"{hand.name}-random", label=f"random, of about the parameter count of {name}, {words}",
                rival="random",
            )  # fmt: skip
            members += [hand, found, sampled]
    return tuple(members)


ORIGIN = (
    Study(
        "resnet18-settings",
        "The origin study: a ResNet-18 with three frozen stages, trained with its six settings",
        _settings(),
    ),
    Study(
        "hand-nets",
        "The origin study's eight small networks, exactly as published, with its settings 2 and 6; next to "
        "each, the network that a search finds within the same number of parameters, and a random network of "
        "about the same size"
        ,
        _hand_nets(),
    ),
)  # fmt: skip
