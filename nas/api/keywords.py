"""Settings as Python gives them: which there are for each call, and from values to what is typed on a command line.

``nas.api.settings`` takes it from there, so that both ways in are checked alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel

from nas.api.in_memory import data_config
from nas.api.settings import Flags, with_commas
from nas.config import DataConfig, SearchConfig, StudyRequest
from nas.config.run import Changes
from nas.config.settings import Given, settings_of
from nas.config.training_request import RateRequest, TrainingRequest
from nas.errors import UsageError, attempt, nearest

Typed = TypeVar("Typed")
Setting = str | bool | int | float | Path | Sequence[str | int] | Mapping[str, object] | None
"""What a setting may be given as: as it is typed after the flag ("150k"), or as the value that this means (150_000);
True or False for a switch; a list for what is typed several times or with commas; None: not given."""

WHERE = ("run", "runs")
BESIDE: Mapping[type[BaseModel], tuple[str, ...]] = {  # what is given besides the declared settings
    SearchConfig: WHERE,
    StudyRequest: ("study", *WHERE),
    TrainingRequest: WHERE,
    RateRequest: ("runs",),
    Changes: (),
}
_OF_THE_COMMAND_LINE = {
    "config": "a settings file is given as nas.search(**tomllib.loads(text))",
    "quiet": "nothing is printed unless progress=True is given",
    "json": "what comes back is the run itself",
    "dry_run": "nas.space(...).report(...) shows feasible architectures",
    "name": "a new run is named by run",
}
_ELSEWHERE = {  # what it is called in Optuna and scikit-learn
    "n_trials": "trials",
    "timeout": "time_limit",
    "n_jobs": "workers",
    "random_state": "seed",
    "study_name": "run",
    "load_if_exists": "folder",
    "storage": "folder",
    "sampler": "strategy",
}
SWITCHES = {name for kind in BESIDE for name, given in settings_of(kind).items() if given.is_switch}


def as_flags(settings: Mapping[str, object], kind: type[BaseModel], errors: list[str]) -> Flags:
    """``settings`` as they would be typed for a ``kind`` of request, with None for each that is not among them.

    What there is not, and values of a type that cannot be typed, go into ``errors``.
    """
    declared = settings_of(kind)
    flags: Flags = dict.fromkeys([*declared, *BESIDE[kind]])
    known = [*flags, "callbacks", "progress"]
    for name, value in settings.items():
        if name not in flags:
            more = f" In Python {_OF_THE_COMMAND_LINE[name]}." if name in _OF_THE_COMMAND_LINE else meant(name, known)
            errors.append(f"There is no setting {name!r} here.{more}")
        elif value is not None:
            flags[name] = attempt(partial(as_typed, name, value, _typed(name, declared.get(name))), errors)
    return flags


def as_typed(name: str, value: object, convert: Callable[[object], Typed]) -> Typed:
    """Text that would be typed for ``value``. UsageError if it is of a kind that cannot be typed."""
    try:
        return convert(value)
    except TypeError as error:
        kind, flag = type(value).__name__, name.replace("_", "-")
        raise UsageError(f"--{flag}: a value of type {kind} cannot be used, give {error}.") from error


def meant(name: str, known: Sequence[str]) -> str:
    """Suggestion for an unknown setting, as the end of a message: " Did you mean 'trials'?"; or ""."""
    other = _ELSEWHERE.get(name)
    return f" Did you mean {other!r}?" if other in known else nearest(name, known)


def _typed(name: str, given: Given | None) -> Callable[[object], str | bool | list[str] | DataConfig]:
    """Function from a value to the text that would be typed."""
    if name in _OTHERWISE:
        return _OTHERWISE[name]
    if given is None:
        return _one
    if given.is_switch:
        return _switch
    return several if given.setting.is_repeatable else _one_or_several


def _switch(value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError("True or False")
    return bool(value)


def _one(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | Path | Real):
        raise TypeError("a text or a number")
    return str(value)


def _one_or_several(value: object) -> str:
    return _one(value) if isinstance(value, str | Path | Real) else with_commas(several(value))


def several(value: object) -> list[str]:
    """Texts of a value that is typed several times, or with commas: a text, a list of them, or a mapping of names."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [f"{name}={','.join(map(_one, _listed(each)))}" for name, each in value.items()]
    return list(map(_one, _listed(value, "a string or a list of strings")))


def _listed(value: object, wanted: str = "texts and numbers") -> Iterable[object]:
    if isinstance(value, str | Path | Real):
        return [value]
    if not isinstance(value, Iterable):
        raise TypeError(wanted)
    return value


def _size(value: object) -> str:
    return "x".join(map(_one, value)) if isinstance(value, list | tuple) else _one(value)


def _data(value: object) -> str | DataConfig:
    """The one place where what is given as data becomes what a run records of it."""
    if isinstance(value, DataConfig):
        return value
    if isinstance(value, str | Path):
        return str(value)
    try:
        return data_config(value)
    except UsageError as error:
        raise type(error)(*(f"--data: {message}" for message in error.messages)) from error


_OTHERWISE: Mapping[str, Callable[[object], str | DataConfig]] = {"data": _data, "image_size": _size}
