"""Photo augmentations: rotations, shifts, upside-down mirrors, colour jitter and blur, each sampled for every image.

They are the recipe's ``rotate``, ``shift``, ``vertical_flip``, ``jitter`` and ``blur``.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from nas.config import Recipe
from nas.config.views import changes_photos
from nas.photos import blurred, either_way, hue_turned, moved, with_brightness, with_contrast, with_saturation

SIGMAS = 0.1, 2.0  # of the blur, in pixels


def photo_view(images_NCHW: Tensor, recipe: Recipe, generator: Generator) -> Tensor:
    """Every image rotated, shifted, mirrored, jittered and blurred as the recipe has it.

    Pixels from 0 to 255 of any type in, bytes out; where the recipe has nothing of this, the images themselves, and
    nothing is sampled. The order is fixed; torchvision's jitter has its four parts in random order.
    """
    if not changes_photos(recipe):
        return images_NCHW
    n, _, height, width = images_NCHW.shape
    view_NCHW = images_NCHW.float() / 255
    if recipe.rotate or recipe.shift:
        angle_N = either_way(n, generator) * recipe.rotate
        right_N, down_N = (either_way(n, generator) * recipe.shift * side for side in (width, height))
        view_NCHW = moved(view_NCHW, angle_N, right_N, down_N, black=recipe.crop_border == "black")
    if recipe.vertical_flip:
        chosen_N = torch.rand(n, generator=generator, device=generator.device) < recipe.vertical_flip
        view_NCHW = torch.where(chosen_N.view(-1, 1, 1, 1), view_NCHW.flip(2), view_NCHW)
    if recipe.jitter:
        view_NCHW = _jittered(view_NCHW, recipe.jitter, generator)
    if recipe.blur:
        chosen_N = torch.rand(n, generator=generator, device=generator.device) < recipe.blur
        share_N = torch.rand(n, generator=generator, device=generator.device)
        view_NCHW = blurred(view_NCHW, SIGMAS[0] + (SIGMAS[1] - SIGMAS[0]) * share_N, chosen_N)
    return (view_NCHW * 255).round_().clamp_(0, 255).to(torch.uint8)


def _jittered(x_NCHW: Tensor, share: float, generator: Generator) -> Tensor:
    """Brightness, contrast and saturation times 1 ± share, the hue turned by up to this share of the whole circle,
    half of it at most; of grey images brightness and contrast alone."""
    n = len(x_NCHW)
    factor = [1 + share * either_way(n, generator) for _ in range(3)]
    turn_N = min(share, 0.5) * either_way(n, generator)
    x_NCHW = with_contrast(with_brightness(x_NCHW, factor[0]), factor[1])
    return x_NCHW if x_NCHW.shape[1] != 3 else hue_turned(with_saturation(x_NCHW, factor[2]), turn_N)
