"""What a shell offers where names are typed; each finds them when it is asked, so that --help imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


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


def _begun(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
