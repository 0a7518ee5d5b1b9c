"""The eight small networks that the origin study designed by hand, as it describes them, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Plain(nn.Sequential):
    """A VGG of two stages: pairs of 3x3 convolutions with bias and ReLU, no normalization, each pair closed by a max
    pool; what is left of the picture goes into one linear layer. (N, C, H, W) to logits (N, num_classes)."""

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        channels, height, width = input_shape
        for stage in widths:
            for before in (channels, stage):
                layers += [nn.Conv2d(before, stage, 3, padding=1), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
            channels, height, width = stage, height // 2, width // 2
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels * height * width, num_classes))


class Residual(nn.Sequential):
    """A ResNet of two stages of ``blocks`` basic blocks, the second with stride 2 and twice as wide; 3x3 stem, pooled
    head. (N, C, H, W) to logits (N, num_classes)."""

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int, width: int, blocks: int) -> None:
        stem = nn.Sequential(*_conv_norm(input_shape[0], width, 1), nn.ReLU())
        stages = [
            BasicBlock(width * wider // (1 if place else halved), width * wider, stride=1 if place else halved)
            for wider, halved in ((1, 1), (2, 2))
            for place in range(blocks)
        ]
        super().__init__(stem, *stages, *_head(2 * width, num_classes))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected by a 1x1 convolution where the shape changes (He et al. 2016)."""

    def __init__(self, width: int, wider: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv_norm(width, wider, stride), nn.ReLU(), *_conv_norm(wider, wider, 1))
        same = stride == 1 and width == wider
        self.shortcut = nn.Identity() if same else nn.Sequential(*_conv_norm(width, wider, stride, kernel=1))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, width, H, W) to (N, wider, H / stride, W / stride), rounded up."""
        return torch.relu(self.body(x_NCHW) + self.shortcut(x_NCHW))


class Dense(nn.Sequential):
    """A DenseNet of two dense blocks of ``layers`` layers, a transition after each; stem of twice the growth without
    normalization, pooled head. (N, C, H, W) to logits (N, num_classes)."""

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int, growth: int, layers: int) -> None:
        width = 2 * growth
        parts: list[nn.Module] = [nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False)]
        for _ in range(2):
            parts += [DenseLayer(width + place * growth, growth) for place in range(layers)]
            width += layers * growth
            parts.append(nn.Sequential(*_norm_conv(width, width // 2, 1), nn.AvgPool2d(2)))
            width //= 2
        super().__init__(*parts, nn.BatchNorm2d(width), nn.ReLU(), *_head(width, num_classes))


class DenseLayer(nn.Module):
    """A 1x1 convolution to four times the growth, a 3x3 convolution to the growth, set behind the input's channels
    (Huang et al. 2017, DenseNet-B)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_norm_conv(width, 4 * growth, 1), *_norm_conv(4 * growth, growth, 3))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, width, H, W) to (N, width + growth, H, W)."""
        return torch.cat([x_NCHW, self.body(x_NCHW)], 1)


class Separable(nn.Sequential):
    """MobileNet's depthwise and 1x1 convolutions after a stem with stride 2, without shortcuts, without an activation
    after the 1x1 ones; pooled head. ``stages``: (channels, stride). (N, C, H, W) to logits (N, num_classes)."""

    def __init__(
        self, input_shape: tuple[int, int, int], num_classes: int, stem: int, stages: Sequence[tuple[int, int]]
    ) -> None:
        parts: list[nn.Module] = [nn.Sequential(*_conv_norm(input_shape[0], stem, 2), nn.ReLU())]
        width = stem
        for wider, stride in stages:
            depthwise = nn.Conv2d(width, width, 3, stride, padding=1, groups=width, bias=False)
            pointwise = _conv_norm(width, wider, 1, kernel=1)
            parts.append(nn.Sequential(depthwise, nn.BatchNorm2d(width), nn.ReLU(), *pointwise))
            width = wider
        super().__init__(*parts, *_head(width, num_classes))


def _conv_norm(width: int, wider: int, stride: int, *, kernel: int = 3) -> tuple[nn.Module, nn.Module]:
    """A convolution without bias, padded to keep the size, and normalization."""
    return nn.Conv2d(width, wider, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(wider)


def _norm_conv(width: int, wider: int, kernel: int) -> tuple[nn.Module, ...]:
    """Normalization, ReLU and convolution, in the order of DenseNets."""
    convolution = nn.Conv2d(width, wider, kernel, padding=kernel // 2, bias=False)
    return nn.BatchNorm2d(width), nn.ReLU(), convolution


def _head(width: int, num_classes: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)
