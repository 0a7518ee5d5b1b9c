"""Everything that is known of a network that is to be exported: plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from budgets import Cost
from nas.config.recipe import Figures
from nas.trials.spec import Sample


@dataclass(frozen=True)
class ExportRequest:
    """What to export and everything that is known of it.

    ``budget`` maps the names of limits of ``budgets.Budget`` to the limits. ``metrics`` maps a split to its
    figures. ``provenance`` is free; ``confirm`` in it ({"split", "metric", "mean", "std", "runs"}) becomes a
    sentence of the model card.
    """

    out: Path
    space: str
    sample: Sample
    text: str  # the architecture in one line
    input_shape: tuple[int, int, int]
    num_classes: int
    classes: tuple[str, ...]
    mean: list[float]  # by channel, of pixels scaled to 0..1
    std: list[float]
    weights: Path
    metrics: dict[str, Figures]
    params: int
    macs: int
    size_bytes: int
    peak_memory: int
    budget: dict[str, int] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def cost(self) -> Cost:
        return Cost(self.params, self.macs, self.size_bytes, self.peak_memory)
