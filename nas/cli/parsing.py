"""From what was typed to checked settings. Flags arrive as text, so that one message can name every fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.studies import get_study
from budgets import LIMITS, Budget, parse_size
from nas.cli.flags import DATA_OPTIONS, RECIPE_OPTIONS
from nas.config import DataConfig, Recipe, SearchConfig, checked, raise_all
from nas.config.auto_recipe import AUTO, meets_imbalance
from nas.config.recipe import named_recipe
from nas.config.recipe_rules import METHOD_FLAGS, check_name, check_together, described_name
from nas.config.run import ONE_SHOT, Changes, SupernetConfig, too_many_trials
from nas.data.sources.registry import is_name
from nas.errors import UsageError, attempt
from nas.strategies import get_strategy
from nas.units import parse_duration
from search_spaces import get_space
from search_spaces.restriction import read_restriction
from search_spaces.space import Restriction

if TYPE_CHECKING:
    from nas.engine.floor import ClassicalRequest
    from nas.engine.study_plan import StudyRequest

Flags = dict[str, Any]  # what was typed, as typer reads it and before ``nas.config`` checks it; None: not given

COLOURS = {"grey": "grey", "colour": "rgb"}  # what the flags mean for the setting ``colours``
DATA_FLAGS = tuple(name for name in DATA_OPTIONS if name not in COLOURS)
RECIPE_FLAGS = tuple(name for name in RECIPE_OPTIONS if name not in (*METHOD_FLAGS.values(), "recipe"))
SUPERNET_FLAGS = {  # by the setting's name
    "epochs": "supernet_epochs",
    "penalty": "penalty",
    "alpha_learning_rate": "alpha_learning_rate",
    "candidates": "candidates",
}
ALPHA_FLAGS = ("penalty", "alpha_learning_rate")
ONE_SHOT_TRIALS = 4
CLASSICAL_FLAGS = (
    "study",
    "plugin",
    "trust_plugin",
    "data",
    *DATA_FLAGS,
    *COLOURS,
    "objective",
    "runs",
    "quiet",
    "json",
)
DURATIONS = ("time_limit", "trial_timeout")
# Made of several flags or of one that is called otherwise, or without a flag.
_OTHERWISE = {
    "budget",
    "data",
    "recipe",
    "strategy",
    "supernet",
    "floor",
    "lengthen",
    "confirm_seeds",
    "restrict",
    "plugins",
    *DURATIONS,
}
SEARCH_FLAGS = tuple(name for name in SearchConfig.model_fields if name not in _OTHERWISE)


def search_config(flags: Flags) -> SearchConfig:
    """The settings of a search. UsageError with every fault found in the flags."""
    faults: list[str] = []
    if not flags.get("space"):
        faults.append("--space is missing: nasctl search --space densenet --max-params 150k")
    restrict = _restriction(flags, faults)
    budget = budget_of(flags, faults)
    data = data_config(flags, faults)
    recipe = _recipe(flags, faults)
    strategy, supernet = _strategy(flags, faults), _supernet(flags, faults)
    if recipe is not None and recipe.regularizer != "none" and strategy in ONE_SHOT:
        faults.append(
            f"--strategy {strategy} cannot use the regularizer {recipe.regularizer}: the supernet's weights belong to "
            "many networks at once. Choose --regularizer none, or --strategy evolution or random."
        )
    values = {name: flags.get(name) for name in SEARCH_FLAGS}
    values["prune"] = values["prune"] is not False
    values["floor"] = not flags.get("no_floor")
    if strategy in ONE_SHOT and values["trials"] is None:
        values["trials"] = min(ONE_SHOT_TRIALS, supernet.candidates)
    for name in DURATIONS:
        values[name] = converted(parse_duration, name, flags, faults)
    placeholders: dict[str, object] = {"budget": budget, "data": data or {}, "recipe": recipe or {}, "space": "?"}
    placeholders |= {"strategy": strategy, "supernet": supernet, "restrict": restrict}
    config = checked(SearchConfig, placeholders | {k: v for k, v in values.items() if v is not None}, faults)
    if config is not None and config.confirm_epochs is not None and not config.confirm:
        faults.append("--confirm-epochs is how long the best are trained again, and --confirm 0 leaves that out.")
    trials = str(values["trials"])
    if strategy in ONE_SHOT and trials.isdecimal():
        faults += too_many_trials(int(trials), supernet.candidates)
    raise_all(faults)
    assert config is not None
    return config


def study_request(flags: Flags) -> StudyRequest:
    """What is asked for with ``nasctl baseline run``. UsageError with every fault found in the flags."""
    from nas.engine.study_plan import StudyRequest

    faults: list[str] = []
    values = {name: flags.get(name) for name in StudyRequest.model_fields}
    values["members"] = [name.strip() for name in (flags["members"] or "").split(",") if name.strip()]
    values["data"] = data_config(flags, faults)
    values["keep"] = converted(_kept_trainings, "keep", flags, faults)
    for name in DURATIONS:
        values[name] = converted(parse_duration, name, flags, faults)
    request = checked(StudyRequest, values, faults)
    if request is None:
        attempt(lambda: get_study(flags["study"]), faults)
    raise_all(faults)
    assert request is not None
    return request


def _kept_trainings(text: str) -> int | None:
    """How many trainings of each member keep their weights, None for all; ValueError says what is accepted."""
    words = {"all": None, "best": 1, "none": 0}
    if text not in words and not (text.isascii() and text.isdigit()):
        raise ValueError(
            f"{text!r} is not known: write all, best (of each member the seed that is best on rank), none, or how many "
            "seeds of each"
        )
    return words[text] if text in words else int(text)


def classical_request(flags: Flags) -> ClassicalRequest:
    """What is asked for with ``nasctl baseline run classical``. UsageError with every fault found in the flags."""
    from nas.engine.floor import ClassicalRequest

    off = {"from_scratch": False, "as_published": False, "dry_run": False}  # flags that were not given
    given = [name for name, value in flags.items() if value is not None and off.get(name) is not value]
    faults = [
        f"--{name.replace('_', '-')} is about training networks, and classical trains none: leave it out."
        for name in given
        if name not in CLASSICAL_FLAGS
    ]
    values = {"data": data_config(flags, faults), "objective": flags["objective"]}
    request = checked(ClassicalRequest, values, faults)
    raise_all(faults)
    assert request is not None
    return request


def run_changes(flags: Flags, faults: list[str]) -> Changes | None:
    """What ``nasctl resume`` was told; None if it cannot be, see ``faults``."""
    values = {name: flags.get(name) for name in Changes.model_fields}
    for name in DURATIONS:
        values[name] = converted(parse_duration, name, flags, faults)
    changes = checked(Changes, values, faults)
    return None if faults else changes


def _strategy(flags: Flags, faults: list[str]) -> str:
    """The strategy's name; "random" stands for one that there is not. Settings that it would ignore are faults."""
    name = flags.get("strategy") or "evolution"
    if attempt(lambda: get_strategy(name), faults) is None:
        return "random"
    for flag in SUPERNET_FLAGS.values():
        typed = f"--{flag.replace('_', '-')}"
        if flags.get(flag) is None:
            continue
        if name not in ONE_SHOT:
            faults.append(
                f"{typed} belongs to a supernet, and {name} trains none: leave it out, or choose --strategy "
                f"{', '.join(ONE_SHOT[:-1])} or {ONE_SHOT[-1]}."
            )
        elif name == "random-oneshot" and flag in ALPHA_FLAGS:
            faults.append(
                f"{typed} is about alphas, and random-oneshot has none: leave it out, or choose --strategy darts or "
                "gumbel-darts."
            )
    return name


