"""The photo augmentations: each is torchvision's of its name, with parameters of its own for every image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.v2.functional as theirs
from torch import Tensor
from torchvision.transforms import InterpolationMode

from nas.config.recipe import Recipe
from nas.config.views import views_in_words
from nas.photos import blurred, hue_turned, moved, with_brightness, with_contrast, with_saturation
from nas.training.augmentation import augment
from nas.training.photo import photo_view

PLAIN = {"crop_padding": 0, "flip": False}
BYTE = 1 / 255
FACTORS = torch.tensor([0.5, 0.8, 1.0, 1.3, 1.5])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(n: int = 5, channels: int = 3) -> Tensor:
    """Bytes (n, C, 12, 20) as floats from 0 to 1, smooth, some black, white and grey."""
    small = torch.rand(n, channels, 4, 5, generator=generator())
    images = torch.nn.functional.interpolate(small, (12, 20), mode="bicubic").mul(1.4).sub(0.2).clamp(0, 1)
    images[:, :, :2, :2], images[:, :, -2:, :2], images[:, :, :2, -2:] = 0, 1, 0.4
    return (images * 255).round() / 255


def one_by_one(change: Callable[[Tensor, float], Tensor], images: Tensor, parameters: Tensor) -> Tensor:
    return torch.stack([change(image, value.item()) for image, value in zip(images, parameters, strict=True)])


@pytest.mark.parametrize(
    ("ours", "its", "parameters"),
    [
        (with_brightness, theirs.adjust_brightness, FACTORS),
        (with_contrast, theirs.adjust_contrast, FACTORS),
        (with_saturation, theirs.adjust_saturation, FACTORS),
        (hue_turned, theirs.adjust_hue, torch.tensor([-0.5, -0.21, 0.0, 0.1, 0.5])),
    ],
)
def test_colours_change_as_in_torchvision(
    ours: Callable[[Tensor, Tensor], Tensor], its: Callable[[Tensor, float], Tensor], parameters: Tensor
) -> None:
    images = photos()
    torch.testing.assert_close(ours(images, parameters), one_by_one(its, images, parameters), rtol=0, atol=BYTE / 10)
    if ours in (with_brightness, with_contrast):
        grey = photos(channels=1)
        torch.testing.assert_close(ours(grey, parameters), one_by_one(its, grey, parameters), rtol=0, atol=BYTE / 10)


@pytest.mark.parametrize("black", [True, False])
def test_rotation_and_shift_are_the_affine_map_of_torchvision(black: bool) -> None:
    images, angles = photos(), torch.tensor([-40.0, -13.0, 0.0, 90.0, 21.5])
    right, down = torch.tensor([3.0, -2.5, 0.0, 1.0, -4.0]), torch.tensor([0.0, 2.0, 1.5, -1.0, 2.4])
    room = 0 if black else 20  # a border that repeats: theirs on an image that goes on
    wide = images if black else torch.nn.functional.pad(images, [room] * 4, mode="replicate")
    expected = torch.stack([
        theirs.affine(image, angle, [x, y], 1.0, [0.0, 0.0], InterpolationMode.BILINEAR)
        for image, angle, x, y in zip(wide, angles.tolist(), right.tolist(), down.tolist(), strict=True)
    ])[:, :, room : room + 12, room : room + 20]  # fmt: skip
    torch.testing.assert_close(moved(images, angles, right, down, black=black), expected, rtol=0, atol=BYTE / 10)


def test_the_blur_is_the_gaussian_of_torchvision() -> None:
    images, sigmas = photos(), torch.tensor([0.1, 0.5, 1.0, 1.7, 2.0])
    wide = torch.nn.functional.pad(images, [1] * 4, mode="replicate")
    expected = one_by_one(lambda image, sigma: theirs.gaussian_blur(image, [3, 3], [sigma, sigma]), wide, sigmas)
    soft = blurred(images, sigmas, torch.ones(5, dtype=torch.bool))
    torch.testing.assert_close(soft, expected[:, :, 1:-1, 1:-1], rtol=0, atol=BYTE / 10)
    assert torch.equal(blurred(images, sigmas, torch.zeros(5, dtype=torch.bool)), images)


def test_each_setting_changes_as_many_images_and_as_far_as_it_says() -> None:
    images = (photos(1) * 255).to(torch.uint8).expand(600, -1, -1, -1)

    def view(**settings: float) -> Tensor:
        return photo_view(images, Recipe.model_validate(PLAIN | settings), generator())

    assert view() is images
    flipped = (view(vertical_flip=0.8) == images.flip(2)).flatten(1).all(1)
    assert flipped.double().mean().item() == pytest.approx(0.8, abs=0.05)
    assert torch.equal(flipped, (view(vertical_flip=0.8) != images).flatten(1).any(1))
    soft = (view(blur=0.8) != images).flatten(1).any(1)
    assert 0.65 < soft.double().mean().item() < 0.8  # the smallest sigmas round to nothing
    centre, place = torch.tensor([10.0, 10.0]), torch.arange(21.0)
    for settings in ({"rotate": 40.0}, {"shift": 0.2}):
        dot = torch.zeros(600, 1, 21, 21, dtype=torch.uint8)
        dot[:, :, 10, 18 if "rotate" in settings else 10] = 255
        seen = photo_view(dot, Recipe.model_validate(PLAIN | settings | {"crop_border": "black"}), generator())[:, 0]
        mass = seen.float() / seen.float().sum((1, 2), keepdim=True).clamp(min=1)
        down, right = (mass.sum(2) @ place - centre[0], mass.sum(1) @ place - centre[1])
        if "rotate" in settings:
            angle = torch.rad2deg(torch.atan2(down, right))
            assert 36 < angle.max() < 42 and -42 < angle.min() < -36
        else:
            assert 3.5 < down.max() < 4.3 and -4.3 < down.min() < -3.5


def test_a_jitter_of_a_half_turns_any_hue_and_grey_stays_grey() -> None:
    red = torch.tensor([200, 20, 20], dtype=torch.uint8).view(1, 3, 1, 1).expand(400, 3, 4, 4)
    seen = photo_view(red, Recipe(jitter=0.5), generator())[:, :, 0, 0].argmax(1)
    assert set(seen.tolist()) == {0, 1, 2}
    grey = photo_view(red[:, :1], Recipe(jitter=0.5), generator()).float()
    assert 90 < grey.min() < 130 and grey.max() == 255


def test_views_are_repeatable_in_bytes_and_said() -> None:
    images = (photos(40) * 255).to(torch.uint8)
    recipe = Recipe(rotate=40, shift=0.2, vertical_flip=0.8, jitter=0.5, blur=0.3)
    views = [augment(images, recipe, generator(seed)) for seed in (3, 3, 4)]
    assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])
    assert torch.equal(views[0], views[0].round()) and views[0].min() >= 0 and views[0].max() <= 255
    assert (
        "rotated by up to 40 degrees, shifted by up to 20 % of their sides, turned upside down (probability 0.8), "
        "changed in brightness, contrast, saturation and hue by up to 50 %, blurred (probability 0.3)"
    ) in views_in_words(recipe, (3, 12, 20))
