"""Files and locks with real processes: killed in the middle, out of room, several at once, without permission."""

from __future__ import annotations

import errno
import fcntl
import itertools
import multiprocessing
import os
import resource
import signal
import stat
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from nas.errors import RunError
from nas.files import is_locked, locked, new_folder, remove_leftovers, scratch_folder, take_lock, write_atomically
from nas.runs.log import EventLog, is_running

SPAWN = multiprocessing.get_context("spawn")
OLD, NEW = b"old" * 10, b"new" * 1_000_000


def begin(function: Callable[..., None], *arguments: object) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    """A process that does ``function(..., channel)``, and our end of the channel."""
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=function, args=(*arguments, there), daemon=True)
    process.start()
    there.close()
    return process, here


def heard(channel: Connection) -> object:
    assert channel.poll(60), "the other process says nothing"
    return channel.recv()


def kill(process: multiprocessing.process.BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def outcome(process: multiprocessing.process.BaseProcess, channel: Connection) -> object:
    """Message of a process that then ends."""
    said = heard(channel)
    process.join(60)
    assert process.exitcode == 0
    return said


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# What other processes do


def write_and_stop_before_the_move(path: Path, content: bytes, channel: Connection) -> None:
    flush = os.fsync

    def stop(descriptor: int) -> None:
        flush(descriptor)
        channel.send("written")
        channel.recv()
        os.fsync = flush

    os.fsync = stop
    write_atomically(path, content, durable=True)
    channel.send("moved")


def write_for_ever(path: Path, channel: Connection) -> None:
    for number in itertools.count():
        write_atomically(path, bytes([number % 256]) * 1_000_000)
        if number == 3:
            channel.send("several are written")


def write_often(path: Path, letter: str, channel: Connection) -> None:
    for _ in range(200):
        write_atomically(path, letter * 10_000)
    channel.send("done")


def fill_and_stop(path: Path, channel: Connection) -> None:
    with new_folder(path) as folder:
        (folder / "half").write_text("half")
        channel.send("half")
        channel.recv()


def fill_often(path: Path, channel: Connection) -> None:
    num_first = 0
    for number in range(30):
        try:
            with new_folder(path / str(number)) as folder:
                (folder / "a").write_text("a" * 1000)
            num_first += 1
        except OSError as error:
            assert error.errno == errno.ENOTEMPTY
    channel.send(num_first)


def without_room(work: Callable[[Path], None], path: Path, channel: Connection) -> None:
    """A limit on the size of files stands for a full disk: writing fails in the middle."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        work(path)
    except OSError as error:
        channel.send(error.errno)
    else:
        channel.send(None)


def as_nobody(work: Callable[[Path], object], folder: Path, channel: Connection) -> None:
    """In ``folder`` as somebody who owns nothing, where we may become that."""
    os.chdir(folder)  # the folders above need not let that user pass
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        channel.send(work(Path()))
    except OSError as error:
        channel.send(type(error).__name__)


def write_new(path: Path) -> None:
    write_atomically(path, NEW)


def write_new_durably(path: Path) -> None:
    write_atomically(path, NEW, durable=True)


def fill_new(path: Path) -> None:
    with new_folder(path) as folder:
        (folder / "a").write_bytes(NEW)


def write_a_file(folder: Path) -> None:
    write_atomically(folder / "file", NEW)


def look_at_the_lock(folder: Path) -> bool:
    return is_locked(folder / ".lock")


def take_the_lock(folder: Path) -> None:
    take_lock(folder / ".lock", wait=0.1)


def hold(path: Path, channel: Connection) -> None:
    with locked(path):
        channel.send("held")
        channel.recv()


def look_for_ever(path: Path, channel: Connection) -> None:
    for number in itertools.count():
        is_locked(path)
        if number == 0:
            channel.send("looking")


def count_up(path: Path, times: int, channel: Connection) -> None:
    for _ in range(times):
        with locked(path.with_name("locks") / "counter"):
            path.write_text(str(int(path.read_text()) + 1))
    channel.send("done")


class TestFile:
    def test_content_replaces_content(self, tmp_path: Path) -> None:
        write_atomically(tmp_path / "file", "größer\n")
        assert (tmp_path / "file").read_bytes() == "größer\n".encode()
        write_atomically(tmp_path / "file", b"")
        assert (tmp_path / "file").read_bytes() == b"" and names(tmp_path) == ["file"]

    def test_a_reader_of_the_old_content_keeps_it(self, tmp_path: Path) -> None:
        write_atomically(tmp_path / "file", OLD)
        with (tmp_path / "file").open("rb") as file:
            write_atomically(tmp_path / "file", NEW, durable=True)
            assert file.read() == OLD
        assert (tmp_path / "file").read_bytes() == NEW

    @pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
    def test_the_mode_is_the_usual_one(self, tmp_path: Path, mask: int) -> None:
        before = os.umask(mask)
        try:
            write_atomically(tmp_path / "file", OLD)
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask

    def test_only_the_last_folder_is_made_unless_all_are_asked_for(self, tmp_path: Path) -> None:
        write_atomically(tmp_path / "a" / "file", OLD)
        with pytest.raises(FileNotFoundError):
            write_atomically(tmp_path / "gone" / "weights" / "file", OLD)
        assert names(tmp_path) == ["a"]
        write_atomically(tmp_path / "gone" / "weights" / "file", OLD, parents=True)
        assert (tmp_path / "gone" / "weights" / "file").read_bytes() == OLD

    def test_what_cannot_be_replaced_stays_and_nothing_is_left(self, tmp_path: Path) -> None:
        (tmp_path / "file" / "kept").mkdir(parents=True)
        with pytest.raises(OSError, match="file"):
            write_atomically(tmp_path / "file", NEW)
        assert names(tmp_path) == ["file"] and names(tmp_path / "file") == ["kept"]

    def test_a_kill_before_the_move_leaves_the_old_content(self, tmp_path: Path) -> None:
        write_atomically(tmp_path / "file", OLD)
        process, channel = begin(write_and_stop_before_the_move, tmp_path / "file", NEW)
        assert heard(channel) == "written"
        kill(process)
        assert (tmp_path / "file").read_bytes() == OLD
        assert len(names(tmp_path)) == 2  # what was written is still there
        write_atomically(tmp_path / "other", OLD)
        assert len(names(tmp_path)) == 3  # and is not the business of another file
        write_atomically(tmp_path / "file", NEW)
        assert names(tmp_path) == ["file", "other"] and (tmp_path / "file").read_bytes() == NEW

    def test_a_kill_at_any_moment_leaves_one_content_whole(self, tmp_path: Path) -> None:
        for wait in (0.0, 0.003, 0.007, 0.012, 0.02):
            process, channel = begin(write_for_ever, tmp_path / "file")
            heard(channel)
            time.sleep(wait)
            kill(process)
            content = (tmp_path / "file").read_bytes()
            assert content == content[:1] * 1_000_000
            assert len(names(tmp_path)) <= 2  # what the kill before it left is gone
        write_atomically(tmp_path / "file", NEW)
        assert names(tmp_path) == ["file"]

    def test_a_scratch_folder_goes_with_its_block_and_one_that_a_kill_left_with_the_next(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        (left := tmp_path / ".tmp-work-0123456789ab").mkdir()
        (left / "file").write_text("of a killed process")
        (tmp_path / ".tmp-other").write_text("not ours: no such ending")
        with scratch_folder("work") as folder:
            assert folder.is_dir() and folder.stat().st_mode & 0o077 == 0 and not left.exists()
            remove_leftovers(tmp_path)
            assert folder.is_dir()
        assert names(tmp_path) == [".tmp-other"]

    def test_what_a_living_process_writes_is_no_leftover(self, tmp_path: Path) -> None:
        process, channel = begin(write_and_stop_before_the_move, tmp_path / "file", NEW)
        assert heard(channel) == "written"
        write_atomically(tmp_path / "file", OLD)
        remove_leftovers(tmp_path)
        assert (tmp_path / "file").read_bytes() == OLD
        channel.send("go on")
        assert outcome(process, channel) == "moved"
        assert (tmp_path / "file").read_bytes() == NEW and names(tmp_path) == ["file"]

    def test_processes_that_write_it_at_once_do_not_disturb_each_other(self, tmp_path: Path) -> None:
        processes = [begin(write_often, tmp_path / "file", letter) for letter in "abc"]
        for process, channel in processes:
            assert outcome(process, channel) == "done"
        content = (tmp_path / "file").read_text()
        assert content in ("a" * 10_000, "b" * 10_000, "c" * 10_000) and names(tmp_path) == ["file"]

    @pytest.mark.parametrize("work", [write_new, write_new_durably])
    def test_without_room_the_old_content_stays_and_nothing_is_left(
        self, tmp_path: Path, work: Callable[[Path], None]
    ) -> None:
        write_atomically(tmp_path / "file", OLD)
        assert outcome(*begin(without_room, work, tmp_path / "file")) == errno.EFBIG
        assert (tmp_path / "file").read_bytes() == OLD and names(tmp_path) == ["file"]

    def test_a_disk_that_refuses_to_flush_changes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        write_atomically(tmp_path / "file", OLD)
        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", full)
            with pytest.raises(OSError, match="No space left"):
                write_atomically(tmp_path / "file", NEW, durable=True)
        assert (tmp_path / "file").read_bytes() == OLD and names(tmp_path) == ["file"]

    def test_a_folder_that_may_only_be_read(self, tmp_path: Path) -> None:
        write_atomically(tmp_path / "file", OLD)
        tmp_path.chmod(0o555)
        try:
            assert outcome(*begin(as_nobody, write_a_file, tmp_path)) == "PermissionError"
        finally:
            tmp_path.chmod(0o755)
        assert (tmp_path / "file").read_bytes() == OLD and names(tmp_path) == ["file"]

    def test_a_name_of_the_callers_choice_while_it_is_written(self, tmp_path: Path) -> None:
        (tmp_path / "partial.1").write_text("left by a kill")
        path = tmp_path / "1" / "file"
        write_atomically(path, NEW, partial=tmp_path / "partial.1")
        assert path.read_bytes() == NEW and names(tmp_path) == ["1"] and names(tmp_path / "1") == ["file"]
        (tmp_path / "2" / "file" / "kept").mkdir(parents=True)
        with pytest.raises(OSError, match="file"):
            write_atomically(tmp_path / "2" / "file", NEW, partial=tmp_path / "partial.2")
        assert names(tmp_path) == ["1", "2", "partial.2"]  # it says what was not done


class TestFolder:
    def test_it_has_its_name_at_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b" / "folder"
        with new_folder(path, durable=True) as folder:
            (folder / "below").mkdir()
            (folder / "below" / "file").write_bytes(OLD)
            assert not (tmp_path / "a").exists()
        assert (path / "below" / "file").read_bytes() == OLD
        assert names(tmp_path) == ["a"] and names(tmp_path / "a" / "b") == ["folder"]
        (tmp_path / "plain").mkdir()
        assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_an_error_leaves_nothing(self, tmp_path: Path, error: type[BaseException]) -> None:
        with pytest.raises(error), new_folder(tmp_path / "a" / "folder") as folder:
            (folder / "file").write_bytes(OLD)
            raise error
        assert names(tmp_path) == []

    def test_an_empty_folder_is_taken_and_a_full_one_is_not(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        with new_folder(tmp_path / "folder") as folder:
            (folder / "file").write_bytes(OLD)
        with pytest.raises(OSError, match="folder"), new_folder(tmp_path / "folder") as folder:
            (folder / "file").write_bytes(NEW)
        assert names(tmp_path) == ["folder"] and (tmp_path / "folder" / "file").read_bytes() == OLD

    def test_a_kill_leaves_no_folder_of_that_name_and_the_next_cleans_up(self, tmp_path: Path) -> None:
        process, channel = begin(fill_and_stop, tmp_path / "folder")
        assert heard(channel) == "half"
        with new_folder(tmp_path / "folder"):
            assert len(names(tmp_path)) == 2  # that of a living process is no leftover
        (tmp_path / "folder").rmdir()
        kill(process)
        assert len(names(tmp_path)) == 1 and not (tmp_path / "folder").exists()
        (tmp_path / ".tmp-folder-mine").mkdir()  # of another's making, though it is called much alike
        with new_folder(tmp_path / "folder"):
            pass
        assert names(tmp_path) == [".tmp-folder-mine", "folder"]

    def test_processes_that_fill_the_same_at_once_do_not_disturb_each_other(self, tmp_path: Path) -> None:
        processes = [begin(fill_often, tmp_path) for _ in range(3)]
        assert sum(outcome(process, channel) for process, channel in processes) == 30  # type: ignore[misc]
        assert names(tmp_path) == sorted(map(str, range(30)))
        assert all((tmp_path / str(number) / "a").read_text() == "a" * 1000 for number in range(30))

    def test_without_room_nothing_is_left(self, tmp_path: Path) -> None:
        assert outcome(*begin(without_room, fill_new, tmp_path / "a" / "folder")) == errno.EFBIG
        assert names(tmp_path) == []


class TestLock:
    def test_one_process_at_a_time(self, tmp_path: Path) -> None:
        (tmp_path / "counter").write_text("0")
        processes = [begin(count_up, tmp_path / "counter", 50) for _ in range(3)]
        for process, channel in processes:
            assert outcome(process, channel) == "done"
        assert (tmp_path / "counter").read_text() == "150"

    def test_it_is_seen_refused_and_freed_by_a_kill(self, tmp_path: Path) -> None:
        lock = tmp_path / ".lock"
        process, channel = begin(hold, lock)
        assert heard(channel) == "held"
        assert is_locked(lock)
        with pytest.raises(TimeoutError):
            take_lock(lock, wait=0.1)
        assert is_locked(lock)  # those who wanted it have not freed it
        kill(process)
        assert not is_locked(lock)
        held = take_lock(lock, wait=0)
        assert is_locked(lock)
        held.release()
        assert not is_locked(lock)

    def test_who_waits_gets_it_from_one_that_dies(self, tmp_path: Path) -> None:
        first, told = begin(hold, tmp_path / ".lock")
        assert heard(told) == "held"
        second, channel = begin(hold, tmp_path / ".lock")
        assert not channel.poll(0.5)
        kill(first)
        assert heard(channel) == "held"
        kill(second)

    def test_an_error_inside_frees_it(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="inside"), locked(tmp_path / "new" / ".lock"):
            raise ValueError("inside")
        assert not is_locked(tmp_path / "new" / ".lock")

    def test_looking_makes_nothing_and_disturbs_nobody(self, tmp_path: Path) -> None:
        assert not is_locked(tmp_path / "none" / ".lock") and not is_locked(tmp_path / ".lock")
        assert names(tmp_path) == []
        process, channel = begin(look_for_ever, tmp_path / ".lock")
        assert heard(channel) == "looking"
        for _ in range(20):
            with EventLog(tmp_path):
                assert is_running(tmp_path)
        kill(process)

    def test_the_lock_of_a_run(self, tmp_path: Path) -> None:
        process, channel = begin(hold, tmp_path / ".lock")
        assert heard(channel) == "held"
        assert is_running(tmp_path)
        with pytest.raises(RunError, match="being worked on by another process"):
            EventLog(tmp_path)
        kill(process)
        assert not is_running(tmp_path)
        with pytest.raises(RunError, match=r"none cannot be written: No such file"):
            EventLog(tmp_path / "none")

    def test_a_folder_that_may_only_be_read(self, tmp_path: Path) -> None:
        assert not is_locked(tmp_path / ".lock")
        held = take_lock(tmp_path / ".lock")
        before = (tmp_path / ".lock").stat()
        (tmp_path / ".lock").chmod(0o444)
        tmp_path.chmod(0o555)
        try:
            assert outcome(*begin(as_nobody, look_at_the_lock, tmp_path)) is True
            assert outcome(*begin(as_nobody, take_the_lock, tmp_path)) == "PermissionError"
            held.release()
            assert outcome(*begin(as_nobody, look_at_the_lock, tmp_path)) is False
        finally:
            tmp_path.chmod(0o755)
        assert (tmp_path / ".lock").stat().st_mtime_ns == before.st_mtime_ns

    def test_the_lock_file_stays_as_writable_as_it_was_made(self, tmp_path: Path) -> None:
        before = os.umask(0o002)  # a group that shares a cache
        try:
            with locked(tmp_path / ".lock"):
                pass
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / ".lock").stat().st_mode) == 0o664

    def test_without_locks_work_resumes_and_a_run_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(descriptor: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
        with locked(tmp_path / ".lock"):
            write_atomically(tmp_path / "file", OLD)
            with new_folder(tmp_path / "folder"):
                pass
        assert names(tmp_path) == [".lock", "file", "folder"]
        with pytest.raises(RunError, match=r"has no locks .No locks available"):
            EventLog(tmp_path)
        assert not is_running(tmp_path)