def _supernet(flags: Flags, faults: list[str]) -> SupernetConfig:
    """The supernet's settings; if some are wrong, the right number of candidates at least, for further checks."""
    values = {name: flags.get(flag) for name, flag in SUPERNET_FLAGS.items()}
    config = checked(SupernetConfig, values, faults, SUPERNET_FLAGS)
    return config or checked(SupernetConfig, {"candidates": values["candidates"]}, []) or SupernetConfig()


def _restriction(flags: Flags, faults: list[str]) -> Restriction:
    """What --fix and --choices leave of the space; empty if there is no such space."""
    space = attempt(lambda: get_space(flags["space"]), faults) if flags.get("space") else None
    fix, choices = flags.get("fix") or (), flags.get("choices") or ()
    return (attempt(lambda: read_restriction(space, fix, choices), faults) or {}) if space else {}


def budget_faults(flags: Flags) -> list[str]:
    """What is wrong with a search that was given no budget, and did not say that it means to have none."""
    if any(flags.get(name) is not None for name in LIMITS if name != "min_params"):
        return []
    return [
        "A search needs a budget: add --max-params 150k (the most parameters), or --max-macs, --max-bytes or "
        "--max-peak-memory; 'nasctl space NAME' shows how large networks are. To search without: --max-params none."
    ]


