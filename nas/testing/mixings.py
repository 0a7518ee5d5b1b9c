"""Contract tests of mixings: images are mixtures of two of the batch, labels shares of their two classes.

``label_share`` is what ``register_mixing`` decorates: both labels, the first image's share and class counts in, the
first label's share out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nas.training.class_counts import ClassCounts
from nas.training.mixing import LabelShare, Mixed, mix_by

SIZE = 200  # images of a batch
LABELS_N = torch.arange(SIZE) % 4
COUNTS = ClassCounts(*(torch.tensor([900.0, 350.0, 300.0, 10.0], dtype=torch.float64) for _ in range(2)))


def check_mixing(label_share: LabelShare) -> None:
    """Check every promise of this module.

    Args:
        label_share: The mixing, as ``register_mixing`` takes it.

    Raises:
        AssertionError: With the promise that was broken.
    """
    check_shares(label_share)
    check_mixtures(label_share)
    check_seeds(label_share)


def mixed(label_share: LabelShare, *, seed: int = 0, alpha: float = 1.0) -> tuple[Tensor, Mixed]:
    """A mixed batch whose images held their own number in one pixel, and its square in the other."""
    number = torch.arange(float(SIZE))
    images = torch.stack([number, number**2], dim=1).view(SIZE, 1, 1, 2)
    return mix_by(label_share, images, LABELS_N, alpha, COUNTS, torch.Generator().manual_seed(seed))


def check_shares(label_share: LabelShare) -> None:
    """Shares of labels are float32, one a pair, from 0 to 1; nothing is sampled for them and no argument is changed."""
    given = LABELS_N, LABELS_N.roll(1), torch.linspace(0, 1, SIZE)
    before = [tensor.clone() for tensor in given]
    state = torch.random.get_rng_state()
    first, again = (label_share(*given, COUNTS) for _ in range(2))
    assert first.shape == (SIZE,), f"{SIZE} pairs have shares of shape {tuple(first.shape)}"
    assert first.dtype == torch.float32, f"shares of labels are {first.dtype}, not float32"
    assert ((first >= 0) & (first <= 1)).all(), "a share of a label is below 0 or above 1"
    assert torch.equal(first, again) and torch.equal(state, torch.random.get_rng_state()), (
        "shares of labels are sampled"
    )
    assert all(map(torch.equal, given, before)), "the labels or the shares of the images were changed in place"


def check_mixtures(label_share: LabelShare) -> None:
    """Images are convex mixtures of two of the batch, and come with the labels of both."""
    images, labels = mixed(label_share)
    other = torch.randperm(SIZE, generator=torch.Generator().manual_seed(0))
    right = torch.equal(labels.first_N, LABELS_N) and torch.equal(labels.second_N, LABELS_N[other])
    assert right, "mixed images do not have the labels of the two that they are made of"
    share = shares_of_images(images)
    assert ((share > -1e-4) & (share < 1 + 1e-4)).all(), "an image is not a mixture of two: a share is outside 0 to 1"
    first, second = torch.arange(float(SIZE)), other.float()
    expected = share * first**2 + (1 - share) * second**2
    assert torch.allclose(images[:, 0, 0, 1], expected, rtol=1e-3, atol=0.5), "the pixels of an image mix unequally"


def check_seeds(label_share: LabelShare) -> None:
    """Equal seeds give equal bits, and others do not."""
    first, again, other = mixed(label_share), mixed(label_share), mixed(label_share, seed=1)
    equal = torch.equal(first[0], again[0]) and torch.equal(first[1].share_N, again[1].share_N)
    assert equal, "the same seed gave other mixtures"
    assert not torch.equal(first[0], other[0]), "another seed gave the same mixtures"


def shares_of_images(images: Tensor) -> Tensor:
    """The share of the first image in each of ``mixed`` with seed 0, (SIZE,); 1 where it was mixed with itself."""
    first = torch.arange(float(SIZE))
    second = torch.randperm(SIZE, generator=torch.Generator().manual_seed(0)).float()
    return torch.where(first == second, 1.0, (images[:, 0, 0, 0] - second) / (first - second))
