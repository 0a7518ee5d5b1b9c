"""Classifier heads that some recipes train with, and their conversion to a linear layer.

Two things: the normalized classifier of LDAM, and logit adjustment after training. Both are a hook on the last
linear layer while the network is trained and evaluated; at the end they are folded into its weight and bias, so
that the network keeps its exact parameters and needs no code of ours to predict the same classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.config import Recipe
from nas.errors import TrialError
from nas.training.class_counts import ClassCounts
from nas.training.losses import find_loss
from search_spaces import elastic


@dataclass(frozen=True)
class Classifier:
    """Classifier head: how the last layer gives logits; with neither field as it always does."""

    # Logits are scale * cos(features, row of the weight), without bias: the normalized classifier (Cao et al. 2019).
    scale: float | None = None
    # Taken from the logits where the network is evaluated, (C,): tau times the log prior (Menon et al. 2021, eq. 9).
    shift_C: Tensor | None = None

    @classmethod
    def of(cls, recipe: Recipe, counts: ClassCounts) -> Classifier:
        """UsageError if the recipe's loss is not known."""
        return cls(
            scale=recipe.scale if find_loss(recipe.loss).cosine else None,
            shift_C=recipe.post_hoc_tau * counts.log_prior_C if recipe.post_hoc_tau else None,
        )

    @contextmanager
    def attached(self, model: nn.Module, num_classes: int) -> Iterator[None]:
        """Let ``model`` answer in this way inside the block. TrialError if it does not end in a linear layer."""
        if self.scale is None and self.shift_C is None:
            yield
            return
        _, layer = last_linear(model, num_classes)
        handle = layer.register_forward_hook(self._logits)
        try:
            yield
        finally:
            handle.remove()

    def folded(self, state: dict[str, Tensor], model: nn.Module, num_classes: int) -> dict[str, Tensor]:
        """The weights with which ``model`` predicts alone what it predicted inside ``attached``.

        A normalized classifier becomes rows of norm 1 and no bias: what is left out, the scale over the norm of
        the features, is positive and the same for all classes of an image. A shift goes into the bias, with the
        same logits up to rounding.
        """
        if self.scale is None and self.shift_C is None:
            return state
        name, _ = last_linear(model, num_classes)
        weight, bias = f"{name}.weight".lstrip("."), f"{name}.bias".lstrip(".")
        changed = dict(state)
        if self.scale is not None:
            changed[weight] = F.normalize(state[weight], dim=1)
            if bias in state:
                changed[bias] = torch.zeros_like(state[bias])
        if self.shift_C is not None:
            if bias not in state:
                raise TrialError("logit adjustment after training needs a network whose last layer has a bias")
            changed[bias] = changed[bias] - self.shift_C.to(state[bias])
        return changed

    def _logits(self, layer: nn.Module, inputs: tuple[Tensor, ...], logits_NC: Tensor) -> Tensor:
        """The hook: (N, features) in and the layer's own logits; the logits to use instead."""
        if self.scale is not None:
            # In float32: cosines in bfloat16, times a scale of 30, would be wrong by 0.1.
            with torch.autocast(logits_NC.device.type, enabled=False):
                features_NF = F.normalize(inputs[0].float(), dim=1)
                logits_NC = self.scale * F.linear(features_NF, F.normalize(_weight(layer).float(), dim=1))
        if self.shift_C is not None and not layer.training:
            logits_NC = logits_NC - self.shift_C.to(logits_NC)
        return logits_NC


CHANGED = "the recipe changes how the last layer gives logits"


def last_linear(model: nn.Module, num_classes: int, what: str = CHANGED) -> tuple[str, nn.Linear]:
    """Name and module of the layer that gives the logits; TrialError if the last linear layer does not. ``what`` is
    done with it, in words."""
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not layers or layers[-1][1].out_features != num_classes:
        raise TrialError(
            f"{what}, which must be a linear layer with {num_classes} outputs, and the network does not end in one"
        )
    return layers[-1]


def _weight(layer: nn.Module) -> Tensor:
    """The weight that the layer uses: in a supernet on a path, a part of all that it has."""
    if isinstance(layer, elastic.Linear):
        return layer.in_use()[0]
    assert isinstance(layer.weight, Tensor)
    return layer.weight
