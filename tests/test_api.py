"""Wiring of the command line and of Python, without a terminal. Real trainings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

import nas.api
from budgets import Budget
from nas.api import OpenRun, carry_out, new_baseline, new_search, reopen, stays_as_it_is
from nas.config import DataConfig, Recipe, SearchConfig, StudyRequest
from nas.config.run import Changes, StudyConfig, StudySearch, search_of
from nas.errors import RunError, UsageError
from nas.executors import WorkerSlot, devices
from nas.report.live import Display, Silent
from nas.runs import Run, SearchRun, StudyRun, as_search, load_run
from nas.runs.events import EpochEnded, Event, TrialEnded
from nas.runs.folders import read_run

pytestmark = pytest.mark.usefixtures("one_thread")


def config(**changes: object) -> SearchConfig:
    values = {
        "space": "vgg", "strategy": "random", "budget": Budget(max_params=20_000), "data": DataConfig(),
        "recipe": Recipe(epochs=1), "trials": 2, "confirm": 1, "confirm_seeds": 2, "workers": 1, "device": "cpu",
    }  # fmt: skip
    return SearchConfig(**(values | changes))


@dataclass
class Watching(Silent):
    """A display that remembers, and interrupts after so many results."""

    stop_after: int | None = None
    ended: list[str] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)

    def on_event(self, event: Event, run: Run) -> None:
        if isinstance(event, EpochEnded):
            self.epochs.append(event.id)
        if isinstance(event, TrialEnded):
            self.ended.append(event.result.id)
            if len(self.ended) == self.stop_after:
                raise KeyboardInterrupt


def search(settings: SearchConfig, *, name: str, runs: Path, display: Display | None = None) -> SearchRun:
    return as_search(carry_out(new_search(settings, name=name, runs=runs), display))


def resume(folder: Path, display: Display) -> SearchRun | StudyRun:
    return carry_out(reopen(read_run(folder)), display)


def test_a_search_is_carried_out_stopped_and_resumed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    watching = Watching(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        search(config(), name="first", runs=tmp_path, display=watching)
    assert watching.ended == watching.epochs == ["1"]
    stopped = load_run("first", tmp_path)
    assert (stopped.state, stopped.stopped) == ("stopped", "interrupted")
    rest = Watching()
    run = resume(stopped.folder, rest)
    assert isinstance(run, SearchRun) and run.state == "done" and run.winner is not None
    assert rest.ended[0] == "2" and len(rest.ended) == 3  # what was recorded was not trained again
    assert (run.folder / "tensorboard" / "2").is_dir()
    assert stays_as_it_is(run, Changes(profile=True))
    with pytest.raises(RunError, match="scored on the test split"):
        reopen(run, Changes(trials=5))
    assert capfd.readouterr() == ("", "")  # nothing here prints


def test_one_worker_on_a_cpu_gives_equal_logs_on_any_number_of_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads round sums otherwise than one."""
    found = []
    for name, cores, threads in (("one", 1, None), ("many", 8, None), ("told", 8, 2)):
        monkeypatch.setattr(devices, "count_cores", lambda cores=cores: cores)
        monkeypatch.setenv("OMP_NUM_THREADS", str(cores))
        asked = config(space="resnet", trials=1, confirm=0, floor=False, threads=threads)
        run = search(asked, name=name, runs=tmp_path)
        found.append((run.facts.threads, run.weights("1").read_bytes(), run.trials["1"].metrics))
    assert found[0] == found[1] and found[0][0] == 1
    assert found[2][0] == 2 and found[2][1] != found[0][1]  # what was asked for is what trained


@pytest.mark.parametrize(
    ("changes", "slots"),
    [
        (Changes(), [WorkerSlot("cpu", 4)] * 2),
        (Changes(trials=5), [WorkerSlot("cpu", 4)] * 2),
        (Changes(threads=3), [WorkerSlot("cpu", 3)] * 2),
        (Changes(workers=1), [WorkerSlot("cpu", 1)]),
        (Changes(workers=2, threads=2), [WorkerSlot("cpu", 2)] * 2),
    ],
)
def test_a_resumed_run_keeps_its_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: Changes, slots: list[WorkerSlot]
) -> None:
    monkeypatch.setattr(devices, "limited", lambda threads: threads)
    monkeypatch.setattr(devices, "count_cores", lambda: 8)
    with new_search(config(workers=2), name="run", runs=tmp_path).log:
        pass
    monkeypatch.setattr(devices, "count_cores", lambda: 1)
    again = reopen(load_run("run", tmp_path), changes)
    with again.log:
        assert again.slots == slots
    if changes.threads:
        assert load_run("run", tmp_path).config.threads == changes.threads


def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'evolution'"):
        search(config(strategy="evolutoin"), name="x", runs=tmp_path)
    with pytest.raises(UsageError, match="is not a valid name"):
        search(config(), name="a/b", runs=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_open_belongs_to_one(tmp_path: Path) -> None:
    opened: OpenRun = new_search(config(confirm=0), name="mine", runs=tmp_path)
    with pytest.raises(RunError, match="another process"):
        reopen(load_run("mine", tmp_path))
    assert carry_out(opened).state == "done"


def test_a_study_and_what_resume_may_not_change(tmp_path: Path) -> None:
    request = StudyRequest(study="hand-nets", members=("model2-setting2",), seeds=1, epochs=1, workers=1, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        carry_out(new_baseline(request, name="hand", runs=tmp_path), Watching(stop_after=1))
    run = load_run("hand", tmp_path)
    with pytest.raises(UsageError, match="--trials 9 cannot be used") as refused:
        reopen(run, Changes(trials=9))
    assert len(refused.value.messages) == 1
    done = resume(run.folder, Silent())
    assert isinstance(done, StudyRun) and done.state == "done"
    with pytest.raises(RunError, match="every training finished"):
        reopen(done)


def test_a_search_within_a_study_resumes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = list[int]()

    def short(study: StudyConfig, search: StudySearch) -> SearchConfig:
        budgets.append(search.max_params)
        settings = search_of(study, search)
        assert (settings.space, settings.device, settings.floor) == ("vgg", "cpu", False)
        return settings.model_copy(update={"recipe": Recipe(epochs=1), "confirm": 0})

    monkeypatch.setattr(nas.api, "search_of", short)
    request = StudyRequest(
        study="hand-nets", members=("model1-setting2-found",), seeds=1, epochs=1, search_trials=3, workers=1,
        device="cpu",
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        carry_out(new_baseline(request, name="hand", runs=tmp_path), Watching(stop_after=2))
    rest = Watching()
    run = resume(tmp_path / "hand", rest)
    assert isinstance(run, StudyRun) and run.state == "done"
    assert rest.ended == ["3", "model1-setting2-found.1"]  # the first two trials of the search were kept
    assert run.trials["model1-setting2-found.1"].cost.params <= budgets[0] and len(budgets) == 1
