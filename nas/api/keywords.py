"""Settings as Python gives them: which there are for each call, and from values to what is typed on a command line.

``nas.api.settings`` takes it from there, so that both ways in are checked alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path

import numpy as np

from budgets import LIMITS
from nas.api.settings import (
    COLOURS,
    DATA_FLAGS,
    DURATIONS,
    RECIPE_FLAGS,
    SEARCH_FLAGS,
    SUPERNET_FLAGS,
    Flags,
    with_commas,
)
from nas.config import DataConfig
from nas.config.recipe_rules import METHOD_FLAGS
from nas.config.run import Changes
from nas.engine.study_plan import StudyRequest
from nas.errors import nearest

Setting = str | bool | int | float | Path | Sequence[str | int] | Mapping[str, object] | None
"""What a setting may be given as: as it is typed after the flag ("150k"), or as the value that this means (150_000);
True or False for a switch; a list for what is typed several times or with commas; None: not given."""

Data = str | Path | DataConfig
"""What names data: "digits", a folder, a table of labels, an archive, an .npz file, a named set; or their settings."""

_WHERE = ("run", "runs")
_DATA = ("data", *DATA_FLAGS, *COLOURS)
SEARCH = tuple(dict.fromkeys((
    "space", "fix", "choices", *LIMITS, *_DATA, "strategy", *SUPERNET_FLAGS.values(), *DURATIONS, "no_floor", "recipe",
    *RECIPE_FLAGS, *METHOD_FLAGS.values(), *SEARCH_FLAGS, *_WHERE,
)))  # fmt: skip
BASELINE = tuple(dict.fromkeys((*StudyRequest.model_fields, *_DATA, *_WHERE)))
RESUME = tuple(Changes.model_fields)

SWITCHES = {
    "grey", "colour", "skip_broken", "allow_duplicates", "drop_small_classes", "ignore_val", "prune", "no_floor",
    "flip", "profile", "from_scratch", "hold_out", "as_published",
}  # fmt: skip
REPEATED = {"fix", "choices"}  # typed once for each
WITH_COMMAS = {"columns", "match", "ignore", "classes", "members"}
_OF_THE_COMMAND_LINE = {
    "config": "a settings file is given as nas.search(**tomllib.loads(text))",
    "quiet": "nothing is printed unless progress=True is given",
    "json": "what comes back is the run itself",
    "dry_run": "nas.space(...).report(...) says what fits",
    "name": "a new run is named by run",
}


def as_flags(settings: Mapping[str, object], known: Sequence[str], faults: list[str]) -> Flags:
    """``settings`` as they would be typed, with None for each of ``known`` that is not among them.

    What there is not, and values of a kind that cannot be typed, go into ``faults``.
    """
    flags: Flags = dict.fromkeys(known)
    for name, value in settings.items():
        if name not in known:
            more = f" In Python {_OF_THE_COMMAND_LINE[name]}." if name in _OF_THE_COMMAND_LINE else nearest(name, known)
            faults.append(f"There is no setting {name!r} here.{more}")
        elif value is not None:
            try:
                flags[name] = _kind_of(name)(value)
            except TypeError as error:
                flag = name.replace("_", "-")
                faults.append(f"--{flag}: a value of type {type(value).__name__} cannot be used, give {error}.")
    return flags


def _kind_of(name: str) -> Callable[[object], str | bool | list[str] | DataConfig]:
    if name in SWITCHES:
        return _switch
    if name in REPEATED:
        return _several
    if name in WITH_COMMAS:
        return lambda value: value if isinstance(value, str) else with_commas(_several(value))
    return {"data": _data, "image_size": _size}.get(name, _one)


def _switch(value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError("True or False")
    return bool(value)


def _one(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | Path | Real):
        raise TypeError("a text or a number")
    return str(value)


def _several(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [f"{name}={','.join(map(_one, _listed(each)))}" for name, each in value.items()]
    return list(map(_one, _listed(value, "a text or a list of them")))


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
    raise TypeError("a folder, a file or the name of a data set")
