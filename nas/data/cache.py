"""Decoded sets on disk: found again by content, filled by one process at a time, whole or not there at all.

sets/<content key>/     images.npy, labels.npy, parts.npy, survey.json; complete since it has its name
sets/.tmp-<key>-<...>/  being filled by the process that holds locks/<key>
index/<quick key>.json  the content key that belongs to a source's cheap fingerprint
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from nas.errors import DataError

SURVEY = "survey.json"  # written last; its "files" are the sizes in bytes of the arrays beside it
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
OUR_DISK = _FULL | {errno.EACCES, errno.EPERM, errno.EROFS}  # what the cache folder can do wrong


def cache_root(configured: str | None) -> Path:
    """Where caches are kept: as configured, else NASCTL_CACHE, else the user's cache folder."""
    chosen = configured or os.environ.get("NASCTL_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("nasctl"))


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turns the system's errors while the cache is written into a DataError with the cure."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        what = "is full" if error.errno in _FULL else f"cannot be written: {error.strerror or error}"
        raise DataError(
            f"The cache folder {root} {what}. Make room there, or name another folder in the environment "
            "variable NASCTL_CACHE."
        ) from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on ``path``; the system releases it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        with contextlib.suppress(OSError):  # no locks on this file system: renaming is still atomic
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Cache:
    """The decoded sets below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def lookup(self, quick: str) -> Path | None:
        """The folder of the set last seen under this cheap key, if it is there and undamaged."""
        try:
            key = json.loads((self.root / "index" / f"{quick}.json").read_text())["content"]
            folder = self.root / "sets" / str(key)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return folder if is_intact(folder) else None

    def remember(self, quick: str, folder: Path) -> None:
        """Let ``lookup`` find this folder under a cheap key."""
        with writing(self.root):
            index = self.root / "index"
            index.mkdir(exist_ok=True)
            fresh = index / f".{quick}-{uuid.uuid4().hex}"
            fresh.write_text(json.dumps({"content": folder.name}))
            fresh.replace(index / f"{quick}.json")

    def fill(self, key: str, build: Callable[[Path], None]) -> Path:
        """The folder of the set ``key``, made by ``build(empty folder)`` unless it is there and undamaged.

        Other processes that want the same set wait and get it. DataError if the disk is full.
        """
        sets = self.root / "sets"
        final = sets / key
        with writing(self.root), locked(self._lock(key)):
            sets.mkdir(exist_ok=True)
            self._sweep(key)
            if is_intact(final):
                return final
            if final.exists():
                shutil.rmtree(final)
            fresh = sets / f".tmp-{key}-{uuid.uuid4().hex}"
            fresh.mkdir()
            try:
                build(fresh)
                for file in (*fresh.iterdir(), fresh):
                    _sync(file)
                _publish(fresh, final)
            except BaseException:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
            _sync(sets)
        return final

    def _lock(self, key: str) -> Path:
        return self.root / "locks" / key

    def _sweep(self, own_key: str) -> None:
        """Remove what killed processes left: temporary folders whose lock nobody else holds."""
        for folder in (self.root / "sets").glob(".tmp-*"):
            key = folder.name.split("-")[1]
            if key == own_key:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            with contextlib.suppress(OSError), self._lock(key).open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def is_intact(folder: Path) -> bool:
    """Whether every array of a set is there with the size that was written."""
    try:
        files = json.loads((folder / SURVEY).read_text())["files"]
        return bool(files) and all((folder / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _publish(fresh: Path, final: Path) -> None:
    try:
        fresh.rename(final)
    except OSError:
        if not is_intact(final):  # without locks another process may have been first
            raise
        shutil.rmtree(fresh)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
