"""ResNet-18 with three frozen stages, and the resizing before it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

FROZEN = ("layer1", "layer2", "layer3")
PIXELS_AT_ONCE = 2**23  # of a scored batch after resizing: 167 images of 224, some 2 GB of float32 activations


class FrozenResNet18(nn.Module):
    """torchvision's ResNet-18 (He et al. 2016) whose ``layer1`` to ``layer3`` do not learn.

    Takes normalized images (N, 1 or 3, H, W) of any size: grey is repeated to three channels, and all are resized
    to ``input_size`` on the device, so that no data set is stored at 224 pixels. Returns logits (N, num_classes).

    The origin study froze weights alone, so that the running statistics of frozen stages drifted with its batches.
    Here the batch norm of frozen stages stays in evaluation mode: with ImageNet weights a frozen stage is a
    fixed function. Weights ``from_scratch`` are random and have no statistics yet (0 and 1, which would let
    activations grow from block to block), so there batch norm continues learning its statistics, weights frozen.
    """

    def __init__(self, num_classes: int, *, input_size: int, from_scratch: bool) -> None:
        super().__init__()
        self.input_size, self.from_scratch = input_size, from_scratch
        self.net = resnet18(weights=None)
        self.net.fc = nn.Linear(self.net.fc.in_features, num_classes)
        for name in FROZEN:
            getattr(self.net, name).requires_grad_(False)

    def train(self, mode: bool = True) -> FrozenResNet18:
        """As every module, but frozen stages with ImageNet weights stay in evaluation mode."""
        super().train(mode)
        if not self.from_scratch:
            for name in FROZEN:
                getattr(self.net, name).eval()
        return self

    @property
    def most_at_once(self) -> int:
        """Largest number of images to score together, for want of memory."""
        return max(1, PIXELS_AT_ONCE // self.input_size**2)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        side = (self.input_size, self.input_size)
        if tuple(images_NCHW.shape[2:]) != side:
            shrinks = max(images_NCHW.shape[2:]) > self.input_size
            images_NCHW = F.interpolate(images_NCHW, side, mode="bilinear", align_corners=False, antialias=shrinks)
        return self.net(images_NCHW.expand(-1, 3, -1, -1))  # type: ignore[no-any-return]
