"""``nasctl rm`` and ``nasctl cache``: what takes room on the disk."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.commands.output import console, print_json
from nas.config import raise_all
from nas.errors import UsageError, attempt
from nas.report.documents import document
from nas.units import clock, memory

if TYPE_CHECKING:
    from nas.data.cache_contents import Entry


def rm_command(names: list[str], runs: str, *, as_json: bool) -> None:
    """Remove runs: all that were named, or with an error in one of them none."""
    from nas.runs.removal import removable, remove

    if not names:
        raise UsageError("Name the runs to remove: nasctl rm RUN... ('nasctl status' lists them).")
    errors: list[str] = []
    folders = [attempt(partial(removable, name, Path(runs)), errors) for name in dict.fromkeys(names)]
    raise_all(errors)
    removed = [remove(folder) for folder in dict.fromkeys(folders) if folder is not None]
    if as_json:
        print_json([document(one) for one in removed])
        return
    for one in removed:
        left = f"; left in {one.folder}, files that nasctl did not write: {', '.join(one.left)}" if one.left else ""
        _say(f"Removed {one.run}: {_size(one.num_bytes)} freed{left}")


def cache_command(*, clean: bool, as_json: bool) -> None:
    """Show the contents of the cache; with ``clean`` remove what nobody uses."""
    from nas.data import cache_contents
    from nas.data.cache import cache_root

    root = cache_root(None)
    try:
        entries = cache_contents.clean(root) if clean else cache_contents.contents(root)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be removed: {error.strerror}. Make it writable.") from error
    total = sum(entry.num_bytes for entry in entries)
    if as_json:
        print_json({"path": str(root), "removed" if clean else "entries": [document(entry) for entry in entries]})
    elif clean:
        for entry in entries:
            _say(f"Removed {entry.name} ({entry.what}): {_size(entry.num_bytes)}")
        _say(f"{_size(total)} freed in {root}")
    else:
        _print_contents(root, entries, total)


def _print_contents(root: Path, entries: list[Entry], total: int) -> None:
    from nas.report.tables.format import make_table

    _say(f"{root}: {_size(total)} (to use another folder: the environment variable NASCTL_CACHE)")
    if not entries:
        return
    table = make_table("In the cache", ("data set", "what"), ("size", "last used"))
    for entry in entries:
        ago = "" if entry.last_used is None else f"{clock(max(0.0, time.time() - entry.last_used))} ago"
        table.add_row(entry.name, entry.what, _size(entry.num_bytes), "in use" if ago and entry.in_use else ago)
    console.print(table)
    unused = sum(entry.num_bytes for entry in entries if not entry.in_use)
    _say(f"Not in use: {_size(unused)}. To remove it: nasctl cache --clean (what is needed again is decoded again)")


def _size(num_bytes: int) -> str:
    return memory(num_bytes) if num_bytes >= 1_000_000 else f"{num_bytes:,} bytes"


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
