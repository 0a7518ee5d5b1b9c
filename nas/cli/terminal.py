"""The terminal: its width, and pipes that close."""

from __future__ import annotations

import sys
from typing import Any

from nas.cli.streams import folded, silence_output
from nas.report.screen import Screen

PIPE_WIDTH = 132  # a pipe has no width, and tables need some


class Terminal(Screen):
    """Console on which a reader that goes away (``| head``) ends the output, not the search."""

    def __init__(self) -> None:
        super().__init__(width=None if sys.stdout.isatty() else PIPE_WIDTH)

    def print(self, *objects: Any, soft_wrap: bool | None = None, **how: Any) -> None:
        """Lines that may be as long as they are (``soft_wrap``) are so in a pipe; a terminal gets them folded."""
        if soft_wrap and self.is_terminal:
            objects = tuple(folded(each, self.width) if isinstance(each, str) else each for each in objects)
        super().print(*objects, soft_wrap=soft_wrap, **how)

    def on_broken_pipe(self) -> None:
        """Nobody reads any more: say nothing further."""
        silence_output()
        self.quiet = True
