"""Loading plug-ins: a file or module that is executed once, and what it registered.

Whatever registers itself in a ``Registry`` can come from a plug-in; nothing here knows the kinds.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import ParamSpec, TypeVar

from nas.arguments import checked_types, misfits
from nas.errors import PluginError, attempt
from nas.files import at_home, read_file
from nas.plugins import trust
from nas.plugins.record import Plugin
from search_spaces.registry import Addition, additions, take_back

MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Loaded:
    """A plug-in of this process. ``content``: the bytes of its file, which is what other processes execute."""

    plugin: Plugin
    module: str
    added: tuple[Addition, ...]
    content: bytes | None = None
    installed: bool = False  # by its entry point, and not asked for


@dataclass(frozen=True)
class Carried:
    """A loaded plug-in on its way to another process: the bytes of a file (None: a module) and not only its path, so
    that a file that is edited meanwhile changes nothing."""

    plugin: Plugin
    content: bytes | None


_loaded: list[Loaded] = []
LOADING = threading.RLock()
P = ParamSpec("P")
R = TypeVar("R")


@checked_types
def load_plugin(source: str | Path) -> Loaded:
    """Execute a plug-in and let what it registers be found.

    That vouches for the file: a run that names it may execute it from now on. What was loaded with the same content is
    not executed again; a file that changed takes the place of what it was.

    Args:
        source: Path of a Python file, or name of an importable module.

    Returns:
        The plug-in, and the names that it added.

    Raises:
        PluginError: If there is no such file or module, or it cannot be executed; nothing of it is registered then.

    >>> loaded = nas.load_plugin("docs/examples/tiny_space.py")
    >>> [one.name for one in loaded.added]
    ['tiny']
    """
    path = at_home(source)
    if not is_path(source):
        return load_module(str(source))
    content = _read(path, str(source))
    plugin = Plugin(source=str(path.resolve()), sha256=sha256_of(content))
    found = _load_file(plugin, content)
    trust.trust(str(plugin.sha256), plugin.source)
    return found


def load_plugins(sources: str | Path | Iterable[str | Path] | None) -> list[Loaded]:
    """``load_plugin`` of one or several; of none where that is None. PluginError with the errors of all."""
    several = [sources] if isinstance(sources, str) or not isinstance(sources, Iterable) else sources
    found, errors = list[Loaded](), list[str]()
    for source in () if sources is None else several:
        if wrong := misfits(load_plugin, {"source": source}):
            errors.append(f"--plugin{wrong['source']}")
            continue
        own: list[str] = []
        if one := attempt(partial(load_plugin, source), own):  # type: ignore[arg-type]  # None is none of them
            found.append(one)
        errors += [f"--plugin {error}" if error.startswith(f"{source}: ") else error for error in own]
    if errors:
        raise PluginError(*errors)
    return found


def loaded() -> Sequence[Loaded]:
    """The plug-ins of this process, in the order of loading."""
    return tuple(_loaded)


def with_loaded(recorded: Iterable[Plugin] = ()) -> tuple[Plugin, ...]:
    """Plug-ins that a run which begins now records: those its settings name, and those loaded but for installed ones,
    which need not be asked for."""
    return tuple(dict.fromkeys([*recorded, *(one.plugin for one in _loaded if not one.installed)]))


def added_names(kind: str) -> list[str]:
    """Names registered from outside the program, by plug-ins or by the program that uses this one."""
    return [one.name for one in additions() if one.registry.kind == kind]


def of_no_plugin() -> list[tuple[str, str]]:
    """Kind and name of what the program that uses this one registered itself: no other process can find it."""
    of_plugins = [entry for one in _loaded for entry in one.added]
    return [(one.registry.kind, one.name) for one in additions() if one not in of_plugins]


def carried() -> tuple[Carried, ...]:
    """The plug-ins of this process, for ``take_over`` in another."""
    return tuple(Carried(one.plugin, one.content) for one in _loaded)


def take_over(plugins: Iterable[Carried]) -> None:
    """Load what another process had loaded, as it was there. PluginError."""
    for one in plugins:
        if one.content is None:
            load_module(one.plugin.source)
        else:
            _load_file(one.plugin, one.content)


def forget() -> None:
    """Take back everything that plug-ins registered, as if this process had just begun."""
    for one in _loaded[::-1]:
        _unload(one)
    trust.forget()


def is_path(source: str | Path) -> bool:
    """True if a plug-in is given as a file, and not by the name of a module."""
    return isinstance(source, Path) or source.endswith(".py") or "/" in source


def _read(path: Path, what: str) -> bytes:
    try:
        return read_file(path)
    except (OSError, ValueError) as error:  # the second: a path with a null character
        reason = (
            "there is no such file"
            if isinstance(error, FileNotFoundError)
            else str(getattr(error, "strerror", error)).lower()
        )
        raise PluginError(f"{what}: {reason}. Give a Python file, or the name of an installed module.") from error


def sha256_of(content: bytes) -> str:
    """By which a plug-in's content is known."""
    return hashlib.sha256(content).hexdigest()


