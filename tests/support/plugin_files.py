"""Plug-ins of tests: the examples of the manual, and a space of one convolution."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SPACE = """
from nas.plugins import register_space
from search_spaces.vocabulary import GlobalPool, Linear, conv_norm_act, sequence


@register_space({name!r}, summary="one convolution", choices={{"width": {widths}}})
def define(choices, task):
    return sequence(conv_norm_act(choices["width"], 3), GlobalPool(), Linear(task.num_classes))
"""


def space_file(place: Path, name: str = "one", file: str = "my_space.py", *, widths: str = "(4, 8)") -> Path:
    path = place / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SPACE.format(name=name, widths=widths))
    return path
