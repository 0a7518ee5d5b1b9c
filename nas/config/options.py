"""Options of what is chosen by name: ``fbeta:beta=2,average=macro``, typed by the signature of the function.

The options of a function are its parameters after the first few, which it is called with anyway. A setting holds the
text in one form, ``canonical``: defaults left out, in the order of the signature: equal choices are equal texts.
"""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from nas.errors import UsageError, attempt, nearest

Value = str | int | float | bool | None
Function = Callable[..., Any]
AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
KINDS: tuple[type, ...] = (bool, int, float, str)
TYPED = "int, float, bool, str, a Literal of these, or one of them or None"
_REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Option:
    """A parameter that is set by name: its type, or the values that it may have, and its default."""

    name: str
    kind: type
    choices: tuple[Value, ...] = ()
    default: Any = _REQUIRED
    may_be_none: bool = False

    def read(self, text: str) -> Value:
        """The value that ``text`` means. ValueError says what is accepted."""
        if self.may_be_none and text == "none":
            return None
        if self.choices:
            found = [choice for choice in self.choices if written(choice) == text]
            if not found:
                names = [written(choice) for choice in self.choices]
                raise ValueError(f"choose {' or '.join(names)}.{nearest(text, names)}")
            return found[0]
        try:
            return _READ[self.kind](text)
        except (ValueError, KeyError):
            raise ValueError(f"give {_WORDS[self.kind]}.") from None

    def __str__(self) -> str:
        return self.name if self.default is _REQUIRED else f"{self.name}={written(self.default)}"


def base_name(text: str) -> str:
    """The name without options: "fbeta" of "fbeta:beta=2"."""
    return text.partition(":")[0]


def written(value: Value) -> str:
    """A value as it is typed."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:.15g}"
        return short if float(short) == value else repr(value)
    return str(value)


def options_of(function: Function, given: int) -> dict[str, Option]:
    """The options of a function that is called with ``given`` positional arguments, by name.

    TypeError for one whose values cannot be read from text: neither an annotation nor a default says how.
    """
    parameters = list(inspect.signature(function).parameters.values())[given:]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {each.name: _option(each, function) for each in parameters if each.kind in named}


def read_options(kind: str, text: str, function: Function, given: int) -> dict[str, Value]:
    """The options in ``text`` that differ from their defaults, in the order of the signature. UsageError with every
    error; ``kind`` is what the name is of: "loss", "objective"."""
    name, colon, rest = text.partition(":")
    known = options_of(function, given)
    errors: list[str] = []
    found: dict[str, Value] = {}
    for part in rest.split(",") if colon else []:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        attempt(partial(_put, f"{kind} {name}", known, found, key, value if equals else ""), errors)
    missing = [key for key, option in known.items() if option.default is _REQUIRED and key not in found]
    if missing and not errors:
        errors.append(f"The {kind} {name} needs {' and '.join(missing)}: write {name}:{missing[0]}=VALUE.")
    if errors:
        raise UsageError(*errors)
    return {key: found[key] for key, option in known.items() if key in found and found[key] != option.default}


def canonical(name: str, options: Mapping[str, Value]) -> str:
    """The text of a name with the options of ``read_options``."""
    return name + (":" if options else "") + ",".join(f"{key}={written(value)}" for key, value in options.items())


def bound(kind: str, text: str, function: AnyFunction, given: int) -> AnyFunction:
    """``function`` with the options in ``text``; itself where there are none. UsageError as ``read_options``."""
    if ":" not in text:
        return function
    return partial(function, **read_options(kind, text, function, given))  # type: ignore[return-value]


_DECLARED: dict[tuple[str, str], tuple[Function, int]] = {}


def declare(kind: str, name: str, function: Function, given: int) -> None:
    """Make the options of what was registered as ``name`` known to ``resolve_options`` and ``option_errors``, which
    plans ask before torch is loaded. TypeError for an option that text cannot give."""
    options_of(function, given)
    _DECLARED[kind, name] = function, given


def resolve_options(kind: str, text: str) -> str:
    """``text`` in its one form; as it is where it cannot be used, or its name is not declared."""
    function, given = _DECLARED.get((kind, base_name(text)), (None, 0))
    if function is None or option_errors(kind, text):
        return text
    return canonical(base_name(text), read_options(kind, text, function, given))


def option_errors(kind: str, text: str) -> list[str]:
    """Errors of the options in ``text``, whose name is known: one that is not declared here has none."""
    function, given = _DECLARED.get((kind, base_name(text)), (_without_options, 0))
    errors: list[str] = []
    attempt(partial(read_options, kind, text, function, given), errors)
    return errors


def _without_options() -> None:
    """Built in, and not loaded."""


def _put(what: str, known: Mapping[str, Option], found: dict[str, Value], key: str, value: str) -> None:
    """One option into ``found``; UsageError if it cannot be."""
    name = what.split()[-1]
    if not known:
        raise UsageError(f"The {what} has no options: write {name} alone.")
    options = ", ".join(map(str, known.values()))
    if key not in known:
        raise UsageError(f"The {what} has no option {key!r}.{nearest(key, list(known))} Options: {options}.")
    if not value:
        raise UsageError(f"{key} of the {what} has no value: write {name}:{key}=VALUE. Options: {options}.")
    if key in found:
        raise UsageError(f"{key} of the {what} is given twice: keep one of them.")
    try:
        found[key] = known[key].read(value)
    except ValueError as error:
        raise UsageError(f"{key}={value} of the {what} cannot be used: {error}") from None


def _option(parameter: inspect.Parameter, function: Function) -> Option:
    annotation, default = _resolved(parameter.annotation, function), parameter.default
    may_be_none = default is None
    if get_origin(annotation) in (Union, types.UnionType):
        left = [each for each in get_args(annotation) if each is not type(None)]
        may_be_none = may_be_none or len(left) < len(get_args(annotation))
        annotation = left[0] if len(left) == 1 else annotation
    if get_origin(annotation) is Literal:
        choices = tuple(each for each in get_args(annotation) if each is not None)
        may_be_none = may_be_none or len(choices) < len(get_args(annotation))
        return Option(parameter.name, type(choices[0]), choices, default, may_be_none)
    if annotation not in KINDS and default is not _REQUIRED and type(default) in KINDS:
        annotation = type(default)
    if annotation not in KINDS:
        raise TypeError(
            f"the option {parameter.name!r} of {function.__name__} has no type that can be parsed from text: {TYPED}"
        )
    return Option(parameter.name, annotation, (), default, may_be_none)


def _resolved(annotation: Any, function: Function) -> Any:
    """An annotation as an object, where it is text (``from __future__ import annotations``)."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, getattr(inspect.unwrap(function), "__globals__", {}))
    except Exception:  # a name that is imported for checkers alone, say: the default then says it
        return None


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


_READ: dict[type, Callable[[str], Value]] = {
    bool: lambda text: SWITCHES[text.lower()], int: int, float: _number, str: str,
}  # fmt: skip
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
