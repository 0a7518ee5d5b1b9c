"""The one-cycle residual net, ResNet-9: few wide layers that train in 24 epochs."""

from __future__ import annotations

from torch import Tensor, nn


class ResNet9(nn.Module):
    """A convolution of 64 channels, then layers of 128, 256 and 512, the first and the last with a residual block.

    After Page 2018 ("How to train your ResNet"). A layer is a 3x3 convolution, max pooling by 2, batch normalization
    and ReLU; a residual block adds two convolutions with normalization and ReLU. The largest value of each channel goes
    to a linear layer without bias: at 32x32 that is max pooling by 4. 6,573,120 parameters for 3x32x32 images and 10
    classes. Takes (N, C, H, W), returns logits (N, num_classes).
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.prep = _conv_norm(channels, 64)
        self.layer1 = nn.Sequential(_layer(64, 128), Residual(128))
        self.layer2 = _layer(128, 256)
        self.layer3 = nn.Sequential(_layer(256, 512), Residual(512))
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.head = nn.Linear(512, num_classes, bias=False)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        features_NCHW = self.layer3(self.layer2(self.layer1(self.prep(images_NCHW))))
        return self.head(self.pool(features_NCHW).flatten(1))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """``x + f(x)``, f two convolutions with normalization and ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv_norm(width, width), _conv_norm(width, width))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, width, H, W) to the same."""
        return x_NCHW + self.body(x_NCHW)  # type: ignore[no-any-return]


def _conv_norm(width: int, wider: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider), nn.ReLU())


def _layer(width: int, wider: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, wider, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(wider), nn.ReLU()
    )
