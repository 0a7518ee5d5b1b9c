"""The program as a user calls it: inside this process, or as a process of its own.

A process costs seconds of imports. It is for tests that are about one: what is imported, signals, kills, pipes, two
at once. All others call ``nasctl``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch

from nas.cli import main
from nas.cli.commands.output import console
from nas.cli.terminal import Terminal
from nas.plugins import loading
from nas.trials import datasets

NASCTL = str(Path(sys.executable).with_name("nasctl"))
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


def nasctl(*arguments: object, cwd: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run the program in this process, and leave it as it was found; an error nobody foresaw is raised.

    Of its workers only what they send is seen: what they print goes where their server's output went.
    """
    command = ["nasctl", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        with (
            _as_it_was(), _ends_after(timeout, command), contextlib.chdir(cwd),
            _written_to(1, "stdout", out.fileno()), _written_to(2, "stderr", errors.fileno()),
        ):  # fmt: skip
            sys.argv = command
            vars(console).update(vars(Terminal()))  # as if made just now: its width is that of a pipe
            code = _exit_code()
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), errors.read())


def nasctl_process(*arguments: object, cwd: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run the program as a user starts it."""
    return subprocess.run(
        [NASCTL, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
    )


def told(place: Path, *arguments: object) -> str:
    """Output of a command that must succeed."""
    done = nasctl(*arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(place: Path, *arguments: object) -> str:
    """The message of a command that must be refused, without a traceback."""
    done = nasctl(*arguments, cwd=place)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("nasctl: ") and "Traceback" not in done.stderr
    return done.stderr


def fails(*arguments: object, cwd: Path) -> str:
    """As ``refused``, leaving no run behind."""
    message = refused(cwd, *arguments)
    assert not (cwd / "runs").exists()
    return message


def _exit_code() -> int:
    try:
        main()
    except SystemExit as end:
        assert end.code is None or isinstance(end.code, int), "text as exit code: print it to stderr"
        return end.code or 0
    return 0


@contextlib.contextmanager
def _written_to(number: int, name: str, file: int) -> Iterator[None]:
    """Send to ``file`` what Python and libraries write to descriptor ``number``, that of ``sys.<name>``."""
    before, saved = getattr(sys, name), os.dup(number)
    before.flush()
    os.dup2(file, number)
    stream = open(number, "w", closefd=False)  # noqa: SIM115  # not closed: a library may have kept it
    setattr(sys, name, stream)
    try:
        yield
    finally:
        stream.flush()
        setattr(sys, name, before)
        os.dup2(saved, number)
        os.close(saved)


@contextlib.contextmanager
def _ends_after(seconds: float, command: list[str]) -> Iterator[None]:
    def expire(signum: int, frame: FrameType | None) -> None:
        raise subprocess.TimeoutExpired(command, seconds)

    signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Restores what a program may change because it ends: nothing of one call is found by the next."""
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    arguments, variables, terminal = sys.argv, dict(os.environ), dict(vars(console))
    program, package = sys.modules["__main__"], sys.modules["__main__"].__package__
    program.__package__ = None  # else messages name the module that runs the tests
    threads = torch.get_num_threads()
    datasets.forget()  # the name of a data set means another one in another folder
    try:
        yield
    finally:
        datasets.forget()
        loading.forget()
        torch.set_num_threads(threads)
        program.__package__ = package
        sys.argv = arguments
        os.environ.clear()
        os.environ.update(variables)
        vars(console).clear()
        vars(console).update(terminal)
        for number, handler in handlers.items():
            signal.signal(number, handler)
