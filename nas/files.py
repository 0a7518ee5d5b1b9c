"""Files that appear whole or not at all, and locks that the system frees when their process ends, however it ends.

What is being written has a name of its own, ``.tmp-NAME-<12 hexadecimal digits>``, and is locked by who writes it. What
a kill leaves has such a name and no lock: the next who writes removes it, and never what a living process writes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP)  # what file systems say that cannot flush a folder

_OF_SHELLS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")  # what <(...) of a shell gives


class NoLocks(OSError):
    """The file system has no locks."""


class Lock(Protocol):
    """A lock that somebody holds."""

    def release(self) -> None:
        """Let the next one have it."""


def at_home(path: str | Path) -> Path:
    """The path, ``~`` and ``~user`` taken for home folders as a shell does it: what names none stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # pathlib's raises RuntimeError


def users_folder(named: Callable[[str], str]) -> Path | None:
    """The folder of this program that a function of platformdirs names; None where the user has no home."""
    try:
        path = Path(named("nasctl"))
    except RuntimeError:
        return None
    return path if path.is_absolute() else None


def write_atomically(
    path: Path,
    content: bytes | str,
    *,
    parents: bool = False,
    durable: bool = False,
    partial: Path | None = None,
    private: bool = False,
) -> None:
    """Put ``content`` (text as UTF-8) in the place of ``path``: a reader finds all of the old or all of the new.

    The file has the usual mode, or with ``private`` is its owner's alone. Of the folders above only the last is made
    where it is missing, with ``parents`` all. With ``durable`` the new content outlasts a power cut once this returns.
    OSError if that cannot be done; ``path`` is then as before and nothing is left beside it.

    ``partial`` is what the file is called while it is written, for a caller who looks for what was interrupted: it
    stays after an error as it does after a kill. Only one process at a time may then write ``path``.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(data)  # a device or a pipe has no other to take its place
        return
    (partial or path).parent.mkdir(parents=parents, exist_ok=True)
    with contextlib.nullcontext(partial) if partial else _claimed(path, Path.touch) as temporary:
        if private:
            temporary.chmod(0o600)
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if partial:
            path.parent.mkdir(parents=parents, exist_ok=True)
        temporary.replace(path)
    if durable:
        _flush_folder(path.parent)


@contextlib.contextmanager
def new_folder(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """An empty folder to fill, which gets the name ``path`` at the end of the block; if the block raises, nothing is
    left. OSError if that cannot be done, also if ``path`` is there by then and is no empty folder.

    Until then it lies in the nearest folder above ``path`` that exists; those between are made at the end.
    """
    home = next(parent for parent in path.absolute().parents if parent.exists())
    with _claimed(home / path.name, Path.mkdir) as temporary:
        yield temporary
        if durable:
            _flush(temporary)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(path)
    if durable:
        _flush_folder(path.parent)


@contextlib.contextmanager
def new_files(*paths: Path) -> Iterator[list[Path]]:
    """Empty files to fill, which get the names ``paths`` at the end of the block, the last one last; if the block
    raises, nothing is left. OSError if that cannot be done, FileExistsError if one of ``paths`` is there by then.

    The folders above must exist. A kill at the very end may leave the first ones without the last.
    """
    with contextlib.ExitStack() as stack:
        temporary = [stack.enter_context(_claimed(path, Path.touch)) for path in paths]
        yield temporary
        for path in paths:
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        for written, path in zip(temporary, paths, strict=True):
            written.replace(path)


@contextlib.contextmanager
def scratch_folder(name: str, *, before_removal: Callable[[Path], object] | None = None) -> Iterator[Path]:
    """An empty folder among the system's temporary files, gone at the end of the block; what a kill leaves goes when
    the next one called ``name`` is made, after ``before_removal`` (see ``remove_leftovers``)."""
    wanted = Path(tempfile.gettempdir(), name)
    with _claimed(wanted, lambda path: path.mkdir(mode=0o700), before_removal) as folder:
        yield folder


def write_own(path: Path, content: bytes | str) -> None:
    """``write_atomically`` of a file of our own: a pipe or a device in its place is removed, not written to."""
    if path.exists() and not path.is_file() and not path.is_dir():
        path.unlink()
    write_atomically(path, content)


def read_file(path: Path, *, most: int = 1 << 26) -> bytes:
    """The bytes of a small file that strangers may have made. OSError if it cannot be read, is larger than ``most``
    bytes, or is a pipe, a socket or a device, which may never end; what a shell passes as /dev/fd/N is read."""
    if not path.is_file() and path.exists() and not path.is_dir() and not str(path).startswith(_OF_SHELLS):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", str(path))
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
    return content


def remove_leftovers(
    folder: Path, name: str | None = None, *, before_removal: Callable[[Path], object] | None = None
) -> None:
    """Remove what killed processes left of what was to be called ``name``, without a name of anything. What cannot be
    removed, or is being written, stays; so does that for which ``before_removal`` raises an OSError."""
    ours = re.compile(rf"\.tmp-{'.+' if name is None else re.escape(name)}-[0-9a-f]{{12}}")
    found: list[Path] = []
    with contextlib.suppress(OSError):
        found = [path for path in folder.iterdir() if ours.fullmatch(path.name)]
    for left in found:
        with contextlib.suppress(OSError), _opened(left) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if before_removal is not None:
                before_removal(left)
            _remove(left)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock ``path``, after waiting for it; makes missing folders. Where there are no locks, it continues
    without: for work that is wasted, but not wrong, if two do it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = take_lock(path)
    except NoLocks:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def take_lock(path: Path, *, wait: float | None = None) -> Lock:
    """The lock ``path`` (a file, made if it is missing), ours until its ``release`` or until this process ends.

    It is released by the thread that took it; a process forked meanwhile must not drop it, which would release it.
    TimeoutError if somebody else holds it for ``wait`` seconds (None: however long). OSError if the file cannot be
    written, NoLocks if its file system has no locks.
    """
    with _opened(path, os.O_RDWR | os.O_CREAT) as descriptor:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)  # the library would make it the owner's alone to write
        try:  # the library would wait for ever for what no file system gives
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # somebody has it
        except OSError as error:
            raise NoLocks(error.errno, error.strerror, str(path)) from error
    from filelock import FileLock  # by those who only read files, never

    lock = FileLock(path, mode=mode)
    lock.acquire(timeout=-1 if wait is None else wait)
    return lock


def hold_folder(folder: Path, *, wait: float) -> Lock | None:
    """A lock on the folder itself, which nobody can remove from inside it; ours until its ``release`` or until this
    process ends. None if its file system has no such locks. TimeoutError if somebody else holds it for ``wait``
    seconds."""
    descriptor = os.open(folder, os.O_RDONLY)
    end: float | None = None
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            end = time.monotonic() + wait if end is None else end
            if time.monotonic() >= end:
                os.close(descriptor)
                raise TimeoutError(str(folder)) from None
            time.sleep(0.02)
        except OSError:
            os.close(descriptor)
            return None
        else:
            return _Held(descriptor)


class _Held:
    """An open file whose lock goes when it is closed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


