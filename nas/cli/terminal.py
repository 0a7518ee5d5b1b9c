"""The terminal: its width, pipes that close, and a bar for decoding."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

PIPE_WIDTH = 132  # a pipe has no width, and tables need some


class Terminal(Console):
    """Where a reader that goes away (``| head``) ends the output, not the search."""

    def __init__(self) -> None:
        super().__init__(width=None if sys.stdout.isatty() else PIPE_WIDTH)

    def on_broken_pipe(self) -> None:
        """Nobody reads any more: say nothing further."""
        silence_output()
        self.quiet = True


def silence_output() -> None:
    """Send standard output nowhere; Python's own flush at exit would complain otherwise."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def decoding(
    console: Console, quiet: bool, what: str = "decoding images"
) -> Iterator[Callable[[int, int], None] | None]:
    """A bar that moves until the block ends, so that a terminal never looks dead; it counts images, if there are many
    of which to do ``what``."""
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        bar.add_task("preparing", total=None)
        task = bar.add_task(what, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
