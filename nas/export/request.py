"""Everything that is known of a network that is to be exported: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from budgets import Cost
from nas.config.recipe import Figures
from nas.config.recipe_rules import Setting
from search_spaces import Sample


@dataclass(frozen=True)
class Confirmation:
    """How the exported architecture did when it was trained again with other seeds."""

    split: str
    metric: str
    mean: float  # a share of 1
    std: float  # sample standard deviation
    runs: int  # at least 2


@dataclass(frozen=True)
class Floor:
    """What a classical method reaches on the same splits: a network should be above it."""

    method: str
    metric: str
    test: float  # a share of 1
    images: int  # that it was trained on
    of_images: int  # that there are to train on


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where an exported network comes from."""

    run: str
    trial: str
    data: str
    imbalance: float  # factor of the training split
    recipe: str
    training: Mapping[str, Setting]  # the settings that decided the training
    strategy: str
    seed: int
    trials: int  # of the search
    nasctl: str  # version
    confirm: Confirmation | None = None  # None: trained again less than twice

    def facts(self) -> dict[str, Setting | Mapping[str, Setting]]:
        """Everything but ``confirm`` under the names that an exported model gives it, in their order."""
        return {
            "run": self.run,
            "trial": self.trial,
            "data": self.data,
            "imbalance of the training split": self.imbalance,
            "recipe": self.recipe,
            "training": self.training,
            "strategy": self.strategy,
            "seed": self.seed,
            "trials": self.trials,
            "nasctl": self.nasctl,
        }


@dataclass(frozen=True)
class ExportRequest:
    """What to export and everything that is known of it.

    ``budget`` maps the names of limits of ``budgets.Budget`` to the limits. ``metrics`` maps a split to its
    figures.
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
    peak_memory: int  # bytes of activations, for one image
    provenance: Provenance
    fit: Literal["resize", "pad"] = "resize"  # how a picture of another size was brought to the input's
    levels: tuple[float, float] = (0.0, 65535.0)  # black and white of pictures deeper than 8 bits
    prior: Literal["uniform", "train"] = "train"  # how frequent its answers take the classes to be
    budget: dict[str, int] = field(default_factory=dict)
    floor: Floor | None = None

    @property
    def cost(self) -> Cost:
        """What the search counted, and the exported files must have."""
        return Cost(self.params, self.macs, self.size_bytes, self.peak_memory)
