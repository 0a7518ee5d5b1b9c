"""Settings checked once: every error becomes a sentence with its cure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nas.config.settings import flags_of
from nas.errors import UsageError

MOST = 2**32  # of anything that is counted, seconds among it: more is a slip
MOST_SHOWN = 60  # characters of a value that cannot be used
Settings = TypeVar("Settings", bound=BaseModel)


def checked(kind: type[Settings], values: Mapping[str, object], errors: list[str]) -> Settings | None:
    """``kind`` made from ``values``, None among them meaning its default; None if something is wrong, which then goes
    into ``errors``, a sentence each with its cure, by the name of the setting's flag.
    """
    try:
        model = kind.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        for detail in error.errors():
            setting = str(detail["loc"][-1])
            name = "--" + flags_of(kind).get(setting, setting).replace("_", "-")
            errors.append(f"{name} {_brief(detail.get('input'))} cannot be used: {_cure(detail)}.")
        return None
    large = [
        f"--{flag.replace('_', '-')} {_brief(value)} cannot be used: give a number of at most {MOST:,}."
        for field, flag in flags_of(kind).items()
        if isinstance(value := getattr(model, field), int | float) and value > MOST
    ]
    errors.extend(large)
    return None if large else model


def _brief(value: object) -> str:
    """Given value, of thousands of digits the first."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def raise_all(errors: list[str]) -> None:
    """UsageError with every error, if there is any."""
    if errors:
        raise UsageError(*dict.fromkeys(errors))


def _cure(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if "ge" in context:
        return f"give a number of at least {context['ge']}"
    if "gt" in context:
        return f"give a number above {context['gt']}"
    if "le" in context:
        return f"give a number of at most {context['le']:.15g}"
    if "lt" in context:
        return f"give a number below {context['lt']}"
    if error["type"].startswith("int"):
        return "give a whole number"
    if error["type"].startswith("float"):
        return "give a number"
    if error["type"] == "literal_error":
        return f"choose {context['expected']}"
    return str(error["msg"])
