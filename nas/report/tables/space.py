"""``nasctl space``: how much a space holds, what share fits a budget, and what a trial of it costs here."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from budgets import Cost, Costs, costs_of
from budgets.budget import format_size
from budgets.draw import draw_fitting
from nas.config.run import SearchConfig
from nas.data import open_data
from nas.engine.plan import plan_search
from nas.report.space import DRAWS, Share, examples_of, space_document, time_trial
from nas.report.tables.format import compact, make_table
from search_spaces import Sample, SearchSpace, get_space, space_names


def print_spaces(console: Console) -> None:
    """Every space with what it varies."""
    table = make_table("Search spaces", ("name",), ("samples",), "what varies")
    for name in space_names():
        space = get_space(name)
        table.add_row(name, f"{space.num_samples:.2g}", space.summary)
    console.print(table)


def space_report(console: Console, config: SearchConfig, *, timing: bool, as_json: bool) -> None:
    """Everything about one space under one budget, for one data set. UsageError with every fault."""
    plan = plan_search(config)
    space, task, budget, slots = plan.space, plan.task, plan.budget, plan.slots
    data = open_data(config.data)
    rng = np.random.default_rng(0)
    rows = space.draw(rng, DRAWS)
    costs = costs_of(space, rows, task)
    fits = budget.admits(costs)
    share = Share(len(rows), int(fits.sum()))
    found, found_costs = draw_fitting(space, task, budget, rng)
    examples = examples_of(space, found, found_costs, rng)
    shown = costs.take(fits) if share.fitting >= 100 else found_costs
    seconds = None
    if timing:
        middle = int(np.argsort(found_costs.macs)[len(found_costs) // 2])
        seconds = time_trial(space.decode(found[middle]), config, data, slots[0].device, slots[0].num_threads)
    if as_json:
        print(json.dumps(space_document(space, budget, share, shown, examples, seconds), indent=2))
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


def _timing(seconds: float, config: SearchConfig, num_slots: int) -> str:
    from nas.units import clock

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
