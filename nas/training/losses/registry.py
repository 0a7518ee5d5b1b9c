"""Registry of losses, and ``TrainingLoss``, which reduces the losses of a batch to one number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nas.config import Recipe
from nas.config.options import base_name, bound, declare
from nas.training.class_counts import ClassCounts, class_balanced_weights
from nas.training.mixing import Mixed
from search_spaces.registry import Registry

ROUNDING = 1e-9  # epochs by which a share of the epochs may miss the whole number that was meant

# Logits (N, C) in float32 or float64 and labels (N,) to the loss of each image (N,).
PerImage = Callable[[Tensor, Tensor], Tensor]
MakeLoss = Callable[..., PerImage]  # of a recipe and ClassCounts or None, and options by name


@dataclass(frozen=True)
class Definition:
    """A registered loss. ``cosine``: it takes ``recipe.scale`` times cosines (see ``classifier_head``) as logits."""

    make: MakeLoss
    cosine: bool = False


LOSSES: Registry[Definition] = Registry("loss", "Losses")


def register_loss(name: str, *, cosine: bool = False) -> Callable[[MakeLoss], MakeLoss]:
    """Register a loss: a function of recipe and class counts that returns a function of logits (N, C) and labels (N,).

    That function gives the loss of each image (N,). Keyword parameters after recipe and counts are options:
    ``--loss mse:reduction=sum``.

    Args:
        name: Name for ``--loss``.
        cosine: The logits are scaled cosines: the network is trained with a normalized classifier.

    Returns:
        A decorator that gives the function back.

    Raises:
        ValueError: If the name is taken.
    """

    def register(make: MakeLoss) -> MakeLoss:
        LOSSES.add(name, Definition(make, cosine))
        declare("loss", name, make, 2)
        return make

    return register


def find_loss(name: str) -> Definition:
    """The loss called ``name``, its options bound; UsageError names the nearest one."""
    found = LOSSES.find(base_name(name))
    return replace(found, make=bound("loss", name, found.make, 2))


@dataclass(frozen=True)
class TrainingLoss:
    """The loss of a recipe: of a batch, one number in at least float32.

    The mean over the images; for mixed ones each image's loss is ``share L(y_1) + (1 - share) L(y_2)``. With
    ``reweighted``, the mean weighted by ``weights_C``: ``sum_n w_y L_n / sum_n w_y``, as in the code of LDAM-DRW.
    """

    per_image: PerImage
    weights_C: Tensor | None = None  # of deferred re-weighting

    def __call__(self, logits_NC: Tensor, labels: Tensor | Mixed, *, reweighted: bool = False) -> Tensor:
        # Under autocast logits arrive as bfloat16, which has 3 digits.
        logits_NC = logits_NC if logits_NC.dtype == torch.float64 else logits_NC.float()
        if isinstance(labels, Mixed):
            parts = [(labels.first_N, labels.share_N), (labels.second_N, 1 - labels.share_N)]
            losses_N = torch.cat([share_N * self.per_image(logits_NC, label_N) for label_N, share_N in parts])
            labels_N, shares_N = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
        else:
            losses_N, labels_N, shares_N = self.per_image(logits_NC, labels), labels, None
        if not reweighted or self.weights_C is None:
            return losses_N.mean() if shares_N is None else losses_N.sum() / len(logits_NC)
        weights_N = self.weights_C.to(losses_N.dtype)[labels_N]
        total = (weights_N if shares_N is None else weights_N * shares_N).sum()
        return (weights_N * losses_N).sum() / total.clamp(min=torch.finfo(total.dtype).tiny)


def make_loss(recipe: Recipe, counts: ClassCounts | None = None) -> TrainingLoss:
    """The loss of a recipe. UsageError if there is none of its name.

    ``counts`` may be left out for "ce", "custom-ce" and "focal" without a prior and without deferred re-weighting;
    ValueError if they are missing.
    """
    per_image = find_loss(recipe.loss).make(recipe, counts)
    if recipe.prior_tau:
        per_image = with_prior(per_image, recipe.prior_tau * needed(counts).log_prior_C)
    if recipe.deferred_reweighting is None:
        return TrainingLoss(per_image)
    return TrainingLoss(per_image, class_balanced_weights(needed(counts).sampled_C, recipe.beta))


def with_prior(per_image: PerImage, shift_C: Tensor) -> PerImage:
    """A loss that sees the logits plus ``shift_C``, usually the log prior: the network itself learns to do without
    it, and answers as if all classes were equally frequent (Menon et al. 2021, equation 10)."""

    def shifted(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        return per_image(logits_NC + shift_C.to(logits_NC.dtype), labels_N)

    return shifted


def is_reweighted(recipe: Recipe, epoch: int, epochs: int) -> bool:
    """True if epoch ``epoch`` (from 1) of ``epochs`` weighs classes: deferred re-weighting (Cao et al. 2019)."""
    share = recipe.deferred_reweighting
    return share is not None and epoch - 1 >= share * epochs - ROUNDING


def needed(counts: ClassCounts | None) -> ClassCounts:
    """``counts``; ValueError if there are none."""
    if counts is None:
        raise ValueError("this loss depends on the number of images of each class: give make_loss the counts")
    return counts
