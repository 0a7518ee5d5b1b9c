"""Standard output and standard error, which may be closed or full: nothing that is said there ends a search."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from typing import Any, TextIO, cast

from nas.text import shown

DEEPEST = 9  # characters that the text of a line may begin at, where it is folded


class Lasting:
    """Standard output that outlasts an error of what it is written to (a full disk, a terminal that is gone): the rest
    goes nowhere, and ``lost`` says why. A reader that goes away is told of as ever, by BrokenPipeError."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: str | None = None

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise error
        self.lost = error.strerror or str(error)
        silence_output()
        complain(f"nasctl: Nothing more can be written to standard output ({self.lost}). The command continues.")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Readable(Lasting):
    """Standard output on a terminal, for text that may hold anything."""

    def write(self, text: str) -> int:
        self._stream.write(shown(text))
        return len(text)


@contextlib.contextmanager
def data_out() -> Iterator[None]:
    """For names and texts from outside on standard output: as they are where programs read them, bytes of file names
    that are no text among them; on a terminal what cannot be seen is written as escapes."""
    if sys.stdout.isatty():
        with contextlib.redirect_stdout(cast(TextIO, _Readable(sys.stdout))):
            yield
        return
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(errors="surrogateescape")
    yield


def open_streams() -> Lasting:
    """Put ``Lasting`` in the place of standard output. What is closed among the three streams goes nowhere, so that no
    file that is opened gets its number; letters that the terminal lacks are written as escapes."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(descriptor, True)  # workers need them too
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    lasting = Lasting(sys.stdout)
    sys.stdout = cast(TextIO, lasting)
    return lasting


def complain(*messages: str) -> None:
    """Messages on standard error, with what cannot be seen written as escapes: as long as they are in a file; a
    terminal gets them folded. Where nobody can read them, nothing."""
    for message in messages:
        text = shown(message)
        with contextlib.suppress(OSError, ValueError):  # full, or closed
            if sys.stderr.isatty():
                text = folded(text, shutil.get_terminal_size().columns)
            print(text, file=sys.stderr, flush=True)


def silence_output() -> None:
    """Send standard output nowhere; Python's own flush at exit would complain otherwise."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
