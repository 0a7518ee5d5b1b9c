"""From pixels to what a network sees: normalization, and random crops, mirrors and holes.

Everything works on a whole batch on its device, without a loop over images, and draws from a
``torch.Generator`` of that device, so that equal seeds give equal batches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nas.config import Recipe
from nas.config.views import Views
from nas.training.trivial_augment import trivial_augment


def normalize(images_NCHW: Tensor, mean_C: Tensor, std_C: Tensor) -> Tensor:
    """Pixels from 0 to 255 (N, C, H, W) of any type as float32 ``(x / 255 - mean) / std`` per channel."""
    scale_C = 1 / (255 * std_C)
    # On a CPU two passes over memory that is there already take a quarter of the time of one ``addcmul``.
    scaled_NCHW = images_NCHW.float() * scale_C.view(-1, 1, 1)
    return scaled_NCHW.sub_((mean_C / std_C).view(-1, 1, 1))


def augment(
    images_NCHW: Tensor, recipe: Recipe, generator: torch.Generator, normal: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """A random view of every image, drawn independently: (N, C, H, W) in any type, float32 out.

    ``normal``, mean and standard deviation per channel, is what to normalize with. Crop and mirror are one gather
    of pixels, before that, where they are a byte each; TrivialAugment follows. Cutout writes zeros, the mean colour of
    normalized images.
    """
    channels, height, width = images_NCHW.shape[1:]
    views = Views.of(recipe, (channels, height, width))
    view_NCHW = images_NCHW
    if views.down or views.across or views.mirrored:
        view_NCHW = _crop_and_flip(view_NCHW, (views.down, views.across), views.mirrored, generator)
    if recipe.augmentation == "trivial":
        view_NCHW = trivial_augment(view_NCHW, generator)
    view_NCHW = view_NCHW.float() if normal is None else normalize(view_NCHW, *normal)
    if views.hole:
        view_NCHW = _cutout(view_NCHW, views.hole, generator)
    return view_NCHW


def _crop_and_flip(x_NCHW: Tensor, padding: tuple[int, int], flip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image up to ``padding`` pixels either way, its border repeated, and mirror half of them."""
    n, channels, height, width = x_NCHW.shape
    row_NH = _shifted(n, height, padding[0], generator)
    column_NW = _shifted(n, width, padding[1], generator)
    if flip:
        column_NW = torch.where(_integers(n, 2, generator).bool(), column_NW.flip(1), column_NW)
    pixel_NP = (row_NH.unsqueeze(2) * width + column_NW.unsqueeze(1)).view(n, 1, height * width)
    return x_NCHW.reshape(n, channels, -1).gather(2, pixel_NP.expand(-1, channels, -1)).view_as(x_NCHW)


def _shifted(n: int, size: int, padding: int, generator: torch.Generator) -> Tensor:
    """For each of n images the source index of every position, (n, size); the border repeats outside."""
    offset_N1 = _integers(n, 2 * padding + 1, generator) - padding
    return (torch.arange(size, device=generator.device) + offset_N1).clamp(0, size - 1)


def _cutout(x_NCHW: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Erase one square of ``side`` pixels in every image (DeVries and Taylor 2017), wholly inside it."""
    n, _, height, width = x_NCHW.shape

    def covered(size: int) -> Tensor:
        past_start = torch.arange(size, device=generator.device) - _integers(n, size - side + 1, generator)
        return (past_start >= 0) & (past_start < side)

    hole_NHW = covered(height).unsqueeze(2) & covered(width).unsqueeze(1)
    return x_NCHW * (~hole_NHW).float().unsqueeze(1)  # a quarter of the time of ``masked_fill``


def _integers(n: int, end: int, generator: torch.Generator) -> Tensor:
    """n independent integers from 0 to ``end - 1``, as a column (n, 1)."""
    return torch.randint(end, (n, 1), generator=generator, device=generator.device)