def _alone(load: Callable[P, R]) -> Callable[P, R]:
    """One thread at a time: two that load the same file would register its names twice."""

    @functools.wraps(load)
    def locked(*args: P.args, **options: P.kwargs) -> R:
        with LOADING:
            return load(*args, **options)

    return locked


@_alone
def _load_file(plugin: Plugin, content: bytes) -> Loaded:
    known = next((one for one in _loaded if one.plugin.sha256 == plugin.sha256), None)
    if known is not None:
        if known.plugin != plugin:  # the same file, moved
            _loaded[_loaded.index(known)] = known = Loaded(plugin, known.module, known.added, content)
        return known
    changed = next((one for one in _loaded if one.plugin.source == plugin.source), None)
    if changed is not None:
        _unload(changed)
    stem = re.sub(r"\W", "_", Path(plugin.source).stem)
    module = ModuleType(f"nasctl_plugin_{stem}_{str(plugin.sha256)[:8]}")
    module.__file__ = plugin.source
    sys.modules[module.__name__] = module

    def execute() -> None:
        exec(compile(content, plugin.source, "exec", dont_inherit=True), vars(module))

    try:
        added = _registered_by(plugin, execute)
        if not added:
            raise PluginError(
                f"The plug-in {plugin.source} registers nothing. A space, a loss, an objective... is offered by its "
                "decorator, such as nas.plugins.register_loss: docs/plugins.md shows each."
            )
    except BaseException:
        del sys.modules[module.__name__]
        if changed is not None:
            _load_file(changed.plugin, changed.content or b"")
        raise
    _loaded.append(Loaded(plugin, module.__name__, added, content))
    return _loaded[-1]


@_alone
def load_module(name: str, *, installed: bool = False) -> Loaded:
    """Import a module for what it registers; ``installed``: by its entry point. PluginError."""
    plugin = Plugin(source=name)
    known = next((one for one in _loaded if one.plugin == plugin), None)
    if known is not None and (installed or not known.installed):
        return known
    if known is not None:  # now it is asked for
        _loaded.remove(known)
    elif not MODULE.fullmatch(name):
        raise PluginError(f"{name}: that is neither the name of a module nor a file: FILE.py.")
    added = _registered_by(plugin, lambda: importlib.import_module(name))
    _loaded.append(Loaded(plugin, name, known.added if known else added, installed=installed))
    return _loaded[-1]


def _registered_by(plugin: Plugin, execute: Callable[[], object]) -> tuple[Addition, ...]:
    """Names that ``execute()`` registered; nothing if it raises, which becomes a PluginError in one line."""
    before = len(additions())
    try:
        execute()
    except (Exception, SystemExit) as error:
        take_back(additions()[before:])
        raise PluginError(_why_not(plugin, error)) from error
    except BaseException:
        take_back(additions()[before:])
        raise
    return tuple(additions()[before:])


def _why_not(plugin: Plugin, error: BaseException) -> str:
    if not plugin.is_file and isinstance(error, ModuleNotFoundError) and plugin.source.startswith(str(error.name)):
        beside = Path(f"{plugin.source}.py")
        meant = f" Did you mean the file {beside}?" if beside.is_file() else ""
        return f"{plugin.source}: there is no such module.{meant} Give an installed one, or a Python file."
    where = _innermost(plugin, error) or plugin.source
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}"
    hint = ""
    if plugin.is_file and isinstance(error, ModuleNotFoundError):
        beside = Path(plugin.source).with_name(f"{str(error.name).partition('.')[0]}.py")
        hint = " A plug-in is one file, or an installed module: files beside it are not found." * beside.is_file()
    return f"The plug-in {plugin.source} cannot be loaded: {_last_line(error)} ({where}).{hint}"


def _last_line(error: BaseException) -> str:
    """As a traceback ends, in one line."""
    message = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split()).rstrip(".")
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def blamed(error: BaseException) -> str | None:
    """Message on an error that a plug-in raised, with its place; None if none did."""
    place = next((place for one in _loaded if (place := _innermost(one.plugin, error))), None)
    return None if place is None else f"the plug-in's {_last_line(error)} ({place})"


def _innermost(plugin: Plugin, error: BaseException) -> str | None:
    file = plugin.source if plugin.is_file else getattr(sys.modules.get(plugin.source), "__file__", None)
    places = [f"{file}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return places[-1] if places else None


def _unload(one: Loaded) -> None:
    take_back(one.added)
    for name in {one.module, *(added.module for added in one.added)}:
        sys.modules.pop(name, None)
    _loaded.remove(one)
