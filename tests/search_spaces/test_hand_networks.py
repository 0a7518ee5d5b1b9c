"""The eight networks that the origin study made by hand are points of the spaces, but for what is said of each."""

from __future__ import annotations

import pytest

from search_spaces import Task, get_space
from search_spaces.structure import leaves

TASK = Task((1, 28, 28), 62)


def linear(features: int) -> int:
    """Parameters of the study's last layer."""
    return 62 * features + 62


def norms(*channels: int) -> int:
    return 2 * sum(channels)


def vgg(width: int) -> dict[str, int]:
    """Two stages of two 3x3 convolutions, the second twice as wide. There they have biases and no normalization, and
    the head reads every pixel of 7x7."""
    return {"stages": 2, "width1": width, "growth2": width, "depth1": 2, "depth2": 2, "kernel1": 3, "kernel2": 3,
            "head": 0}  # fmt: skip


def resnet(width: int, depth: int) -> dict[str, int | str]:
    """A stem and two stages of basic blocks."""
    return {"stages": 2, "width1": width, "width2": 2 * width, "depth1": depth, "depth2": depth, "block1": "basic",
            "block2": "basic"}  # fmt: skip


def densenet(growth: int, first: int, second: int) -> dict[str, int]:
    """Two dense blocks. There the stem has no normalization, and a transition stands before the head, too."""
    return {"blocks": 2, "stem": 2 * growth, "growth": growth, "layers1": first, "layers2": second, "bottleneck": 4,
            "compression": 50}  # fmt: skip


def without_convolutions(growth: int, first: int, second: int) -> int:
    """Parameters of a DenseNet of the study that are not weights of convolutions before its last transition."""
    channels, total = 2 * growth, 0
    for layers in (first, second):
        for _ in range(layers):
            total += norms(channels, 4 * growth)
            channels += growth
        total += norms(channels)
        last = channels * (channels // 2)
        channels //= 2
    return total + last + norms(channels) + linear(channels)


# MobileNetV2 with expansion 1: depthwise and 1x1 convolutions. There the stem and the second and fourth of them halve,
# no shortcut is made, and no convolution stands before the head.
MOBILENET = {
    "stages": 5, "stem": 32, "head": 256,
    **{f"width{i}": width for i, width in enumerate((64, 128, 128, 256, 256), 1)},
    **{f"expansion{i}": 1 for i in range(2, 6)}, **{f"repeats{i}": 1 for i in range(2, 6)},
    **{f"kernel{i}": 3 for i in range(1, 6)}, **{f"gate{i}": "none" for i in range(1, 6)},
}  # fmt: skip

# name: space, sample, parameters in all, those that are not weights of the convolutions compared
NETWORKS = {
    "model1": ("vgg", vgg(8), 52_822, 8 + 8 + 16 + 16 + linear(784)),
    "model1_heavy": ("vgg", vgg(64), 647_934, 64 + 64 + 128 + 128 + linear(6_272)),
    "model2": ("resnet", resnet(16, 1), 21_422, norms(16, 16, 16, 32, 32, 32) + linear(32)),
    "model2_2": ("resnet", resnet(32, 2), 173_214, norms(*[32] * 5, *[64] * 5) + linear(64)),
    "model3": ("densenet", densenet(12, 4, 4), 70_838, without_convolutions(12, 4, 4)),
    "model3_2": ("densenet", densenet(24, 6, 6), 462_638, without_convolutions(24, 6, 6)),
    "model3_blsmote": ("densenet", densenet(12, 6, 6), 119_318, without_convolutions(12, 6, 6)),
    "model4": (
        "mobilenet", MOBILENET, 149_566,
        norms(32, 32, 64, 64, 128, 128, 128, 128, 256, 256, 256) + linear(256) - 256 * 256,  # ours before the head
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_the_convolutions_of_a_network_made_by_hand_are_those_of_a_sample(name):
    space, chosen, published, rest = NETWORKS[name]
    sample = get_space(space).canonical | chosen
    convolutions = [layer for _, layer in leaves(get_space(space).structure(sample, TASK)) if layer.kind == "conv"]
    assert sum(layer.params for layer in convolutions) == published - rest
