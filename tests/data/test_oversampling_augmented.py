"""The transformed copies: what they may look like, and what they may not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.data.dataset import Split
from nas.data.oversampling import OVERSAMPLERS, SEED
from nas.data.oversampling.transforms import MAX_SHIFT, transformed
from nas.errors import UsageError

NUM = 400


def letter() -> Tensor:
    """An L of 9x9 grey pixels, which no turn of 40 degrees makes its mirror image: (NUM, 1, 9, 9) uint8."""
    images = torch.zeros(NUM, 1, 9, 9, dtype=torch.uint8)
    images[:, 0, 2:6, 4] = 200
    images[:, 0, 5, 4:7] = 200
    return images


def seen(images: Tensor) -> Tensor:
    return transformed(images, torch.Generator().manual_seed(SEED)).double().mean(1)  # of channels: (NUM, 9, 9)


def centre_and_skew(images: Tensor) -> tuple[Tensor, Tensor]:
    """Centre of mass of each image (NUM, 2: down, across), and the third moment that a mirror negates."""
    place = torch.arange(images.shape[-1], dtype=torch.float64)
    mass = images.sum((1, 2))
    centre = torch.stack([images.sum(2) @ place / mass, images.sum(1) @ place / mass], dim=1)
    down, across = ((place - centre[:, [axis]]) for axis in (0, 1))
    return centre, (images * down.unsqueeze(2) * across.unsqueeze(1)).sum((1, 2)) / mass


def test_nearly_every_copy_is_new_and_none_leaves_the_picture() -> None:
    images = seen(letter())
    assert len(images.unique(dim=0)) > 0.9 * NUM
    centre, _ = centre_and_skew(images)
    away = (centre - centre_and_skew(letter().double().mean(1))[0]).abs()
    assert 0.5 < away.max() <= 9 * MAX_SHIFT + 0.9  # the L turns about the picture's centre, not its own


def test_grey_images_are_never_mirrored() -> None:
    _, before = centre_and_skew(letter().double().mean(1))
    _, after = centre_and_skew(seen(letter()))
    assert before[0] > 0.2
    assert (after < -0.2).double().mean() < 0.05  # an L cut off at the edge


def test_colour_images_are_mirrored_both_ways() -> None:
    images = seen(letter().repeat(1, 3, 1, 1))
    _, skew = centre_and_skew(images)
    assert 0.2 < (skew < -0.2).double().mean() < 0.5  # an odd number of flips
    upside_down = images[:, :4].sum((1, 2)) > images[:, 5:].sum((1, 2))
    assert 0.1 < upside_down.double().mean() < 0.7


def test_oblong_images_turn_without_shear() -> None:
    disc = torch.zeros(NUM, 1, 16, 32, dtype=torch.uint8)
    down, across = torch.meshgrid(torch.arange(16.0) - 7.5, torch.arange(32.0) - 15.5, indexing="ij")
    disc[:, :, (down.square() + across.square()) < 25] = 255
    images = seen(disc)
    _, skew = centre_and_skew(torch.nn.functional.pad(images, (0, 0, 8, 8)))
    whole = images[:, 0].sum(1) + images[:, -1].sum(1) < 1  # not pushed over the edge
    assert whole.sum() > NUM / 4
    assert skew[whole].abs().max() < 0.5  # a disc stays one


def test_hues_turn_and_mirrors_come_where_they_are_asked_for() -> None:
    red = torch.zeros(NUM, 3, 9, 9, dtype=torch.uint8)
    red[:, 0, :, :3], red[:, 0, :, 3:] = 200, 60
    for hue, channels in ((0.0, {0}), (0.5, {0, 1, 2})):
        made = transformed(red, torch.Generator().manual_seed(SEED), mirrored=False, hue=hue)
        assert set(made.double().mean((2, 3)).argmax(1).tolist()) == channels
    few = Split(red[:, :, :9].numpy()[:30], np.arange(30), np.array([0] * 20 + [1] * 10), mirrored=False)
    made = {name: [piece.images for piece in OVERSAMPLERS["augment"](few, **options)] for name, options in (
        ("plain", {}), ("mirrored", {"mirrors": True}))}  # fmt: skip
    left, right = ({name: np.concatenate(images)[:, 0, :, side].mean((1, 2)) for name, images in made.items()}
                   for side in (slice(0, 3), slice(6, 9)))  # fmt: skip
    assert (left["plain"] >= right["plain"] - 1).all() and (left["mirrored"] < right["mirrored"] - 20).any()
    with pytest.raises(UsageError, match=r"augment:hue=0\.6: give a share of the circle, from 0 to 0\.5"):
        list(OVERSAMPLERS["augment"](few, hue=0.6))
