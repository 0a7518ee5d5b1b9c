"""A small convolutional network without normalization, which learns from a single image a step too."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


class SmallCNN(nn.Sequential):
    """3x3 convolutions with bias, each with ReLU and a max pool, then one linear layer of all that is left. Sides are
    rounded up when they are halved. (N, C, H, W) to logits (N, num_classes)."""

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        channels, height, width = input_shape
        for wider in widths:
            layers += [nn.Conv2d(channels, wider, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
            channels, height, width = wider, (height + 1) // 2, (width + 1) // 2
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels * height * width, num_classes))
