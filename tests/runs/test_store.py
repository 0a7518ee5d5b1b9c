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

from budgets import Budget, Cost
from nas.autotune import Measurement, Placement
from nas.config.data import DataConfig
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig, StudyConfig
from nas.errors import RunError
from nas.runs.events import (
    KINDS,
    ArchitectureFound,
    Candidate,
    CandidatesRanked,
    ConfirmationLengthened,
    FloorMeasured,
    MemberFacts,
    Noted,
    ScoresExpected,
    SearchFacts,
    SearchStarted,
    SessionProfiled,
    SessionStarted,
    SessionStopped,
    SettingsChanged,
    StudyEnded,
    StudyFacts,
    StudyStarted,
    SupernetEpoch,
    SupernetStarted,
    TrialEnded,
    TrialSubmitted,
    WinnerChosen,
)
from nas.runs.fold import fold
from nas.runs.folders import find_run, load_run, new_name, run_folders
from nas.runs.log import LOG_NAME, EventLog, LogEntry, is_running, read_log, read_result
from nas.training.precision import Execution
from nas.trials.spec import TrialResult


def read_entries(folder: Path) -> list[LogEntry]:
    return list(read_log(folder))


SPAWN = multiprocessing.get_context("spawn")


def append_forever(folder: Path) -> None:
    with EventLog(folder) as store:
        for number in range(10**9):
            store.append(Noted(str(number)))
            print(number, flush=True, file=(folder / "told.txt").open("a"))


def hold(folder: Path, channel: object) -> None:
    with EventLog(folder) as store:
        store.append(Noted(str(0)))
        channel.send("open")  # type: ignore[attr-defined]
        channel.recv()  # type: ignore[attr-defined]


