"""Networks of torchvision with a new last layer, and the resizing before them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import densenet121, resnet18, resnet50

BUILDERS = {"densenet121": densenet121, "resnet18": resnet18, "resnet50": resnet50}
PIXELS_AT_ONCE = 2**22  # of a scored batch after resizing: 83 images of 224


class TorchvisionNet(nn.Module):
    """A network of torchvision by name: DenseNet-121 (Huang et al. 2017), ResNet-18 or ResNet-50 (He et al. 2016).

    Takes normalized images (N, 1 or 3, H, W) of any size: grey is repeated to three channels, and all are resized
    to ``input_size`` on the device. Returns logits (N, num_classes). With ``frozen`` the last layer alone learns: all
    before it is a fixed function, unless its weights are random and ``from_scratch``, which have no statistics yet, so
    that batch normalization goes on learning these.
    """

    def __init__(self, name: str, num_classes: int, *, input_size: int, frozen: bool, from_scratch: bool) -> None:
        super().__init__()
        self.input_size, self.frozen, self.from_scratch = input_size, frozen, from_scratch
        self.net = BUILDERS[name](weights=None, num_classes=num_classes)
        if frozen:
            self.net.requires_grad_(False)
            list(self.net.children())[-1].requires_grad_(True)

    def train(self, mode: bool = True) -> TorchvisionNet:
        """As every module, but a fixed function stays in evaluation mode."""
        super().train(mode)
        if self.frozen and not self.from_scratch:
            self.net.eval()
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
