"""Trusted plug-in files of this user: the SHA-256 of each, a line each, in a file of the user's own.

A run's folder may have come from anywhere, and names files that are executed. Only what the user gave by ``--plugin``,
``--trust-plugin`` or ``load_plugin`` is in this list; it is never in the data cache, which may be shared.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from nas.files import locked, users_folder, write_atomically

_now: set[str] = set()  # vouched for in this process, also where the file cannot be written


def trust_file() -> Path:
    """Path of the list."""
    import platformdirs

    return (users_folder(platformdirs.user_state_dir) or Path(os.devnull)) / "trusted-plugins.txt"  # no home: no list


def trust(sha256: str, source: str) -> None:
    """Let a plug-in with these bytes be executed from now on; ``source`` is noted for people."""
    path = trust_file()
    if is_trusted(sha256):
        return
    _now.add(sha256)
    with contextlib.suppress(OSError):  # a home that cannot be written: it is vouched for in this process alone
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(path.with_suffix(".lock")):
            named = "".join(letter if letter.isprintable() else "?" for letter in source)
            write_atomically(path, f"{_text(path)}{sha256}  {named}\n", private=True)


def is_trusted(sha256: str) -> bool:
    """True if this user has vouched for a plug-in with these bytes."""
    return sha256 in _now or any(line.split()[:1] == [sha256] for line in _text(trust_file()).splitlines())


def forget() -> None:
    """Let this process know only what the file says."""
    _now.clear()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
