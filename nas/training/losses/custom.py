"""The origin study's custom cross-entropy, which also pushes the wrong classes down."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.config import Recipe
from nas.training.class_counts import ClassCounts
from nas.training.losses.registry import PerImage, register_loss


@register_loss("custom-ce")
def custom_cross_entropy(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-log p_y - a * sum over j != y of log(1 - p_j)``, with ``p = softmax(logits)`` and a the
    ``wrong_class_weight``, 0.1 unless told.

    Cross-entropy plus the unlikelihood objective of Welleck et al. 2020 ("Neural Text Generation with
    Unlikelihood Training", equation 4) with every wrong class as a candidate. Needs two classes or more;
    value and gradient stay finite for logits of +-1e4.
    """

    def per_image(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        log_p_NC = logits_NC.log_softmax(dim=1)
        label_N1 = labels_N.unsqueeze(1)
        wrong_N = log_one_minus_p(log_p_NC).scatter(1, label_N1, 0.0).sum(dim=1)
        return -(log_p_NC.gather(1, label_N1).squeeze(1) + recipe.wrong_class_weight * wrong_N)

    return per_image


def log_one_minus_p(log_p_NC: Tensor) -> Tensor:
    """``log(1 - p)`` of every class, from log-probabilities, without cancellation.

    Only the likeliest class can have p above a half, where ``1 - p`` cancels: there it is the sum of the
    other probabilities, so its logarithm is their logsumexp. For the rest ``log1p(-p)`` is exact.
    """
    top_N1 = log_p_NC.argmax(dim=1, keepdim=True)
    others_NC = log_p_NC.scatter(1, top_N1, -torch.inf)  # p of the likeliest becomes 0: no gradient there
    return torch.log1p(-others_NC.exp()).scatter(1, top_N1, others_NC.logsumexp(dim=1, keepdim=True))
