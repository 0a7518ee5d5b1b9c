"""Learning from trained networks (distillation): what they answer to the very pixels that the student sees.

The loss is ``(1 - w) * loss of the labels + w * T^2 * KL(p || q)`` (Hinton, Vinyals and Dean 2015), with q the
student's softmax at temperature T and p the mean of the teachers'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.config import Recipe
from nas.config.recipe_rules import learns_evenly
from nas.config.views import changes_images
from nas.training.augmentation import normalize
from nas.training.class_counts import ClassCounts
from nas.training.precision import Execution
from nas.training.tensor_split import CPU_CHUNK, JoinedSplit, TensorSplit

Normal = tuple[Tensor, Tensor]  # mean and standard deviation per channel, on the device


@dataclass(frozen=True)
class TrainedNetwork:
    """A teacher: a network with its weights in, what it normalizes with, and whether it counts classes alike."""

    model: nn.Module
    mean: Sequence[float]
    std: Sequence[float]
    even: bool


@dataclass(frozen=True)
class Teachers:
    """Trained networks, and how much is learned from them."""

    networks: Sequence[TrainedNetwork]
    weight: float
    temperature: float


class Lesson:
    """Lesson of a student in every step of one training.

    Where training shows every image as it is, the teachers are asked once, before the first step; where it changes
    images at random, at every step, for they see what the student sees.
    """

    def __init__(
        self,
        teachers: Teachers,
        images: TensorSplit | JoinedSplit,
        recipe: Recipe,
        counts: ClassCounts,
        normal: Normal,
        execution: Execution,
    ) -> None:
        device = normal[0].device
        self.weight, self.temperature, self.execution = teachers.weight, teachers.temperature, execution
        self._asked: list[tuple[nn.Module, Normal | None, Tensor | None]] = []
        self._kept: Tensor | None = None
        prior_C = counts.real_C.clamp(min=1)
        log_prior_C = (prior_C / prior_C.sum()).log().float()
        for network in teachers.networks:
            execution.place(network.model, device)
            network.model.eval().requires_grad_(False)
            own = torch.tensor(network.mean, device=device), torch.tensor(network.std, device=device)
            shift = _shift(even=network.even, student_even=learns_evenly(recipe))
            self._asked.append((network.model, _between(normal, own), shift * log_prior_C if shift else None))
        shape = images[:1].shape[1:]
        if not changes_images(recipe, (int(shape[0]), int(shape[1]), int(shape[2]))):
            parts = range(0, len(images), CPU_CHUNK)
            self._kept = torch.cat([self.answers(normalize(images[n : n + CPU_CHUNK], *normal)) for n in parts])

    @property
    def is_kept(self) -> bool:
        """True if the teachers were asked once and for all."""
        return self._kept is not None

    @torch.no_grad()
    def answers(self, batch_NCHW: Tensor) -> Tensor:
        """The mean of the teachers' probabilities at the temperature, float32 (N, classes), for the student's batch."""
        total = None
        for model, change, shift_C in self._asked:
            seen = batch_NCHW if change is None else batch_NCHW * change[0] + change[1]
            with torch.autocast(seen.device.type, torch.bfloat16, enabled=self.execution.precision == "bfloat16"):
                logits_NC = model(seen)
            logits_NC = logits_NC.float() if shift_C is None else logits_NC.float() + shift_C
            share_NC = (logits_NC / self.temperature).softmax(dim=1)
            total = share_NC if total is None else total + share_NC
        assert total is not None
        mean_NC: Tensor = total / len(self._asked)
        return mean_NC

    def added_to(self, loss: Tensor, logits_NC: Tensor, batch_NCHW: Tensor, index_N: Tensor) -> Tensor:
        """The loss of the labels and the teachers' together; ``index_N``: which images the batch was made from."""
        target_NC: Tensor = self.answers(batch_NCHW) if self._kept is None else self._kept[index_N]
        answer_NC = (logits_NC.float() / self.temperature).log_softmax(dim=1)
        apart = F.kl_div(answer_NC, target_NC, reduction="batchmean")
        both: Tensor = (1 - self.weight) * loss + self.weight * self.temperature**2 * apart
        return both


def _shift(*, even: bool, student_even: bool) -> int:
    """Number of times that the log prior is added to a teacher's logits so that they mean what the student's do: logits
    that count classes alike lack it once (Menon et al. 2021, equation 9)."""
    return int(even) - int(student_even)


def _between(normal: Normal, own: Normal) -> Normal | None:
    """Factor and summand, by channel, from images normalized by ``normal`` to the teacher's own; None if they are the
    same."""
    (mean, std), (own_mean, own_std) = normal, own
    if torch.equal(mean, own_mean) and torch.equal(std, own_std):
        return None
    factor, summand = std / own_std, (mean - own_mean) / own_std
    return factor.view(1, -1, 1, 1), summand.view(1, -1, 1, 1)
