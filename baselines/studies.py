"""The studies as data: which networks are trained by which recipes. ``nas`` trains them and writes the report.

A recipe here is what differs from the network's own (``NetworkKind.recipe``), by the names of the recipe's fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from baselines import classical
from baselines.hand_nets import HAND_NETS
from baselines.networks.resnet32 import LDAM_DRW
from search_spaces.errors import UsageError, nearest
from search_spaces.registry import Registry

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Member:
    """One row of a study: a network, how it is trained, and what was published for it.

    ``name`` is short and made of letters, digits, '-' and '_', since files are called by it. ``network``: a fixed or
    hand-designed one; None: the one that the user chooses for the study. ``published``: test accuracy in per cent by
    imbalance factor, of the same network on long-tailed CIFAR-10.
    """

    name: str
    label: str
    recipe: Settings = field(default_factory=dict)
    network: str | None = None
    published: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """What is trained for one comparison. ``recipe`` holds for all members; theirs goes over it."""

    name: str
    sentence: str
    members: tuple[Member, ...]
    network: str = "resnet18"
    recipe: Settings = field(default_factory=dict)
    seeds: int = 3
    data: str = "digits"
    imbalance: float | None = None
    hold_out: bool = True  # False: trained on every training image; no epoch may be chosen then


def _settings() -> tuple[Member, ...]:
    custom = {"loss": "custom-ce"}
    return (
        Member("1-ce-l2", "cross-entropy + 0.01 x sum of L2 norms", {"loss": "ce", "regularizer": "l2-norms"}),
        Member("2-custom-ce", "custom cross-entropy", custom),
        Member("3-focal", "softmax focal loss, gamma 2", {"loss": "focal"}),
        Member(
            "4-custom-ce-orthogonal", "custom cross-entropy + soft orthogonality",
            {**custom, "regularizer": "soft-orthogonality"},
        ),
        Member("5-custom-ce-smote", "custom cross-entropy after SMOTE", {**custom, "oversampling": "smote"}),
        Member(
            "6-custom-ce-borderline-smote", "custom cross-entropy after Borderline-SMOTE",
            {**custom, "oversampling": "borderline-smote"},
        ),
    )  # fmt: skip


def _regularizers() -> tuple[Member, ...]:
    return (
        Member("none", "no regularizer"),
        Member("weight-decay", "weight decay 5e-4", {"weight_decay": 5e-4}),
        Member("l2-norms", "0.01 x sum of L2 norms", {"regularizer": "l2-norms"}),
        Member("soft-orthogonality", "soft orthogonality", {"regularizer": "soft-orthogonality"}),
        Member("srip", "SRIP", {"regularizer": "srip"}),
    )


def _losses() -> tuple[Member, ...]:
    return (
        Member("ce", "cross-entropy", {"loss": "ce"}, published={100: 70.36, 50: 74.8, 10: 86.39}),
        Member("ce-smoothed", "cross-entropy, label smoothing 0.1", {"loss": "ce", "label_smoothing": 0.1}),
        Member("weighted-ce", "cross-entropy weighted by class frequency", {"loss": "weighted-ce"}),
        Member("custom-ce", "custom cross-entropy", {"loss": "custom-ce"}),
        Member("focal", "softmax focal loss, gamma 2", {"loss": "focal"}, published={100: 70.38, 10: 86.66}),
        Member("cb-ce", "class-balanced cross-entropy", {"loss": "cb-ce"}, published={100: 72.37, 10: 86.54}),
        Member(
            "cb-focal", "class-balanced focal loss, gamma 2", {"loss": "cb-focal"},
            published={100: 74.57, 50: 79.27, 10: 87.10},
        ),
        Member("ldam", "LDAM", {"loss": "ldam"}, published={100: 73.35, 10: 86.96}),
        Member(
            "ldam-drw", "LDAM, deferred re-weighting", {"loss": "ldam", "deferred_reweighting": 0.8},
            published={100: 77.03, 50: 81.03, 10: 88.16},
        ),
        Member("balanced-softmax", "balanced softmax", {"loss": "balanced-softmax"}, published={100: 77.5, 50: 81.1}),
        Member(
            "logit-adjustment", "logit adjustment, as a loss", {"loss": "logit-adjustment"}, published={100: 77.89}
        ),
        Member(
            "post-hoc", "cross-entropy, logits adjusted post hoc", {"loss": "ce", "post_hoc_tau": 1.0},
            published={100: 77.32},
        ),
    )  # fmt: skip


def _oversamplers() -> tuple[Member, ...]:
    return (
        Member("none", "no oversampling"),
        Member("random", "random oversampling", {"oversampling": "random"}),
        Member("smote", "SMOTE on pixels", {"oversampling": "smote"}),
        Member("borderline-smote", "Borderline-SMOTE on pixels", {"oversampling": "borderline-smote"}),
        Member("augment", "minority classes filled by augmentation", {"oversampling": "augment"}),
        Member("class-balanced", "class-balanced sampling", {"sampler": "class-balanced"}),
    )


def _hand_nets() -> tuple[Member, ...]:
    recipes = {  # by the setting's number
        "2": ("custom cross-entropy", "custom-ce"),
        "6": ("after Borderline-SMOTE", "custom-ce+borderline-smote"),
    }
    return tuple(
        Member(
            f"{name}-setting{number}", f"{name}, {words}",
            {"name": recipe, "loss": "custom-ce", "oversampling": "borderline-smote" if number == "6" else "none"},
            network=name,
        )
        for name in HAND_NETS
        for number, (words, recipe) in recipes.items()
    )  # fmt: skip


def _long_tail() -> tuple[Member, ...]:
    drw = {"loss": "ce", "deferred_reweighting": 0.8}
    return (
        *_losses(),
        Member(
            "resampling", "cross-entropy, class-balanced sampling", {"loss": "ce", "sampler": "class-balanced"},
            published={100: 70.55, 10: 86.79},
        ),
        Member("ce-drw", "cross-entropy, deferred re-weighting", drw, published={100: 75.08}),
        Member("mixup-drw", "mixup, deferred re-weighting", {**drw, "mixing": "mixup"}, published={100: 82.11}),
        Member(
            "remix-drw", "class-aware mixup (Remix), deferred re-weighting", {**drw, "mixing": "class-aware-mixup"}
        ),
    )  # fmt: skip


_ALL = (
    Study(
        "resnet18-settings",
        "The origin study: a ResNet-18 with three frozen stages, trained by its six settings",
        _settings(),
    ),
    Study(
        "regularization", "One network without a regularizer and with each of four", _regularizers(),
        recipe={"loss": "custom-ce"},
    ),
    Study("losses", "One network with each loss for imbalanced classes", _losses()),
    Study(
        "oversampling", "One network with each way to fill up minority classes", _oversamplers(),
        recipe={"loss": "custom-ce"},
    ),
    Study(
        "hand-nets",
        "For each size of the origin study, its family's network narrowed until it fits, by settings 2 and 6",
        _hand_nets(),
    ),
    Study(
        "long-tail",
        "ResNet-32 on long-tailed CIFAR-10 by the recipe of LDAM-DRW, last epoch, against published accuracies",
        _long_tail(), network="resnet32", recipe=LDAM_DRW, data="cifar10", imbalance=100, hold_out=False,
    ),
)  # fmt: skip

STUDIES: Registry[Study] = Registry("study", "Studies", ((study.name, study) for study in _ALL))


def get_study(name: str) -> Study:
    """The study called ``name``; UsageError names the nearest one."""
    if name not in STUDIES:
        names = [*STUDIES, classical.NAME]  # which trains no networks and is no ``Study``, but is asked for like one
        raise UsageError(f"There is no study {name!r}.{nearest(name, names)} Studies: {', '.join(names)}.")
    return STUDIES[name]


def get_members(study: Study, names: Sequence[str]) -> tuple[Member, ...]:
    """The members of those names in the study's order, all for none; UsageError names the nearest of each unknown."""
    known = Registry(f"member of {study.name}", "Members", ((member.name, member) for member in study.members))
    chosen = [known.find(name).name for name in names]
    return tuple(member for member in study.members if not names or member.name in chosen)
