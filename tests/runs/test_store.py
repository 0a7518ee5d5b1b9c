"""The log: durable, one writer, readers at any time, and clear words when it cannot be used."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import resource
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from nas.errors import RunError
from nas.runs.folders import find_run, load_run, new_name, run_folders
from nas.runs.log import LOG_NAME, RunStore, is_running, read_events
from nas.runs.run import fold

SPAWN = multiprocessing.get_context("spawn")


def append_forever(folder: Path) -> None:
    with RunStore(folder) as store:
        for number in range(10**9):
            store.append("step", {"n": number})
            print(number, flush=True, file=(folder / "told.txt").open("a"))


def hold(folder: Path, channel: object) -> None:
    with RunStore(folder) as store:
        store.append("step", {"n": 0})
        channel.send("open")  # type: ignore[attr-defined]
        channel.recv()  # type: ignore[attr-defined]


def append_with_small_files(folder: Path, channel: object) -> None:
    """A file size limit stands for a full disk: writes fail in the middle."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    with RunStore(folder) as store:
        try:
            for number in range(10_000):
                store.append("step", {"n": number, "filler": "x" * 2000})
                channel.send(number)  # type: ignore[attr-defined]
        except RunError as error:
            channel.send(str(error))  # type: ignore[attr-defined]


def test_events_come_back_in_order_with_growing_time(tmp_path):
    with RunStore(tmp_path) as store:
        written = [store.append("step", {"n": n, "text": "ä"}) for n in range(20)]
        assert store.events() == written
    assert read_events(tmp_path) == written
    assert [event.number for event in written] == list(range(1, 21))
    assert all(a.elapsed <= b.elapsed for a, b in itertools.pairwise(written))


def test_elapsed_goes_on_where_the_last_session_ended(tmp_path):
    with RunStore(tmp_path) as store:
        time.sleep(0.05)
        first = store.append("step", {})
    time.sleep(0.1)  # does not count: nobody worked on the run
    with RunStore(tmp_path) as store:
        second = store.append("step", {})
    assert first.elapsed <= second.elapsed < first.elapsed + 0.09


def test_nothing_recorded_is_lost_by_a_kill(tmp_path):
    for _ in range(5):
        process = SPAWN.Process(target=append_forever, args=(tmp_path,))
        process.start()
        target = len(read_events(tmp_path)) + 20 if (tmp_path / LOG_NAME).exists() else 20
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if (tmp_path / LOG_NAME).exists() and len(_events(tmp_path)) >= target:
                break
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    told = len((tmp_path / "told.txt").read_text().split())
    events = read_events(tmp_path)
    assert len(events) >= told >= 95
    assert [event.number for event in events] == list(range(1, len(events) + 1))


def _events(folder: Path) -> list:
    try:
        return read_events(folder)
    except RunError:  # its table is not there yet
        return []


def test_a_second_writer_is_refused_and_readers_are_not(tmp_path):
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(tmp_path, there))
    process.start()
    assert here.recv() == "open"
    assert is_running(tmp_path)
    with pytest.raises(RunError, match="another process"):
        RunStore(tmp_path)
    assert len(read_events(tmp_path)) == 1
    here.send("end")
    process.join()
    assert not is_running(tmp_path)
    RunStore(tmp_path).close()


def test_a_full_disk_is_named_and_the_log_stays_whole(tmp_path):
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=append_with_small_files, args=(tmp_path, there))
    process.start()
    process.join(60)
    messages = []
    while here.poll():
        messages.append(here.recv())
    assert "nasctl resume" in messages[-1]
    events = read_events(tmp_path)
    assert [event.body["n"] for event in events] == messages[:-1]
    with RunStore(tmp_path) as store:  # with room again, it goes on
        assert store.append("step", {}).number == len(events) + 1


@pytest.mark.parametrize("damage", [b"", b"not a database at all, but long enough to be one" * 100])
def test_a_damaged_log_is_an_error_that_says_so(tmp_path, damage):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / LOG_NAME).write_bytes(damage)
    with pytest.raises(RunError, match="broken"):
        fold(folder, read_events(folder))


def test_not_a_number_is_never_written(tmp_path):
    with RunStore(tmp_path) as store, pytest.raises(ValueError, match="JSON"):
        store.append("step", {"n": float("nan")})


def test_a_run_of_another_format_names_the_version_that_wrote_it(tmp_path):
    with RunStore(tmp_path) as store:
        store.append("run", {"format": 99, "versions": {"nasctl": "7.1"}})
    with pytest.raises(RunError, match=r"7\.1.*format 99"):
        fold(tmp_path, read_events(tmp_path))


def test_runs_are_found_by_name_folder_or_age(tmp_path):
    with pytest.raises(RunError, match="no run"):
        find_run(None, tmp_path / "nothing")
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        RunStore(tmp_path / name).close()
    os.utime(tmp_path / "old" / LOG_NAME, (1, 1))
    assert [folder.name for folder in run_folders(tmp_path)] == ["new", "old"]
    assert find_run(None, tmp_path).name == "new"
    assert find_run("old", tmp_path) == tmp_path / "old"
    assert find_run(str(tmp_path / "old"), Path("elsewhere")) == tmp_path / "old"
    with pytest.raises(RunError, match="Did you mean 'old'"):
        find_run("olt", tmp_path)
    with pytest.raises(RunError, match="never started"):
        load_run("old", tmp_path)
    assert new_name("old", tmp_path) == "old-1"


def test_the_log_can_be_read_with_any_sqlite(tmp_path):
    with RunStore(tmp_path) as store:
        store.append("step", {"n": 1})
    database = sqlite3.connect(tmp_path / LOG_NAME)
    ((body,),) = database.execute("SELECT body FROM events").fetchall()
    assert json.loads(body) == {"n": 1}
