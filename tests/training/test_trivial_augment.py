"""TrivialAugment on a batch against torchvision's, an image and a strength at a time."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import TrivialAugmentWide, _apply_op

from nas.config.recipe import Recipe
from nas.training.augmentation import augment
from nas.training.trivial_augment import LEVELS, OPERATIONS, trivial_augment

THEIRS = TrivialAugmentWide()._augmentation_space(LEVELS)
NAMES = {name: name.title().replace(" ", "") for name in OPERATIONS}
STRENGTHS = range(-(LEVELS - 1), LEVELS)


def photo(channels: int, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    """Something with edges and slopes, its values uneven, as a byte a pixel."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, channels, 5, 5, generator=generator) ** 2
    fine = 0.1 * torch.rand(1, channels, height, width, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 0.9)
    return ((smooth + fine) * 255).to(torch.uint8)


def theirs(image: Tensor, name: str, strength: int) -> Tensor:
    values, signed = THEIRS[NAMES[name]]
    size = round(float(values[abs(strength)]), 4) if values.ndim else 0.0  # their 15.999999 pixels are cut to 15
    return _apply_op(image, NAMES[name], -size if signed and strength < 0 else size, InterpolationMode.NEAREST, None)


def test_the_operations_are_those_of_torchvision() -> None:
    assert list(NAMES.values()) == list(THEIRS)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_at_every_strength(name: str, channels: int) -> None:
    """Bytes may differ by one, and of a hundred pixels that move one may be its neighbour, by rounding."""
    image = photo(channels)
    mine = OPERATIONS[name](image.repeat(len(STRENGTHS), 1, 1, 1), torch.tensor(STRENGTHS))
    assert mine.dtype == torch.uint8
    moves = name.startswith(("shear", "translate", "rotate"))
    changed = 0
    for strength, own in zip(STRENGTHS, mine, strict=True):
        difference = (own.int() - theirs(image[0], name, strength).int()).abs()
        assert (difference > 1).float().mean() <= (0.01 if moves else 0), strength
        changed += int(not torch.equal(own, image[0]))
    assert changed >= 50 or name in ("identity", "posterize", "solarize") or (name, channels) == ("color", 1)
    assert changed or name == "identity" or (name, channels) == ("color", 1)


def test_an_image_without_contrast_and_small_images_are_as_in_torchvision() -> None:
    for image in (torch.full((1, 3, 8, 8), 77, dtype=torch.uint8), photo(1, 8, 8), photo(3, 2, 5)):
        for name in ("auto contrast", "equalize", "sharpness"):
            mine = OPERATIONS[name](image, torch.tensor([7]))[0]
            assert (mine.int() - theirs(image[0], name, 7).int()).abs().max() <= (name == "sharpness"), name


@pytest.mark.parametrize("size", [3, 30])
def test_each_image_is_changed_by_one_operation(size: int) -> None:
    """Every image of a batch is what some operation makes of it, and operations and strengths come equally often."""
    images = torch.cat([photo(3, 16, 16, seed) for seed in range(size)])
    generator, found = torch.Generator().manual_seed(0), Counter[str]()
    every = torch.tensor(STRENGTHS)
    possible = [
        {name: operation(image.repeat(len(every), 1, 1, 1), every) for name, operation in OPERATIONS.items()}
        for image in images
    ]
    for _ in range(600 // size):
        for image, could_be in zip(trivial_augment(images, generator), possible, strict=True):
            names = [name for name, results in could_be.items() if (results == image).flatten(1).all(1).any()]
            assert names
            found.update(names if len(names) == 1 else [])  # weak ones leave the image as it is, as others do
    strong = [found[name] for name in ("shear x", "rotate", "brightness", "color", "contrast", "equalize")]
    assert min(strong) > 18 and max(strong) < 70, found


def test_equal_seeds_give_equal_views_also_of_floats() -> None:
    images = torch.cat([photo(3, seed=seed) for seed in range(20)])
    recipe = Recipe(augmentation="trivial")
    views = [augment(one, recipe, torch.Generator().manual_seed(3)) for one in (images, images.float())]
    assert torch.equal(*views) and views[0].dtype == torch.float32
    assert not torch.equal(views[0], augment(images, recipe, torch.Generator().manual_seed(4)))
    assert not torch.equal(views[0], augment(images, Recipe(), torch.Generator().manual_seed(3)))
