"""Augmentation that a recipe means for images of one shape.

``nas.training`` carries it out, and plans say it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nas.config.options import base_name
from nas.config.recipe import Recipe
from nas.units import counted


@dataclass(frozen=True)
class Views:
    """Every image is shifted up to so many pixels down or up and to either side, half of them are mirrored, left to
    right, and a square of ``hole`` pixels is erased."""

    down: int
    across: int
    mirrored: bool
    hole: int

    @classmethod
    def of(cls, recipe: Recipe, shape: tuple[int, int, int]) -> Views:
        """By a recipe, of images (C, H, W). Where it leaves open whether to mirror, colour images are."""
        channels, height, width = shape
        return cls(
            down=min(round(recipe.crop_padding * height / 8), height - 1),
            across=min(round(recipe.crop_padding * width / 8), width - 1),
            mirrored=channels == 3 if recipe.flip is None else recipe.flip,
            hole=round(recipe.cutout * min(height, width)),
        )


def changes_images(recipe: Recipe, shape: tuple[int, int, int]) -> bool:
    """True if training sees an image differently from one epoch to the next."""
    views = Views.of(recipe, shape)
    moved = views.down or views.across or views.mirrored or views.hole or changes_photos(recipe)
    drawn = recipe.mixing != "none" or recipe.augmentation != "none" or recipe.erasing + recipe.grey > 0
    return bool(moved) or drawn


def changes_photos(recipe: Recipe) -> bool:
    """True if a recipe has one of the augmentations of ``nas.training.photo``."""
    return any((recipe.rotate, recipe.shift, recipe.vertical_flip, recipe.jitter, recipe.blur))


def views_in_words(recipe: Recipe, shape: tuple[int, int, int], why: str = "") -> str:
    """Everything that changes images on their way into training or scoring; ``why`` they are mirrored or not, if that
    was chosen from the data."""
    views = Views.of(recipe, shape)
    scored = "; scored with their mirror images (--test-flip)" if recipe.test_flip else ""
    return f"images are {', '.join(_changes(recipe, views, why, shape[0]))}{scored}"


def _changes(recipe: Recipe, views: Views, why: str, channels: int) -> Iterator[str]:
    if views.down or views.across:
        across, down = counted(views.across, "pixel"), counted(views.down, "pixel")
        border = " over a black border" if recipe.crop_border == "black" else ""
        how_far = across if views.down == views.across else f"{across} across and {down} down or up"
        yield f"shifted by up to {how_far}{border}"
    chosen = f" ({why}; --{'no-' if views.mirrored else ''}flip to change)" if why else ""
    yield f"mirrored at random{chosen}" if views.mirrored else f"not mirrored{chosen}"
    yield from _photo_changes(recipe)
    if recipe.augmentation == "trivial":
        yield "changed by one random operation of TrivialAugment"
    if recipe.grey:
        yield f"made grey (probability {recipe.grey:g})"
    if views.hole:
        filled = "" if recipe.cutout_fill is None else f" filled with {recipe.cutout_fill:g}"
        yield f"erased in a square with sides of {counted(views.hole, 'pixel')}{filled}"
    if recipe.erasing:
        area = "" if recipe.erasing_area is None else f", black, {100 * recipe.erasing_area:g} % of the area"
        yield f"erased in a random rectangle (probability {recipe.erasing:g}{area})"
    if recipe.mixing != "none":
        yield f"mixed in pairs ({recipe.mixing})"
    if recipe.oversampling != "none":
        in_colour = channels == 3 and "mirrors=true" in recipe.oversampling
        flips = ", mirrored" if views.mirrored or in_colour else ""
        how = {"random": "repeated", "augment": f"copied, rotated, shifted, recoloured, blurred{flips}"}
        yield f"and of rare classes {how.get(base_name(recipe.oversampling), f'synthesized ({recipe.oversampling})')}"


def _photo_changes(recipe: Recipe) -> Iterator[str]:
    if recipe.rotate:
        yield f"rotated by up to {recipe.rotate:g} degrees"
    if recipe.shift:
        yield f"shifted by up to {100 * recipe.shift:g} % of their sides"
    if recipe.vertical_flip:
        yield f"turned upside down (probability {recipe.vertical_flip:g})"
    if recipe.jitter:
        yield f"changed in brightness, contrast, saturation and hue by up to {100 * recipe.jitter:g} %"
    if recipe.blur:
        yield f"blurred (probability {recipe.blur:g})"
