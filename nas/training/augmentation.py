"""Normalization and augmentation: random crops, mirrors and holes.

Everything works on a whole batch on its device, without a loop over images, and samples from a
``torch.Generator`` of that device, so that equal seeds give equal batches.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nas.config import Recipe
from nas.config.views import Views
from nas.training.photo import photo_view
from nas.training.trivial_augment import trivial_augment

LUMA = (0.299, 0.587, 0.114)
ERASED_SHARE, ERASED_ASPECT = (0.02, 0.33), (0.3, 3.3)  # of the area; height over width
TRIES = 10


def normalize(images_NCHW: Tensor, mean_C: Tensor, std_C: Tensor) -> Tensor:
    """Pixels from 0 to 255 (N, C, H, W) of any type as float32 ``(x / 255 - mean) / std`` per channel."""
    scale_C = 1 / (255 * std_C)
    # On a CPU two passes over memory that is there already take a quarter of the time of one ``addcmul``.
    scaled_NCHW = images_NCHW.float() * scale_C.view(-1, 1, 1)
    return scaled_NCHW.sub_((mean_C / std_C).view(-1, 1, 1))


def logits_of(model: nn.Module, images_NCHW: Tensor, *, test_flip: bool) -> Tensor:
    """Logits (N, classes) as float32; with ``test_flip`` the mean of those of an image and of its mirror image."""
    logits_NC: Tensor = model(images_NCHW).float()
    return (logits_NC + model(images_NCHW.flip(3)).float()) / 2 if test_flip else logits_NC


def augment(
    images_NCHW: Tensor, recipe: Recipe, generator: torch.Generator, normal: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """A random view of every image, sampled independently: (N, C, H, W) in any type, float32 out.

    ``normal``, mean and standard deviation per channel, is what to normalize with. Crop and mirror are one gather
    of pixels, before that, where they are a byte each; the changes of photos and TrivialAugment follow.
    Cutout, unless the recipe has a fill, and random erasing write zeros, the mean colour of normalized images.
    """
    channels, height, width = images_NCHW.shape[1:]
    views = Views.of(recipe, (channels, height, width))
    view_NCHW = images_NCHW
    if views.down or views.across or views.mirrored:
        black = recipe.crop_border == "black"
        view_NCHW = _crop_and_flip(view_NCHW, (views.down, views.across), views.mirrored, generator, black=black)
    view_NCHW = photo_view(view_NCHW, recipe, generator)
    if recipe.grey and channels == 3:
        view_NCHW = _greyed(view_NCHW, recipe.grey, generator)
    if recipe.augmentation == "trivial":
        view_NCHW = trivial_augment(view_NCHW, generator)
    view_NCHW = view_NCHW.float() if normal is None else normalize(view_NCHW, *normal)
    if views.hole:
        view_NCHW = _cutout(view_NCHW, views.hole, generator, _fill(recipe.cutout_fill, normal))
    if recipe.erasing:
        fill_C = None if recipe.erasing_area is None else _fill(0.0, normal)
        view_NCHW = _erased(view_NCHW, recipe.erasing, generator, recipe.erasing_area, fill_C)
    return view_NCHW


def _crop_and_flip(
    x_NCHW: Tensor, padding: tuple[int, int], flip: bool, generator: torch.Generator, *, black: bool = False
) -> Tensor:
    """Shift each image up to ``padding`` pixels either way, its border repeated or ``black`` beyond it, and mirror half
    of them."""
    n, channels, height, width = x_NCHW.shape
    row_NH = _shifted(n, height, padding[0], generator)
    column_NW = _shifted(n, width, padding[1], generator)
    if flip:
        column_NW = torch.where(_integers(n, 2, generator).bool(), column_NW.flip(1), column_NW)
    inside_NHW = None
    if black:
        inside_NHW = _inside(row_NH, height).unsqueeze(2) & _inside(column_NW, width).unsqueeze(1)
    row_NH, column_NW = row_NH.clamp(0, height - 1), column_NW.clamp(0, width - 1)
    pixel_NP = (row_NH.unsqueeze(2) * width + column_NW.unsqueeze(1)).view(n, 1, height * width)
    moved_NCHW = x_NCHW.reshape(n, channels, -1).gather(2, pixel_NP.expand(-1, channels, -1)).view_as(x_NCHW)
    return moved_NCHW if inside_NHW is None else moved_NCHW * inside_NHW.unsqueeze(1)


def _shifted(n: int, size: int, padding: int, generator: torch.Generator) -> Tensor:
    """For each of n images the source index of every position, (n, size), which may lie outside."""
    return torch.arange(size, device=generator.device) + _integers(n, 2 * padding + 1, generator) - padding


def _inside(place_NS: Tensor, size: int) -> Tensor:
    return (place_NS >= 0) & (place_NS < size)


def _fill(shade: float | None, normal: tuple[Tensor, Tensor] | None) -> Tensor | None:
    """A shade from 0, black, to 1 as the images that a network sees have it, by channel."""
    if shade is None:
        return None
    return torch.tensor(255 * shade) if normal is None else (shade - normal[0]) / normal[1]


def _cutout(x_NCHW: Tensor, side: int, generator: torch.Generator, fill_C: Tensor | None) -> Tensor:
    """Erase one square of ``side`` pixels in every image (DeVries and Taylor 2017), wholly inside it;
    with zeros, unless there is a fill."""
    n, _, height, width = x_NCHW.shape

    def covered(size: int) -> Tensor:
        past_start = torch.arange(size, device=generator.device) - _integers(n, size - side + 1, generator)
        return (past_start >= 0) & (past_start < side)

    hole_NHW = covered(height).unsqueeze(2) & covered(width).unsqueeze(1)
    return _filled(x_NCHW, hole_NHW, fill_C)


def _greyed(x_NCHW: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """With this probability all three channels of an image become its luma, as ITU-R BT.601 weighs colours."""
    red, green, blue = x_NCHW.float().chunk(3, dim=1)
    luma_N1HW = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    luma_N1HW = luma_N1HW if x_NCHW.is_floating_point() else luma_N1HW.round()
    is_grey_N = torch.rand(len(x_NCHW), generator=generator, device=generator.device) < probability
    return torch.where(is_grey_N.view(-1, 1, 1, 1), luma_N1HW.to(x_NCHW.dtype), x_NCHW)


def _erased(
    x_NCHW: Tensor, probability: float, generator: torch.Generator, area: float | None = None,
    fill_C: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Random erasing (Zhong et al. 2017): with this probability a rectangle of an image becomes its mean colour, or the
    fill; ``area``: its share of the image, where that is not random.

    As in torchvision its area is sampled evenly and its aspect evenly in its logarithm, ten times, of which the first
    that is smaller than the image counts; if none is, the image stays whole.
    """
    n, _, height, width = x_NCHW.shape

    def sampled(columns: int, low: float = 0, high: float = 1) -> Tensor:
        return low + (high - low) * torch.rand(n, columns, generator=generator, device=generator.device)

    low, high = ERASED_SHARE if area is None else (area, area)
    area_NT = height * width * sampled(TRIES, low, high)
    aspect_NT = sampled(TRIES, *map(math.log, ERASED_ASPECT)).exp()
    tall_NT, wide_NT = (area_NT * aspect_NT).sqrt().round(), (area_NT / aspect_NT).sqrt().round()
    fits_NT = (tall_NT < height) & (wide_NT < width)
    first_N1 = fits_NT.int().argmax(1, keepdim=True)
    is_erased_N1 = fits_NT.any(1, keepdim=True) & (sampled(1) < probability)

    def covered(size: int, side_N1: Tensor) -> Tensor:
        past_start = torch.arange(size, device=generator.device) - (sampled(1) * (size - side_N1 + 1)).floor()
        return (past_start >= 0) & (past_start < side_N1)

    row_NH, column_NW = covered(height, tall_NT.gather(1, first_N1)), covered(width, wide_NT.gather(1, first_N1))
    hole_NHW = (row_NH & is_erased_N1).unsqueeze(2) & column_NW.unsqueeze(1)
    return _filled(x_NCHW, hole_NHW, fill_C)


def _filled(x_NCHW: Tensor, hole_NHW: Tensor, fill_C: Tensor | None) -> Tensor:
    """The images with zeros in the holes, or the fill."""
    kept_NCHW = x_NCHW * (~hole_NHW).float().unsqueeze(1)  # a quarter of the time of ``masked_fill``
    return kept_NCHW if fill_C is None else kept_NCHW + hole_NHW.float().unsqueeze(1) * fill_C.view(-1, 1, 1)


def _integers(n: int, end: int, generator: torch.Generator) -> Tensor:
    """n independent integers from 0 to ``end - 1``, as a column (n, 1)."""
    return torch.randint(end, (n, 1), generator=generator, device=generator.device)
