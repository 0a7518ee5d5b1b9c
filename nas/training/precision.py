"""Execution of a training: precision and memory format, which the recipe leaves open. Imports no torch by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nas.config.run import Precision

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Execution:
    """Order of the pixels in memory, and the type that is multiplied; the number of threads is the worker's.

    bfloat16 is torch's autocast: weights, sums over batches, losses and every evaluation stay float32.
    """

    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    precision: Literal["float32", "bfloat16"] = "float32"

    def __str__(self) -> str:
        return f"{self.memory_format}, {self.precision}"

    def place(self, model: nn.Module, device: torch.device | str) -> None:
        """Move ``model`` to ``device``, its weights in this order."""
        import torch

        model.to(device)
        if self.memory_format == "channels_last":
            model.to(memory_format=torch.channels_last)


BFLOAT16 = Execution("channels_last", "bfloat16")  # the order that tensor cores read


def usual_execution(device: torch.device) -> Execution:
    """Execution on ``device`` if nothing was measured and nothing asked for."""
    return BFLOAT16 if use_bfloat16(device) else Execution()


def use_bfloat16(device: torch.device) -> bool:
    """True if the device multiplies bfloat16 faster than float32: a GPU with such tensor cores."""
    import torch

    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def asked_execution(precision: Precision) -> Execution | None:
    """Execution of a precision that was asked for; None: what is usual on the worker's device."""
    return {"auto": None, "float32": Execution(), "bfloat16": BFLOAT16}[precision]
