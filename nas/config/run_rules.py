"""Rules between the settings of a search, beyond the validation of each field."""

from __future__ import annotations

import math

from baselines.metrics import METRICS
from baselines.verification import OBJECTIVE as VERIFICATION
from nas.config.run import GUIDED, SearchConfig


def strategy_and_guide(strategy: str | None, guide: str | None) -> tuple[str, str]:
    """Those of a search, from what was told: evolution, guided by a predictor, unless a strategy is named."""
    return strategy or "evolution", guide or ("off" if strategy else "on")


def guide_errors(guide: str | None, strategy: str) -> list[str]:
    """Errors of a guide for this strategy."""
    if guide != "on" or strategy in GUIDED:
        return []
    return [f"--guide on is for {' and '.join(GUIDED)}: {strategy} decides alone what is trained next. Leave it out."]


def proposal_errors(config: SearchConfig) -> list[str]:
    """Errors of a search's initial architectures."""
    errors = guide_errors(config.guide, config.strategy)
    if config.first and config.strategy not in GUIDED:
        errors.append(
            f"--first is for {' and '.join(GUIDED)}: {config.strategy} decides alone what is trained. Leave it out."
        )
    if len(config.first) > config.trials:
        errors.append(
            f"--first has {len(config.first)} architectures, and --trials {config.trials} trains fewer: --trials "
            f"{len(config.first)} or more."
        )
    if config.learn_from and config.guide != "on":
        errors.append("--learn-from is for the predictor of a guided search: add --guide on, or leave it out.")
    return errors


def stop_when_errors(given: object, objective: str) -> list[str]:
    """Errors of a score to stop at, if it is a number at all: metrics are shares of 1, own objectives may be
    anything."""
    try:
        stop_when = float(str(given))
    except ValueError:
        return []
    if objective not in (*METRICS, VERIFICATION) or 0 < stop_when <= 1 or not math.isfinite(stop_when):
        return []
    percent = f"; {stop_when:g} per cent is {stop_when / 100:g}" if 1 < stop_when <= 100 else ""
    return [
        f"--stop-when {stop_when:g} cannot be used: {objective.replace('_', ' ')} is above 0 and at most 1{percent}."
    ]


def too_many_trials(trials: int, candidates: int) -> list[str]:
    """The error of a one-shot search that asks for more trials than it has architectures to choose them from."""
    if trials <= candidates:
        return []
    return [
        f"--trials {trials} cannot be used: the supernet ranks {candidates} candidates, and the best of them become "
        f"trials. Give at most {candidates}, or rank more in a new search: --candidates {trials}."
    ]
