"""The settings of a search as TOML: what differs from the defaults, and what was chosen from the data, as chosen.

What is written is read again and compared with the log before it is handed over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from nas import __version__
from nas.cli.parsing import COLOURS, DATA_FLAGS, DURATIONS, RECIPE_FLAGS, SEARCH_FLAGS, SUPERNET_FLAGS, search_config
from nas.cli.settings_file import with_commas
from nas.config import Recipe, SearchConfig
from nas.config.auto_recipe import AUTO, default_epochs, images_per_epoch
from nas.config.recipe import RECIPES
from nas.config.recipe_rules import METHOD_FLAGS
from nas.errors import RunError
from nas.runs import SearchRun
from nas.runs.hints import typed

Value = str | bool | int | float | tuple[str, ...]
REPEATABLE = ("choices", "plugin")
SETTLED = ("epochs", "batch_size", "flip")  # what a plan may choose: written even if it is what a default would be
FLAG_OF = {name: name for name in RECIPE_FLAGS} | METHOD_FLAGS  # of a recipe's fields


def settings_text(run: SearchRun) -> str:
    """A file for ``nasctl search --config`` that makes ``run`` again. RunError if flags cannot say how it was made."""
    lengthened = _leaves_epochs_open(run)
    settings = _settings(run, lengthened=lengthened)
    _check(run, settings, lengthened=lengthened)
    lines = [
        f"# The settings of the search {run.name}, by nasctl {run.versions.get('nasctl', __version__)}.",
        "# What is not here is at its default. To make it again: nasctl search --config FILE",
        *(f"{name} = {_toml(value)}" for name, value in settings.items()),
        *(f"# {line}" for line in _remarks(run, lengthened=lengthened)),
    ]
    return "\n".join(lines) + "\n"


def _leaves_epochs_open(run: SearchRun) -> bool:
    """Whether the number of epochs must be left to the data: confirmations are doubled while that gains only then."""
    config = run.config
    seen = images_per_epoch(config.recipe, run.facts.counts["train"])
    return config.lengthen and config.confirm_epochs == default_epochs(seen)


def _settings(run: SearchRun, *, lengthened: bool) -> dict[str, Value]:
    """By the names of flags, in the order of --help."""
    config, default = run.config, SearchConfig.model_fields
    budget: dict[str, Value] = dict(config.budget.limits)
    data = config.data
    plugins = {"plugin": tuple(plugin.source for plugin in config.plugins)} if config.plugins else {}
    found: dict[str, Value] = {**plugins, "space": config.space}
    if config.restrict:
        found["choices"] = tuple(f"{label}={','.join(map(str, left))}" for label, left in config.restrict.items())
    found |= {**budget, "data": data.source}
    for name in DATA_FLAGS:
        if (value := getattr(data, name)) != type(data).model_fields[name].default:
            found[name] = "x".join(map(str, value)) if name == "image_size" and isinstance(value, tuple) else value
    found |= {flag: True for flag, colours in COLOURS.items() if data.colours == colours}
    found["strategy"] = config.strategy
    for name, flag in SUPERNET_FLAGS.items():
        if (value := getattr(config.supernet, name)) != type(config.supernet).model_fields[name].default:
            found[flag] = value
    found["trials"] = config.trials
    for name in DURATIONS:
        if (seconds := getattr(config, name)) is not None and not (lengthened and name == "time_limit"):
            found[name] = f"{seconds:.15g}s"
    found |= {} if config.floor else {"no_floor": True}
    found |= _recipe_settings(config.recipe, lengthened=lengthened)
    precision = _measured_precision(run)
    found |= {"precision": precision} if precision else {}
    for name in SEARCH_FLAGS:
        value = getattr(config, name)
        shown_default = True if name == "prune" else default[name].default  # the command line's own
        if name not in found and value != shown_default and not (lengthened and name == "confirm_epochs"):
            found[name] = value
    return found


def _measured_precision(run: SearchRun) -> str | None:
    """What was found to be fastest when the run began, and decides its figures; None if nothing was measured."""
    placement = run.facts.placement
    if run.config.precision != "auto" or placement is None or placement.execution is None:
        return None
    return placement.execution.precision


def _recipe_settings(recipe: Recipe, *, lengthened: bool) -> dict[str, Value]:
    """The named recipe that needs the fewest changes, and these."""
    written = [name for name in FLAG_OF if not (lengthened and name == "epochs")]
    best: tuple[str, dict[str, Value]] | None = None
    for name, base in RECIPES.items():
        other = {field for field in Recipe.model_fields if getattr(base, field) != getattr(recipe, field)}
        changes = {
            FLAG_OF[field]: getattr(recipe, field)
            for field in written
            if getattr(recipe, field) is not None and (field in SETTLED or field in other)
        }
        if name == AUTO or any(field not in FLAG_OF or getattr(recipe, field) is None for field in other - {"name"}):
            continue
        if best is None or (len(changes), name != recipe.name) < (len(best[1]), best[0] != recipe.name):
            best = name, changes
    return {"recipe": best[0], **best[1]} if best else {"recipe": "custom-ce"}


def _check(run: SearchRun, settings: dict[str, Value], *, lengthened: bool) -> None:
    """RunError if the settings, typed as flags, were not those of the run."""
    flags = {
        name: value if isinstance(value, bool) else with_commas(value) if isinstance(value, tuple) else str(value)
        for name, value in settings.items()
    } | {name: settings[name] for name in REPEATABLE if name in settings}
    run.use_plugins()
    again, told = search_config(flags), run.config
    changes: dict[str, object] = {"lengthen": False, "plugins": ()}
    if lengthened:
        epochs = Recipe.model_fields["epochs"].default
        recipe = told.recipe.model_copy(update={"epochs": epochs})
        changes |= {"recipe": recipe, "confirm_epochs": None, "time_limit": None}
    if _measured_precision(run):
        changes["precision"] = again.precision
    before, after = dict(_leaves(told.model_copy(update=changes).model_dump())), dict(_leaves(again.model_dump()))
    other = [f"{name} = {before[name]!r}" for name in before if before[name] != after.get(name)]
    if other:
        raise RunError(
            f"Run {run.name!r} was not made by flags alone: no flag says {', '.join(other)}. Make it again from "
            "Python, as it was made: nas.api.search."
        )


def _leaves(settings: dict[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _remarks(run: SearchRun, *, lengthened: bool) -> Iterator[str]:
    """What the settings do not say, a line each."""
    config, placement = run.config, run.facts.placement
    if lengthened:
        yield (
            f"epochs: left to the data, as they were ({config.recipe.epochs} for a trial, {config.confirm_epochs} for "
            "the best, which are lengthened while that gains)."
        )
        if config.time_limit is not None:
            yield f"A time limit of {config.time_limit:.15g}s was set later: {typed('resume', run.folder)} --time-limit"
    elif config.lengthen:
        yield "Confirmations were lengthened while that gained; with epochs that are told they are not."
    if placement is not None:
        yield f"Measured to be fastest where it ran: {placement.workers} trials at once of {placement.threads} threads."
    if config.strategy == "evolution" and run.facts.population != config.population:
        yield (
            f"It began with fewer or more trials and a population of {run.facts.population}; a new search of "
            f"{config.trials} has {config.population}, and proposes others."
        )
    if config.workers != 1 or math.isfinite(config.time_limit or math.inf):
        yield "Exactly the same again, figure by figure: only with workers = 1 on a CPU, and no time limit."


def _toml(value: Value) -> str:
    """As TOML writes it: texts and lists as JSON does, but for one character."""
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
