"""Flags are called what their parameters are, by every version of typer that we allow."""

from __future__ import annotations

from typing import Annotated, get_args, get_origin, get_type_hints

import typer

from nas.cli.app import app


def callbacks(program: typer.Typer):
    yield from (command.callback for command in program.registered_commands)
    for group in program.registered_groups:
        yield from callbacks(group.typer_instance)


def options(program: typer.Typer):
    """Parameter and option of every command."""
    for callback in callbacks(program):
        for name, hint in get_type_hints(callback, include_extras=True).items():
            for note in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
                if isinstance(note, typer.models.OptionInfo):
                    yield name, note


def test_an_option_is_named_where_its_placeholder_is_its_name():
    """Before typer 0.28 the placeholder DATA made the option --DATA out of ``data``, where no name was given."""
    found = list(options(app))
    assert len(found) > 100
    # The first name given stands in ``default``, until typer looks for it there.
    unnamed = [(name, note.metavar) for name, note in found if not note.param_decls and note.default is ...]
    assert not [name for name, placeholder in unnamed if placeholder and placeholder.lower() == name]
