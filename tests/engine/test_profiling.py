"""Time by part: every second of a session and of a trial belongs to one, and the log keeps them."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from simulated_search import Simulated, begin, events_of, recorded
from small_samples import SHORT, SMALL

from nas.config.recipe import Recipe
from nas.data import DataConfig
from nas.engine.search import run_search
from nas.executors import WorkerSlot
from nas.report.screen import Screen
from nas.report.tables.profile import print_profile
from nas.runs import EventLog, SearchRun, load_run
from nas.runs.events import SessionProfiled, SessionStopped
from nas.runs.profile import SEARCH_PARTS, Profile
from nas.stopwatch import OFF, TRIAL_PARTS, Stopwatch, Watch
from nas.trials.run_trial import run_trial
from nas.trials.spec import TrialResult, TrialSpec

SLOTS = [WorkerSlot("cpu", 1)] * 2


def test_the_parts_of_a_stopwatch_make_the_whole() -> None:
    started = time.perf_counter()
    watch = Stopwatch("first", since=started)
    with watch.span("second"):
        watch.switch("third")
    with pytest.raises(ValueError), watch.span("fourth"):
        raise ValueError
    before = time.perf_counter()
    parts = watch.read()
    after = time.perf_counter()
    assert list(parts) == ["first", "second", "third", "fourth"]
    assert before - started - 1e-5 <= sum(parts.values()) <= after - started + 1e-5
    assert watch.read().keys() == parts.keys() and watch.read()["first"] > parts["first"]  # it continues as before


def test_work_that_continues_elsewhere_is_waited_for_at_each_switch() -> None:
    waits: list[int] = []
    watch = Stopwatch("first", synchronize=lambda: waits.append(1))
    watch.switch("second")
    with watch.span("third"):
        pass
    watch.read()  # also after a failure: then the device may never answer
    assert len(waits) == 3


def test_without_profile_nothing_is_measured() -> None:
    with OFF.span("first"):
        OFF.switch("second")
    assert OFF.read() == {}


@pytest.mark.usefixtures("one_thread")
def test_a_trial_says_what_its_seconds_went_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", itertools.count().__next__)  # a clock that no busy machine disturbs
    spec = TrialSpec(
        id="1", space="vgg", sample=SMALL["vgg"], input_shape=(1, 8, 8), num_classes=10,
        data=DataConfig(), recipe=SHORT, seed=0, profile=True,
        weights_path=str(tmp_path / "weights.safetensors"),
    )  # fmt: skip
    result = run_trial(spec, "cpu")
    assert result.profile.keys() == set(TRIAL_PARTS)
    assert sum(result.profile.values()) == pytest.approx(result.seconds, abs=2)
    trained = sum(row["seconds"] for row in result.history)
    assert 0 < result.profile["data"] + result.profile["forward/backward"] < trained
    scored = run_trial(TrialSpec(**(vars(spec) | {"test": True})), "cpu").profile
    assert scored.keys() <= {"rest", "opening", "evaluation"}
    failed = run_trial(TrialSpec(**(vars(spec) | {"recipe": Recipe(optimizer="sgd", learning_rate=1e30)})), "cpu")
    assert failed.status == "failed" and failed.profile["forward/backward"] > 0


def resume(folder: Path, store: EventLog, executor: Simulated, watch: Watch) -> SearchRun:
    with store:
        return run_search(recorded(store), store, SLOTS[: executor.num_slots], [], lambda slots: executor, watch=watch)


def test_sessions_are_summed_and_one_that_was_stopped_counts(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        resume(folder, begin(folder, trials=6), Simulated(2, stop_after=3), Stopwatch("starting"))
    assert [type(event) for event in events_of(folder)[-2:]] == [SessionProfiled, SessionStopped]
    first = load_run("run", tmp_path).profile
    assert set(first.search) <= set(SEARCH_PARTS) and first.search.keys() >= {"starting", "proposing", "waiting"}
    assert first.busy_seconds == 3.0  # a second each, says the simulation

    run = resume(folder, EventLog(folder), Simulated(1), Stopwatch("starting"))
    sessions = [event for event in events_of(folder) if isinstance(event, SessionProfiled)]
    wall = [sum(session.seconds.values()) for session in sessions]
    assert run.winner and run.profile == load_run("run", tmp_path).profile
    assert run.profile.num_sessions == 2 and set(run.profile.search) <= set(SEARCH_PARTS)
    assert sum(run.profile.search.values()) == pytest.approx(sum(wall))
    worked = [seconds - session.seconds["starting"] for seconds, session in zip(wall, sessions, strict=True)]
    assert run.profile.worker_seconds == pytest.approx(2 * worked[0] + worked[1])
    assert run.profile.busy_seconds == sum(trial.seconds for trial in run.trials.values()) == 12.0


def test_the_seconds_of_workers_do_not_depend_on_the_order_of_names() -> None:
    seconds = {"waiting": 0.1, "rest": 0.2, "recording": 0.3}  # 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1
    as_measured, as_read = Profile(), Profile()
    as_measured.add_session(SessionProfiled(seconds, workers=1, busy=0.0))
    as_read.add_session(SessionProfiled(dict(sorted(seconds.items())), workers=1, busy=0.0))
    assert as_measured == as_read


def test_a_run_without_profile_says_nothing(tmp_path: Path) -> None:
    run = resume(tmp_path / "run", begin(tmp_path / "run", trials=4), Simulated(1), OFF)
    assert run.profile.document() is None
    assert not any(isinstance(event, SessionProfiled) for event in events_of(run.folder))
    console = Screen(record=True)
    print_profile(console, run)
    assert console.export_text() == ""


def test_the_table_says_what_the_log_says(tmp_path: Path) -> None:
    seconds = {"starting": 4.0, "waiting": 15.0, "recording": 1.0}
    trial = {"data": 2.0, "forward/backward": 6.0, "rest": 0.5, "of another version": 1.5}
    profile = Profile()
    for number, parts in enumerate((trial, trial, {}), start=1):  # the last was not measured
        profile.add_trial(TrialResult(str(number), "finished", profile=parts))
    profile.add_session(SessionProfiled(seconds, workers=2, busy=30.0))
    document = profile.document()
    assert document is not None and document["workers_busy"] == 30 / 32
    assert document["trials"] == {"trials": 2, "seconds": {name: 2 * value for name, value in trial.items()}}
    run = resume(tmp_path / "run", begin(tmp_path / "run", trials=4), Simulated(1), OFF)
    run.profile = profile
    console = Screen(record=True, width=100)
    print_profile(console, run)
    text = console.export_text()
    rows = [line.split() for line in text.splitlines()]
    for row in ("waiting 15.0 75.0 %", "total 20.0 100.0 %", "data 4.0 20.0 % 2.000"):
        assert row.split() in rows, text
    assert ["of", "another", "version", "3.0", "15.0", "%", "1.500"] in rows, text
    assert "Workers busy 94 %: 30.0 s in trials of the 32.0 s that workers had" in text
    names = [row[0] for row in rows if row]
    assert [name for name, _ in itertools.groupby(names) if name in SEARCH_PARTS][:3] == list(seconds)
