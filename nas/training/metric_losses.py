"""Metric losses: losses on embeddings, the inputs of the last linear layer, added to that on the logits.

They bring images of one class together and those of others apart. Everything is computed in float32 (or float64, if
that is given), in tensors of fixed shape and without waiting for the device, so that a step can be captured.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.config import Recipe
from nas.training.classifier_head import last_linear
from nas.training.mixing import Mixed

WEIGHTS = {"triplet": 1.0, "triplet-semi-hard": 1.0, "center": 0.003}  # the last as in Wen et al. 2016
UNIT_FLOOR = 1e-6  # beside a squared norm: embeddings of zero have a finite gradient


class MetricLoss(Protocol):
    """Embeddings (N, D) and labels (N,) to one number."""

    def __call__(self, embeddings_ND: Tensor, labels_N: Tensor) -> Tensor: ...


def batch_hard_triplet(embeddings_ND: Tensor, labels_N: Tensor, margin: float) -> Tensor:
    """``mean_a max(0, margin + max_p d(a, p) - min_n d(a, n))``: batch hard (Hermans et al. 2017, equation 5).

    Each image is the anchor of one triplet, with the farthest image of its class and the nearest of another one in the
    batch; d is the Euclidean distance. Anchors without either do not count; without any anchor it is 0.
    """
    distance_NN = _distances(embeddings_ND)
    same_NN = labels_N.unsqueeze(1) == labels_N
    positive_NN = same_NN & ~_diagonal(same_NN)
    usable_N = positive_NN.any(1) & ~same_NN.all(1)
    far_N = distance_NN.masked_fill(~positive_NN, -torch.inf).max(1).values.where(usable_N, 0.0)
    near_N = distance_NN.masked_fill(same_NN, torch.inf).min(1).values.where(usable_N, 0.0)
    return _mean_where(F.relu(margin + far_N - near_N), usable_N)


def semi_hard_triplet(embeddings_ND: Tensor, labels_N: Tensor, margin: float) -> Tensor:
    """``mean_(a, p) max(0, margin + d(a, p) - d(a, n))`` with a semi-hard n (Schroff et al. 2015, equations 1 and 4).

    Every pair of one class in the batch has a triplet, with the nearest image of another class that is farther from
    the anchor than the positive; where there is none, with the farthest. d is the squared Euclidean distance of
    embeddings on the unit sphere. Without any such pair it is 0.
    """
    unit_ND = embeddings_ND * (embeddings_ND.square().sum(1, keepdim=True) + UNIT_FLOOR).rsqrt()
    distance_NN = _distances(unit_ND).square()
    same_NN = labels_N.unsqueeze(1) == labels_N
    usable_NN = same_NN & ~_diagonal(same_NN) & ~same_NN.all(1, keepdim=True)
    negatives_NN = distance_NN.masked_fill(same_NN, torch.inf).sort(1).values  # nearest first
    last_N1 = ((~same_NN).sum(1, keepdim=True) - 1).clamp(min=0)
    place_NN = torch.searchsorted(negatives_NN.detach(), distance_NN.detach().contiguous(), right=True)
    chosen_NN = negatives_NN.gather(1, place_NN.minimum(last_N1))
    losses_NN = F.relu(margin + distance_NN - chosen_NN.where(usable_NN, 0.0))
    return _mean_where(losses_NN, usable_NN)


class CenterLoss:
    """``mean_n |x_n - c_y|^2 / 2`` with a center a class (Wen et al. 2016, equation 2, as a mean over the batch).

    The centers (C, D) begin at 0, and learn by a rule and at a rate of their own (equation 4): with each batch
    ``c_j -= rate * sum_(n of j) (c_j - x_n) / (1 + N_j)``, after the loss is taken.
    """

    def __init__(self, num_classes: int, features: int, rate: float, device: torch.device) -> None:
        self.rate = rate
        self.centers_CD = torch.zeros(num_classes, features, device=device)

    def __call__(self, embeddings_ND: Tensor, labels_N: Tensor) -> Tensor:
        """The loss; the centers then move."""
        loss = (embeddings_ND - self.centers_CD[labels_N].to(embeddings_ND.dtype)).square().sum(1).mean() / 2
        with torch.no_grad():
            # As a product, since adding by index has no fixed order on a GPU.
            class_C1 = torch.arange(len(self.centers_CD), device=labels_N.device).unsqueeze(1)
            one_CN = (class_C1 == labels_N).to(self.centers_CD.dtype)
            count_C1 = one_CN.sum(1, keepdim=True)
            sum_CD = one_CN @ embeddings_ND.detach().to(self.centers_CD)
            self.centers_CD -= self.rate * (count_C1 * self.centers_CD - sum_CD) / (1 + count_C1)
        return loss


class MetricTerm:
    """Metric loss of one training: takes the embeddings of each forward pass, and adds its part to the loss."""

    def __init__(self, recipe: Recipe, model: nn.Module, num_classes: int, device: torch.device) -> None:
        """TrialError if ``model`` does not end in a linear layer."""
        what = f"the metric loss {recipe.metric_loss} reads what enters the last layer"
        _, self.layer = last_linear(model, num_classes, what)
        self.weight = WEIGHTS[recipe.metric_loss] if recipe.metric_weight is None else recipe.metric_weight
        self.classification_weight = recipe.classification_weight
        self.loss_of = make_metric_loss(recipe, num_classes, self.layer.in_features, device)

    def forward(self, model: nn.Module, batch_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of a batch, and its embeddings (N, D)."""
        taken: list[Tensor] = []
        handle = self.layer.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
        try:
            logits_NC = model(batch_NCHW)
        finally:
            handle.remove()
        return logits_NC, taken[0].flatten(1)

    def of(self, embeddings_ND: Tensor, labels_N: Tensor | Mixed) -> Tensor:
        """The loss of embeddings of any precision, without its weight."""
        assert isinstance(labels_N, Tensor)  # mixing is refused: see ``recipe_rules``
        exact_ND = embeddings_ND if embeddings_ND.dtype == torch.float64 else embeddings_ND.float()
        with torch.autocast(embeddings_ND.device.type, enabled=False):
            return self.loss_of(exact_ND, labels_N)

    def added_to(self, loss: Tensor, metric: Tensor) -> Tensor:
        """Both together: ``w_c * loss + w_m * metric``."""
        if not self.classification_weight:  # so that a loss that is not asked for has no gradient, not even of 0
            return self.weight * metric
        return self.classification_weight * loss + self.weight * metric


