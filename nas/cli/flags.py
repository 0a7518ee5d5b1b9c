"""The flags of commands: those of settings, made from the models that declare them, and what else commands take.

Values are checked all together by ``nas.api.settings``, not one by one here; nothing heavy may be imported.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from nas.cli import completion

if TYPE_CHECKING:
    from nas.cli.settings_file import SettingsFile
    from nas.config.settings import Given

Text = str | None
# typer's own exception for all that it cannot read; where it is defined depends on the version of typer.
Misuse: type[Any] = typer.BadParameter.__mro__[1]


def option(
    help_text: str, metavar: str | None, *names: str, complete: Callable[..., list[str]] | None = None
) -> typer.models.OptionInfo:
    """``complete`` gives what a shell offers for a value."""
    return typer.Option(  # type: ignore[no-any-return]
        *names, help=help_text, metavar=metavar, show_default=False, autocompletion=complete
    )


Prior = Annotated[
    Text, option("Class prior in deployment: train, uniform, or a JSON file with one number per class.", "HOW")
]
Int8 = Annotated[bool, typer.Option("--int8", help="Use the int8 network.")]
PluginFiles = Annotated[
    list[str] | None,
    option(
        "Load a plug-in (a space, loss, strategy...): a Python file, which is executed, or a module. "
        "Repeatable. [default: those of the run]",
        "FILE.py|MODULE",
        "--plugin",
    ),
]
TrustPlugin = Annotated[
    bool,
    typer.Option(
        "--trust-plugin", help="Execute the plug-in files that the run names, although you never gave them by --plugin."
    ),
]
ConfigFile = Annotated[
    Text,
    option(
        "Read settings from a TOML file, by the names of these options; options on the command line take precedence.",
        "FILE",
        "--config",
    ),
]
RunName = Annotated[
    Text, option("Name of the run. [default: the newest run]", "NAME", "--run", "-r", complete=completion.runs)
]
Position = Annotated[
    Text, typer.Argument(metavar="[RUN]", help="Name or folder of a run, as --run.", autocompletion=completion.runs)
]
Model = Annotated[
    Text,
    typer.Argument(
        metavar="MODEL", help="An exported folder, RUN, RUN:TRIAL or STUDY:MEMBER.", autocompletion=completion.models
    ),
]
Runs = Annotated[str, typer.Option(help="Folder that holds the runs.", metavar="DIR")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything, print the plan, and stop: no run is created.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def plugin_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--plugin`` and ``--trust-plugin`` after its own, obeyed before the command begins."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())
    settings = [parameter for parameter in own if parameter.kind is parameter.VAR_KEYWORD]
    kinds = {"plugin": (PluginFiles, None), "trust_plugin": (TrustPlugin, False)}
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in kinds.items()
    ]

    @functools.wraps(command)
    def whole(*, plugin: list[str] | None, trust_plugin: bool, **typed: Any) -> None:
        from nas.cli.plugin_flags import use_plugins

        use_plugins(plugin, trusting=trust_plugin)
        command(**typed)

    parameters = [*(parameter for parameter in own if parameter not in settings), *more, *settings]
    whole.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    whole.__annotations__ = {p.name: p.annotation for p in parameters}
    return whole


Declared = Callable[[], Mapping[str, "Given"]]
"""Settings by the names of their flags; the models that declare them are imported when it is called."""


class Deferred(TyperCommand):
    """A command whose flags are made when they are asked for: to import the models that declare them takes a third of a
    second, which ``nasctl --help`` and other commands need not wait for."""

    make: Callable[[], Any]  # the whole command

    @functools.cached_property
    def _whole(self) -> Any:
        return type(self).make()

    @property
    def params(self) -> list[Any]:
        return self._whole.params  # type: ignore[no-any-return]  # the list itself, which click changes

    @params.setter
    def params(self, without_settings: list[Any]) -> None:
        """Not these."""

    @property
    def callback(self) -> Any:
        return self._whole.callback

    @callback.setter
    def callback(self, without_settings: Any) -> None:
        """Nor this."""


def with_settings(
    program: typer.Typer, declared: Declared, order: str, name: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command of ``program`` that takes a flag for each of the ``declared`` settings too, as
    ``**settings``; ``all_flags`` puts them beside the others.

    ``order`` has the flags in the order of --help: names, ``data.*`` for those of this part of a model that are not
    named, ``*`` for all others, so that a new setting needs no place.
    """

    def register(command: Callable[..., None]) -> Callable[..., None]:
        def make() -> Any:
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(name or command.__name__)(_with_flags(command, declared(), order.split()))
            return typer.main.get_command(alone)

        def nothing() -> None:
            """In place of the command until it is asked for."""

        kind = type(command.__name__, (Deferred,), {"make": staticmethod(make)})
        program.command(name or command.__name__, cls=kind, help=inspect.getdoc(command))(nothing)
        return command

    return register


