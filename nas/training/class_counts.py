"""Class counts, real and as sampled, for losses and mixing on imbalanced data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClassCounts:
    """Both counts are float64 (C,), on the device of the training.

    They differ after oversampling and under the class-balanced sampler. What corrects for frequency (class weights,
    priors, class-aware mixing) follows what is sampled, or it would correct twice: an oversampled set is balanced
    already. What guards against few examples (LDAM's margins) follows the real images, which sampling does not
    add to.
    """

    real_C: Tensor  # images of the training split
    sampled_C: Tensor  # in the proportion in which an epoch samples classes; sums to the images it samples from

    @classmethod
    def of(cls, real_N: Tensor, sampled_N: Tensor, num_classes: int, *, balanced: bool = False) -> ClassCounts:
        """Class counts from the labels of the training split, and of all images that an epoch samples from.

        ``balanced``: every class that has images is sampled equally often.
        """
        real_C = torch.bincount(real_N, minlength=num_classes).double()
        sampled_C = torch.bincount(sampled_N, minlength=num_classes).double()
        if balanced:
            present_C = (sampled_C > 0).double()
            sampled_C = present_C * (sampled_C.sum() / present_C.sum())
        return cls(real_C, sampled_C)

    @property
    def log_prior_C(self) -> Tensor:
        """``log(n_j / N)`` of what is sampled; a class without images counts as one that has one."""
        counts_C = self.sampled_C.clamp(min=1)
        return (counts_C / counts_C.sum()).log()


def class_balanced_weights(counts_C: Tensor, beta: float) -> Tensor:
    """``(1 - beta) / (1 - beta^n_j)``, one over the "effective number" of images (Cui et al. 2019, equation 2).

    Scaled so that they sum to the number of classes that have images; a class without any has weight 0.
    """
    if beta == 0:
        weights_C = torch.ones_like(counts_C)
    else:
        log_beta = torch.tensor(beta, dtype=counts_C.dtype, device=counts_C.device).log()
        weights_C = (1 - beta) / -torch.expm1(counts_C.clamp(min=1) * log_beta)
    present_C = counts_C > 0
    weights_C = weights_C.where(present_C, 0.0)
    return weights_C * (present_C.sum() / weights_C.sum())
