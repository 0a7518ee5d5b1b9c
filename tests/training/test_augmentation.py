"""Augmentation against its definition: what a view may contain, and how views are sampled."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import RandomErasing
from torchvision.transforms.functional import pad, rgb_to_grayscale

from nas.config.recipe import Recipe
from nas.training.augmentation import augment, normalize

PLAIN = Recipe(crop_padding=0, flip=False, cutout=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, channels: int, height: int, width: int) -> torch.Tensor:
    """n equal images whose every pixel has its own value, from 1."""
    pixels = torch.arange(1, channels * height * width + 1, dtype=torch.float32)
    return pixels.view(1, channels, height, width).repeat(n, 1, 1, 1)


def test_normalize_is_the_formula() -> None:
    images = torch.randint(256, (5, 3, 4, 6), dtype=torch.uint8, generator=generator())
    mean, std = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.2, 0.3, 1.0])
    expected = (images.double() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    result = normalize(images, mean, std)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected.float())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_nothing_asked_changes_nothing(dtype: torch.dtype) -> None:
    images = torch.randint(256, (4, 3, 8, 8), generator=generator()).to(dtype)
    result = augment(images, PLAIN, generator())
    assert result.dtype == torch.float32
    assert torch.equal(result, images.float())


@pytest.mark.parametrize(("height", "width", "padding"), [(8, 8, 1), (16, 8, 2), (8, 32, 1), (9, 13, 3)])
def test_every_crop_is_a_window_of_the_padded_image(height: int, width: int, padding: int) -> None:
    images = numbered(200, 2, height, width)
    views = augment(images, PLAIN.model_copy(update={"crop_padding": padding}), generator())
    up, across = round(padding * height / 8), round(padding * width / 8)
    padded = torch.nn.functional.pad(images[:1], (across, across, up, up), mode="replicate")[0]
    windows = {
        (y, x): padded[:, y : y + height, x : x + width] for y in range(2 * up + 1) for x in range(2 * across + 1)
    }
    seen = [next(place for place, window in windows.items() if torch.equal(view, window)) for view in views]
    assert len(set(seen)) > min(len(windows), 200) // 2  # sampled for each image on its own
    assert {y for y, _ in seen} == set(range(2 * up + 1))


def test_padding_larger_than_the_image_still_works() -> None:
    views = augment(numbered(8, 1, 8, 8), PLAIN.model_copy(update={"crop_padding": 50}), generator())
    assert views.min() >= 1
    assert views.max() <= 64


@pytest.mark.parametrize(
    ("channels", "flip", "mirrored"), [(3, None, True), (1, None, False), (1, True, True), (3, False, False)]
)
def test_flip_mirrors_about_half_where_it_makes_sense(channels: int, flip: bool | None, mirrored: bool) -> None:
    images = numbered(400, channels, 4, 5)
    views = augment(images, PLAIN.model_copy(update={"flip": flip}), generator())
    is_mirrored = (views == images.flip(3)).flatten(1).all(dim=1)
    is_same = (views == images).flatten(1).all(dim=1)
    assert (is_mirrored | is_same).all()
    assert (150 < is_mirrored.sum() < 250) if mirrored else not is_mirrored.any()


@pytest.mark.parametrize(("height", "width", "share", "side"), [(8, 8, 0.25, 2), (12, 8, 0.5, 4), (32, 32, 0.25, 8)])
def test_cutout_erases_one_square_wholly_inside(height: int, width: int, share: float, side: int) -> None:
    images = numbered(300, 3, height, width)
    views = augment(images, PLAIN.model_copy(update={"cutout": share}), generator())
    hole = views == 0
    assert torch.equal(hole.any(1), hole.all(1))  # the same in every channel
    assert torch.equal(views[~hole], images[~hole])
    rows, columns = hole[:, 0].any(2), hole[:, 0].any(1)
    assert (hole[:, 0].sum((1, 2)) == side * side).all()
    assert (rows.sum(1) == side).all() and (columns.sum(1) == side).all()
    corners = set(zip(rows.int().argmax(1).tolist(), columns.int().argmax(1).tolist(), strict=True))
    assert len(corners) > 20  # each image has its own
    assert max(y for y, _ in corners) == height - side and min(y for y, _ in corners) == 0


def test_a_black_border_is_the_padding_of_torchvision() -> None:
    images = torch.randint(1, 256, (200, 3, 12, 16), dtype=torch.uint8, generator=generator())
    normal = torch.tensor([0.2, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.4])
    recipe = PLAIN.model_copy(update={"crop_padding": 1, "crop_border": "black"})
    sampling, again = generator(3), generator(3)
    views = augment(images, recipe, sampling, normal)
    padded = pad(images, [2, 2, 2, 2])
    ys, xs = (torch.randint(5, (200, 1), generator=again).flatten().tolist() for _ in range(2))
    shifted = [image[:, y : y + 12, x : x + 16] for image, y, x in zip(padded, ys, xs, strict=True)]
    torch.testing.assert_close(views, normalize(torch.stack(shifted), *normal))
    assert len(set(zip(ys, xs, strict=True))) == 25


def test_a_hole_has_the_shade_that_was_asked_for_in_every_channel() -> None:
    images = torch.randint(256, (50, 3, 32, 32), dtype=torch.uint8, generator=generator())
    mean, std = torch.tensor([0.2, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.4])
    plain = PLAIN.model_copy(update={"cutout": 0.25})
    mean_hole = augment(images, plain, generator(3), (mean, std)) == 0
    filled = augment(images, plain.model_copy(update={"cutout_fill": 0.473363}), generator(3), (mean, std))
    shades = (filled * std.view(-1, 1, 1) + mean.view(-1, 1, 1))[mean_hole.all(1, keepdim=True).expand_as(filled)]
    assert shades.numel() == 50 * 3 * 64
    torch.testing.assert_close(shades, torch.full_like(shades, 0.473363))
    whole = normalize(images, mean, std)
    assert torch.equal(filled[~mean_hole], whole[~mean_hole])


@pytest.mark.parametrize("shape", [(32, 32), (12, 20)])
def test_random_erasing_is_that_of_torchvision(shape: tuple[int, int]) -> None:
    """Single rectangles, as often as asked for; their sizes and places are distributed as torchvision samples them."""
    n, probability = 3000, 0.4
    views = augment(torch.ones(n, 2, *shape), PLAIN.model_copy(update={"erasing": probability}), generator(1))
    assert torch.equal(views[:, 0], views[:, 1]) and set(views.unique().tolist()) == {0, 1}
    hole = views[:, 0] == 0
    rows, columns = hole.any(2), hole.any(1)
    assert torch.equal(hole, rows.unsqueeze(2) & columns.unsqueeze(1))
    for line in (rows, columns):  # in one piece
        assert (line.int().diff(dim=1).abs().sum(1) + line[:, 0].int() + line[:, -1].int()).max() == 2
    erased = rows.any(1)
    assert erased.float().mean().item() == pytest.approx(probability, abs=0.03)
    found = torch.stack([rows.int().argmax(1), columns.int().argmax(1), rows.sum(1), columns.sum(1)])[:, erased].T
    torch.manual_seed(0)
    image = torch.ones(2, *shape)
    theirs = [RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3), [0.0]) for _ in range(2000)]
    expected = torch.tensor([list(each[:4]) for each in theirs])
    assert found.amax(0).tolist() == pytest.approx(expected.amax(0).tolist(), abs=3)
    for share in (0.25, 0.5, 0.75):
        one, other = (numbers.double().quantile(share, dim=0) for numbers in (found, expected))
        assert one.tolist() == pytest.approx(other.tolist(), abs=1)
    area = [(numbers[:, 2] * numbers[:, 3]).double().mean().item() / image[0].numel() for numbers in (found, expected)]
    assert area[0] == pytest.approx(area[1], rel=0.06)


def test_an_erased_area_is_as_large_as_asked_and_black_before_normalization() -> None:
    mean, std = torch.tensor([0.5, 0.4, 0.35]), torch.tensor([0.3, 0.27, 0.26])
    images = torch.full((500, 3, 40, 60), 200, dtype=torch.uint8)
    recipe = PLAIN.model_copy(update={"erasing": 1.0, "erasing_area": 0.1})
    views = augment(images, recipe, generator(2), (mean, std))
    black, plain = (normalize(torch.full_like(images, shade), mean, std)[0, :, 0, 0] for shade in (0, 200))
    hole = views[:, 0] == black[0]
    assert torch.equal(views, torch.where(hole.unsqueeze(1), black.view(3, 1, 1), plain.view(3, 1, 1)))
    areas = hole.float().mean(dim=(1, 2))
    assert areas.mean().item() == pytest.approx(0.1, rel=0.03) and (areas - 0.1).abs().max() < 0.02  # sides are whole


def test_colour_images_turn_grey_as_often_as_asked_and_as_torchvisions_do() -> None:
    images = torch.randint(256, (800, 3, 5, 6), dtype=torch.uint8, generator=generator())
    views = augment(images, PLAIN.model_copy(update={"grey": 0.3}), generator(1))
    grey = rgb_to_grayscale(images, 3).float()
    changed = (views != images).flatten(1).any(1)
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert (views[changed] - grey[changed]).abs().max() <= 1  # which rounds down
    assert torch.equal(views[~changed], images[~changed].float())
    single = images[:, :1]
    assert torch.equal(augment(single, PLAIN.model_copy(update={"grey": 1.0}), generator()), single.float())


def test_equal_seeds_give_equal_views_and_inputs_stay_as_they_are() -> None:
    images = torch.randint(256, (32, 3, 16, 16), dtype=torch.uint8, generator=generator())
    before = images.clone()
    first, second = (augment(images, Recipe(), generator(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(images, Recipe(), generator(8)))
    assert torch.equal(images, before)


def plain_view(
    images: torch.Tensor, recipe: Recipe, sampling: torch.Generator, normal: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """``augment``, an image at a time in float64 and in the order in which it is said: normalize, pad, crop, mirror,
    erase. Samples the same numbers."""
    n, channels, height, width = images.shape
    mean, std = (value.double().view(-1, 1, 1) for value in normal)
    up, across = (min(round(recipe.crop_padding * side / 8), side - 1) for side in (height, width))
    hole = round(recipe.cutout * min(height, width))

    def sample(end: int) -> list[int]:
        return torch.randint(end, (n, 1), generator=sampling).flatten().tolist()

    ys, xs = sample(2 * up + 1), sample(2 * across + 1)
    flips = sample(2) if channels == 3 else [0] * n
    tops, lefts = (sample(height - hole + 1), sample(width - hole + 1)) if hole else ([0] * n, [0] * n)
    views = []
    for image, y, x, flip, top, left in zip(images.double() / 255, ys, xs, flips, tops, lefts, strict=True):
        padded = torch.nn.functional.pad(((image - mean) / std)[None], (across, across, up, up), mode="replicate")[0]
        view = padded[:, y : y + height, x : x + width]
        view = (view.flip(2) if flip else view).clone()
        view[:, top : top + hole, left : left + hole] = 0
        views.append(view)
    return torch.stack(views)


@pytest.mark.parametrize("shape", [(40, 3, 32, 32), (40, 1, 8, 8), (7, 3, 9, 14)])
@pytest.mark.parametrize("cutout", [0, 0.25])
def test_a_batch_is_what_the_plain_form_gives_image_by_image(shape: tuple[int, ...], cutout: float) -> None:
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator())
    normal = torch.linspace(0.3, 0.6, shape[1]), torch.linspace(0.2, 0.3, shape[1])
    recipe, sampling, again = Recipe(cutout=cutout), generator(3), generator(3)
    view = augment(images, recipe, sampling, normal)
    assert view.dtype == torch.float32 and view.is_contiguous()
    torch.testing.assert_close(view, plain_view(images, recipe, again, normal).float(), rtol=1e-5, atol=1e-6)
    assert torch.equal(sampling.get_state(), again.get_state())  # as many samples, so what follows is the same too


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_runs_on_a_gpu() -> None:
    images = torch.randint(256, (32, 3, 16, 16), dtype=torch.uint8, device="cuda")
    assert augment(images, Recipe(), torch.Generator("cuda").manual_seed(0)).device.type == "cuda"