def _with_flags(command: Callable[..., None], declared: Mapping[str, Given], order: list[str]) -> Callable[..., None]:
    """``command`` with a parameter for each setting that it does not declare itself."""
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    parts = {p.name: "" for p in own} | {flag: given.path[0] for flag, given in declared.items()}
    parameters = {flag: _parameter(flag, given) for flag, given in declared.items()} | {p.name: p for p in own}

    @functools.wraps(command)
    def whole(**typed: Any) -> None:
        command(**typed)

    ordered = [parameters[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in in_order(parts, order)]
    whole.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    whole.__annotations__ = {p.name: p.annotation for p in ordered}
    return whole


def in_order(parts: Mapping[str, str], order: list[str]) -> Iterator[str]:
    """The names in ``parts``, as ``order`` has them; by name the part of a model that each belongs to."""
    groups = {word.removesuffix(".*") for word in order if word.endswith(".*")}
    for word in order:
        if word == "*":
            yield from (name for name, part in parts.items() if name not in order and part not in groups)
        elif word.endswith(".*"):
            yield from (name for name, part in parts.items() if name not in order and f"{part}.*" == word)
        elif word in parts:
            yield word


def _parameter(flag: str, given: Given) -> inspect.Parameter:
    """A setting as a parameter of a command."""
    setting, name = given.setting, f"--{flag.replace('_', '-')}"
    names = [f"{name}/--{(setting.off or f'no_{flag}').replace('_', '-')}" if given.either_way else name]
    names += [f"-{setting.short}"] if setting.short else []
    kind = (bool | None if given.either_way else bool) if given.is_switch else list[str] | None
    complete = getattr(completion, setting.offers) if setting.offers else completion.of_values(given)
    return inspect.Parameter(
        flag,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[
            kind if given.is_switch or setting.is_repeatable else Text,
            option(setting.help, setting.metavar or None, *names, complete=complete),
        ],
        default=False if given.is_switch and not given.either_way else None,
    )


def all_flags(local: Mapping[str, Any]) -> dict[str, Any]:
    """All flags that a command was given, its ``settings`` among them."""
    own = {name: value for name, value in local.items() if name not in ("settings", "context", "config")}
    return {**own, **local.get("settings", {})}


def settings_file(context: typer.Context, path: str | None) -> SettingsFile:
    """Settings of the file given with ``--config`` for options that were not typed. UsageError if it cannot be read;
    errors in it are among its ``errors``."""
    from nas.cli.settings_file import NO_FILE, Setting, read_settings

    if path is None:
        return NO_FILE
    settings = {
        parameter.name: Setting(
            parameter.metavar or "DIR",
            is_switch=getattr(parameter, "is_flag", False),
            is_repeatable=getattr(parameter, "multiple", False),
        )
        for parameter in context.command.params
        if parameter.name == "study"
        or (parameter.param_type_name == "option" and parameter.name not in ("config", "trust_plugin", "help", None))
    }
    sources = {name: context.get_parameter_source(name) for name in settings}
    typed = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    return read_settings(path, settings, typed)