def budget_of(flags: Flags, faults: list[str]) -> Budget:
    """The limits on architectures; what is not a size goes into ``faults``. ``--max-params none`` is no limit."""
    if flags.get("max_params") == "none":
        flags = {**flags, "max_params": None}
    sizes = {name: converted(parse_size, name, flags, faults) for name in LIMITS}
    least, most = sizes["min_params"], sizes["max_params"]
    if least and most and least > most:
        faults.append(
            f"--min-params {flags['min_params']} is more than --max-params {flags['max_params']}: no network can "
            "have both; lower the first or raise the second."
        )
        sizes["min_params"] = None
    return Budget(**sizes)


def data_config(flags: Flags, faults: list[str]) -> DataConfig | None:
    """Which data; wrong values go into ``faults``. Whether it can be read shows when it is opened."""
    values = {name: flags.get(name) for name in DATA_FLAGS}
    colours = [setting for flag, setting in COLOURS.items() if flags.get(flag)]
    if len(colours) > 1:
        faults.append("--grey and --colour exclude each other: give one of them.")
    values["colours"] = colours[0] if colours else None
    return checked(DataConfig, {"source": _absolute(flags.get("data")), **values}, faults)


def _absolute(source: str | None) -> str | None:
    """A path as it is from anywhere, so that a run can be resumed from another folder; names stay names, but for a
    path behind one: NAME:PATH."""
    if source is not None and is_name(source):
        name, colon, argument = source.partition(":")
        return f"{name}:{_absolute(argument)}" if colon else source
    if not source:
        return source
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source


def _recipe(flags: Flags, faults: list[str]) -> Recipe | None:
    """The recipe called --recipe with the settings that were typed, under a name that says what it is now."""
    recipe = attempt(lambda: named_recipe(flags.get("recipe") or AUTO), faults) or Recipe()
    changes = {name: flags[name] for name in RECIPE_FLAGS if flags.get(name) is not None}
    methods = {name: flags[given] for name, given in METHOD_FLAGS.items() if flags.get(given) is not None}
    unknown = [fault for name, value in methods.items() for fault in check_name(name, value)]
    if unknown:
        faults += unknown
        return recipe
    given = recipe.model_dump(exclude_unset=True)  # what was not given is chosen from the data
    changed = checked(Recipe, {**given, **changes, **methods}, faults, METHOD_FLAGS)
    if changed is None:
        return None
    faults += check_together(changed, methods)
    if not methods or (recipe.name == AUTO and not meets_imbalance(changed) and "loss" not in methods):
        return changed
    return changed.model_copy(update={"name": described_name(changed)})


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


def positive(name: str, text: str | None) -> int | None:
    """The whole number that was typed after the flag ``name``; None if it was left out. UsageError if it is none."""
    if text is not None and not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise UsageError(f"--{name} {text!r} cannot be used: give a whole number of at least 1.")
    return int(text) if text else None
