"""Losses, oversampling and sampling for imbalanced classes, and regularizers, compared."""

from __future__ import annotations

from baselines.networks.resnet32 import LDAM_DRW
from baselines.studies.base import Member, Study


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


IMBALANCE = (
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
        "long-tail",
        "ResNet-32 on long-tailed CIFAR-10 by the recipe of LDAM-DRW, last epoch, against published accuracies",
        _long_tail(), network="resnet32", recipe=LDAM_DRW, data="cifar10", imbalance=100, hold_out=False,
    ),
)  # fmt: skip
