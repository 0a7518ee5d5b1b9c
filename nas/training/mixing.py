"""Mixtures of training images by name: a batch of images and labels in, mixed images and two labels each out.

Works on the device of the batch and samples from a generator of that device; any loss takes the result, as the
mixture of its losses for both labels. A new mixing is one decorated function here; the contract tests run over
every registered name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.config import Recipe
from nas.config.options import base_name, bound, declare
from nas.training.class_counts import ClassCounts
from search_spaces.registry import Registry

REMIX_KAPPA = 3.0  # times more images that make a class a majority beside another
REMIX_TAU = 0.5  # share of the image below which a majority loses its label


@dataclass(frozen=True)
class Mixed:
    """Labels of mixed images: both classes (N,), int64, and the share of the first, float32 (N,)."""

    first_N: Tensor
    second_N: Tensor
    share_N: Tensor


# Labels of the two images (N,), share of the first image (N,), counts -> share of the first label (N,).
# Options may follow by name.
LabelShare = Callable[..., Tensor]

MIXINGS: Registry[LabelShare | None] = Registry("mixing", "Mixings", [("none", None)])


def register_mixing(name: str) -> Callable[[LabelShare], LabelShare]:
    """Register a mixing: a function that gives each pair's share of the first image's label (N,).

    Parameters after the four are options: ``--mixup cut:least=0.2``.

    Args:
        name: Name for ``--mixup``.

    Returns:
        A decorator that gives the function back.

    Raises:
        ValueError: If the name is taken.
    """

    def register(label_share: LabelShare) -> LabelShare:
        MIXINGS.add(name, label_share)
        declare("mixing", name, label_share, 4)
        return label_share

    return register


@register_mixing("mixup")
def mixup(first_N: Tensor, second_N: Tensor, share_N: Tensor, counts: ClassCounts) -> Tensor:
    """``x = l x_i + (1 - l) x_j`` and ``y = l y_i + (1 - l) y_j``, l from Beta(alpha, alpha) (Zhang et al. 2018)."""
    return share_N


@register_mixing("class-aware-mixup")
def remix(first_N: Tensor, second_N: Tensor, share_N: Tensor, counts: ClassCounts) -> Tensor:
    """Remix (Chou et al. 2020, equation 8): images mix as in mixup, the label leans to the rarer class.

    The share of y_i is 0 if ``n_i / n_j >= kappa`` and ``l < tau``; 1 if ``n_i / n_j <= 1 / kappa`` and
    ``1 - l < tau``; else l; with kappa = 3 and tau = 0.5. n counts the images that training samples.
    """
    ratio_N = counts.sampled_C[first_N] / counts.sampled_C[second_N]
    to_second_N = (ratio_N >= REMIX_KAPPA) & (share_N < REMIX_TAU)
    to_first_N = (ratio_N <= 1 / REMIX_KAPPA) & (1 - share_N < REMIX_TAU)
    return share_N.masked_fill(to_second_N, 0.0).masked_fill(to_first_N, 1.0)


def mix(
    images_NCHW: Tensor, labels_N: Tensor, recipe: Recipe, counts: ClassCounts, generator: torch.Generator
) -> tuple[Tensor, Tensor | Mixed]:
    """Each image mixed with another of the batch by the recipe; without mixing, both as they came.

    UsageError if there is no such mixing.
    """
    label_share = MIXINGS.find(base_name(recipe.mixing))
    if label_share is None:
        return images_NCHW, labels_N
    label_share = bound("mixing", recipe.mixing, label_share, 4)
    return mix_by(label_share, images_NCHW, labels_N, recipe.mixing_alpha, counts, generator)


def mix_by(
    label_share: LabelShare, images_NCHW: Tensor, labels_N: Tensor, alpha: float, counts: ClassCounts,
    generator: torch.Generator,
) -> tuple[Tensor, Mixed]:  # fmt: skip
    """Each image mixed with another of the batch; every pair has a share of its own, from Beta(alpha, alpha)."""
    size, device = len(labels_N), images_NCHW.device
    other = torch.randperm(size, generator=generator, device=device)
    # Beta(a, a) as the share of one of two gamma variates: torch.distributions takes no generator.
    shapes = torch.full((2, size), alpha, device=device, dtype=torch.float64)
    gammas = torch._standard_gamma(shapes, generator=generator) + torch.finfo(torch.float64).tiny
    share_N = (gammas[0] / gammas.sum(0)).float()
    pixel_share = share_N.view(-1, 1, 1, 1)
    second_N = labels_N[other]
    mixed = pixel_share * images_NCHW + (1 - pixel_share) * images_NCHW[other]
    return mixed, Mixed(labels_N, second_N, label_share(labels_N, second_N, share_N, counts))
