"""The origin study's custom cross-entropy, which also pushes the wrong classes down."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.config import Recipe
from nas.training.class_counts import ClassCounts
from nas.training.losses.cross_entropy import smooth_target
from nas.training.losses.registry import PerImage, register_loss


@register_loss("custom-ce")
def custom_cross_entropy(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-log p_y - a * sum over j != y of log(1 - p_j)``, with ``p = softmax(logits)`` and a the
    ``wrong_class_weight``, 0.1 unless told.

    Cross-entropy plus the unlikelihood objective of Welleck et al. 2020 ("Neural Text Generation with
    Unlikelihood Training", equation 4) with every wrong class as a candidate. Needs two classes or more;
    value and gradient stay finite for logits of +-1e4. With ``label_smoothing`` e the mean loss of a label that is
    the image's with 1 - e and one sampled from ``smooth_target`` else, as of cross-entropy.
    """
    if recipe.label_smoothing:
        return _smoothed(recipe, counts)

    def per_image(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        log_p_NC = logits_NC.log_softmax(dim=1)
        label_N1 = labels_N.unsqueeze(1)
        wrong_N = log_one_minus_p(log_p_NC).scatter(1, label_N1, 0.0).sum(dim=1)
        return -(log_p_NC.gather(1, label_N1).squeeze(1) + recipe.wrong_class_weight * wrong_N)

    return per_image


def _smoothed(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-sum_j q_j log p_j - a * sum_j (1 - q_j) log(1 - p_j)`` for ``q = (1 - e) [j = y] + e u``."""
    smoothing, target_C = recipe.label_smoothing, smooth_target(recipe, counts)

    def per_image(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        log_p_NC = logits_NC.log_softmax(dim=1)
        even_C = torch.full_like(log_p_NC[0], 1 / log_p_NC.shape[1])
        q_NC = (smoothing * (even_C if target_C is None else target_C.to(even_C))).expand_as(log_p_NC)
        q_NC = q_NC.scatter_add(1, labels_N.unsqueeze(1), torch.full_like(log_p_NC[:, :1], 1 - smoothing))
        wrong_NC = (1 - q_NC) * log_one_minus_p(log_p_NC)
        return -(q_NC * log_p_NC + recipe.wrong_class_weight * wrong_NC).sum(dim=1)

    return per_image


def log_one_minus_p(log_p_NC: Tensor) -> Tensor:
    """``log(1 - p)`` of every class, from log-probabilities, without cancellation.

    Only the likeliest class can have p above a half, where ``1 - p`` cancels: there it is the sum of the
    other probabilities, so its logarithm is their logsumexp. For the rest ``log1p(-p)`` is exact.
    """
    top_N1 = log_p_NC.argmax(dim=1, keepdim=True)
    others_NC = log_p_NC.scatter(1, top_N1, -torch.inf)  # p of the likeliest becomes 0: no gradient there
    return torch.log1p(-others_NC.exp()).scatter(1, top_N1, others_NC.logsumexp(dim=1, keepdim=True))
