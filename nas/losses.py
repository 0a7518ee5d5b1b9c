"""Losses by name. Each maps logits (N, C) and labels (N,) to a scalar, computed in at least float32.

A new loss is one decorated function here; the contract tests run over every registered name.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.errors import find_named

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {}

WRONG_CLASS_WEIGHT = 0.1  # of the second term of the custom cross-entropy


def register_loss(name: str) -> Callable[[Loss], Loss]:
    """Make a loss known as ``name``; ValueError if the name is taken."""

    def register(loss: Loss) -> Loss:
        if name in LOSSES:
            raise ValueError(f"a loss named {name!r} exists already")
        LOSSES[name] = loss
        return loss

    return register


def get_loss(name: str) -> Loss:
    """The loss called ``name``; UsageError names the nearest one."""
    return find_named(LOSSES, name, "loss", "Losses")


@register_loss("ce")
def cross_entropy(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
    """Mean over the batch of ``-log p_y``, with ``p = softmax(logits)``; in nats."""
    return F.cross_entropy(_full_precision(logits_NC), labels_N)


@register_loss("custom-ce")
def custom_cross_entropy(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
    """``-mean_n[log p_y] - 0.1 * mean_n[sum over j != y of log(1 - p_j)]``, with ``p = softmax(logits)``.

    Cross-entropy plus the unlikelihood objective of Welleck et al. 2020 ("Neural Text Generation with
    Unlikelihood Training", equation 4) with every wrong class as a candidate. Needs two classes or more;
    value and gradient stay finite for logits of +-1e4.
    """
    log_p_NC = _full_precision(logits_NC).log_softmax(dim=1)
    label_N1 = labels_N.unsqueeze(1)
    wrong_N = log_one_minus_p(log_p_NC).scatter(1, label_N1, 0.0).sum(dim=1)
    return -(log_p_NC.gather(1, label_N1).squeeze(1) + WRONG_CLASS_WEIGHT * wrong_N).mean()


def log_one_minus_p(log_p_NC: Tensor) -> Tensor:
    """``log(1 - p)`` of every class, from log-probabilities, without cancellation.

    Only the likeliest class can have p above a half, where ``1 - p`` cancels: there it is the sum of the
    other probabilities, so its logarithm is their logsumexp. For the rest ``log1p(-p)`` is exact.
    """
    top_N1 = log_p_NC.argmax(dim=1, keepdim=True)
    others_NC = log_p_NC.scatter(1, top_N1, -torch.inf)  # p of the likeliest becomes 0: no gradient there
    return torch.log1p(-others_NC.exp()).scatter(1, top_N1, others_NC.logsumexp(dim=1, keepdim=True))


def _full_precision(logits: Tensor) -> Tensor:
    """float32 at least: under autocast logits arrive as bfloat16, which has 3 digits."""
    return logits if logits.dtype == torch.float64 else logits.float()
