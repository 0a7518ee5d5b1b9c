"""Validated settings from settings by name. Typed values arrive as text, so that one message can name every error.

Names are those of flags with underscores, as Python and settings files write them; messages name the flags.
``nas.api.keywords`` says which a call takes, and ``nas.api.wording`` how messages read there.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from baselines.studies import get_study
from budgets import LIMITS, Budget, parse_limit
from nas.config import DataConfig, Recipe, SearchConfig, StudyRequest, checked, raise_all
from nas.config.auto_recipe import AUTO, meets_imbalance
from nas.config.objectives import DEFAULT, resolve_objective
from nas.config.options import resolve_options
from nas.config.recipe import named_recipe
from nas.config.recipe_rules import METHOD_FLAGS, check_name, check_together, described_name
from nas.config.run import ONE_SHOT, Changes, RunConfig, SupernetConfig
from nas.config.run_rules import proposal_errors, stop_when_errors, strategy_and_guide, too_many_trials
from nas.config.settings import converted, flags_of, read_settings, settings_of
from nas.config.training_request import OneNetwork, RateRequest, TrainingRequest
from nas.data.cache import cache_root
from nas.data.sources.find import find_source
from nas.data.sources.registry import is_name
from nas.engine.known import samples_of
from nas.engine.plan import check_data
from nas.errors import UsageError, attempt
from nas.executors import plan_slots
from nas.files import at_home
from nas.runs import SearchRun, StudyRun
from nas.runs.folders import name_errors, training_name
from nas.runs.hints import RUNS
from nas.runs.named import load_named
from nas.strategies import get_strategy
from search_spaces import Sample, get_space
from search_spaces.restriction import read_restriction
from search_spaces.space import Restriction

if TYPE_CHECKING:
    from nas.engine.floor import ClassicalRequest

Network = TypeVar("Network", bound=OneNetwork)
Flags = dict[str, Any]  # what was typed, as typer reads it and before ``nas.config`` checks it; None: not given

SUPERNET_FLAGS = flags_of(SupernetConfig)  # by the setting's name
ALPHA_FLAGS = ("penalty", "alpha_learning_rate")
ONE_SHOT_TRIALS = 4
FIND = "find"  # in place of a learning rate
CLASSICAL_FLAGS = ("study", "plugin", "trust_plugin", *settings_of(DataConfig), "objective", "runs", "quiet", "json")


def search_config(flags: Flags) -> SearchConfig:
    """The settings of a search. UsageError with every error found in the flags."""
    errors: list[str] = []
    if not flags.get("space"):
        errors.append("--space is missing: nasctl search --space densenet --max-params 150k")
    restrict = _restriction(flags, errors)
    budget = budget_of(flags, errors)
    data = data_config(flags, errors)
    recipe = _recipe(flags, errors)
    strategy, supernet = _strategy(flags, errors), _supernet(flags, errors)
    if recipe is not None and recipe.regularizer != "none" and strategy in ONE_SHOT:
        errors.append(
            f"--strategy {strategy} cannot use the regularizer {recipe.regularizer}: the supernet's weights belong to "
            "many networks together. Choose --regularizer none, or --strategy evolution or random."
        )
    if recipe is not None and recipe.freeze:
        errors.append(
            "--freeze keeps modules of one network as they begin, and a search trains many, from random weights: leave "
            "it out. nasctl train and nasctl baseline run have it."
        )
    if recipe is not None and strategy in ONE_SHOT and (recipe.metric_loss != "none" or recipe.svm_head):
        given = "--svm-head" if recipe.metric_loss == "none" else "--metric-loss"
        errors.append(
            f"--strategy {strategy} cannot use {given}: the supernet's last layer belongs to many networks together, "
            "each with other embeddings. Leave it out, or choose --strategy evolution or random."
        )
    values = read_settings(SearchConfig, flags, errors)
    values["objective"] = _objective(flags, errors)
    values["first"] = _first(flags, errors)
    if told := flags.get("learn_from"):  # wherever the run lies, as the plan then reads it
        values["learn_from"] = attempt(
            lambda: str(load_named(told, Path(flags.get("runs") or RUNS)).run.folder), errors
        )
    values["prune"] = values.get("prune", True)
    if strategy in ONE_SHOT and values.get("trials") is None:
        values["trials"] = min(ONE_SHOT_TRIALS, supernet.candidates)
    values |= {"budget": budget, "restrict": restrict, "data": data or {}, "recipe": recipe or {}}
    _, guide = strategy_and_guide(flags.get("strategy"), flags.get("guide"))
    values |= {"strategy": strategy, "supernet": supernet, "guide": guide}
    config = checked(SearchConfig, {"space": "?"} | values, errors)
    if config is not None and config.confirm_epochs is not None and not config.confirm:
        errors.append(
            "--confirm-epochs is how long the best trials are trained again, and --confirm 0 turns that off: "
            "leave out one of them."
        )
    if config is not None:
        errors += proposal_errors(config)
    errors += stop_when_errors(values.get("stop_when"), str(values["objective"] or DEFAULT))
    trials = str(values.get("trials"))
    if strategy in ONE_SHOT and trials.isdecimal() and len(trials) < 16:
        errors += too_many_trials(int(trials), supernet.candidates)
    raise_all(errors)
    assert config is not None
    return config


def resolve_search(flags: Flags, told: Iterable[str] = ()) -> SearchConfig:
    """``search_config`` of a search that is to begin. UsageError with every error, those ``told`` before among them:
    also a budget that is missing, a name that is taken, and, where something is wrong anyway, data and device."""
    errors = list(told)
    config = attempt(lambda: search_config(flags), errors)
    names = [flags["run"], *([training_name(flags["run"])] if flags["run"] and flags.get("train") else [])]
    errors += [*budget_errors(flags), *(error for name in names for error in name_errors(name, Path(flags["runs"])))]
    if errors:
        raise_all(errors + other_errors(flags, config))
    assert config is not None
    return config


def resolve_study(flags: Flags, told: Iterable[str] = ()) -> StudyRequest:
    """``study_request`` of a study that is to begin. UsageError with every error, those ``told`` before among them."""
    errors = [*told, *name_errors(flags["run"], Path(flags["runs"]))]
    request = attempt(lambda: study_request(flags), errors)
    raise_all(errors)
    assert request is not None
    return request


def resolve_training(flags: Flags, told: Iterable[str] = ()) -> TrainingRequest:
    """``training_request`` of a training that is to begin. UsageError with every error, those ``told`` before among
    them."""
    errors = [*told, *name_errors(flags["run"], Path(flags["runs"]))]
    request = attempt(lambda: training_request(flags), errors)
    raise_all(errors)
    assert request is not None
    return request


def resolve_changes(run: SearchRun | StudyRun, flags: Flags, told: Iterable[str] = ()) -> Changes:
    """Changes to ``run`` when it is resumed. UsageError with every error, the data's too if there is one."""
    errors = list(told)
    changes = run_changes(flags, errors)
    if changes is None or errors:
        attempt(lambda: check_data(run), errors)
        raise_all(errors)
    assert changes is not None
    return changes


