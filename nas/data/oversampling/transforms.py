"""Random transformations of images, for copies that are more than copies.

Each works on a whole batch with random parameters of its own for every image, which torchvision's transforms cannot.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from nas.photos import blurred, either_way, hue_turned, moves

MAX_ANGLE = 40.0  # degrees, either way
MAX_SHIFT = 0.2  # of the height or width, either way
FLIPPED = 0.8  # the probability of a flip where it is chosen
JITTER = 0.5  # brightness, contrast and saturation change by a factor of 1 +- this
SIGMAS = 0.1, 2.0  # of the Gaussian blur, in pixels; its kernel has 3 x 3
GREY_KINDS, COLOUR_KINDS = 4, 6  # rotation, translation, jitter, blur; colour images: both flips too


def transformed(images_NCHW: Tensor, generator: Generator, *, mirrored: bool = True, hue: float = 0) -> Tensor:
    """A random subset of the transformations of every image, uint8 in and out, sampled independently; flips only where
    colour images may be ``mirrored``; the jitter turns hues by up to ``hue`` of the circle."""
    n, channels = images_NCHW.shape[:2]
    num_kinds = COLOUR_KINDS if channels == 3 and mirrored else GREY_KINDS
    rank_NK = torch.rand(n, num_kinds, generator=generator).argsort(1).argsort(1)
    num_N1 = torch.randint(1, num_kinds + 1, (n, 1), generator=generator)
    turned, shifted, jittered, softened, *flips = (rank_NK < num_N1).unbind(1)
    flipped = [flip & (torch.rand(n, generator=generator) < FLIPPED) for flip in flips]
    x_NCHW = images_NCHW.float() / 255
    x_NCHW = _moved(x_NCHW, turned, shifted, flipped, generator)
    x_NCHW = _jittered(x_NCHW, jittered, generator, hue)
    low, high = SIGMAS
    sigma_N = low + (high - low) * torch.rand(n, generator=generator)
    x_NCHW = blurred(x_NCHW, sigma_N, softened)
    return (x_NCHW * 255).round().clamp(0, 255).to(torch.uint8)


def _moved(x_NCHW: Tensor, turned: Tensor, shifted: Tensor, flipped: list[Tensor], generator: Generator) -> Tensor:
    """Rotation, translation and flips in one bilinear reading of the pixels."""
    n, _, height, width = x_NCHW.shape
    matrix_N23 = moves(-either_way(n, generator) * math.radians(MAX_ANGLE) * turned, height, width)
    for axis, flip in enumerate(flipped):  # horizontal, vertical
        matrix_N23[:, :, axis] *= 1 - 2.0 * flip.unsqueeze(1)
    for axis in range(2):
        matrix_N23[:, axis, 2] = either_way(n, generator) * 2 * MAX_SHIFT * shifted
    grid = functional.affine_grid(matrix_N23, list(x_NCHW.shape), align_corners=False)
    return functional.grid_sample(x_NCHW, grid, padding_mode="border", align_corners=False)


def _jittered(x_NCHW: Tensor, chosen: Tensor, generator: Generator, hue: float) -> Tensor:
    """Brightness, contrast and, of colours, saturation by factors of 0.5 to 1.5, and the hue."""

    def factor() -> Tensor:
        return (1 + JITTER * either_way(len(x_NCHW), generator) * chosen).view(-1, 1, 1, 1)

    x_NCHW = (x_NCHW * factor()).clamp(0, 1)
    mean_N111 = x_NCHW.mean((1, 2, 3), keepdim=True)
    x_NCHW = torch.lerp(mean_N111, x_NCHW, factor()).clamp(0, 1)
    if x_NCHW.shape[1] == 3:
        grey_N1HW = x_NCHW.mean(1, keepdim=True)
        x_NCHW = torch.lerp(grey_N1HW, x_NCHW, factor()).clamp(0, 1)
        if hue:
            x_NCHW = hue_turned(x_NCHW, hue * either_way(len(x_NCHW), generator) * chosen)
    return x_NCHW
