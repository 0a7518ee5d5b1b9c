"""Changes of photos: each is torchvision's of its name, on a batch with parameters of its own for every image.

Images are float32 from 0 to 1 (N, C, H, W). Imports torch; read by training and by the oversampling of data.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

LUMA = (0.2989, 0.587, 0.114)  # of red, green and blue


def either_way(n: int, generator: Generator) -> Tensor:
    """n numbers from -1 to 1, on the generator's device."""
    return 2 * torch.rand(n, generator=generator, device=generator.device) - 1


def moved(x_NCHW: Tensor, angle_N: Tensor, right_N: Tensor, down_N: Tensor, *, black: bool) -> Tensor:
    """Each image rotated about its centre by degrees, clockwise, then shifted by pixels, in one bilinear reading; what
    comes in from outside repeats the border, or is ``black``."""
    height, width = x_NCHW.shape[2:]
    matrix_N23 = moves(torch.deg2rad(angle_N), height, width)
    shift_N21 = torch.stack([2 * right_N / width, 2 * down_N / height], 1).unsqueeze(2)
    matrix_N23[:, :, 2:] -= matrix_N23[:, :, :2] @ shift_N21
    grid_NHW2 = F.affine_grid(matrix_N23, list(x_NCHW.shape), align_corners=False)
    return F.grid_sample(x_NCHW, grid_NHW2, padding_mode="zeros" if black else "border", align_corners=False)


def moves(angle_N: Tensor, height: int, width: int) -> Tensor:
    """Matrices (N, 2, 3) that rotate images of this size by radians, clockwise: from a place in the result to one
    in the image, both from -1 to 1."""
    matrix_N23 = torch.zeros(len(angle_N), 2, 3, device=angle_N.device)
    matrix_N23[:, 0, 0] = matrix_N23[:, 1, 1] = angle_N.cos()
    matrix_N23[:, 0, 1] = angle_N.sin() * height / width
    matrix_N23[:, 1, 0] = -angle_N.sin() * width / height
    return matrix_N23


def with_brightness(x_NCHW: Tensor, factor_N: Tensor) -> Tensor:
    return (x_NCHW * factor_N.view(-1, 1, 1, 1)).clamp(0, 1)


def with_contrast(x_NCHW: Tensor, factor_N: Tensor) -> Tensor:
    """The distance of each pixel from the mean grey of its image."""
    return torch.lerp(_grey(x_NCHW).mean((1, 2, 3), keepdim=True), x_NCHW, factor_N.view(-1, 1, 1, 1)).clamp(0, 1)


def with_saturation(x_NCHW: Tensor, factor_N: Tensor) -> Tensor:
    """The distance of each pixel from its grey."""
    return torch.lerp(_grey(x_NCHW), x_NCHW, factor_N.view(-1, 1, 1, 1)).clamp(0, 1)


def hue_turned(x_N3HW: Tensor, turn_N: Tensor) -> Tensor:
    """Colours from 0 to 1 with their hue turned by this share of the circle, by way of hue, saturation and value.

    A channel of a colour is ``value - chroma * max(0, min(1, k, 4 - k))`` with ``k`` its place on the circle of six.
    """
    value, chroma = x_N3HW.amax(1, keepdim=True), x_N3HW.amax(1, keepdim=True) - x_N3HW.amin(1, keepdim=True)
    red, green, blue = x_N3HW.chunk(3, 1)
    over = chroma.clamp(min=1e-12)
    sixth = torch.where(
        value == red,
        (green - blue) / over,
        torch.where(value == green, 2 + (blue - red) / over, 4 + (red - green) / over),
    )
    start = torch.arange(5, -1, -2, device=x_N3HW.device).view(3, 1, 1)  # 5, 3, 1: red, green, blue
    k = (start + sixth + 6 * turn_N.view(-1, 1, 1, 1)).remainder(6)
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)


def blurred(x_NCHW: Tensor, sigma_N: Tensor, chosen_N: Tensor) -> Tensor:
    """The chosen images through a Gaussian of 3 x 3 pixels, one axis after the other; its border repeats."""
    side_N111 = (torch.exp(-0.5 / sigma_N.square()) * chosen_N).view(-1, 1, 1, 1)  # weight beside one of 1
    padded = F.pad(x_NCHW, (1, 1, 0, 0), mode="replicate")
    x_NCHW = (x_NCHW + side_N111 * (padded[..., :-2] + padded[..., 2:])) / (1 + 2 * side_N111)
    padded = F.pad(x_NCHW, (0, 0, 1, 1), mode="replicate")
    return (x_NCHW + side_N111 * (padded[..., :-2, :] + padded[..., 2:, :])) / (1 + 2 * side_N111)


def _grey(x_NCHW: Tensor) -> Tensor:
    """One channel (N, 1, H, W): luma of colours, else the mean of the channels."""
    if x_NCHW.shape[1] != 3:
        return x_NCHW.mean(1, keepdim=True)
    return sum(weight * x_NCHW[:, place : place + 1] for place, weight in enumerate(LUMA))  # type: ignore[return-value]