def is_locked(path: Path) -> bool:
    """True if somebody, in this process or another, holds the lock ``path``, a file or a folder. Writes nothing, also
    where one may only read; False if no lock was ever taken, or it is not ours to see.

    The lock is shared for an instant, so that who takes it should wait a little before giving up. (The library can
    only take a lock, for which it makes and writes the file.)
    """
    try:
        with _opened(path) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextlib.contextmanager
def _claimed(
    path: Path, make: Callable[[Path], object], before_removal: Callable[[Path], object] | None = None
) -> Iterator[Path]:
    """A new file or folder beside ``path``, ours by its lock as long as it has its first name."""
    remove_leftovers(path.parent, path.name, before_removal=before_removal)
    temporary = _free_name(path)
    while (descriptor := _make_and_lock(temporary, make)) is None:
        temporary = _free_name(path)
    try:
        yield temporary
    finally:
        with contextlib.suppress(OSError):  # else it is a leftover
            _remove(temporary)
        os.close(descriptor)


def _free_name(path: Path) -> Path:
    return path.with_name(f".tmp-{path.name}-{os.urandom(6).hex()}")


def _make_and_lock(temporary: Path, make: Callable[[Path], object]) -> int | None:
    """An open descriptor of what was made; None if before its lock somebody took it for left and removed it."""
    make(temporary)
    try:
        descriptor = os.open(temporary, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = temporary.exists()
    except BlockingIOError:
        ours = False
    except OSError:
        ours = True  # no locks on this file system: nobody removes what a kill leaves
    if ours:
        return descriptor
    os.close(descriptor)
    return None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)  # a pipe of this name would be waited for
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _flush(folder: Path) -> None:
    """Onto the disk, with all that is in it."""
    for path in folder.rglob("*"):
        if not path.is_dir():
            with _opened(path) as descriptor:
                os.fsync(descriptor)
        else:
            _flush_folder(path)
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    """The names in a folder onto the disk."""
    try:
        with _opened(folder) as descriptor:
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
