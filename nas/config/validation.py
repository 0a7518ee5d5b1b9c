"""Settings checked once: every fault becomes a sentence with its cure."""

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


def checked(kind: type[Settings], values: Mapping[str, object], faults: list[str]) -> Settings | None:
    """``kind`` made from ``values``, None among them meaning its default; None if something is wrong, which then goes
    into ``faults``, a sentence each with its cure, by the name of the setting's flag.
    """
    try:
        model = kind.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors():
            setting = str(fault["loc"][-1])
            name = "--" + flags_of(kind).get(setting, setting).replace("_", "-")
            faults.append(f"{name} {_brief(fault.get('input'))} cannot be used: {_cure(fault)}.")
        return None
    large = [
        f"--{flag.replace('_', '-')} {_brief(value)} cannot be used: give a number of at most {MOST:,}."
        for field, flag in flags_of(kind).items()
        if isinstance(value := getattr(model, field), int | float) and value > MOST
    ]
    faults.extend(large)
    return None if large else model


def _brief(value: object) -> str:
    """What was given, of thousands of digits the first."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def raise_all(faults: list[str]) -> None:
    """UsageError with every fault, if there is any."""
    if faults:
        raise UsageError(*dict.fromkeys(faults))


def _cure(fault: ErrorDetails) -> str:
    context = fault.get("ctx", {})
    if "ge" in context:
        return f"give a number of at least {context['ge']}"
    if "gt" in context:
        return f"give a number above {context['gt']}"
    if "le" in context:
        return f"give a number of at most {context['le']:.15g}"
    if "lt" in context:
        return f"give a number below {context['lt']}"
    if fault["type"].startswith("int"):
        return "give a whole number"
    if fault["type"].startswith("float"):
        return "give a number"
    if fault["type"] == "literal_error":
        return f"choose {context['expected']}"
    return str(fault["msg"])
