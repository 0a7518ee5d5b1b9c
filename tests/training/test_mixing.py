"""Mixed images and labels against their formulas; their promises are in ``nas.testing.mixings``."""

from __future__ import annotations

import pytest
import torch

from nas.config.recipe import Recipe
from nas.errors import UsageError
from nas.testing.mixings import COUNTS, LABELS_N, SIZE, check_mixing, mixed, shares_of_images
from nas.training.mixing import MIXINGS, LabelShare, Mixed, mix, mix_by, register_mixing

NAMES = [name for name in MIXINGS if name != "none"]


def label_share(name: str) -> LabelShare:
    found = MIXINGS[name]
    assert found is not None
    return found


@pytest.mark.parametrize("name", NAMES)
def test_keeps_its_promises(name: str) -> None:
    check_mixing(label_share(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_mixes_by_its_name(name: str) -> None:
    images = torch.rand(SIZE, 1, 1, 2, generator=torch.Generator().manual_seed(1))
    recipe = Recipe(mixing=name, mixing_alpha=0.3)  # type: ignore[arg-type]
    found, labels = mix(images, LABELS_N, recipe, COUNTS, torch.Generator().manual_seed(0))
    wanted, expected = mix_by(label_share(name), images, LABELS_N, 0.3, COUNTS, torch.Generator().manual_seed(0))
    assert isinstance(labels, Mixed)
    assert torch.equal(found, wanted) and torch.equal(labels.share_N, expected.share_N)


def test_the_labels_of_mixup_have_the_shares_of_the_images() -> None:
    images, labels = mixed(label_share("mixup"))
    apart = (torch.arange(SIZE) - torch.randperm(SIZE, generator=torch.Generator().manual_seed(0))).abs() > 5
    assert torch.allclose(labels.share_N[apart], shares_of_images(images)[apart], atol=1e-3)


def test_shares_are_a_beta_distribution() -> None:
    for alpha in (0.2, 1.0, 4.0):
        shares = torch.cat([mixed(label_share("mixup"), seed=seed, alpha=alpha)[1].share_N for seed in range(25)])
        assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
        assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_class_aware_labels_lean_to_the_rarer_class() -> None:
    """Remix with kappa 3 and tau 0.5: 900 beside 350 is no majority, 900 beside 300 is one."""
    plain, aware = (torch.cat([mixed(label_share(name), seed=seed)[1].share_N for seed in range(9)]) for name in NAMES)
    pairs = [mixed(label_share("mixup"), seed=seed)[1] for seed in range(9)]
    counts = COUNTS.sampled_C
    ratio = torch.cat([counts[pair.first_N] / counts[pair.second_N] for pair in pairs])
    expected = [
        0.0 if r >= 3 and share < 0.5 else 1.0 if r <= 1 / 3 and 1 - share < 0.5 else share
        for r, share in zip(ratio.tolist(), plain.tolist(), strict=True)
    ]
    assert aware.tolist() == pytest.approx(expected)
    assert 0.1 < (aware != plain).float().mean() < 0.9


def test_without_mixing_nothing_is_sampled_or_copied() -> None:
    generator = torch.Generator().manual_seed(0)
    before, images = generator.get_state(), torch.ones(2, 1, 1, 1)
    same, labels = mix(images, LABELS_N[:2], Recipe(), COUNTS, generator)
    assert same is images and isinstance(labels, torch.Tensor)
    assert torch.equal(generator.get_state(), before)


def test_unknown_and_duplicate_names_are_refused() -> None:
    unknown = Recipe().model_copy(update={"mixing": "mixupp"})
    with pytest.raises(UsageError, match="Did you mean 'mixup'"):
        mix(torch.ones(2, 1, 1, 1), LABELS_N[:2], unknown, COUNTS, torch.Generator())
    with pytest.raises(ValueError, match="exists already"):
        register_mixing("mixup")(lambda first, second, share, counts: share)
