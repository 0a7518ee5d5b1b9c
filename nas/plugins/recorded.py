"""The plug-ins that a run names: found again, checked against what was recorded, and loaded if the user trusts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from nas.errors import PluginError, attempt
from nas.plugins import loading, trust
from nas.plugins.installed import load_installed
from nas.plugins.record import Plugin

_trusting = False  # --trust-plugin
_given: tuple[Plugin, ...] = ()  # --plugin


def obey(given: Sequence[Plugin] = (), *, trusting: bool = False) -> None:
    """Set, for the command that runs now, the plug-ins that it was ``given``, and whether a run may execute files that
    the user has never vouched for, which vouches for them."""
    global _trusting, _given
    _trusting, _given = trusting, tuple(given)


def resolve_plugins(recorded: Sequence[Plugin], *, run: str) -> tuple[Plugin, ...]:
    """Load the plug-ins that a run recorded; as they are now, and what else the command was given.

    One that is loaded already stands for a recorded one with the same content, else at the same path, else of the same
    file name; one that the command was given also if they are the only two left. So a file that moved or changed is
    named anew. PluginError with every error.
    """
    load_installed()
    left = [one.plugin for one in loading.loaded() if one.plugin not in recorded and one.plugin.is_file]
    errors: list[str] = []
    found = []
    missing = [plugin for plugin in recorded if plugin.is_file and not _is_there(plugin)]
    for plugin in recorded:
        stand_in = _stand_in(plugin, left, alone=len(missing) == 1) if plugin in missing else None
        if stand_in is None:
            attempt(partial(_load, plugin, run), errors)
        else:
            left.remove(stand_in)
        found.append(stand_in or plugin)
    if errors:
        raise PluginError(*errors)
    return tuple(dict.fromkeys([*found, *_given]))


def loading_errors(recorded: Sequence[Plugin], *, run: str) -> list[str]:
    """Errors that keep the plug-ins of a run from being loaded; without any, they are loaded afterwards."""
    found: list[str] = []
    attempt(lambda: resolve_plugins(recorded, run=run), found)
    return found


def _is_there(plugin: Plugin) -> bool:
    return any(one.plugin == plugin for one in loading.loaded())


def _stand_in(plugin: Plugin, left: Sequence[Plugin], *, alone: bool) -> Plugin | None:
    """Member of ``left`` that takes the place of a plug-in that is not loaded."""
    rules: tuple[Callable[[Plugin], bool], ...] = (
        lambda other: other.sha256 == plugin.sha256,
        lambda other: other.source == plugin.source,
        lambda other: Path(other.source).name == Path(plugin.source).name,
        lambda other: alone and len(_given) == 1 and other in _given and not Path(plugin.source).exists(),
    )
    return next((other for rule in rules for other in left if rule(other)), None)


def _load(plugin: Plugin, run: str) -> None:
    if _is_there(plugin):
        return
    if not plugin.is_file:
        loading.take_over([loading.Carried(plugin, None)])
        return
    path = Path(plugin.source)
    try:
        content = path.read_bytes()
    except OSError as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise PluginError(
            f"Run {run!r} uses the plug-in {path}, which {why}. Say where it is now: add --plugin PATH."
        ) from error
    if loading.sha256_of(content) != plugin.sha256:
        raise PluginError(
            f"The plug-in {path} has changed since run {run!r} recorded it. Put it back, or continue with it as "
            f"it is: add --plugin {path}"
        )
    if not (trust.is_trusted(plugin.sha256) or _trusting):
        raise PluginError(
            f"Run {run!r} names the plug-in {path}, which you never gave by --plugin, so it is not executed. Read it; "
            "to let it run: add --trust-plugin"
        )
    loading.take_over([loading.Carried(plugin, content)])
    trust.trust(plugin.sha256, plugin.source)  # not what raises
