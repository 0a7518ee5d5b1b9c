"""Messages for command lines that cannot be parsed and for exceptions, each with what to type instead."""

from __future__ import annotations

import re
from typing import Any

from search_spaces.errors import UsageError, nearest

_STRAY = re.compile(r"unexpected extra argument(?:s|\(s\))? \((?P<words>.*)\)", re.DOTALL)
_OF_PARTS = ("show", "export", "train", "lr-find")  # take RUN:TRIAL
_PLACES = {"space": "--space", "strategy": "--strategy", "size": "--max-params", "data": "--data"}


def in_our_words(error: Any, typed: list[str]) -> UsageError:
    """``error`` as one message. ``typed``: the words after ``nasctl``."""
    context, kind = error.ctx, type(error).__name__
    path = context.command_path.replace(context.find_root().info_name, "nasctl", 1) if context else "nasctl"
    if context is None and typed and not typed[0].startswith("-"):
        path += f" {typed[0]}"
    more = f"'{path} --help' says what it takes."
    if found := _STRAY.search(error.format_message()):
        return UsageError(_stray(path, context.command, found["words"].split(" "), typed))
    if kind == "NoSuchOption":
        known = [name for p in context.command.params for name in (*p.opts, *p.secondary_opts) if name.startswith("-")]
        return UsageError(f"There is no {error.option_name} in {path}.{nearest(error.option_name, known)} {more}")
    if kind == "MissingParameter" and error.param is not None:
        name = error.param.metavar or error.param.human_readable_name.upper()
        options = [name for name in error.param.opts if name.startswith("--")]
        wanted = f"{options[0]} {name}" if options else name
        return UsageError(f"{wanted} is missing: {path} {wanted}. {more}")
    if kind == "BadOptionUsage":
        return UsageError(f"{error.option_name} needs a value. {more}")
    if found := re.search(r"No such command '(?P<word>[^']*)'", error.message):
        word, names = found["word"], list(context.command.commands)
        return UsageError(f"There is no command {path} {word}.{nearest(word, names)} Commands: {', '.join(names)}.")
    return UsageError(f"{error.format_message().rstrip('.')}. {more}")


def _stray(path: str, command: Any, words: list[str], typed: list[str]) -> str:
    """That there are more words than the command takes, and the command that was probably meant."""
    known = {name for p in command.params for name in p.opts}
    meant = list(typed)
    for word in words:
        if word not in meant:  # with spaces in it
            return f"{path} was given too many arguments: {' '.join(words)}. '{path} --help' lists them."
        place = len(meant) - 1 - meant[::-1].index(word)
        if place == 2 and meant[0] in _OF_PARTS and not meant[1].startswith("-") and ":" not in meant[1] + word:
            run, part = (word, meant[1]) if meant[1].isdigit() else (meant[1], word)
            meant[1:3] = [f"{run}:{part}"]
            continue
        flag = _PLACES.get(_kind(word), "")
        meant[place : place + 1] = [flag, word] if flag in known and flag not in meant else []
    taken = [p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument"]
    takes = f"takes no more arguments than {' '.join(taken)}" if taken else "takes no positional arguments"
    listed = ", ".join(map(repr, words))
    return f"{path} {takes}: {listed} cannot be used like this. Did you mean: nasctl {' '.join(meant)}"


def _kind(word: str) -> str:
    """Kind of thing that a word without a flag may be."""
    from nas.strategies.registry import STRATEGIES
    from search_spaces import space_names

    if word in space_names():
        return "space"
    if word in STRATEGIES:
        return "strategy"
    return "size" if re.fullmatch(r"\d[\d._]*([kmgKMG]i?)?[bB]?", word) else "data" if "/" in word else ""


def foreseen(error: Exception) -> tuple[str, int] | None:
    """Message in place of a traceback, and the exit code; None: it is an error of the program."""
    from nas.errors import NasctlError, file_error, machine_error, out_of_memory, reason
    from nas.plugins.loading import blamed

    if isinstance(error, NasctlError):
        return str(error), error.exit_code
    if (message := machine_error(error)) is not None:
        return f"{message}. Fix the cause, and run the command again.", 1
    if (message := blamed(error)) is not None:
        return f"Stopped by {message}. Fix it, and run the command again.", 1
    if (message := file_error(error)) is not None:
        return message, 2
    if isinstance(error, OSError):
        return f"The operating system refused: {reason(error)}. Fix the cause, and run the command again.", 1
    if out_of_memory(error):
        return "Out of memory. Close other programs, or ask for less: fewer --workers, a smaller network.", 1
    if isinstance(error, RecursionError):
        return "The input is nested too deeply to be read: a settings file, a JSON file or folders.", 2
    if "integer string conversion" in str(error):
        return "A number has thousands of digits: give a smaller one.", 2
    if isinstance(error, OverflowError):
        return f"A number is too large ({error}): give a smaller one.", 2
    return None
