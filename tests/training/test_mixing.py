"""Mixed images and labels against their formulas, by every registered name."""

from __future__ import annotations

import pytest
import torch

from nas.config.recipe import Recipe
from nas.errors import UsageError
from nas.training.class_counts import ClassCounts
from nas.training.mixing import MIXINGS, Mixed, mix, register_mixing

LABELS = torch.arange(200) % 4
COUNTS = ClassCounts(*(torch.tensor([900.0, 350.0, 300.0, 10.0], dtype=torch.float64) for _ in range(2)))
NAMES = [name for name in MIXINGS if name != "none"]


def mixed(name: str, seed: int = 0, alpha: float = 1.0) -> tuple[torch.Tensor, Mixed]:
    """Images hold their own number in one pixel, and its square in the other."""
    number = torch.arange(200.0)
    images = torch.stack([number, number**2], dim=1).view(200, 1, 1, 2)
    recipe = Recipe(mixing=name, mixing_alpha=alpha)  # type: ignore[arg-type]
    result, labels = mix(images, LABELS, recipe, COUNTS, torch.Generator().manual_seed(seed))
    assert isinstance(labels, Mixed)
    return result, labels


@pytest.mark.parametrize("name", NAMES)
def test_images_are_convex_mixtures_of_two_of_the_batch_with_their_labels(name: str) -> None:
    images, labels = mixed(name)
    generator = torch.Generator().manual_seed(0)
    other = torch.randperm(200, generator=generator)
    assert torch.equal(labels.first_N, LABELS) and torch.equal(labels.second_N, LABELS[other])
    number, square = images[:, 0, 0].unbind(1)
    first, second = torch.arange(200.0), other.float()
    share = torch.where(first == second, 1.0, (number - second) / (first - second))
    assert ((share > -1e-4) & (share < 1 + 1e-4)).all()
    assert torch.allclose(square, share * first**2 + (1 - share) * second**2, rtol=1e-3, atol=0.5)
    if name == "mixup":
        apart = (first - second).abs() > 5
        assert torch.allclose(labels.share_N[apart], share[apart], atol=1e-3)


def test_shares_are_a_beta_distribution() -> None:
    for alpha in (0.2, 1.0, 4.0):
        shares = torch.cat([mixed("mixup", seed, alpha)[1].share_N for seed in range(25)])
        assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
        assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_class_aware_labels_lean_to_the_rarer_class() -> None:
    """Remix with kappa 3 and tau 0.5: 900 beside 350 is no majority, 900 beside 300 is one."""
    plain, aware = (torch.cat([mixed(name, seed)[1].share_N for seed in range(9)]) for name in NAMES)
    pairs = [mixed("mixup", seed)[1] for seed in range(9)]
    counts = COUNTS.drawn_C
    ratio = torch.cat([counts[pair.first_N] / counts[pair.second_N] for pair in pairs])
    expected = [
        0.0 if r >= 3 and share < 0.5 else 1.0 if r <= 1 / 3 and 1 - share < 0.5 else share
        for r, share in zip(ratio.tolist(), plain.tolist(), strict=True)
    ]
    assert aware.tolist() == pytest.approx(expected)
    assert 0.1 < (aware != plain).float().mean() < 0.9


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_bits_and_others_do_not(name: str) -> None:
    first, again, other = mixed(name), mixed(name), mixed(name, seed=1)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1].share_N, again[1].share_N)
    assert not torch.equal(first[0], other[0])


def test_without_mixing_nothing_is_drawn_or_copied() -> None:
    generator = torch.Generator().manual_seed(0)
    before, images = generator.get_state(), torch.ones(2, 1, 1, 1)
    same, labels = mix(images, LABELS[:2], Recipe(), COUNTS, generator)
    assert same is images and isinstance(labels, torch.Tensor)
    assert torch.equal(generator.get_state(), before)


def test_unknown_and_duplicate_names_are_refused() -> None:
    unknown = Recipe().model_copy(update={"mixing": "mixupp"})
    with pytest.raises(UsageError, match="Did you mean 'mixup'"):
        mix(torch.ones(2, 1, 1, 1), LABELS[:2], unknown, COUNTS, torch.Generator())
    with pytest.raises(ValueError, match="exists already"):
        register_mixing("mixup")(lambda first, second, share, counts: share)
