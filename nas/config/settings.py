"""A setting as people give it, declared once: at the field of the model that keeps it.

``epochs: Annotated[int, Setting("Epochs of every training.", "N")]`` makes the field a flag of the command line, a key
of settings files and a keyword in Python. What is typed becomes a value by the field's type, or by ``read``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from nas.units import parse_duration


@dataclass(frozen=True)
class Setting:
    """Command-line form of a field. A field may have several, as one for each of its values, or for each of its
    parts."""

    help: str  # a line of --help, with the default in brackets where the field's own says too little
    metavar: str = ""  # what stands for a value in --help; "": a switch
    flag: str = ""  # its name with underscores; "": the field's
    short: str = ""  # its name in one letter
    off: str = ""  # of a switch that can be turned either way, the name of the other; "": "no_" and its own
    means: str | bool | None = None  # of a switch that is on or not given: what the field then is; None: True
    read: Callable[[str], Any] | None = None  # from text; ValueError says what is accepted. None: by the field's type
    write: Callable[[Any], Any] | None = None  # back again; None: as it is
    is_repeatable: bool = False
    is_method: bool = False  # a part of what the names of recipes stand for
    is_about_labels: bool = False  # which images of a source count, and which class they have
    offers: str = ""  # what a shell offers for it: a function of ``nas.cli.completion``


class Given(NamedTuple):
    """A setting in a model: where it is kept, from the outermost field on."""

    path: tuple[str, ...]
    setting: Setting
    either_way: bool  # of a switch: it can be turned off as well as on
    values: tuple[str, ...] = ()  # all that it may be, where its type says so

    @property
    def is_switch(self) -> bool:
        return not self.setting.metavar


def duration(help_text: str) -> Setting:
    """A setting that is a time: ``90s`` or ``1.5h`` as text, seconds as a value."""
    return Setting(help_text, "TIME", read=parse_duration, write=lambda seconds: f"{seconds:.15g}s")


def settings_of(kind: type[BaseModel]) -> dict[str, Given]:
    """By the names of flags everything that can be set of a model and of those in it, in the order of its fields.

    What an outer model says of a flag counts, in the place that the inner one gives it.
    """
    found: dict[str, Given] = {}
    for name, field in kind.model_fields.items():
        inner = field.annotation
        parts: dict[str, Given] = {}
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            parts = {flag: given._replace(path=(name, *given.path)) for flag, given in settings_of(inner).items()}
        for setting in _declared(field.metadata):
            flag = setting.flag or name
            default = field.get_default()
            either_way = bool(setting.off) or (default is None and setting.means is None)
            own = (name, flag.removeprefix(f"{name}_")) if is_dataclass(inner) else (name,)
            path = parts[flag].path if flag in parts else own
            values = get_args(inner) if get_origin(inner) is Literal else ()
            parts[flag] = Given(path, setting, either_way and not setting.metavar, values)
        found |= parts
    return found


def flags_of(kind: type[BaseModel]) -> dict[str, str]:
    """By the name of a model's own field the flag that sets it, where there is one."""
    return {
        name: settings[0].flag or name
        for name, field in kind.model_fields.items()
        if (settings := _declared(field.metadata)) and settings[0].means is None
    }


def read_settings(kind: type[BaseModel], asked: Mapping[str, Any], errors: list[str]) -> dict[str, Any]:
    """Values for a model's own fields from those ``asked`` for by the names of flags, as text or as values.

    None, and a switch that is off, means that a setting was not given. What cannot be read goes into ``errors``, a
    sentence each; whether a value is allowed the model says (``checked``).
    """
    values: dict[str, Any] = {}
    for flag, (path, setting, either_way, _) in settings_of(kind).items():
        value = asked.get(flag)
        if len(path) > 1 or value is None or (value is False and not setting.metavar and not either_way):
            continue
        (name,) = path
        if setting.means is not None:
            if name in values:
                others = [f"--{each}" for each, given in settings_of(kind).items() if given.path == path]
                errors.append(f"{' and '.join(others)} exclude each other: give one of them.")
            value = setting.means
        elif setting.read is not None:
            value = converted(setting.read, flag, asked, errors)
        values[name] = value
    return values


def converted(convert: Callable[[str], Any], name: str, asked: Mapping[str, Any], errors: list[str]) -> Any:
    """The setting ``name`` converted, None if it was not given or cannot be, which goes into ``errors``."""
    value = asked.get(name)
    if value is None or isinstance(value, list | tuple):
        return value
    try:
        return convert(str(value))
    except ValueError as error:
        errors.append(f"--{name.replace('_', '-')}: {error}.")
        return None


def value_of(given: Given, model: BaseModel) -> Any:
    """Value of a setting's field in ``model``."""
    value: Any = model
    for name in given.path:
        value = getattr(value, name)
    return value


def written(given: Given, model: BaseModel) -> Any:
    """The value of a setting in ``model``, as a settings file holds it; None: as if it were not given."""
    value, setting = value_of(given, model), given.setting
    if setting.means is not None:
        return True if value == setting.means else None
    return setting.write(value) if setting.write and value is not None else value


def default_of(given: Given, kind: type[BaseModel]) -> Any:
    """Default of a setting's field."""
    *outer, name = given.path
    for each in outer:
        inner = kind.model_fields[each].annotation
        if is_dataclass(inner):
            return getattr(inner, name)
        assert isinstance(inner, type) and issubclass(inner, BaseModel)
        kind = inner
    return kind.model_fields[name].get_default()


def _declared(metadata: list[Any]) -> list[Setting]:
    return [each for each in metadata if isinstance(each, Setting)]


def flattened(settings: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Values of nested settings by their dotted names: ("recipe.epochs", 24)."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
