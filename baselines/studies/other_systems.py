"""Studies of other systems: the one-cycle residual net, and optimizers compared."""

from __future__ import annotations

from baselines.studies.base import Member, Study


def _one_cycle() -> tuple[Member, ...]:
    return (
        Member("no-l2", "cross-entropy", {"loss": "ce"}),
        Member("l2", "cross-entropy, weight decay 5e-4", {"loss": "ce", "weight_decay": 5e-4}, published={1: 88.00}),
        Member(
            "found", "found by a search within 150,000 parameters, weight decay 5e-4",
            {"loss": "ce", "weight_decay": 5e-4}, network="resnet9", rival="found", space="resnet", max_params=150_000,
            beside="l2",
        ),
    )  # fmt: skip


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


OTHER_SYSTEMS = (
    Study(
        "one-cycle-resnet",
        "ResNet-9 on CIFAR-10 with a one-cycle learning rate, its bounds from a range test, with and without "
        "L2, and the network that a search finds within 150,000 parameters, trained alike; its authors report "
        "87.74 % on train and 88.00 % on test, and the best published result of this network is 94.08 % on test"
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
)  # fmt: skip
