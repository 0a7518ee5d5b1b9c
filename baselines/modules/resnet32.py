"""ResNet-32 for CIFAR: the network of the long-tailed benchmarks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 64)
BLOCKS_PER_STAGE = 5


class ResNet32(nn.Module):
    """ResNet-32 of He et al. 2016, section 4.2: three stages of five basic blocks, 16, 32 and 64 channels wide.

    Shortcuts have no parameters (option A): every second pixel, and zeros for the new channels. 464,154 parameters
    for 3x32x32 images and 10 classes. Weights are initialized as by He et al. 2015, also the classifier's, as in the
    code of LDAM (Cao et al. 2019). Takes (N, C, H, W), returns logits (N, num_classes).
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv_norm(channels, WIDTHS[0], 1), nn.ReLU())
        blocks, width = [], WIDTHS[0]
        for stage, wider in enumerate(WIDTHS):
            for place in range(BLOCKS_PER_STAGE):
                blocks.append(BasicBlock(width, wider, stride=2 if stage and not place else 1))
                width = wider
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        features_NCHW = self.blocks(self.stem(images_NCHW))
        return self.head(features_NCHW.mean(dim=(2, 3)))  # type: ignore[no-any-return]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, width: int, wider: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv_norm(width, wider, stride), nn.ReLU(), *_conv_norm(wider, wider, 1))
        self.stride, self.new_channels = stride, wider - width

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, width, H, W) to (N, wider, H / stride, W / stride), rounded up."""
        shortcut = x_NCHW[:, :, :: self.stride, :: self.stride]
        before = self.new_channels // 2
        shortcut = F.pad(shortcut, (0, 0, 0, 0, before, self.new_channels - before))
        return F.relu(self.body(x_NCHW) + shortcut)


def _conv_norm(width: int, wider: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(width, wider, 3, stride, padding=1, bias=False), nn.BatchNorm2d(wider)
