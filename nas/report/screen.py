"""Output for people: a terminal, a pipe or a notebook. Text is never markup here."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from nas.text import shown


class Screen(Console):
    """Shows every text as it is, also what came from outside: a class called ``[/x]`` or ``:smile:`` keeps its name,
    and characters that would command the terminal or turn its text around are written as escapes."""

    def __init__(self, **how: Any) -> None:
        super().__init__(markup=False, emoji=False, **how)

    def print(self, *objects: Any, title: str = "", **how: Any) -> None:
        """As in rich, without markup. What the first text begins with, ``title``, is bold."""
        if title and isinstance(objects[0], str):
            text = self.render_str(objects[0], highlight=False)
            text.stylize("bold", 0, len(shown(title)))
            objects = (text, *objects[1:])
        super().print(*objects, **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """Called by rich for every text, those of tables too."""
        return super().render_str(shown(text), **{**how, "markup": False, "emoji": False})
