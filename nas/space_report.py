"""``nasctl space``: how much a space holds, what share fits a budget, and what a trial of it costs here."""

from __future__ import annotations

import json
import math
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from budgets import Budget, Cost, Costs, costs_of
from budgets.budget import format_size
from budgets.draw import draw_fitting, pick
from nas.config import SearchConfig
from nas.data import Dataset, open_data
from nas.options import Flags, search_config
from nas.recipe import Recipe
from nas.search import plan_search
from nas.tables import compact, make_table
from search_spaces import Sample, SearchSpace, get_space, space_names

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


def print_spaces(console: Console) -> None:
    """Every space with what it varies."""
    table = make_table("Search spaces", ("name",), ("samples",), "what varies")
    for name in space_names():
        space = get_space(name)
        table.add_row(name, f"{space.num_samples:.2g}", space.summary)
    console.print(table)


def space_report(console: Console, flags: Flags, *, as_json: bool) -> None:
    """Everything about one space under one budget, for one data set. UsageError with every fault."""
    plan = plan_search(search_config({**flags, "space": flags["name"]}))
    config, space, task, budget, slots = plan.config, plan.space, plan.task, plan.budget, plan.slots
    data = open_data(config.data)
    rng = np.random.default_rng(0)
    rows = space.draw(rng, DRAWS)
    costs = costs_of(space, rows, task)
    fits = budget.admits(costs)
    share = Share(len(rows), int(fits.sum()))
    found, found_costs = draw_fitting(space, task, budget, rng)
    examples = _examples(space, found, found_costs, rng)
    shown = costs.take(fits) if share.fitting >= 100 else found_costs
    seconds = None
    if not flags["no_timing"]:
        middle = int(np.argsort(found_costs.macs)[len(found_costs) // 2])
        seconds = time_trial(space.decode(found[middle]), config, data, slots[0].device, slots[0].num_threads)
    if as_json:
        print(json.dumps(_document(space, budget, share, shown, examples, seconds), indent=2))
        return
    lines = [
        f"[bold]{space.name}[/bold]  {space.summary}",
        f"Input:   {'x'.join(map(str, task.input_shape))}, {task.num_classes} classes ({data.name})",
        f"Budget:  {budget}" + (f"\n         {plan.note}" if plan.note else ""),
        f"Samples: {space.num_samples:,} from {len(space.choices)} choices",
        f"Fit:     {share}",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
    console.print(_costs_table(shown))
    _print_histogram(console, shown.params)
    console.print(_examples_table(space, examples))
    if seconds is not None:
        console.print(_timing(seconds, config, len(slots)), highlight=False, soft_wrap=True)


def _examples(
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

    from nas.recipe import default_batch_size
    from nas.tensor_split import TensorSplit
    from nas.training import train

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


def _timing(seconds: float, config: SearchConfig, num_slots: int) -> str:
    from nas.display import clock

    trainings = config.trials + config.confirm * config.confirm_seeds
    total = clock(seconds * trainings / num_slots)
    return (
        f"A trial of {config.recipe.epochs} epochs takes about {seconds:.1f} s here (measured on a middle-sized one); "
        f"{config.trials} trials and {config.confirm * config.confirm_seeds} confirmations, {num_slots} at once: "
        f"about {total}."
    )


def _costs_table(costs: Costs) -> Table:
    table = make_table("What fits", ("",), ("min", "median", "max"))
    for title, values in (
        ("parameters", costs.params),
        ("MACs", costs.macs),
        ("peak memory", costs.peak_memory),
    ):
        table.add_row(title, *(f"{value:,.0f}" for value in (values.min(), np.median(values), values.max())))
    return table


def _examples_table(space: SearchSpace, examples: list[tuple[Sample, Cost]]) -> Table:
    table = make_table("Examples", (), ("parameters", "MACs"), f"{space.name} architecture")
    for sample, cost in examples:
        table.add_row(f"{cost.params:,}", compact(cost.macs), space.line(sample))
    return table


def _print_histogram(console: Console, params: npt.NDArray[np.int64], num_bins: int = 12, width: int = 36) -> None:
    """Bars of how many samples have about how many parameters."""
    counts, edges = np.histogram(params, bins=num_bins)
    console.print("Parameters of what fits")
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        bar = "█" * round(width * count / counts.max()) or ("▏" if count else "")
        console.print(
            f"{format_size(low):>11} - {format_size(high):>11} {bar} {100 * count / len(params):.0f} %",
            highlight=False,
        )


def _document(
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