def make_metric_term(recipe: Recipe, model: nn.Module, num_classes: int, device: torch.device) -> MetricTerm | None:
    """The metric loss of a recipe; None if it has none."""
    return None if recipe.metric_loss == "none" else MetricTerm(recipe, model, num_classes, device)


def make_metric_loss(recipe: Recipe, num_classes: int, features: int, device: torch.device) -> MetricLoss:
    """The function of a recipe's metric loss, which is not "none"; that of centers has them as its state."""
    margin = recipe.triplet_margin
    match recipe.metric_loss:
        case "triplet":
            return lambda embeddings_ND, labels_N: batch_hard_triplet(embeddings_ND, labels_N, margin)
        case "triplet-semi-hard":
            return lambda embeddings_ND, labels_N: semi_hard_triplet(embeddings_ND, labels_N, margin)
    assert recipe.metric_loss == "center"
    return CenterLoss(num_classes, features, recipe.center_rate, device)


def _distances(embeddings_ND: Tensor) -> Tensor:
    """Euclidean distances (N, N), exact for near ones too, whose gradient where they are 0 is 0."""
    return torch.cdist(embeddings_ND, embeddings_ND, compute_mode="donot_use_mm_for_euclid_dist")


def _diagonal(like_NN: Tensor) -> Tensor:
    return torch.eye(len(like_NN), dtype=torch.bool, device=like_NN.device)


def _mean_where(losses: Tensor, usable: Tensor) -> Tensor:
    return losses.where(usable, 0.0).sum() / usable.sum().clamp(min=1)
