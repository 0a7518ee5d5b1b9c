"""The settings of a search as TOML: what differs from the defaults, and what was chosen from the data, as chosen.

What is written is read again and compared with the log before it is handed over.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel

from nas import __version__
from nas.api.keywords import as_flags
from nas.api.settings import Flags, search_config
from nas.cli.declared import ORDER_OF_SEARCH
from nas.cli.flags import in_order
from nas.config import Recipe, SearchConfig, raise_all
from nas.config.auto_recipe import AUTO, default_epochs, images_per_epoch
from nas.config.recipe import RECIPES
from nas.config.run import RunConfig
from nas.config.settings import default_of, flattened, settings_of, value_of, written
from nas.errors import RunError
from nas.runs import SearchRun
from nas.runs.hints import typed

Value = str | bool | int | float | tuple[str, ...]
SEARCH, RECIPE = settings_of(SearchConfig), settings_of(Recipe)
ALWAYS = ("space", "data", "strategy", "trials")  # written even at their defaults
RESOLVED = ("epochs", "batch_size", "flip")  # what a plan may choose: written even if it is what a default would be
FLAG_OF = {given.path[0]: flag for flag, given in RECIPE.items() if flag != "recipe"}  # of a recipe's fields


def settings_text(run: SearchRun) -> str:
    """A file for ``nasctl search --config`` that makes ``run`` again. RunError if flags cannot say how it was made."""
    lengthened = _leaves_epochs_open(run)
    settings = _settings(run, lengthened=lengthened)
    _check(run, settings, lengthened=lengthened)
    head = (
        f"The settings of the search {run.name}, by nasctl {run.versions.get('nasctl', __version__)}.",
        "Settings that are not here have their defaults. To repeat the run: nasctl search --config FILE",
    )
    return as_file(head, settings, _remarks(run, lengthened=lengthened))


def as_file(head: Iterable[str], settings: Mapping[str, Value], remarks: Iterable[str]) -> str:
    """Settings as TOML, between comments."""
    lines = [f"{name} = {_toml(value)}" for name, value in settings.items()]
    return "\n".join([*_comments(head), *lines, *_comments(remarks)]) + "\n"


def _comments(texts: Iterable[str]) -> Iterator[str]:
    """In lines that a terminal holds."""
    for text in texts:
        yield from textwrap.wrap(text, 80, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)


def _leaves_epochs_open(run: SearchRun) -> bool:
    """True if the number of epochs must be left to the data: confirmations are doubled while that gains only then."""
    config = run.config
    seen = images_per_epoch(config.recipe, run.facts.counts["train"])
    return config.lengthen and config.confirm_epochs == default_epochs(seen)


def _settings(run: SearchRun, *, lengthened: bool) -> dict[str, Value]:
    """By the names of flags, in the order of --help."""
    config = run.config
    found: dict[str, Value] = recipe_settings(config.recipe, lengthened=lengthened)
    left_open = ("time_limit", "confirm_epochs") if lengthened else ()
    for flag, given in SEARCH.items():
        default = True if flag == "prune" else default_of(given, SearchConfig)  # the command line's own
        is_told = flag in ALWAYS or value_of(given, config) != default
        if is_told and flag not in (*RECIPE, *left_open) and (value := written(given, config)) is not None:
            found[flag] = value
    precision = _measured_precision(run)
    found |= {"precision": precision} if precision else {}
    parts = {flag: SEARCH[flag].path[0] for flag in found}
    return plugins_of(config) | {flag: found[flag] for flag in in_order(parts, ORDER_OF_SEARCH.split())}


def plugins_of(config: RunConfig) -> dict[str, Value]:
    """The plug-ins of a run, as files have them."""
    return {"plugin": tuple(plugin.source for plugin in config.plugins)} if config.plugins else {}


def _measured_precision(run: SearchRun) -> str | None:
    """Precision that was measured to be fastest when the run began, and decides its results; None if nothing was
    measured."""
    placement = run.facts.placement
    if run.config.precision != "auto" or placement is None or placement.execution is None:
        return None
    return placement.execution.precision


def recipe_settings(recipe: Recipe, *, lengthened: bool) -> dict[str, Value]:
    """The named recipe that needs the fewest changes, and these."""
    written = [name for name in FLAG_OF if not (lengthened and name == "epochs")]
    best: tuple[str, dict[str, Value]] | None = None
    for name, base in RECIPES.items():
        other = {field for field in Recipe.model_fields if getattr(base, field) != getattr(recipe, field)}
        changes = {
            FLAG_OF[field]: getattr(recipe, field)
            for field in written
            if getattr(recipe, field) is not None and (field in RESOLVED or field in other)
        }
        if name == AUTO or any(field not in FLAG_OF or getattr(recipe, field) is None for field in other - {"name"}):
            continue
        if best is None or (len(changes), name != recipe.name) < (len(best[1]), best[0] != recipe.name):
            best = name, changes
    return {"recipe": best[0], **best[1]} if best else {"recipe": "custom-ce"}


def _check(run: SearchRun, settings: dict[str, Value], *, lengthened: bool) -> None:
    """RunError if the settings, typed as flags, were not those of the run."""
    run.use_plugins()
    again, told = search_config(as_typed(settings, SearchConfig)), run.config
    changes: dict[str, object] = {"lengthen": False, "plugins": ()}
    if lengthened:
        epochs = Recipe.model_fields["epochs"].default
        recipe = told.recipe.model_copy(update={"epochs": epochs})
        changes |= {"recipe": recipe, "confirm_epochs": None, "time_limit": None}
    if _measured_precision(run):
        changes["precision"] = again.precision
    other = differing(told.model_copy(update=changes).model_dump(), again.model_dump())
    if other:
        raise RunError(
            f"Run {run.name!r} was not made by flags alone: no flag sets {', '.join(other)}. Repeat it from "
            "Python, as it was made: nas.api.new_search."
        )


def as_typed(settings: Mapping[str, Value], kind: type[BaseModel]) -> Flags:
    """Settings of a file as they would be typed for a ``kind`` of request. UsageError if there is no such setting."""
    errors: list[str] = []
    flags = as_flags({name: value for name, value in settings.items() if name != "plugin"}, kind, errors)
    raise_all(errors)
    return flags


def differing(told: Mapping[str, object], again: Mapping[str, object]) -> list[str]:
    """Differences of ``again`` from what was ``told``: "seed = 3"."""
    before, after = dict(flattened(told)), dict(flattened(again))
    return [f"{name} = {before[name]!r}" for name in before if before[name] != after.get(name)]


def _remarks(run: SearchRun, *, lengthened: bool) -> Iterator[str]:
    """Remarks on what the settings do not say, a line each."""
    config, placement = run.config, run.facts.placement
    if lengthened:
        yield (
            f"epochs: not set, so they follow from the data, as in the run ({config.recipe.epochs} for a "
            f"trial, {config.confirm_epochs} for confirmations, which are lengthened while the score improves)"
            "."
        )
        if config.time_limit is not None:
            yield f"A time limit of {config.time_limit:.15g}s was set later: {typed('resume', run.folder)} --time-limit"
    elif config.lengthen:
        yield "Confirmations were lengthened while the score improved; with a given number of epochs they are not."
    if placement is not None:
        yield f"Measured to be fastest on that machine: workers {placement.workers}, threads {placement.threads}."
    if config.strategy == "evolution" and run.facts.population != config.population:
        yield (
            f"The run began with another number of trials and a population of {run.facts.population}; a new "
            f"search with trials = {config.trials} has a population of {config.population}, and proposes other "
            "architectures."
        )
    yield from remark_on_repeating(config)


def remark_on_repeating(config: RunConfig) -> Iterator[str]:
    """That not every run is the same number for number when it is made again."""
    if config.workers != 1 or math.isfinite(config.time_limit or math.inf):
        yield "Bit-identical results need workers = 1 on a CPU, and no time limit."


def _toml(value: Value) -> str:
    """As TOML writes it: texts and lists as JSON does, but for one character."""
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
