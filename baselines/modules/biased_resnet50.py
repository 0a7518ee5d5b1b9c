"""The bottleneck residual net with biased convolutions: the network of the study ``faces``."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

DEPTHS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4


class BiasedResNet50(nn.Module):
    """A ResNet-50 (He et al. 2016) in which every convolution but the stem has a bias.

    A 7x7 stem of 64 channels with stride 2, max pooling by 2, stages of 3, 4, 6 and 3 bottlenecks, each of which begins
    with a projection, the mean of all pixels, a linear layer. 37,877,528 parameters for 3x224x224 images and 7,000
    classes. Takes (N, C, H, W), returns logits (N, num_classes).
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, WIDTHS[0], 7, 2, padding=3, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
        )  # fmt: skip
        entering, stages = WIDTHS[0], list[nn.Module]()
        for number, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True)):
            blocks = []
            for place in range(depth):
                stride = 2 if number and not place else 1
                blocks.append(Bottleneck(entering, width, stride=stride, projects=not place))
                entering = width * EXPANSION
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(entering, num_classes)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        features_NCHW = self.stages(self.stem(images_NCHW))
        return self.head(features_NCHW.mean(dim=(2, 3)))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """Convolutions of 1x1, 3x3 and 1x1, the last four times as wide, beside a shortcut, projected where a stage
    begins."""

    def __init__(self, entering: int, width: int, *, stride: int, projects: bool) -> None:
        super().__init__()
        wide = width * EXPANSION
        self.body = nn.Sequential(
            *_conv_norm(entering, width, 1), nn.ReLU(), *_conv_norm(width, width, 3, stride), nn.ReLU(),
            *_conv_norm(width, wide, 1),
        )  # fmt: skip
        self.shortcut = nn.Sequential(*_conv_norm(entering, wide, 1, stride)) if projects else nn.Identity()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, entering, H, W) to (N, 4 x width, H / stride, W / stride), rounded up."""
        return F.relu(self.body(x_NCHW) + self.shortcut(x_NCHW))


def _conv_norm(entering: int, width: int, kernel: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(entering, width, kernel, stride, padding=kernel // 2), nn.BatchNorm2d(width)
