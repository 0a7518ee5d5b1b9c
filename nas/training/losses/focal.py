"""The softmax focal loss, which attends to images that are not classified well yet."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.config import Recipe
from nas.training.class_counts import ClassCounts
from nas.training.losses.registry import PerImage, register_loss


@register_loss("focal")
def focal(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-(1 - p_y)^gamma log p_y``, with ``p = softmax(logits)`` (Lin et al. 2017, for a softmax as in the study).

    ``1 - p_y`` is the sum of the other probabilities, taken in log space: nothing cancels, and value and
    gradient stay finite for logits of +-1e4 and any gamma. With gamma = 0 it is cross-entropy.
    """

    def per_image(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        log_p_NC = logits_NC.log_softmax(dim=1)
        label_N1 = labels_N.unsqueeze(1)
        log_rest_N = log_p_NC.scatter(1, label_N1, -torch.inf).logsumexp(dim=1)
        return -(recipe.gamma * log_rest_N).exp() * log_p_NC.gather(1, label_N1).squeeze(1)

    return per_image
