"""How training changes the images that it sees: what a recipe means for images of one shape.

``nas.training`` carries it out, and plans say it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


def views_in_words(recipe: Recipe, shape: tuple[int, int, int], why: str = "") -> str:
    """Everything that changes images on their way into training; ``why`` they are mirrored or not, if that was chosen
    from the data."""
    views = Views.of(recipe, shape)
    return f"images are {', '.join(_changes(recipe, views, why))}"


def _changes(recipe: Recipe, views: Views, why: str) -> Iterator[str]:
    if views.down or views.across:
        across, down = counted(views.across, "pixel"), counted(views.down, "pixel")
        yield f"shifted by up to {across}" + ("" if views.down == views.across else f" across and {down} down or up")
    chosen = f" ({why}; --{'no-' if views.mirrored else ''}flip to change)" if why else ""
    yield f"mirrored at random{chosen}" if views.mirrored else f"not mirrored{chosen}"
    if recipe.augmentation == "trivial":
        yield "changed by one random operation of TrivialAugment"
    if views.hole:
        yield f"erased in a square of {views.hole} pixels"
    if recipe.mixing != "none":
        yield f"mixed in pairs ({recipe.mixing})"
    if recipe.oversampling != "none":
        flips = ", mirrored" if views.mirrored else ""
        how = {"random": "repeated", "augment": f"copied, turned, shifted, recoloured, blurred{flips}"}
        yield f"and of rare classes {how.get(recipe.oversampling, f'made up ({recipe.oversampling})')}"
