"""ResNet-32, and the recipe by which the long-tailed benchmarks train it."""

from __future__ import annotations

from typing import Any

from baselines.registry import Construction, NetworkKind, register_network

# The recipe of LDAM-DRW's code (Cao et al. 2019) for long-tailed CIFAR; our SGD's momentum is Nesterov's. A padding of
# 1 for 8 pixels is its 4 for 32. It reports the best epoch on the test split; here it is the last.
LDAM_DRW: dict[str, Any] = {
    "optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 2e-4, "schedule": "step", "epochs": 200,
    "batch_size": 128, "crop_padding": 1, "keep_epoch": "last",
}  # fmt: skip


register_network(
    NetworkKind(
        "resnet32",
        "ResNet-32 for CIFAR (He et al. 2016), 464,154 parameters at 3x32x32 and 10 classes",
        lambda settings, shape, classes: Construction(
            "resnet32", "ResNet32", {"channels": shape[0], "num_classes": classes}
        ),
        lambda settings: "ResNet-32",
        recipe=LDAM_DRW,
    )
)
