"""ResNet-32, and the recipe by which the long-tailed benchmarks train it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from baselines.registry import Settings, Shape, register_network

if TYPE_CHECKING:
    from torch import nn


# The recipe of LDAM-DRW's code (Cao et al. 2019) for long-tailed CIFAR; our SGD's momentum is Nesterov's. A padding of
# 1 for 8 pixels is its 4 for 32. It reports the best epoch on the test split; here it is the last.
LDAM_DRW: dict[str, Any] = {
    "optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 2e-4, "schedule": "step", "epochs": 200,
    "batch_size": 128, "crop_padding": 1, "keep_epoch": "last",
}  # fmt: skip


@register_network(
    "resnet32",
    summary="ResNet-32 for CIFAR (He et al. 2016), 464,154 parameters at 3x32x32 and 10 classes",
    text=lambda _: "ResNet-32",
    recipe=LDAM_DRW,
)
def resnet32(settings: Settings, input_shape: Shape, num_classes: int) -> nn.Module:
    """It has no settings."""
    from baselines.modules.resnet32 import ResNet32

    return ResNet32(input_shape[0], num_classes)
