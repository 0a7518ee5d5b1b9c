"""Contract tests of supernets: with every choice made, one computes what the chosen network computes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces import Sample, SearchSpace, Task
from search_spaces.supernet import Supernet

TASK = Task((1, 8, 8), 10)


def check_supernet(space: SearchSpace, *, task: Task = TASK, count: int = 8) -> None:
    """Check every promise of this module.

    Args:
        space: The space, as ``search_spaces.get_space`` gives it.
        task: Shape of the images and number of classes.
        count: Number of samples to check.

    Raises:
        AssertionError: With the promise that was broken.
        NotRepresentable: If the space cannot be a supernet at all.
    """
    check_faithful(space, task, count=count)
    check_gradients(space, task)


def check_faithful(
    space: SearchSpace, task: Task, *, count: int = 8, dtype: torch.dtype = torch.float64, tolerance: float = 1e-9
) -> None:
    """One-hot probabilities, and indices, give what the network of the torch reading gives with the shared weights.

    For ``count`` samples, small and large. ``tolerance`` is relative to what differs between two images: the rest may
    come from the last bias alone.
    """
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, *task.input_shape, generator=generator, dtype=dtype)
    net = _supernet(space, task).to(dtype)
    for row in space.sample_over_sizes(np.random.default_rng(0), count):
        sample = space.decode(row)
        one_hot, indices = _one_hot(space, sample, dtype), _indices(space, sample)
        net.decide = partial(dict, one_hot)
        randomize_norms(net, images, generator)
        with torch.inference_mode():
            wanted = net.inherit(sample).eval()(images)
            for way, chosen in (("one-hot probabilities", one_hot), ("indices", indices)):
                net.decide = partial(dict, chosen)
                off, scale = (net(images) - wanted).norm(), (wanted[0] - wanted[1]).norm()
                assert off <= tolerance * scale, (
                    f"the supernet of {space.name}, told {space.text(sample)} by {way}, differs from that network by "
                    f"{float(off):.2g}, where two images differ by {float(scale):.2g}"
                )
                assert scale > 1e-4 * wanted.norm(), f"{space.text(sample)} gives any image the same answer"


def check_gradients(space: SearchSpace, task: Task) -> None:
    """Every choice that makes a difference to such images gets a gradient, and so does every shared weight."""
    net = _supernet(space, task).train()
    generator = torch.Generator().manual_seed(0)
    alphas = {
        choice.label: torch.randn(len(choice.values), generator=generator).mul(1e-3).requires_grad_()
        for choice in space.choices
    }
    net.decide = lambda: {label: alpha.softmax(0) for label, alpha in alphas.items()}
    images = torch.randn(8, *task.input_shape, generator=generator)
    F.cross_entropy(net(images), torch.arange(8) % task.num_classes).backward()  # type: ignore[no-untyped-call]
    for label, alpha in alphas.items():
        learns = alpha.grad is not None and alpha.grad.abs().max() > 0
        assert learns or not _matters(net, label, images), f"the choice {label} of {space.name} gets no gradient"
    idle = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    assert not idle, f"shared weights of {space.name} are left out: {idle}"


def randomize_norms(net: Supernet, images: Tensor, generator: torch.Generator) -> None:
    """Give batch norms random scales and statistics, near enough to the real ones that a signal comes through; leaves
    ``net`` in eval mode."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        net.train()(images)
        for norm in norms:
            assert norm.running_mean is not None and norm.running_var is not None
            uniform, normal = (
                sample(norm.num_features, generator=generator, dtype=images.dtype)
                for sample in (torch.rand, torch.randn)
            )
            norm.running_mean += 0.3 * normal * norm.running_var.sqrt()
            norm.running_var *= 0.5 + uniform
            norm.running_var.clamp_(min=1e-3)
            norm.weight.copy_(0.5 + uniform.flip(0))
            norm.bias.copy_(0.3 * normal.flip(0))
    net.eval()


def _supernet(space: SearchSpace, task: Task) -> Supernet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Supernet(space, task, dict)


def _indices(space: SearchSpace, sample: Sample) -> Mapping[str, int]:
    row = space.encode(sample)
    return {choice.label: int(index) for choice, index in zip(space.choices, row, strict=True)}


def _one_hot(space: SearchSpace, sample: Sample, dtype: torch.dtype) -> Mapping[str, Tensor]:
    chosen = _indices(space, sample)
    return {
        choice.label: F.one_hot(torch.tensor(chosen[choice.label]), len(choice.values)).to(dtype)
        for choice in space.choices
    }


def _matters(net: Supernet, label: str, images: Tensor) -> bool:
    """True if a choice changes what some network answers: on a map of 2x2, a kernel of 5x5 is built as one of 3x3."""
    space, rng = net.space, np.random.default_rng(0)
    last = next(len(choice.values) for choice in space.choices if choice.label == label) - 1
    net.eval()
    for sample in (space.canonical, *(space.sample(rng) for _ in range(4))):
        answers = []
        for index in (0, last):
            net.decide = partial(dict, {**_indices(space, sample), label: index})
            with torch.inference_mode():
                answers.append(net(images))
        if not torch.equal(*answers):
            return True
    return False
