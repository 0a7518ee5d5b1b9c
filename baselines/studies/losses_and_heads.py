"""Studies of another system: what metric losses do for a classifier, and features of a large network."""

from __future__ import annotations

from collections.abc import Mapping

from baselines.studies.base import Member, Settings, Study

SMALL = 150_000  # parameters of what a search may find beside them


def _reported(accuracy: float, precision: float, f_score: float) -> Mapping[str, float]:
    """Published metrics; the recall is the accuracy, since every class has as many test images."""
    return {
        "accuracy": accuracy, "macro_precision": precision, "macro_recall": accuracy, "macro_f1": f_score,
    }  # fmt: skip


def _metric_losses() -> tuple[Member, ...]:
    triplet = {"metric_loss": "triplet", "sampler": "class-groups"}
    dense = Member("densenet-ce", "DenseNet-121, cross-entropy", network="densenet121",
                   reported=_reported(0.478, 0.501, 0.476))  # fmt: skip
    both = Member("densenet-triplet-ce", "DenseNet-121, triplet + cross-entropy", triplet, network="densenet121",
                  reported=_reported(0.469, 0.495, 0.462))  # fmt: skip
    return (
        dense,
        both,
        Member("resnet-ce", "ResNet-18, cross-entropy", network="resnet18-whole",
               reported=_reported(0.438, 0.450, 0.434)),
        Member("resnet-center-ce", "ResNet-18, center + cross-entropy", {"metric_loss": "center"},
               network="resnet18-whole", reported=_reported(0.431, 0.454, 0.432)),
        Member(
            "resnet-triplet-svm", "ResNet-18, triplet loss, then an SVM on its embeddings",
            {**triplet, "classification_weight": 0.0, "svm_head": True, "keep_epoch": "last"}, network="resnet18-whole",
            reported=_reported(0.326, 0.318, 0.318),
        ),
        _found("found-ce", "cross-entropy", {}, dense),
        _found("found-triplet-ce", "triplet + cross-entropy", triplet, both),
    )  # fmt: skip


def _found(name: str, words: str, recipe: Settings, beside: Member) -> Member:
    """A network that a search finds, trained as the one ``beside`` it."""
    return Member(
        name, f"found by a search within {SMALL:,} parameters, {words}", recipe, network=beside.network, rival="found",
        space="resnet", beside=beside.name, max_params=SMALL,
    )  # fmt: skip


def _features() -> tuple[Member, ...]:
    return (
        Member(
            "svm", "multi-class SVM on fixed features of ResNet-50",
            {"epochs": 1, "svm_head": True, "keep_epoch": "last"}, network="resnet50-features",
            reported={"accuracy": 0.697},
        ),
        Member("fine-tuned", "ResNet-50, fine-tuned", {"learning_rate": 3e-4}, network="resnet50",
               reported={"accuracy": 0.90}),
    )  # fmt: skip


LOSSES_AND_HEADS = (
    Study(
        "metric-losses",
        "DenseNet-121 with cross-entropy and with triplet + cross-entropy; ResNet-18 with cross-entropy, with center + "
        "cross-entropy, and with triplet alone and then an SVM; next to DenseNet-121, the network that a search finds "
        "within 150,000 parameters, on equally many images"
        ,
        _metric_losses(), network="densenet121", recipe={"loss": "ce"}, imbalance=1, from_scratch=True,
        draws_answers=True,
        reported_on="on Tiny ImageNet (200 classes, 64x64), where the accuracy of triplet + cross-entropy is given as "
        "0.470 and as 0.469",
    ),
    Study(
        "features",
        "A multi-class SVM on features of a ResNet-50, and the same network fine-tuned; accuracy before and after, "
        "class by class"
        ,
        _features(), network="resnet50", recipe={"loss": "ce"}, imbalance=1, score_before=True, draws_answers=True,
        reported_on="on 10 classes of images that are not named, with ImageNet weights; before fine-tuning the "
        "accuracy was 0.09",
    ),
)  # fmt: skip