def other_errors(flags: Flags, settings: RunConfig | None = None) -> list[str]:
    """Errors besides those of the settings (as far as they could be read: ``settings``), so that one message tells all.
    Reads no image."""
    errors: list[str] = []
    data: DataConfig | str = flags["data"] or "digits"
    config = data_config(flags, []) or (DataConfig(source=data) if isinstance(data, str) else data)
    attempt(lambda: find_source(config, cache_root(None)).fingerprint(), errors)
    workers, trials_per_gpu = (settings.workers, settings.trials_per_gpu) if settings else (None, None)
    attempt(lambda: plan_slots(flags["device"], workers, trials_per_gpu), errors)
    return errors


def study_request(flags: Flags) -> StudyRequest:
    """Request of ``nasctl baseline run``. UsageError with every error found in the flags."""
    errors: list[str] = []
    study = flags.get("study")
    if not study:
        errors.append("STUDY is missing: nasctl baseline run resnet18-settings ('nasctl baseline list' has them all).")
    values = {"study": study or "?", **read_settings(StudyRequest, flags, errors)}
    values |= {"data": data_config(flags, errors), "objective": _objective(flags, errors)}
    request = checked(StudyRequest, values, errors)
    if request is None and study:
        attempt(lambda: get_study(study), errors)
    raise_all(errors)
    assert request is not None
    return request


