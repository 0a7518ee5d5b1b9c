"""Everything that is known of a network that is to be exported: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from baselines import FixedNetwork
from budgets import Cost
from nas.config.recipe import Metrics
from nas.config.recipe_rules import Setting
from nas.data import Dataset
from nas.data.dataset import Preprocessing
from search_spaces import Sample, Task, get_space

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Confirmation:
    """Scores of the exported architecture when it was trained again with other seeds."""

    split: str
    metric: str
    mean: float  # a share of 1
    std: float  # sample standard deviation
    runs: int  # at least 2
    probability: float | None = None  # that it is the best of those that a search confirmed
    rivals: int = 0  # the others among them

    def facts(self) -> dict[str, str | float]:
        """As an exported model gives it: without a probability that there is not."""
        known = {name: getattr(self, name) for name in ("split", "metric", "mean", "std", "runs")}
        return known | ({} if self.probability is None else {"probability": self.probability, "rivals": self.rivals})


@dataclass(frozen=True)
class Floor:
    """Score of a classical method on the same splits: a network should be above it."""

    method: str
    metric: str
    test: float  # a share of 1
    images: int  # that it was trained on
    of_images: int  # that there are to train on


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Provenance of an exported network."""

    run: str
    trial: str
    data: str
    imbalance: float  # factor of the training split
    recipe: str
    training: Mapping[str, Setting]  # the settings that decided the training
    made: Mapping[str, Setting]  # how it came about: a search's strategy, seed and trials, a study's name and member
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
            **self.made,
            "nasctl": self.nasctl,
        }


@dataclass(frozen=True)
class Calibration:
    """The temperature of a network, and what it does to the expected calibration error (0 to 1)."""

    temperature: float
    images: int  # of the split select, on which it was fitted
    error_before: float  # on rank, with logits as they are
    error_after: float  # on rank, with logits divided by the temperature


@dataclass(frozen=True)
class Extras:
    """Optional files of an exported folder; ``embedder``: all without the layer that gives the classes."""

    static: bool = False  # an ONNX file for one image at a time
    with_preprocessing: bool = False  # an ONNX file that takes uint8 pixels and gives probabilities too
    int8: bool = False
    int8_max_drop: float = 0.01  # of the objective on rank, a share of 1
    embedder: bool = False


@dataclass(frozen=True)
class Quantized:
    """Scores of the network in int8; metrics of the objective, shares of 1."""

    method: str  # how the ranges of its activations were chosen
    images: int  # of the training split, by which they were
    objective: str
    float_rank: float
    int8_rank: float
    float_test: float
    int8_test: float
    agreement: float  # share of the images of rank to which both give the same label
    num_bytes: int
    float_bytes: int


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """Request for an export: what to export and everything that is known of it.

    ``budget`` maps the names of limits of ``budgets.Budget`` to the limits. ``metrics`` maps a split to its
    metrics. ``dataset`` is what the network was trained on, if it can be had: without it the scores are not
    calibrated, and there is no int8.
    """

    out: Path
    space: str | None = None  # whose architecture ``sample`` it is; None: it is the fixed ``network``
    sample: Sample = field(default_factory=dict)
    network: FixedNetwork | None = None
    text: str  # the architecture in one line
    preprocessing: Preprocessing
    num_classes: int
    classes: tuple[str, ...]
    mean: list[float]  # by channel, of pixels scaled to 0..1
    std: list[float]
    weights: Path
    metrics: dict[str, Metrics]
    params: int
    macs: int
    size_bytes: int
    peak_memory: int  # bytes of activations, for one image
    provenance: Provenance
    test_flip: bool = False  # its metrics are of logits averaged over an image and its mirror image
    prior: Literal["uniform", "train"] = "train"  # how frequent its answers take the classes to be
    train_counts: tuple[int, ...] = ()  # images of each class to train on; () if it is not known
    budget: dict[str, int] = field(default_factory=dict)
    floor: Floor | None = None
    extras: Extras = Extras()
    objective: str = "balanced_accuracy"
    dataset: Dataset | None = field(default=None, repr=False)
    no_dataset: str = "Its data are not known"  # why there is none, a sentence without its full stop
    leaked: bool = False  # it was trained on images made from those of select and rank
    has_head: bool = True  # False: it is written without its last layer, and its cost is that of the rest
    trained_on_all: bool = False  # no image but those of test was held out
    calibration: Calibration | None = None  # measured by the export itself, and so is this:
    quantized: Quantized | None = None

    @property
    def family(self) -> str:
        """Family of the network: a space, or a fixed network."""
        return self.network.name if self.network else str(self.space)

    def build(self) -> nn.Module:
        """The network with random weights."""
        if self.network:
            return self.network.construction(self.input_shape, self.num_classes).build()
        space = get_space(str(self.space))
        return space.build(self.sample, self.input_shape, self.num_classes, has_head=self.has_head)

    @property
    def num_outputs(self) -> int:
        """Numbers that the network answers an image with: logits, or those of its embedding."""
        if self.has_head:
            return self.num_classes
        task = Task(self.input_shape, self.num_classes, has_head=False)
        return get_space(str(self.space)).structure(self.sample, task).out_shape[0]

    @property
    def output(self) -> str:
        """Name of what the network answers with."""
        return "logits" if self.has_head else "embedding"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what the network takes."""
        return self.preprocessing.shape

    @property
    def train_frequencies(self) -> npt.NDArray[np.float64]:
        """(classes,), with a sum of 1: how often each came in training; all alike if it is not known."""
        counts = np.array(self.train_counts or [1] * self.num_classes, np.float64)
        return np.asarray(counts / counts.sum())

    @property
    def frequencies(self) -> npt.NDArray[np.float64]:
        """(classes,), with a sum of 1: how often the network takes each class to come."""
        if self.prior == "train":
            return self.train_frequencies
        return np.full(self.num_classes, 1 / self.num_classes)

    def normalized(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Input of the network, for pixels (N, C, H, W), as training made it of them."""
        import torch

        from nas.training.augmentation import normalize

        return normalize(torch.from_numpy(pixels), torch.tensor(self.mean), torch.tensor(self.std)).numpy()

    @property
    def cost(self) -> Cost:
        """Cost that the search counted, and the exported files must have."""
        return Cost(self.params, self.macs, self.size_bytes, self.peak_memory)
