"""VGG-19 with other heads: all of its convolutions, or those of its first three stages with new ones behind them."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

LEAST_SIDE = 32  # pixels: five pools halve it to one
HIDDEN = 512
HIDDEN_2 = 256
THREE_STAGES = 19  # layers of ``features`` up to the third pool


class VGG19(nn.Module):
    """torchvision's VGG-19 (Simonyan and Zisserman 2015) with a new classifier; ``features`` is as it is there.

    The head "relu": linear, batch normalization, ReLU, dropout, linear. "gelu": one linear layer more, with GELU. Takes
    normalized images (N, 1 or 3, H, W): grey is repeated to three channels, and what is smaller than 32 pixels is
    enlarged to that. Returns logits (N, num_classes).
    """

    def __init__(self, num_classes: int, *, head: str) -> None:
        super().__init__()
        self.features = vgg_layers()
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        widths = (512 * 7 * 7, HIDDEN) if head == "relu" else (512 * 7 * 7, HIDDEN, HIDDEN_2)
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in itertools.pairwise(widths):
            act = nn.ReLU() if head == "relu" else nn.GELU()
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), act, nn.Dropout()]
        self.classifier = nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        return self.classifier(self.avgpool(self.features(large_enough(images_NCHW))))  # type: ignore[no-any-return]


class VGG19ThreeStages(nn.Module):
    """The first three stages of VGG-19, ``features``, and behind them new convolutions with batch normalization and
    GELU, an adaptive max pool, and a head.

    What learns of it is said by the recipe (``freeze``). (N, 1 or 3, H, W) to logits (N, num_classes).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = vgg_layers()[:THREE_STAGES]
        self.convolutions = nn.Sequential(
            nn.Conv2d(256, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.GELU(),
            nn.Conv2d(256, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.GELU(),
            nn.AdaptiveMaxPool2d(1),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(256, 256), nn.GELU(), nn.Dropout(), nn.Linear(256, num_classes)
        )

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        maps_NCHW = self.convolutions(self.features(large_enough(images_NCHW)))
        return self.classifier(maps_NCHW)  # type: ignore[no-any-return]


def vgg_layers() -> nn.Sequential:
    """The convolutions of VGG-19 with torchvision's first weights: they are not normalized, so their size matters."""
    layers: nn.Sequential = make_layers(cfgs["E"])
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return layers


def large_enough(images_NCHW: Tensor) -> Tensor:
    """Images of three channels and at least 32 pixels a side."""
    height, width = images_NCHW.shape[2:]
    size = (max(height, LEAST_SIDE), max(width, LEAST_SIDE))
    if size != (height, width):
        images_NCHW = F.interpolate(images_NCHW, size, mode="bilinear", align_corners=False)
    return images_NCHW.expand(-1, 3, -1, -1)
