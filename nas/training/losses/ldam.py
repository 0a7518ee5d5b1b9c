"""LDAM: larger margins for rarer classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.config import Recipe
from nas.training.class_counts import ClassCounts
from nas.training.losses.registry import PerImage, needed, register_loss


@register_loss("ldam", cosine=True)
def ldam(recipe: Recipe, counts: ClassCounts | None) -> PerImage:
    """``-log p_y`` with ``p = softmax(z)``, ``z_y = s (cos_y - m_y)`` and ``z_j = s cos_j`` for the other classes.

    Label-distribution-aware margin loss (Cao et al. 2019, equation 13): ``m_j`` is proportional to ``n_j^(-1/4)``
    and the largest is ``recipe.margin``; n counts real images. Takes ``s cos`` as logits, as the normalized
    classifier of ``nas.training.classifier_head`` gives them.
    """
    real_C = needed(counts).real_C
    margin_C = real_C.clamp(min=1).pow(-0.25).where(real_C > 0, 0.0)  # a class without images is never a label
    margin_C = recipe.scale * recipe.margin * margin_C / margin_C.max()

    def per_image(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        label_N1 = labels_N.unsqueeze(1)
        margin_N1 = margin_C.to(logits_NC.dtype)[label_N1]
        return F.cross_entropy(
            logits_NC - torch.zeros_like(logits_NC).scatter(1, label_N1, margin_N1), labels_N, reduction="none"
        )

    return per_image