def append_with_small_files(folder: Path, channel: object) -> None:
    """A file size limit stands for a full disk: writes fail in the middle."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    with EventLog(folder) as store:
        try:
            for number in range(10_000):
                store.append(Noted(f"{number} " + "x" * 2000))
                channel.send(number)  # type: ignore[attr-defined]
        except RunError as error:
            channel.send(str(error))  # type: ignore[attr-defined]


def test_events_come_back_in_order_with_growing_time(tmp_path):
    with EventLog(tmp_path) as store:
        written = [store.append(Noted(f"ä{n}")) for n in range(20)]
        assert list(store.entries()) == written
    assert read_entries(tmp_path) == written
    assert [event.number for event in written] == list(range(1, 21))
    assert all(a.elapsed <= b.elapsed for a, b in itertools.pairwise(written))


def test_elapsed_resumes_where_the_last_session_ended(tmp_path, monkeypatch):
    clock = iter([100.0, 101.5, 900.0, 902.0])  # opened, appended; opened much later, appended
    monkeypatch.setattr("nas.runs.log.awake", lambda: next(clock))
    with EventLog(tmp_path) as store:
        first = store.append(Noted(""))
    with EventLog(tmp_path) as store:  # the time between does not count: nobody worked on the run
        second = store.append(Noted(""))
    assert (first.elapsed, second.elapsed) == (1.5, 3.5)


def test_nothing_recorded_is_lost_by_a_kill(tmp_path):
    for _ in range(3):
        process = SPAWN.Process(target=append_forever, args=(tmp_path,))
        process.start()
        target = len(read_entries(tmp_path)) + 20 if (tmp_path / LOG_NAME).exists() else 20
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if (tmp_path / LOG_NAME).exists() and len(_events(tmp_path)) >= target:
                break
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    told = len((tmp_path / "told.txt").read_text().split())
    events = read_entries(tmp_path)
    assert len(events) >= told >= 57
    assert [event.number for event in events] == list(range(1, len(events) + 1))


def _events(folder: Path) -> list:
    try:
        return read_entries(folder)
    except RunError:  # its table is not there yet
        return []


def test_a_second_writer_is_refused_and_readers_are_not(tmp_path):
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(tmp_path, there))
    process.start()
    assert here.recv() == "open"
    assert is_running(tmp_path)
    with pytest.raises(RunError, match="another process"):
        EventLog(tmp_path)
    assert len(read_entries(tmp_path)) == 1
    here.send("end")
    process.join()
    assert not is_running(tmp_path)
    EventLog(tmp_path).close()


def test_a_full_disk_is_named_and_the_log_stays_whole(tmp_path):
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=append_with_small_files, args=(tmp_path, there))
    process.start()
    process.join(60)
    messages = []
    while here.poll():
        messages.append(here.recv())
    assert "nasctl resume" in messages[-1]
    events = read_entries(tmp_path)
    assert [int(event.event.text.split()[0]) for event in events] == messages[:-1]
    with EventLog(tmp_path) as store:  # with room again, it continues
        assert store.append(Noted("")).number == len(events) + 1


@pytest.mark.parametrize("damage", [b"", b"not a database at all, but long enough to be one" * 100])
def test_a_damaged_log_is_an_error_that_says_so(tmp_path, damage):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / LOG_NAME).write_bytes(damage)
    with pytest.raises(RunError, match="broken"):
        fold(folder, read_entries(folder))


def test_not_a_number_is_never_written(tmp_path):
    with EventLog(tmp_path) as store, pytest.raises(ValueError, match="JSON"):
        store.append(SessionProfiled({"rest": float("nan")}))


@pytest.mark.parametrize(("kind", "number", "early"), [("run", 2, True), ("search", 99, False)])
def test_a_run_of_another_format_names_the_version_that_wrote_it(tmp_path, kind, number, early):
    written(tmp_path, kind, {"format": number, "versions": {"nasctl": "7.1"}})
    with pytest.raises(RunError, match=rf"7\.1.*format {number}.*use the version that wrote it") as refused:
        fold(tmp_path, read_entries(tmp_path))
    assert ("before its first release" in str(refused.value)) == early


def written(folder: Path, kind: str, body: dict) -> None:
    """Put an event into the log as another program might have."""
    EventLog(folder).close()
    database = sqlite3.connect(folder / LOG_NAME)
    row = (kind, json.dumps(body), 0.0, 0.0)
    database.execute("INSERT INTO events (kind, body, elapsed, time) VALUES (?, ?, ?, ?)", row)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("note", {"text": 7}, r"event 2 \(note\).*text.*string"),
        ("note", {}, r"event 2 \(note\).*text.*required"),
        ("note", {"text": "a", "colour": "red"}, r"event 2 \(note\).*colour"),
        ("session", {"workers": "two", "versions": {}}, r"event 2 \(session\).*workers"),
        ("wedding", {}, "event 2 is of a kind that this version does not know: 'wedding'"),
    ],
)
def test_an_event_that_is_not_as_it_should_be_is_named_with_its_number(tmp_path, kind, body, error):
    with EventLog(tmp_path) as store:
        store.append(Noted("first"))
    written(tmp_path, kind, body)
    with pytest.raises(RunError, match=error):
        read_entries(tmp_path)


def test_every_kind_of_event_comes_back_as_it_was(tmp_path):
    cost, sample = Cost(10, 20, 30, 40), {"width": 8, "block": "basic"}
    config = SearchConfig(space="vgg", budget=Budget(max_params=100), data=DataConfig(), recipe=Recipe())
    facts = {
        "input_shape": (1, 8, 8),
        "classes": ("a", "b"),
        "counts": {"train": [3, 4]},
        "data_name": "d",
        "data_key": "k",
    }
    study = StudyConfig(data=DataConfig(), study="s", sentence="t", members=(), seeds=2)
    metrics = {"accuracy": 0.5, "by_class": [0.5, 1.0], "confusion": [[1, 0], [0, 2]]}
    result = TrialResult("1", "finished", {"rank": metrics}, [{"epoch": 1, "train_loss": 0.3}], 2.5)
    placement = Placement("cpu", 2, 1, Execution(), 10.5, None, (Measurement(2, 1, None, 10.5),))
    searched = SearchFacts(**facts, budget=Budget(max_params=100), note="n", population=4, placement=placement)
    events = [
        SearchStarted(config, searched, {"nasctl": "1"}),
        StudyStarted(study, StudyFacts(**facts, members={"m": MemberFacts(cost, 5, "text", "id")}), {}),
        SessionStarted(2, {"torch": "2"}),
        SettingsChanged(config),
        SettingsChanged(study),
        TrialSubmitted("1", "search", "1", "id", sample, cost, 7, "mutant"),
        TrialEnded.of(result, "search"),
        SupernetStarted(1, 2, 3, 1, {"width": [4, 8]}, ["edge"]),
        SupernetEpoch(
            epoch=1, train_loss=1.0, select_loss=None, penalty=0.5, entropy=1.0, expected_params=10.5,
            likeliest_params=11, within_budget=0.5, skip_share=None, probabilities={"width": [0.4, 0.6]},
            temperature=None, learning_rate=0.1, score=0.2, seconds=3.0,
        ),
        CandidatesRanked(0.5, 10, 4, 1.5, [Candidate(sample, 10, None, 0.4, False)]),
        ScoresExpected({"1": 0.75, "2": -0.5}),
        ConfirmationLengthened(196, [(49, 0.5), (98, 0.75)]),
        FloorMeasured(
            method="m", settings={"C": 2.0}, rank={"accuracy": 0.5}, test={"accuracy": 1.0}, images=2, of_images=3,
            components=None,
        ),
        WinnerChosen("1", "1.2", {"1.2": {"accuracy": 0.5}}),
        ArchitectureFound(
            search="model1", trial="7", sample={"depth1": 2}, cost=Cost(1, 2, 3, 4), text="vgg", architecture="id"
        ),
        StudyEnded(),
        Noted("ä"),
        SessionStopped("interrupted"),
        SessionProfiled({"rest": 1.0}, 2, 0.5),
    ]  # fmt: skip
    assert {type(event) for event in events} == set(KINDS.values())
    with EventLog(tmp_path) as store:
        for event in events:
            store.append(event)
    assert [entry.event for entry in read_log(tmp_path, histories=True)] == events
    assert read_result(tmp_path, 7) == result
    with pytest.raises(RunError, match="not a result"):
        read_result(tmp_path, 1)


def test_runs_are_found_by_name_folder_or_age(tmp_path):
    with pytest.raises(RunError, match="no run"):
        find_run(None, tmp_path / "nothing")
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        EventLog(tmp_path / name).close()
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
    with EventLog(tmp_path) as store:
        store.append(Noted(str(1)))
    database = sqlite3.connect(tmp_path / LOG_NAME)
    ((body,),) = database.execute("SELECT body FROM events").fetchall()
    assert json.loads(body) == {"text": "1"}
