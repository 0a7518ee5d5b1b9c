"""Arguments of public calls held against their annotations, so that a value of another kind is told in a sentence.

Whether a value of the right kind can be used is for the call itself to say. What stands in no hint (``**settings``, the
items of a list) is left to it too.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from search_spaces.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")
_KINDS: Mapping[object, tuple[type | tuple[type, ...], str]] = {  # what counts as one, and what it is called
    Path: ((str, Path), "a path"),
    str: (str, "a text"),
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    type(None): (type(None), "None"),
    tuple: ((tuple, list), "a tuple"),
    dict: (Mapping, "a dictionary"),
    Mapping: (Mapping, "a dictionary"),
    Sequence: ((Sequence, Iterable), "a list"),
}


def checked_types(call: Callable[P, R]) -> Callable[P, R]:
    """A decorator of public functions and methods: UsageError, in Python's words and by argument in ``errors``, for
    every value that is not of the kind that its annotation says."""
    names = list(inspect.signature(call).parameters)

    @functools.wraps(call)
    def checked(*args: P.args, **given: P.kwargs) -> R:
        raise_misfits(call, {**dict(zip(names, args, strict=False)), **given})
        return call(*args, **given)

    return checked


def raise_misfits(call: Callable[..., Any], given: Mapping[str, object]) -> None:
    """Check as ``checked_types`` does, some arguments only."""
    if wrong := misfits(call, given):
        errors = tuple((name, f"{name}{what}") for name, what in wrong.items())
        raise UsageError(*(message for _, message in errors), errors=errors)


def misfits(call: Callable[..., Any], given: Mapping[str, object]) -> dict[str, str]:
    """By name what is wrong with those of ``given`` that are of another kind than ``call`` says; the sentence continues
    from the name."""
    hints = _hints(inspect.unwrap(call))
    return {
        name: f"{_refused(value)} give {_in_words(hints[name])}."
        for name, value in given.items()
        if name in hints and not _fits(value, hints[name])
    }


@functools.cache
def _hints(call: Callable[..., Any]) -> dict[str, object]:
    """The annotations of named parameters, but for those whose names are only imported for type checkers."""
    hints: dict[str, object] = {}
    for name, parameter in inspect.signature(call).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD or parameter.annotation is parameter.empty:
            continue
        try:
            hints[name] = eval(str(parameter.annotation), call.__globals__)
        except NameError:
            continue
    return hints


def _parts(hint: object) -> list[object]:
    """The kinds of a union; of another hint itself."""
    return list(get_args(hint)) if isinstance(hint, types.UnionType) or get_origin(hint) is Union else [hint]


def _fits(value: object, hint: object) -> bool:
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        value = value.item()  # type: ignore[attr-defined]  # a number, a truth value or a text
    parts = _parts(hint)
    if Path in parts and value == "":
        return False  # a variable that was not set, and no path
    return any(_is_one(value, part) for part in parts)


def _is_one(value: object, part: object) -> bool:
    kind = get_origin(part) or part
    if kind is Callable:
        return callable(value)
    if kind is Literal:
        return isinstance(value, str) and value in get_args(part)
    if kind not in _KINDS:
        return kind is Any or not isinstance(kind, type) or isinstance(value, kind)
    if kind is Sequence and isinstance(value, str | bytes | Mapping):
        return False
    if kind in (int, float) and isinstance(value, bool):
        return False
    items = get_args(part) if kind is tuple and isinstance(value, tuple | list) else ()
    wanted = items[0] if items else None
    return isinstance(value, _KINDS[kind][0]) and (wanted is None or all(_fits(item, wanted) for item in value))  # type: ignore[attr-defined]


def _in_words(hint: object) -> str:
    parts = _parts(hint)
    if float in parts:
        parts = [part for part in parts if part is not int]
    choices = [repr(choice) for part in parts if get_origin(part) is Literal for choice in get_args(part)]
    words = choices + [_word(part) for part in parts if get_origin(part) is not Literal]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _word(part: object) -> str:
    kind, items = get_origin(part) or part, get_args(part)
    if kind is tuple and items and items[0] in _KINDS:
        return f"a tuple of {_KINDS[items[0]][1].removeprefix('a ')}s"
    if kind in _KINDS:
        return _KINDS[kind][1]
    if kind is Callable or not isinstance(kind, type):
        return "a function"
    return f"{'an' if kind.__name__[0] in 'AEIO' else 'a'} {kind.__name__}"


def _refused(value: object) -> str:
    if value is None or isinstance(value, bool | int | float | str):
        return f"={value!r} cannot be used:"
    return f": a value of type {type(value).__name__} cannot be used,"
