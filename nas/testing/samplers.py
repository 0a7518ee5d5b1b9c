"""Contract tests of samplers: as many positions as were asked for, by the generator alone.

``make`` is what ``register_sampler`` decorates: the images of an epoch in, a function that samples positions out.
"""

from __future__ import annotations

import torch

from nas.training.sampling import MakeSampler
from nas.training.tensor_split import JoinedSplit, TensorSplit


def check_sampler(make: MakeSampler) -> None:
    """Check that positions are (count,), int64 and inside the images, of one split and of two that are read as one.

    They are the same for the same seed, and other ones for another.

    Args:
        make: The sampler, as ``register_sampler`` takes it.

    Raises:
        AssertionError: With the promise that was broken.
    """
    one, two = _split([0] * 90 + [2] * 9 + [4]), _split([0] * 5 + [1] * 20)
    for images in (one, JoinedSplit(one, two)):
        sample = make(images)
        for count in (1, len(images)):
            sampled, again, other = (sample(count, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
            assert sampled.shape == (count,), f"{count} positions were asked for, and shape {tuple(sampled.shape)} came"
            assert sampled.dtype == torch.int64, f"positions are {sampled.dtype}, not int64"
            inside = (sampled >= 0) & (sampled < len(images))
            assert inside.all(), f"a position is not one of {len(images)} images"
            assert torch.equal(sampled, again), "the same seed gave other positions"
        assert not torch.equal(sampled, other), "another seed gave the same positions in the same order"


def _split(labels: list[int]) -> TensorSplit:
    return TensorSplit(torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8), torch.tensor(labels))
