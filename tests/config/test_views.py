"""Augmentation as a plan states it is that of training."""

from __future__ import annotations

import pytest
import torch

from nas.config.recipe import Recipe
from nas.config.views import Views, views_in_words
from nas.training.augmentation import augment


@pytest.mark.parametrize(
    ("settings", "shape", "words"),
    [
        ({}, (3, 32, 32), "images are shifted by up to 4 pixels, mirrored at random"),
        ({}, (1, 8, 8), "images are shifted by up to 1 pixel, not mirrored"),
        (
            {"flip": True},
            (1, 16, 24),
            "up to 3 pixels across and 2 pixels down or up, mirrored at random",
        ),
        ({"crop_padding": 0, "flip": False}, (3, 8, 8), "images are not mirrored"),
        (
            {"flip": False, "cutout": 0.25, "mixing": "mixup", "oversampling": "augment"},
            (3, 32, 32),
            "not mirrored, erased in a square with sides of 8 pixels, mixed in pairs (mixup), "
            "and of rare classes copied, rotated, shifted, recoloured, blurred",
        ),
        (
            {
                "crop_border": "black",
                "flip": True,
                "augmentation": "trivial",
                "cutout": 0.25,
                "cutout_fill": 0.473363,
                "erasing": 0.2,
                "test_flip": True,
            },
            (3, 32, 32),
            "images are shifted by up to 4 pixels over a black border, mirrored at random, changed by one random "
            "operation of TrivialAugment, erased in a square with sides of 8 pixels filled with 0.473363, erased in a "
            "random rectangle (probability 0.2); scored with their mirror images (--test-flip)",
        ),
        ({"oversampling": "random"}, (1, 8, 8), "and of rare classes repeated"),
        ({"oversampling": "smote"}, (1, 8, 8), "and of rare classes synthesized (smote)"),
    ],
)
def test_words(settings: dict[str, object], shape: tuple[int, int, int], words: str) -> None:
    assert words in views_in_words(Recipe.model_validate(settings), shape)


def test_words_say_why_and_how_to_change_it() -> None:
    recipe = Recipe(flip=False)
    assert "not mirrored (grey images; --flip to change)" in views_in_words(recipe, (1, 8, 8), "grey images")
    recipe = Recipe(flip=True)
    words = views_in_words(recipe, (3, 8, 8), "colour images")
    assert "mirrored at random (colour images; --no-flip to change)" in words


def test_images_move_as_far_as_it_says() -> None:
    recipe = Recipe(flip=False, crop_padding=1)
    images = torch.zeros(400, 1, 16, 24)
    images[:, :, 8, 12] = 1
    views = augment(images, recipe, torch.Generator().manual_seed(0))
    _, _, rows, columns = views.nonzero(as_tuple=True)
    said = Views.of(recipe, (1, 16, 24))
    assert (rows.min(), rows.max()) == (8 - said.down, 8 + said.down) == (6, 10)
    assert (columns.min(), columns.max()) == (12 - said.across, 12 + said.across) == (9, 15)
