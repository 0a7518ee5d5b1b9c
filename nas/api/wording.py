"""Messages as Python's users read them. They are written once, for the command line, and reworded where they leave.

``--max-params 150k`` becomes ``max_params="150k"``, ``--no-prune`` becomes ``prune=False``, and the commands that a
message ends with become calls where there is one: ``nasctl resume NAME`` is ``nas.load_run("NAME").resume()``. Other
commands stay as they are typed.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from baselines import classical
from nas.api.keywords import SWITCHES
from nas.config.objectives import OBJECTIVES
from nas.config.recipe import RECIPES, Recipe
from nas.config.recipe_rules import known_names
from nas.errors import DataError, NasctlError, UsageError
from nas.strategies.registry import STRATEGIES
from search_spaces import space_names

NOTHING: Mapping[str, object] = MappingProxyType({})
_OTHER_WORDS = (
    "adam",
    "sgd",
    "one-cycle",
    "cosine",
    "step",
    "constant",
    "exponential",
    "warm-restarts",
    "cpu",
    "cuda",
    "none",
    "resize",
    "pad",
    "digits",
)
_COMMAND = re.compile(r"nasctl(?: (?:'[^']*'|\.\.\.|(?:[^\s'\"().,;:]|[.,:](?=[^\s'\")]))+))+")
_FLAG = re.compile(
    r"--(?P<name>[a-z][a-z0-9-]*)"
    r"(?: (?P<value>'[^']*'|\"[^\"]*\"|-?\d(?:\w|[.,](?=\w))*|[A-Z]{2,}[A-Z|]*\b|[\w.*~-]*[/=](?:[\w./*=,-]*[\w/*=])?"
    r"|[\w-]+\.\w+|[a-z][\w:+-]*))?"
)


@contextmanager
def in_python(given: Mapping[str, object] = NOTHING) -> Iterator[None]:
    """Reword what is raised inside for Python: keywords of the settings ``given`` by name, and calls. Also a
    decorator."""
    try:
        yield
    except UsageError as error:
        if error.in_python:
            raise
        errors = [in_words_of_python(message) for message in error.messages]
        names = [_setting_of(message, given, error) for message in error.messages]
        reworded: NasctlError = type(error)(*errors, errors=tuple(zip(names, errors, strict=True)))
        raise reworded.with_traceback(error.__traceback__) from error.__cause__
    except NasctlError as error:
        reworded = type(error)(in_words_of_python(str(error)))
        raise reworded.with_traceback(error.__traceback__) from error.__cause__


def in_words_of_python(text: str) -> str:
    """``text`` with keywords in place of flags, and calls in place of commands."""
    parts, place = [], 0
    for command in _COMMAND.finditer(text):
        parts += [_FLAG.sub(_keyword, text[place : command.start()]), _call(command[0])]
        place = command.end()
    return "".join([*parts, _FLAG.sub(_keyword, text[place:])])


def _setting_of(message: str, given: Mapping[str, object], error: UsageError) -> str:
    """The setting that an error is about: whose flag it names first, or whose name or value it quotes."""
    if found := _FLAG.search(_COMMAND.sub("", message)):
        return _name_and_switch(found["name"])[0]
    texts = {name: str(value) if isinstance(value, str | Path) else name for name, value in given.items()}
    if quoted := [name for name, text in texts.items() if repr(name) in message or repr(text) in message]:
        return quoted[0]
    if isinstance(error, DataError) or (isinstance(given.get("data"), str | Path) and texts["data"] in message):
        return "data"
    return found[1] if (found := re.match(r"There is no (?:[a-z]+ )*([a-z]+) '", message)) else ""


def _keyword(found: re.Match[str]) -> str:
    """A flag, with what stands behind it if that is its value, as a keyword."""
    (name, switch), value = _name_and_switch(found["name"]), found["value"]
    behind = "" if value is None else f" {value}"
    if found.string[found.end("name") :].startswith(":"):
        return f"{name}{behind}"
    if switch is not None:
        return f"{name}={switch}{behind}"
    if value is None or (value.isalpha() and value.islower() and value not in _words()):
        return f"{name}{behind}"
    return f"{name}={_literal(value)}"


def _name_and_switch(flag: str) -> tuple[str, bool | None]:
    """Keyword of a flag, and the value to which it sets a switch; None: it is no switch."""
    name = flag.replace("-", "_")
    if name in SWITCHES:
        return name, True
    if name == "train_on_all":
        return "hold_out", False
    off = name.removeprefix("no_")
    return (off, False) if off != name and off in SWITCHES else (name, None)


def _literal(value: str) -> str:
    """Python literal of typed text; a placeholder as it is."""
    number = value.strip("'").replace(",", "")
    if re.fullmatch(r"-?\d+(\.\d+)?", number):
        return number
    is_written = value[0] in "'\"" or value in ("True", "False") or value.isupper()
    return value if is_written else json.dumps(value, ensure_ascii=False)


def _words() -> frozenset[str]:
    """Values that are words."""
    methods = (name for field in Recipe.model_fields for name in known_names(field))
    return frozenset((*space_names(), *STRATEGIES, *RECIPES, *OBJECTIVES, *methods, *_OTHER_WORDS, "True", "False"))


def _call(command: str) -> str:
    """A command as the call that does the same; as it is if there is none."""
    try:
        typed = shlex.split(command)
    except ValueError:  # no command, but words around one
        return command
    match typed:
        case ["nasctl", "search", *rest]:
            call, positions, first = "nas.search({})", 0, "space"
        case ["nasctl", "baseline", "run", *rest] if rest and rest[0] != classical.NAME:
            call, positions, first = "nas.baseline({})", 1, ""
        case ["nasctl", "baseline", "run", classical.NAME, *rest]:
            call, positions, first = "nas.classical({})", 0, ""
        case ["nasctl", "resume", *rest] if rest:
            call, positions, first = "nas.load_run({}).resume({})", 1, "runs"
        case _:
            return command
    arguments = _arguments(rest)
    if arguments is None or len(arguments[0]) != positions:
        return command
    words, settings = [json.dumps(word, ensure_ascii=False) for word in arguments[0]], arguments[1]
    if first == "space" and first in settings:
        words.append(settings.pop(first))
    told = [f"{name}={value}" if value else "..." for name, value in settings.items() if name != "runs"]
    where = [f"runs={settings['runs']}"] if "runs" in settings else []
    if first == "runs":
        return call.format(", ".join([*words, *where]), ", ".join(told))
    return call.format(", ".join([*words, *told, *where]))


def _arguments(typed: list[str]) -> tuple[list[str], dict[str, str]] | None:
    """Words before the first flag, and by setting what was typed; None for what is no command but words around one."""
    words: list[str] = []
    settings: dict[str, str] = {}
    left = iter(typed)
    for word in left:
        if word == "...":
            settings["..."] = ""
        elif not word.startswith("--"):
            if settings:
                return None
            words.append(word)
        else:
            name, switch = _name_and_switch(word.removeprefix("--"))
            value = str(switch) if switch is not None else next(left, None)
            if value is None:
                return None
            settings[name] = _literal(value)
    return words, settings