def training_request(flags: Flags) -> TrainingRequest:
    """Request of ``nasctl train``. UsageError with every error found in the flags."""
    errors: list[str] = []
    request = _one_network(TrainingRequest, flags, errors)
    raise_all(errors)
    assert request is not None
    return request


def rate_request(flags: Flags) -> RateRequest:
    """Request of ``nasctl lr-find``. UsageError with every error found in the flags."""
    errors: list[str] = []
    if flags.get("learning_rate") is not None:
        errors.append("--learning-rate is what lr-find looks for: leave it out.")
    request = _one_network(RateRequest, flags, errors)
    raise_all(errors)
    assert request is not None
    return request


def _one_network(kind: type[Network], flags: Flags, errors: list[str]) -> Network | None:
    values = read_settings(kind, flags, errors)
    values |= {"data": data_config(flags, errors), "objective": _objective(flags, errors)}
    recipe = _recipe(flags, errors)
    if recipe is not None and not flags.get("recipe"):
        recipe = recipe.model_copy(update={"name": AUTO})  # changes to the run's own
    told = {name: value for name, value in values.items() if value is not None}
    return checked(kind, told | {"recipe": recipe or {}}, errors)


def classical_request(flags: Flags) -> ClassicalRequest:
    """Request of ``nasctl baseline run classical``. UsageError with every error found in the flags."""
    from nas.engine.floor import ClassicalRequest

    off = dict.fromkeys(("from_scratch", "as_published", "dry_run", "no_report"), False)  # flags that were not given
    given = [name for name, value in flags.items() if value is not None and off.get(name) is not value]
    errors = [
        f"--{name.replace('_', '-')} is about training networks, and classical trains none: leave it out."
        for name in given
        if name not in CLASSICAL_FLAGS
    ]
    values = {"data": data_config(flags, errors), "objective": _objective(flags, errors)}
    request = checked(ClassicalRequest, values, errors)
    raise_all(errors)
    assert request is not None
    return request


def run_changes(flags: Flags, errors: list[str]) -> Changes | None:
    """Changes that ``nasctl resume`` was told; None if it cannot be, see ``errors``."""
    changes = checked(Changes, read_settings(Changes, flags, errors), errors)
    return None if errors else changes


def _strategy(flags: Flags, errors: list[str]) -> str:
    """The strategy's name; "random" stands for one that there is not. Settings that it would ignore are errors."""
    name, _ = strategy_and_guide(flags.get("strategy"), None)
    if attempt(lambda: get_strategy(name), errors) is None:
        return "random"
    for flag in SUPERNET_FLAGS.values():
        typed = f"--{flag.replace('_', '-')}"
        if flags.get(flag) is None:
            continue
        if name not in ONE_SHOT:
            errors.append(
                f"{typed} belongs to a supernet, and {name} trains none: leave it out, or choose --strategy "
                f"{', '.join(ONE_SHOT[:-1])} or {ONE_SHOT[-1]}."
            )
        elif name == "random-oneshot" and flag in ALPHA_FLAGS:
            errors.append(
                f"{typed} is about alphas, and random-oneshot has none: leave it out, or choose --strategy darts or "
                "gumbel-darts."
            )
    return resolve_options("strategy", name)


def _first(flags: Flags, errors: list[str]) -> tuple[Sample, ...]:
    """The samples that are to be trained first; whether they fit is for the plan to say."""
    runs, space, found = Path(flags.get("runs") or RUNS), flags.get("space"), list[Sample]()
    for text in flags.get("first") or ():
        found += attempt(partial(samples_of, text, runs, str(space)), errors) or []
    return tuple(found)


def _objective(flags: Flags, errors: list[str]) -> str | None:
    """The objective as runs record it; None if it was not given, or there is no such."""
    text = flags.get("objective")
    return None if text is None else attempt(lambda: resolve_objective(text), errors)


def _supernet(flags: Flags, errors: list[str]) -> SupernetConfig:
    """The supernet's settings; if some are wrong, the right number of candidates at least, for further checks."""
    config = checked(SupernetConfig, read_settings(SupernetConfig, flags, errors), errors)
    return config or checked(SupernetConfig, {"candidates": flags.get("candidates")}, []) or SupernetConfig()


