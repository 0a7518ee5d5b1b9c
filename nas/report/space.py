"""What a space holds under a budget: the share that fits, examples over all sizes, and what a trial takes here."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from budgets import Budget, Cost, Costs
from budgets.draw import pick
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig
from nas.data import Dataset
from search_spaces import Sample, SearchSpace, get_space

DRAWS = 100_000
NUM_EXAMPLES = 5
TIMED_STEPS = 6


@dataclass(frozen=True)
class Share:
    """The share of a space that fits, from ``drawn`` uniform samples, with its standard error."""

    drawn: int
    fitting: int

    @property
    def share(self) -> float:
        return self.fitting / self.drawn

    @property
    def error(self) -> float:
        return math.sqrt(self.share * (1 - self.share) / self.drawn)

    def __str__(self) -> str:
        if self.fitting == 0:  # the rule of three: with 95 % confidence
            return f"less than {300 / self.drawn:.3f} % (none of {self.drawn:,} drawn)"
        return f"{100 * self.share:.3g} % ± {100 * self.error:.1g} (of {self.drawn:,} drawn)"


def examples_of(
    space: SearchSpace, rows: npt.NDArray[np.int16], costs: Costs, rng: np.random.Generator
) -> list[tuple[Sample, Cost]]:
    """Up to five samples over the whole range of sizes, the smallest first."""
    chosen: set[int] = set()
    for _ in range(50):
        if len(chosen) == min(NUM_EXAMPLES, len(rows)):
            break
        chosen.add(pick(costs.params, rng))
    return [(space.decode(rows[i]), costs[i]) for i in sorted(chosen, key=lambda i: int(costs.params[i]))]


def time_trial(sample: Sample, config: SearchConfig, data: Dataset, device: str, threads: int) -> float:
    """Seconds that training ``sample`` takes on this machine, from a few measured steps."""
    import torch

    from nas.config.recipe import default_batch_size
    from nas.training.loop import train
    from nas.training.tensor_split import TensorSplit

    torch.set_num_threads(threads)
    space, recipe = get_space(config.space), config.recipe
    train_split, select_split = data.split("train"), data.split("select")
    images_per_epoch = _images_per_epoch(data, recipe)
    batch_size = recipe.batch_size or default_batch_size(images_per_epoch)
    order = np.random.default_rng(0).permutation(len(train_split.labels))[: TIMED_STEPS * batch_size]
    part = TensorSplit.of(train_split.images[order], train_split.labels[order], device)
    check = TensorSplit.of(select_split.images[:256], select_split.labels[:256], device)
    once = recipe.model_copy(update={"epochs": 1, "oversampling": "none", "batch_size": batch_size})
    spent = []
    for _ in range(3):  # the first includes what torch does once
        model = space.build(sample, data.input_shape, len(data.classes))
        began = time.perf_counter()
        train(
            model, part, check, once, num_classes=len(data.classes), device=device, seed=0,
            objective=config.objective,
        )  # fmt: skip
        spent.append(time.perf_counter() - began)
    return statistics.median(spent[1:]) / len(part) * images_per_epoch * recipe.epochs


def _images_per_epoch(data: Dataset, recipe: Recipe) -> int:
    counts = data.counts["train"]
    if recipe.oversampling == "none":
        return sum(counts)
    return math.ceil(recipe.oversampled_share * max(counts) * len(counts))


def space_document(
    space: SearchSpace, budget: Budget, share: Share, costs: Costs, examples: list[tuple[Sample, Cost]],
    seconds: float | None,
) -> dict[str, Any]:  # fmt: skip
    def spread(values: npt.NDArray[np.int64]) -> dict[str, int]:
        return {"min": int(values.min()), "median": int(np.median(values)), "max": int(values.max())}

    return {
        "space": space.name,
        "samples": space.num_samples,
        "budget": budget.limits,
        "share": {"value": share.share, "standard_error": share.error, "drawn": share.drawn},
        "params": spread(costs.params),
        "macs": spread(costs.macs),
        "peak_memory": spread(costs.peak_memory),
        "examples": [{"text": space.text(s), "sample": s, **asdict(c)} for s, c in examples],
        "trial_seconds": seconds,
    }
