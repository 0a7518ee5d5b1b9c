"""Settings from a TOML file, a line each: they stand where flags were not given, and messages name them by their key.

Which settings there are follows from the command's own options, so that a new flag is a new setting.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nas.api.settings import with_commas
from nas.data.sources.registry import is_name
from nas.errors import UsageError, nearest
from nas.files import at_home, read_file
from nas.plugins.loading import is_path

EXCLUSIVE = ({"grey", "colour"}, {"network", "arch"}, {"weights", "from_scratch"})  # a flag wins over its rivals too
MANY = ("NAMES", "PATTERN", "PAIRS")  # placeholders of flags that take several, with commas between them
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)")
_CURES = {
    "dict": "settings belong to no table: write each as KEY = VALUE before any line in brackets",
    "list": "give one value",
    "bool": "it is not a switch, so give a value",
}


@dataclass(frozen=True)
class Setting:
    """Values that a flag takes: its placeholder, or nothing if it is a switch; or one text after the other."""

    metavar: str
    is_switch: bool
    is_repeatable: bool = False


Value = str | bool | list[str]


@dataclass(frozen=True)
class SettingsFile:
    """Contents of a settings file: ``values`` by the names of flags, and its errors."""

    path: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)  # that no flag replaced
    keys: Mapping[str, str] = field(default_factory=dict)  # as the file writes their names
    errors: tuple[str, ...] = ()

    @contextmanager
    def naming_keys(self) -> Iterator[None]:
        """UsageErrors of what is inside say ``epochs`` of this file where they would say ``--epochs``."""
        try:
            yield
        except UsageError as error:
            raise type(error)(*map(self._by_key, error.messages)) from error

    def _by_key(self, error: str) -> str:
        flags = _FLAG.findall(error)
        if error in self.errors or (flags and flags[0].replace("-", "_") not in self.keys):
            return error  # about a flag; what cures it may be a flag too
        if flags:
            return f"{self.path}: " + _FLAG.sub(lambda m: self.keys.get(m[1].replace("-", "_"), m[0]), error)
        quoted = [key for name, key in self.keys.items() if repr(self.values[name]) in error]
        return f"{self.path}: {quoted[0]}: {error}" if quoted else error


NO_FILE = SettingsFile()


def read_settings(path: str, settings: Mapping[str, Setting], typed: Collection[str]) -> SettingsFile:
    """The file at ``path``, for a command that has these ``settings``, of which those ``typed`` were given as flags.

    A relative path of ``data`` is one beside the file. UsageError if it cannot be read as TOML.
    """
    document = _parsed(path)
    values: dict[str, Value] = {}
    keys: dict[str, str] = {}
    errors: list[str] = []
    for key, value in document.items():
        name = key.replace("-", "_")
        if name not in settings:
            known = [each.replace("_", "-") if "-" in key else each for each in settings]
            errors.append(
                f"{path}: there is no setting {key!r}.{nearest(key, known)} Settings have the names of the "
                "flags in --help."
            )
        elif name in keys:
            errors.append(f"{path}: {keys[name]} and {key} are the same setting: keep one of them.")
        else:
            keys[name] = key
            try:
                values[name] = _as_typed(value, settings[name])
            except ValueError as error:
                errors.append(f"{path}: {key} = {_shown(value)} cannot be used: {error}.")
    lost = {rival for group in EXCLUSIVE if not group.isdisjoint(typed) for rival in group}
    left = {name: value for name, value in values.items() if name not in typed and name not in lost}
    if isinstance(source := left.get("data"), str):
        left["data"] = _beside(Path(path), source)
    for name in ("arch", "weights"):  # an architecture may also be of a run, or written out
        if isinstance(file := left.get(name), str) and not file.lstrip().startswith("{"):
            beside = at_home(path).absolute().parent / at_home(file)
            left[name] = str(beside) if beside.is_file() else file
    if isinstance(plugins := left.get("plugin"), list):
        left["plugin"] = [_beside(Path(path), each) if is_path(each) else each for each in plugins]
    return SettingsFile(path, left, {name: keys[name] for name in left}, tuple(errors))


def _parsed(path: str) -> dict[str, object]:
    try:
        return tomllib.loads(read_file(at_home(path)).decode("utf-8-sig").replace("\r\n", "\n"))
    except OSError as error:
        raise UsageError(f"--config {path} cannot be read: {error.strerror}. Give a TOML file.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--config {path} cannot be read: it is not UTF-8 text. Give a TOML file.") from error
    except RecursionError as error:
        raise UsageError(f"--config {path} cannot be read: its brackets are nested too deeply.") from error
    except ValueError as error:
        if "integer string conversion" in str(error):
            raise UsageError(f"--config {path}: a number has thousands of digits: give a smaller one.") from error
        raise UsageError(
            f'--config {path} is not TOML: {error}. Write one setting per line, strings in quotes: space = "densenet".'
        ) from error


def _as_typed(value: object, setting: Setting) -> Value:
    """As the flag would have it; ValueError says what is accepted."""
    if setting.is_switch:
        if isinstance(value, bool):
            return value
        raise ValueError("it is a switch, so write true or false")
    if isinstance(value, list) and (setting.metavar in MANY or setting.is_repeatable):
        if all(isinstance(part, str) for part in value):
            return value if setting.is_repeatable else with_commas(value)
        raise ValueError('write strings between the brackets: ["a", "b"]')
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        cure = _CURES.get(type(value).__name__, "give a string in quotes, or a number")
        raise ValueError(f"{cure} ({setting.metavar})" if "give" in cure else cure)
    return [str(value)] if setting.is_repeatable else str(value)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _beside(file: Path, source: str) -> str:
    """Data that are named in ``file``: the name of a set, or a path relative to its folder."""
    if is_name(source):
        return source
    path = at_home(file).absolute().parent / at_home(source)
    # What is nowhere keeps its text: it may be a misspelled name.
    return str(path) if path.exists() or at_home(source).exists() else source