def _restriction(flags: Flags, errors: list[str]) -> Restriction:
    """Part of the space that --fix and --choices leave; empty if there is no such space."""
    space = attempt(lambda: get_space(flags["space"]), errors) if flags.get("space") else None
    fix, choices = flags.get("fix") or (), flags.get("choices") or ()
    return (attempt(lambda: read_restriction(space, fix, choices), errors) or {}) if space else {}


def budget_errors(flags: Flags) -> list[str]:
    """Error of a search that was given no budget, and did not say that it means to have none."""
    if any(flags.get(name) is not None for name in LIMITS if name != "min_params"):
        return []
    return [
        "A search needs a budget: add --max-params 150k (the most parameters), or --max-macs, --max-bytes or "
        "--max-peak-memory; 'nasctl space NAME' shows how large networks are. To search without a budget: "
        "--max-params none."
    ]


def budget_of(flags: Flags, errors: list[str]) -> Budget:
    """The limits on architectures; what is not a size goes into ``errors``. ``--max-params none`` is no limit."""
    if flags.get("max_params") == "none":
        flags = {**flags, "max_params": None}
    sizes = {name: converted(partial(parse_limit, name), name, flags, errors) for name in LIMITS}
    least, most = sizes["min_params"], sizes["max_params"]
    if least and most and least > most:
        errors.append(
            f"--min-params {flags['min_params']} is more than --max-params {flags['max_params']}: no network can "
            "have both; lower the first or raise the second."
        )
        sizes["min_params"] = None
    return Budget(**sizes, without_head=bool(flags.get("budget_without_head")))


def data_config(flags: Flags, errors: list[str]) -> DataConfig | None:
    """Data settings; wrong values go into ``errors``. Whether the data can be read shows when they are opened."""
    values = read_settings(DataConfig, flags, errors)
    data: DataConfig | str | None = flags.get("data")
    if not isinstance(data, DataConfig):
        return checked(DataConfig, values | {"source": _absolute(data)}, errors)
    told = {name: value for name, value in values.items() if value is not None and name != "source"}  # it wins
    return checked(
        DataConfig, {**data.model_dump(exclude_unset=True), "source": _absolute(data.source), **told}, errors
    )


def _absolute(source: str | None) -> str | None:
    """A path as it is from anywhere, so that a run can be resumed from another folder; names stay names, but for a
    path behind one: NAME:PATH."""
    if source is not None and is_name(source):
        name, colon, argument = source.partition(":")
        return f"{name}:{_absolute(argument)}" if colon else source
    if not source:
        return source
    path = at_home(source)
    return str(path.resolve()) if path.exists() else source


def _recipe(flags: Flags, errors: list[str]) -> Recipe | None:
    """The recipe called --recipe with the settings that were typed, under a name that says what it is now."""
    recipe = attempt(lambda: named_recipe(flags.get("recipe") or AUTO), errors) or Recipe()
    to_find = flags.get("learning_rate") == FIND
    changes = read_settings(Recipe, {**flags, "learning_rate": None} if to_find else flags, errors)
    changes |= {"rate_to_find": True} if to_find else {}
    changes.pop("name", None)
    methods = {name: value for name, value in changes.items() if name in METHOD_FLAGS}
    unknown = [error for name, value in methods.items() for error in check_name(name, value)]
    if unknown:
        errors += unknown
        return recipe
    given = recipe.model_dump(exclude_unset=True)  # what was not given is chosen from the data
    changed = checked(Recipe, {**given, **changes}, errors)
    if changed is None:
        return None
    errors += check_together(changed, changes)
    if not methods or (recipe.name == AUTO and not meets_imbalance(changed) and "loss" not in methods):
        return changed
    return changed.model_copy(update={"name": described_name(changed)})


def positive(name: str, text: str | None) -> int | None:
    """The whole number that was typed after the flag ``name``; None if it was left out. UsageError if it is none."""
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) >= 1):
        raise UsageError(f"--{name} {text[:40]!r} cannot be used: give a whole number of at least 1.")
    return int(text) if text else None


def with_commas(parts: Collection[str]) -> str:
    """Names as a flag takes several: with commas between them, in quotes where one holds a comma."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(parts)
    return line.getvalue()
