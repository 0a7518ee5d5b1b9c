"""The studies as data: which networks are trained by which recipes. ``nas`` trains them and writes the report.

A recipe here is what differs from the network's own (``NetworkKind.recipe``), by the names of the recipe's fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from baselines import classical
from baselines.networks.origin import ORIGIN_NETS
from baselines.networks.resnet32 import LDAM_DRW
from search_spaces.errors import UsageError, nearest
from search_spaces.registry import Registry

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Member:
    """One row of a study: a network, how it is trained, and what was published for it.

    What ``recipe`` has is what the member is about: no flag of a run changes it.
    ``name`` is short and made of letters, digits, '-' and '_', since files are called by it. ``network``: a fixed one;
    None: the one that the user chooses for the study. ``recipe_when_large``: batch, epochs and patience as they were
    published, for no fewer than ``SMALL`` training images. ``published``: test accuracy in per cent by imbalance
    factor, of the same network on CIFAR-10, long-tailed or not. ``reported``: the origin study's metrics on test, by
    name, of the same network and recipe on its data (593,242 images of EMNIST ByClass to train).

    ``rival``: not the network itself is trained, but an architecture of ``space`` with no more parameters, in the same
    way: the best that a search finds, or a random one of about the size. ``beside`` is the member it is compared with.
    """

    name: str
    label: str
    recipe: Settings = field(default_factory=dict)
    recipe_when_large: Settings = field(default_factory=dict)
    network: str | None = None
    published: Mapping[int, float] = field(default_factory=dict)
    reported: Mapping[str, float] = field(default_factory=dict)
    rival: Literal["found", "random"] | None = None
    space: str | None = None
    beside: str | None = None


@dataclass(frozen=True)
class Study:
    """Trainings of one comparison. ``recipe`` holds for all members; theirs goes over it."""

    name: str
    sentence: str
    members: tuple[Member, ...]
    network: str = "resnet18"
    recipe: Settings = field(default_factory=dict)
    seeds: int = 3
    data: str = "digits"
    imbalance: float | None = None
    published_of: str = "resnet32"  # the network of its members' published metrics
    hold_out: bool = True  # False: trained on every training image; no epoch may be chosen then
    score_train: bool = False  # networks are scored on their training images too


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


def _regularizers() -> tuple[Member, ...]:
    return (
        Member("none", "no regularizer"),
        Member("weight-decay", "weight decay 5e-4", {"weight_decay": 5e-4}),
        Member("l2-norms", "0.01 x sum of L2 norms", {"regularizer": "l2-norms"}),
        Member("soft-orthogonality", "soft orthogonality", {"regularizer": "soft-orthogonality"}),
        Member("srip", "SRIP", {"regularizer": "srip"}),
        Member("orthogonal-convolution", "orthogonal convolution", {"regularizer": "orthogonal-convolution"}),
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
        Member("augment", "minority classes filled up by augmentation", {"oversampling": "augment"}),
        Member("class-balanced", "class-balanced sampling", {"sampler": "class-balanced"}),
    )


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


def _one_cycle() -> tuple[Member, ...]:
    return (
        Member("no-l2", "cross-entropy", {"loss": "ce"}),
        Member("l2", "cross-entropy, weight decay 5e-4", {"loss": "ce", "weight_decay": 5e-4}, published={1: 88.00}),
    )


def _optimizers() -> tuple[Member, ...]:
    # Learning rates were not published. Every SGD has the usual 0.01, so that batch and momentum alone differ: momentum
    # 0.9 makes steps that add up to ten times as long, a batch of 1 takes 64 times as many. Adam divides gradients by
    # their size, for which 0.001 is usual (Kingma and Ba 2015).
    sgd = {"optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.0}
    return (
        Member("sgd-batch-1", "SGD, one image a step", {**sgd, "batch_size": 1}, published={1: 68.4}),
        Member("sgd-mini-batch", "SGD, mini-batches", sgd, published={1: 83.8}),
        Member(
            "sgd-momentum", "SGD with momentum 0.9, mini-batches", {**sgd, "momentum": 0.9, "nesterov": False},
            published={1: 88.0},
        ),
        Member("adam", "Adam, mini-batches", {"optimizer": "adam", "learning_rate": 1e-3}, published={1: 88.5}),
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
        "The origin study: a ResNet-18 with three frozen stages, trained with its six settings",
        _settings(),
    ),
    Study(
        "regularization", "One network without a regularizer and with each of five", _regularizers(),
        recipe={"loss": "custom-ce"},
    ),
    Study("losses", "One network with each loss for imbalanced classes", _losses()),
    Study(
        "oversampling", "One network with each way to oversample minority classes", _oversamplers(),
        recipe={"loss": "custom-ce"},
    ),
    Study(
        "hand-nets",
        "The origin study's eight small networks, exactly as published, with its settings 2 and 6; next to "
        "each, the network that a search finds within the same number of parameters, and a random network of "
        "about the same size"
        ,
        _hand_nets(),
    ),
    Study(
        "one-cycle-resnet",
        "ResNet-9 on CIFAR-10 with a one-cycle learning rate, its bounds from a range test, with and without "
        "L2; the origin study reports 87.74 % on train and 88.00 % on test, and the best published result of "
        "this network is 94.08 % on test"
        ,
        _one_cycle(), network="resnet9", data="cifar10", seeds=1, hold_out=False, published_of="resnet9",
    ),
    Study(
        "optimizers",
        "One small CNN by SGD on single images, by mini-batch SGD without and with momentum, and by Adam, on equally "
        "many images; test accuracies published for another small CNN are 68.4, 83.8, 88.0 and 88.5 %, on train 95.3, "
        "86.1, 92.0 and 95.1 %"
        ,
        _optimizers(), network="small-cnn", imbalance=1, published_of="small-cnn", score_train=True,
        recipe={
            "loss": "ce", "schedule": "constant", "rate_to_find": False, "weight_decay": 0.0, "batch_size": 64,
            "patience": None, "keep_epoch": "last",
        },
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
        if name == "train":
            raise UsageError(
                "A long training of one network is not a study, but a command of its own: nasctl train RUN."
            )
        raise UsageError(f"There is no study {name!r}.{nearest(name, names)} Studies: {', '.join(names)}.")
    return STUDIES[name]


def get_members(study: Study, names: Sequence[str]) -> tuple[Member, ...]:
    """The members of those names in the study's order, all for none; ``*`` in a name stands for anything.

    UsageError names the nearest of each unknown name.
    """
    known = Registry(f"member of {study.name}", "Members", ((member.name, member) for member in study.members))
    chosen = set[str]()
    for name in names:
        chosen |= {member for member in known if fnmatchcase(member, name)} or {known.find(name).name}
    return tuple(member for member in study.members if not names or member.name in chosen)
