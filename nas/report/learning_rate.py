"""A learning-rate range test as people and programs read it: a line on what was tested, the curve, two suggestions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.config.rates import optimizer_words
from nas.engine.rate_plan import FoundRate
from nas.report.screen import Screen
from nas.report.tables.format import in_lines, make_table
from nas.units import counted

ROWS = 16  # of the curve in a terminal
BAR = 40  # characters of the largest loss that is shown
FALLING = "where the loss falls fastest"
TENTH = "a tenth of where it rises"


def suggestions(found: FoundRate) -> dict[str, float]:
    """The learning rates that the curve suggests, by why; empty where the loss never fell."""
    named = {FALLING: found.test.steepest, TENTH: found.test.tenth}
    return {why: rate for why, rate in named.items() if rate is not None}


def print_rates(console: Screen, found: FoundRate, picture: Path | None = None) -> None:
    """Print what was tested, the smoothed curve in a few rows, the suggestions, and the picture if there is one."""
    test, recipe = found.test, found.recipe
    batch = f" in batches of {recipe.batch_size}" if recipe.batch_size else ""
    lines = [
        f"Network {found.network}: {found.params:,} parameters",
        f"Data    {found.data}: {counted(found.images, 'image')} in train{batch}, by {recipe.name}, "
        f"{optimizer_words(recipe)}",
        f"Steps   {counted(len(test.rates), 'step')}, each at a larger learning rate"
        + (f", from {test.rates[0]:.1g} to {test.rates[-1]:.2g}" if test.rates else ""),
    ]
    console.print(in_lines(console, lines), highlight=False, soft_wrap=True)
    if test.rates:
        table = make_table("Loss on the training images", ("learning rate",), ("loss",), "")
        end = max(len(test.rates) - 1, 1)
        highest = max(test.smoothed[0], min(test.smoothed)) * 1.25
        for row in range(min(ROWS, len(test.rates))):
            place = round(row * end / max(1, min(ROWS, len(test.rates)) - 1))
            loss = test.smoothed[place]
            table.add_row(f"{test.rates[place]:.2g}", f"{loss:.3f}", "█" * round(BAR * min(1.0, loss / highest)))
        console.print(table)
    for why, rate in suggestions(found).items():
        console.print(f"Suggested: --learning-rate {rate:.2g}  ({why})", highlight=False, soft_wrap=True)
    if not suggestions(found):
        console.print("The loss fell at no rate: nothing is suggested. Check --batch-size and --loss.")
    if picture is not None:
        console.print(f"Picture: {picture}", highlight=False, soft_wrap=True)


def rates_document(found: FoundRate) -> dict[str, Any]:
    """All of it as JSON."""
    test = found.test
    return {
        "network": found.network, "params": found.params, "data": found.data, "images": found.images,
        "recipe": found.recipe.model_dump(), "steepest": test.steepest, "tenth": test.tenth,
        "diverged": test.diverged,
        "curve": [
            {"learning_rate": rate, "loss": loss, "smoothed": smoothed}
            for rate, loss, smoothed in zip(test.rates, test.losses, test.smoothed, strict=True)
        ],
    }  # fmt: skip


def draw_rates(found: FoundRate, path: Path) -> Path:
    """The curve as a PNG, with the suggestions; the file."""
    from nas.report.plots import rates_plot

    title = f"Learning-rate range test: {found.network}, {found.data}"
    rates_plot(path, title, found.test.rates, found.test.losses, found.test.smoothed, suggestions(found))
    return path
