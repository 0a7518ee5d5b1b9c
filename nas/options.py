"""From what was typed to checked settings. Flags arrive as text, so that one message can name every fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from budgets import parse_size
from nas.config import BudgetConfig, SearchConfig, checked, raise_all
from nas.data.config import DataConfig
from nas.data.named import NAMED
from nas.errors import attempt
from nas.recipe import Recipe, named_recipe
from search_spaces import get_space

Flags = dict[str, Any]  # by name with underscores; None: not given

SIZES = ("max_params", "max_macs", "max_bytes", "max_peak_memory", "min_params")
DATA_FLAGS = ("imbalance", "image_size", "fit", "skip_broken")
RECIPE_FLAGS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "optimizer",
    "schedule",
    "cutout",
    "flip",
)
SEARCH_FLAGS = (
    "space", "strategy", "trials", "workers", "trials_per_gpu", "device", "seed", "objective", "keep",
    "confirm", "confirm_seeds",
)  # fmt: skip
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def search_config(flags: Flags) -> SearchConfig:
    """The settings of a search. UsageError with every fault found in the flags."""
    faults: list[str] = []
    if not flags.get("space"):
        faults.append("--space is missing: nasctl search --space densenet --max-params 150k")
    else:
        attempt(lambda: get_space(flags["space"]), faults)
    budget = budget_config(flags, faults)
    data = data_config(flags, faults)
    recipe = _recipe(flags, faults)
    values = {name: flags.get(name) for name in SEARCH_FLAGS}
    for name in ("time_limit", "trial_timeout"):
        values[name] = converted(parse_duration, name, flags, faults)
    placeholders: dict[str, Any] = {"budget": budget or {}, "data": data or {}, "recipe": recipe or {}, "space": "?"}
    config = checked(SearchConfig, placeholders | {k: v for k, v in values.items() if v is not None}, faults)
    raise_all(faults)
    assert config is not None
    return config


def budget_config(flags: Flags, faults: list[str]) -> BudgetConfig:
    """The limits on architectures; what is not a size goes into ``faults``."""
    sizes = {name: converted(parse_size, name, flags, faults) for name in SIZES}
    least, most = sizes["min_params"], sizes["max_params"]
    if least and most and least > most:
        faults.append(
            f"--min-params {flags['min_params']} is more than --max-params {flags['max_params']}: no network can "
            "have both; lower the first or raise the second."
        )
        sizes["min_params"] = None
    return BudgetConfig(**sizes)


def data_config(flags: Flags, faults: list[str]) -> DataConfig | None:
    """Which data; wrong values go into ``faults``. Whether it can be read shows when it is opened."""
    values = {name: flags.get(name) for name in DATA_FLAGS}
    return checked(DataConfig, {"source": _absolute(flags.get("data")), **values}, faults)


def _absolute(source: str | None) -> str | None:
    """A path as it is from anywhere, so that a run can be resumed from another folder; names stay names."""
    if source is None or source == "digits" or source in NAMED:
        return source
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source


def _recipe(flags: Flags, faults: list[str]) -> Recipe | None:
    recipe = attempt(lambda: named_recipe(flags.get("recipe") or "custom-ce"), faults) or Recipe()
    changes = {name: flags.get(name) for name in RECIPE_FLAGS if flags.get(name) is not None}
    return checked(Recipe, {**recipe.model_dump(), **changes}, faults)


def parse_duration(text: str) -> float:
    """``90``, ``90s``, ``10m`` or ``1.5h`` in seconds; ValueError says what is accepted."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    if not match or match[2] not in _SECONDS or not 0 < float(match[1]) < 1e9:
        raise ValueError(f"{text!r} is not a time: write seconds, or a number with s, m or h, such as 90s or 1.5h")
    return float(match[1]) * _SECONDS[match[2]]


def converted(convert: Callable[[str], Any], name: str, flags: Flags, faults: list[str]) -> Any:
    """The flag ``name`` converted, None if it was not given or cannot be, which goes into ``faults``."""
    text = flags.get(name)
    if text is None:
        return None
    try:
        return convert(str(text))
    except ValueError as error:
        faults.append(f"--{name.replace('_', '-')}: {error}.")
        return None
