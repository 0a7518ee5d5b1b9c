"""ResNet-18 of which everything learns."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import resnet18


class ResNet18(nn.Module):
    """torchvision's ResNet-18 (He et al. 2016) with random weights. Takes normalized images (N, 1 or 3, H, W) as they
    are, grey repeated to three channels. Returns logits (N, num_classes)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.net = resnet18(weights=None, num_classes=num_classes)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        return self.net(images_NCHW.expand(-1, 3, -1, -1))  # type: ignore[no-any-return]
