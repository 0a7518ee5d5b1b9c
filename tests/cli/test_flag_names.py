"""Flags are called what their parameters are, by every version of typer that we allow; a new setting is a flag."""

from __future__ import annotations

from typing import Annotated, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel

from nas.cli.app import app
from nas.cli.flags import all_flags, with_settings
from nas.config.settings import Setting, default_of, duration, read_settings, settings_of, written


def commands(group):
    for command in group.commands.values():
        yield from commands(command) if hasattr(command, "commands") else [command]


def options(program: typer.Typer):
    """Parameter and option of every command that declares some itself."""
    for command in program.registered_commands:
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            for note in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
                if isinstance(note, typer.models.OptionInfo):
                    yield name, note
    for group in program.registered_groups:
        yield from options(group.typer_instance)


def test_an_option_is_named_where_its_placeholder_is_its_name():
    """Before typer 0.28 the placeholder DATA made the option --DATA out of ``data``, where no name was given."""
    found = list(options(app))
    assert len(found) > 40
    # The first name given stands in ``default``, until typer looks for it there.
    unnamed = [(name, note.metavar) for name, note in found if not note.param_decls and note.default is ...]
    assert not [name for name, placeholder in unnamed if placeholder and placeholder.lower() == name]
    given = [p for command in commands(typer.main.get_command(app)) for p in command.params]
    wrong = [p.name for p in given if p.param_type_name == "option" and f"--{p.name.replace('_', '-')}" not in p.opts]
    assert len(given) > 200 and not wrong


class Inner(BaseModel):
    size: Annotated[int, Setting("How large.", "N")] = 3


class Outer(BaseModel):
    inner: Inner = Inner()
    wait: Annotated[float | None, duration("How long.")] = None
    shade: Annotated[
        str | None, Setting("Dark.", flag="dark", means="black"), Setting("Light.", flag="light", means="white")
    ] = None
    turn: Annotated[bool | None, Setting("Turn it.")] = None
    kept: str = "as it is"


def test_a_setting_is_declared_once(capsys):
    """Its flag, its reading and its writing follow from the field of a model."""
    program = typer.Typer(add_completion=False)

    @with_settings(program, lambda: settings_of(Outer), "light * where inner.*")
    def take(where: str = "", **settings: object) -> None:
        """Take it."""
        print(sorted(all_flags(locals()).items()))

    command = typer.main.get_command(program)
    assert [p.opts[0] for p in command.params] == ["--light", "--wait", "--dark", "--turn", "--where", "--size"]
    command(["--wait", "1.5h", "--light", "--no-turn", "--size", "7"], standalone_mode=False)
    typed = dict(eval(capsys.readouterr().out))
    assert typed == {"light": True, "wait": "1.5h", "dark": False, "turn": False, "where": "", "size": "7"}
    errors: list[str] = []
    inner = Inner.model_validate(read_settings(Inner, typed, errors))
    outer = Outer(inner=inner, **read_settings(Outer, typed, errors))
    assert (outer.wait, outer.shade, outer.turn, outer.inner.size, errors) == (5400, "white", False, 7, [])
    again = {flag: written(given, outer) for flag, given in settings_of(Outer).items()}
    assert again == {"size": 7, "wait": "5400s", "dark": None, "light": True, "turn": False}
    assert {default_of(given, Outer) for given in settings_of(Outer).values()} == {3, None}
    read_settings(Outer, {"wait": "soon", "dark": True, "light": True}, errors)
    assert errors[0].startswith("--wait: 'soon' is not a duration")
    assert errors[1] == "--dark and --light exclude each other: give one of them."
