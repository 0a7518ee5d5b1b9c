"""Names that a kill leaves behind, logs that somebody else holds, and logs that lead elsewhere."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from pathlib import Path

import pytest

from budgets import Budget, Cost
from nas.config import DataConfig, Recipe, SearchConfig
from nas.errors import RunError
from nas.runs import EventLog, load_run, log
from nas.runs.events import Noted, SearchFacts, SearchStarted, TrialEnded, TrialSubmitted, WinnerChosen
from nas.runs.folders import name_errors, run_folders, start_search
from nas.runs.log import LOCK_NAME, LOG_NAME, is_running, read_log
from nas.trials import TrialResult

CONFIG = SearchConfig(space="vgg", budget=Budget(max_params=100), data=DataConfig(), recipe=Recipe())
FACTS = SearchFacts(
    input_shape=(1, 8, 8), classes=("a", "b"), counts={"train": [3, 4]}, data_name="d", data_key="k",
    budget=Budget(max_params=100), note="", population=4,
)  # fmt: skip
BEGAN = TrialSubmitted("1", "search", "1", "id", {"width": 8}, Cost(1, 2, 3, 4), 7)


def table_only(folder: Path) -> None:
    EventLog(folder).close()


def no_table(folder: Path) -> None:
    database = sqlite3.connect(folder / LOG_NAME)
    database.execute("PRAGMA journal_mode=WAL")
    database.close()


def nothing(folder: Path) -> None:
    (folder / "logs").mkdir()


def empty_log(folder: Path) -> None:
    for name in ("logs", "weights", "tensorboard"):
        (folder / name).mkdir()
    (folder / LOCK_NAME).touch()
    (folder / LOG_NAME).touch()
    (folder / f".tmp-{LOG_NAME}-0123456789ab").write_text("part of a log")


@pytest.mark.parametrize("leave", [nothing, empty_log, no_table, table_only])
def test_a_run_that_was_ended_before_it_began_leaves_its_name_free(tmp_path, leave):
    (folder := tmp_path / "r").mkdir()
    leave(folder)
    with pytest.raises(RunError, match=r"'r' never started.*nasctl search --run r --runs") as told:
        load_run("r", tmp_path)
    assert "table" not in str(told.value)
    assert name_errors("r", tmp_path) == []
    start_search(folder, CONFIG, FACTS).close()
    assert load_run("r", tmp_path).config == CONFIG
    assert sorted(path.name for path in folder.iterdir()) == [LOCK_NAME, LOG_NAME, "logs", "tensorboard", "weights"]
    with pytest.raises(RunError, match="exists already"):
        start_search(folder, CONFIG, FACTS)


@pytest.mark.parametrize("name", ["weights/1.safetensors", "notes.txt", LOG_NAME])
def test_a_folder_with_work_in_it_is_not_taken(tmp_path, name):
    (folder := tmp_path / "r").mkdir()
    nothing(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("no log, and somebody's work" * 200)
    assert "exists already" in name_errors("r", tmp_path)[0]
    with pytest.raises(RunError, match="exists already"):
        start_search(folder, CONFIG, FACTS)


def test_a_disk_that_is_full_when_a_run_begins_leaves_its_name_free(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(log, "write_atomically", full_disk)
        with pytest.raises(RunError, match=r"could not be written \(No space left.*nothing was started.*same command"):
            start_search(tmp_path / "r", CONFIG, FACTS)
    assert run_folders(tmp_path) == []
    start_search(tmp_path / "r", CONFIG, FACTS).close()
    assert load_run("r", tmp_path).config == CONFIG


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_second_writer_is_refused_though_the_lock_file_was_removed(tmp_path):
    with EventLog(tmp_path) as first:
        (tmp_path / LOCK_NAME).unlink()
        assert is_running(tmp_path)
        with pytest.raises(RunError, match="another process"):
            EventLog(tmp_path)
        (tmp_path / LOCK_NAME).unlink()
        first.append(Noted("still the only one"))
    assert not is_running(tmp_path)
    EventLog(tmp_path).close()


def test_a_locked_log_is_waited_for_and_the_reason_is_said(tmp_path, monkeypatch):
    said: list[str] = []
    other = sqlite3.connect(tmp_path / LOG_NAME, isolation_level=None)

    def say(text: str) -> None:
        said.append(text)
        other.execute("ROLLBACK")

    monkeypatch.setattr(log, "PATIENCE", 0.02)
    monkeypatch.setattr(log, "TELL_AFTER", 0.1)
    with EventLog(tmp_path, say=say) as writer:
        other.execute("BEGIN IMMEDIATE")
        writer.append(Noted("a"))
        assert len(said) == 1 and "another program that has locked" in said[0] and LOG_NAME in said[0]
        monkeypatch.setattr(log, "LONGEST_WAIT", 0.05)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RunError, match=r"another program has locked it.*close that program, then: nasctl resume"):
            writer.append(Noted("b"))
        other.execute("ROLLBACK")
        writer.append(Noted("c"))
        assert [entry.event for entry in writer.entries()] == [Noted("a"), Noted("c")]
    other.close()


def test_what_killed_workers_left_is_swept(tmp_path):
    (tmp_path / "weights").mkdir()
    left = tmp_path / "weights" / ".tmp-3.safetensors-0123456789ab"
    left.write_text("half of it")
    EventLog(tmp_path).close()
    assert not left.exists()


@pytest.mark.parametrize("name", ["../../../x", "/tmp/x", "..", "a/b", "", ".x", "a\0", "a\nb", "x" * 300])
@pytest.mark.parametrize("kind", ["submitted", "result", "winner"])
def test_ids_that_lead_outside_the_run_are_refused(tmp_path, kind, name):
    evil = {
        "submitted": TrialSubmitted(name, "search", name, "id", {}, Cost(1, 2, 3, 4), 7),
        "result": TrialEnded.of(TrialResult(name, "failed", error="e"), "search"),
        "winner": WinnerChosen("1", "1", {name: {"accuracy": 0.5}}),
    }[kind]
    with EventLog(tmp_path, SearchStarted(CONFIG, FACTS, {})) as writer:
        writer.append(BEGAN)
        writer.append(evil)
    with pytest.raises(RunError, match=r"event 3 names .* would lead outside the run"):
        load_run(tmp_path.name, tmp_path.parent)


@pytest.mark.parametrize(
    "event", [TrialEnded.of(TrialResult("2", "failed"), "search"), WinnerChosen("1", "1.1", {"1.1": {}})]
)
def test_a_trial_that_never_started_is_named(tmp_path, event):
    with EventLog(tmp_path, SearchStarted(CONFIG, FACTS, {})) as writer:
        writer.append(BEGAN)
        writer.append(event)
    with pytest.raises(RunError, match=r"event 3 is of trial '(2|1\.1)', which never started"):
        load_run(tmp_path.name, tmp_path.parent)


def test_a_cache_folder_in_a_log_is_used_only_if_it_is_one(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    data = DataConfig(cache_dir=str(elsewhere))
    start_search(tmp_path / "r", CONFIG.model_copy(update={"data": data}), FACTS).close()
    assert load_run("r", tmp_path).config.data.cache_dir is None
    assert not elsewhere.exists()
    (elsewhere / "sets").mkdir(parents=True)
    assert load_run("r", tmp_path).config.data.cache_dir == str(elsewhere)


def test_a_new_log_is_one_that_any_sqlite_writes_with_a_write_ahead_log(tmp_path):
    start_search(tmp_path / "r", CONFIG, FACTS).close()
    database = sqlite3.connect(tmp_path / "r" / LOG_NAME)
    assert database.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ((kind, body),) = database.execute("SELECT kind, body FROM events").fetchall()
    assert (kind, json.loads(body)["config"]["space"]) == ("search", "vgg")
    database.close()
    assert len(list(read_log(tmp_path / "r"))) == 1
