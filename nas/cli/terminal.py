"""The terminal: its width, and pipes that close."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import textwrap
from typing import Any

from nas.report.screen import Screen
from nas.text import shown

DEEPEST = 9  # characters that the text of a line may begin at, where it is folded
PIPE_WIDTH = 132  # a pipe has no width, and tables need some


class Terminal(Screen):
    """Where a reader that goes away (``| head``) ends the output, not the search."""

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


def folded(text: str, width: int) -> str:
    """``text`` in lines of at most ``width`` characters where words allow it. What follows stands under the text of a
    line that begins with a heading, and as far in as a line that begins with spaces."""
    lines = []
    for line in text.split("\n"):
        head = re.match(r"Network | *(?:\S+ {2,})?", line)
        assert head
        indent = len(head[0]) if len(head[0]) <= DEEPEST else 0
        if len(line) <= width:
            lines.append(line)
            continue
        rest = textwrap.wrap(line[indent:], width - indent, break_long_words=False, break_on_hyphens=False)
        lines += [line[:indent] + rest[0], *(" " * indent + each for each in rest[1:])] if rest else [""]
    return "\n".join(lines)


def complain(*messages: str) -> None:
    """Messages on standard error, with what cannot be seen written as escapes: as long as they are in a file; a
    terminal gets them folded. Where nobody can read them, nothing."""
    for message in messages:
        text = shown(message)
        if sys.stderr is not None and sys.stderr.isatty():
            text = folded(text, shutil.get_terminal_size().columns)
        with contextlib.suppress(OSError, ValueError):  # full, or closed
            print(text, file=sys.stderr, flush=True)


def silence_output() -> None:
    """Send standard output nowhere; Python's own flush at exit would complain otherwise."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
