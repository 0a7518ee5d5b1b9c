"""The exponential moving average of a network's weights, which is scored and kept in their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

# The decay after t updates is at most (1 + t) / (10 + t), so that short trainings do not keep their first weights: the
# rule of TensorFlow's ExponentialMovingAverage with ``num_updates``.
FIRST, SLOWNESS = 1.0, 10.0


class WeightAverage:
    """``average = d * average + (1 - d) * weight`` after every step, for the weights that learn and for the running
    statistics of batch normalization.

    The statistics are averaged with the weights, as in timm's ModelEma, and not computed anew: that would read training
    images again before every evaluation, and those of a step are an average over steps already.
    All that differs from step to step lies on the weights' device, so that a step can be captured with its update.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.decay = decay
        self.current: list[Tensor] = [*learning, *(each for each in model.buffers() if each.is_floating_point())]
        with torch.no_grad():
            self.average = [tensor.detach().clone() for tensor in self.current]
        self._updates = torch.zeros((), device=self.current[0].device)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now. Waits for nothing on the device."""
        kept = ((self._updates + FIRST) / (self._updates + SLOWNESS)).clamp(max=self.decay)
        change = torch._foreach_sub(self.current, self.average)
        torch._foreach_mul_(change, 1 - kept)
        torch._foreach_add_(self.average, change)
        self._updates += 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the model has the averaged weights. They are written where its own lie, since captured CUDA
        graphs know that place alone, and its own come back."""
        with torch.no_grad():
            own = [tensor.detach().clone() for tensor in self.current]
            torch._foreach_copy_(self.current, self.average)
            try:
                yield
            finally:
                torch._foreach_copy_(self.current, own)
