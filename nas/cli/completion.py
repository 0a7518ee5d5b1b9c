"""Shell completion of names; each finds them when it is asked, so that --help imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.config.settings import Given


def runs(ctx: Any, incomplete: str) -> list[str]:
    """Runs in the folder that ``--runs`` names, the newest first. Opens none of them."""
    logs = Path(ctx.params.get("runs") or "runs").glob("*/log.sqlite")
    return _begun(incomplete, [log.parent.name for log in sorted(logs, key=lambda log: -log.stat().st_mtime)])


def models(ctx: Any, incomplete: str) -> list[str]:
    """Runs and exported folders."""
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete or ".").parent
    exported = [str(card.parent) for card in folder.glob("*/model.json")]
    return [*runs(ctx, incomplete), *_begun(incomplete, exported)]


def spaces(incomplete: str) -> list[str]:
    """Search spaces."""
    from search_spaces import space_names

    return _begun(incomplete, space_names())


def strategies(incomplete: str) -> list[str]:
    """Strategies of a search."""
    from nas.strategies.registry import STRATEGIES

    return _begun(incomplete, STRATEGIES)


def recipes(incomplete: str) -> list[str]:
    """Named recipes."""
    from nas.config.recipe import RECIPES

    return _begun(incomplete, RECIPES)


def studies(incomplete: str) -> list[str]:
    """Baseline studies."""
    from baselines import classical
    from baselines.studies import STUDIES

    return _begun(incomplete, [*STUDIES, classical.NAME])


def objectives(incomplete: str) -> list[str]:
    """Names of objectives."""
    from nas.config.objectives import OBJECTIVES

    return _begun(incomplete, OBJECTIVES)


def networks(incomplete: str) -> list[str]:
    """Fixed networks of studies."""
    from baselines.registry import network_names

    return _begun(incomplete, network_names())


def members(ctx: Any, incomplete: str) -> list[str]:
    """Members of the study that was named, behind those that were."""
    from baselines.studies import STUDIES

    study = ctx.params.get("study")
    return _next(incomplete, [member.name for member in STUDIES[study].members] if study in STUDIES else [])


def metrics(incomplete: str) -> list[str]:
    """Metrics of trials, behind those that were named."""
    from baselines.metrics import METRICS

    return _next(incomplete, METRICS)


def judging(incomplete: str) -> list[str]:
    """Splits of a run's data that judge a network."""
    return _begun(incomplete, ("rank", "test"))


def splits(incomplete: str) -> list[str]:
    """Splits of a run's data."""
    from nas.data.dataset import SPLIT_NAMES

    return _begun(incomplete, SPLIT_NAMES)


def oversamplers(incomplete: str) -> list[str]:
    """Ways to fill up rare classes."""
    from nas.config.recipe_rules import known_names

    return _begun(incomplete, known_names("oversampling"))


def parts(ctx: Any, incomplete: str) -> list[str]:
    """Trials of the run that was named, or trainings and members of a study, whose weights are there."""
    run = ctx.params.get("run") or ctx.params.get("name") or ""
    kept = sorted(path.stem for path in (Path(ctx.params.get("runs") or "runs") / run).glob("weights/*.safetensors"))
    named = (name for name in kept if not name.replace(".", "").isdecimal())  # of a study: MEMBER.SEED
    return _begun(incomplete, [*dict.fromkeys(name.rpartition(".")[0] for name in named), *kept] if run else [])


def of_values(given: Given) -> Callable[..., list[str]] | None:
    """Of a setting that says all that it may be, by its type or as the name of a method; None of others."""
    from nas.config.recipe_rules import known_names

    if given.is_switch or not (given.values or known_names(given.path[-1])):
        return None
    return lambda incomplete: _begun(incomplete, given.values or known_names(given.path[-1]))


def _next(incomplete: str, names: Iterable[str]) -> list[str]:
    """Names for a flag that takes several with commas: those that follow on the last comma, and are not there."""
    before, comma, begun = incomplete.rpartition(",")
    return [before + comma + name for name in _begun(begun, names) if name not in before.split(",")]


def _begun(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
