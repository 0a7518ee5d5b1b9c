"""The command line's surface: commands, arguments and flags with placeholders and defaults, as ``surface.txt`` records
them.

Scripts of users depend on it, so nothing of it changes by accident. To record it anew, after a change that is meant:
``python tests/cli/test_surface.py``; the difference belongs in the change's review, and in CHANGELOG.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from nas.cli.app import app

RECORDED = Path(__file__).with_name("surface.txt")


def surface(command: Any, path: str = "nasctl") -> Iterator[str]:
    """A line for each command and for each of its arguments and flags, in the order of --help."""
    yield path
    for parameter in command.params:
        names = "/".join([*parameter.opts, *parameter.secondary_opts])
        if parameter.param_type_name == "argument":
            names = f"({parameter.name})"
        told = re.findall(r"\[default: (?:[^\[\]]|\[[^\]]*\])*\]", getattr(parameter, "help", None) or "")
        default = [] if parameter.default in (None, False) else [f"[{parameter.default}]"]
        needed = ["required"] if parameter.required else []
        yield " ".join(["   ", names, *filter(None, [parameter.metavar]), *needed, *default, *told])
    for name, each in getattr(command, "commands", {}).items():
        yield from surface(each, f"{path} {name}")


def test_the_command_line_is_as_recorded():
    now = list(surface(typer.main.get_command(app)))
    assert len(now) > 200
    assert now == RECORDED.read_text().splitlines(), "meant? then: python tests/cli/test_surface.py"


if __name__ == "__main__":
    RECORDED.write_text("".join(f"{line}\n" for line in surface(typer.main.get_command(app))))
