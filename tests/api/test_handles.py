"""Runs and trials from Python: what they tell, models, continuing, callbacks, threads. Real trainings."""

from __future__ import annotations

import csv
import io
import multiprocessing
import threading
import tomllib
from pathlib import Path

import pytest
import torch
from command_line import told

import nas
from nas.api.handles import Search, Study
from nas.api.keywords import as_flags
from nas.api.settings import search_config
from nas.config import SearchConfig
from nas.data import open_data
from nas.errors import RunError, UsageError
from nas.runs.events import EpochEnded, Event, SupernetProgress, TrialEnded, TrialSubmitted, WinnerChosen
from nas.training.augmentation import normalize

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = {"max_params": 20_000, "epochs": 1, "workers": 1, "device": "cpu", "no_floor": True, "strategy": "random"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(runs: Path) -> Search:
    return nas.search("vgg", trials=2, confirm=1, confirm_epochs=2, run="whole", runs=runs, **SHORT)


def test_a_run_tells_what_it_found(run: Search, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = run.best
    assert (run.name, run.folder, run.state, len(run.trials)) == ("whole", runs / "whole", "done", 5)
    assert best.stage == "confirm" and best.id.startswith(f"{best.of}.") and best.epochs == len(best.history) == 2
    assert best.score == max(trial.score or 0 for trial in run.trials if trial.stage == "confirm")
    assert best.metrics["test"]["balanced_accuracy"] in run.test_scores and len(run.test_scores) == 3
    assert best.sample == run.trial(best.of).sample and best.params == best.cost.params <= 20_000
    assert "whole: done, 5 done" in repr(run) and f"Trial {best.id} of whole: balanced_accuracy" in repr(best)
    assert nas.load_run(runs=runs).best.id == nas.load_run(run.folder).best.id == best.id
    assert run.resume().state == "done"
    assert capsys.readouterr() == ("", "")


def test_its_settings_as_keywords_make_it_again(run: Search, runs: Path) -> None:
    settings = tomllib.loads(told(runs, "config", "whole", "--runs", runs))
    assert search_config(as_flags(settings, SearchConfig, [])) == run.config


def test_a_model_is_the_network_that_was_scored(run: Search) -> None:
    model = run.best.model()
    assert not model.training
    rank = open_data(run.config.data).split("rank")
    mean, std = map(torch.tensor, run.best.normalization)
    right = 0
    with torch.inference_mode():
        for pixels, labels in rank.batches(1000):
            images = normalize(torch.from_numpy(pixels), mean, std)
            right += int((model(images).argmax(1) == torch.from_numpy(labels)).sum())
    assert right / len(rank.rows) == pytest.approx(run.best.metrics["rank"]["accuracy"])


def test_pandas_has_what_csv_has(run: Search, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = run.to_pandas()
    rows = list(csv.DictReader(io.StringIO(told(runs, "trials", "whole", "--runs", runs, "--csv"))))
    assert list(frame.columns) == list(rows[0]) and list(frame["id"]) == [row["id"] for row in rows]
    assert float(rows[3]["rank.accuracy"]) == frame["rank.accuracy"][3]
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        run.to_pandas()


def test_what_a_run_cannot_give_is_said_in_one_sentence(run: Search, runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="scored on the test split"):
        run.resume(trials=9)
    with pytest.raises(UsageError, match=r"'trails' here\. Did you mean 'trials'") as refused:
        run.resume(trails=9)
    assert refused.value.errors[0][0] == "trails"
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(UsageError, match="not an empty folder; give out another name"):
        run.export(tmp_path / "taken")
    with pytest.raises(UsageError, match=r"int8_max_drop says what int8 may lose"):
        run.trial("1").export(tmp_path / "new", int8_max_drop=0.1)
    run.record.weights("1").unlink()
    with pytest.raises(RunError, match="weights of trial 1 of run 'whole' were not kept"):
        run.trial(1).model()


def test_callbacks_are_told_of_everything_and_may_stop_a_search(runs: Path) -> None:
    heard: list[Event] = []

    def listen(event: Event, run: Search | Study) -> None:
        assert isinstance(run, Search) and run.name == "stopped"
        heard.append(event)
        if isinstance(event, TrialEnded):
            assert run.trials[-1].score is not None
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nas.search("vgg", trials=2, confirm=0, run="stopped", runs=runs, callbacks=listen, **SHORT)
    assert [type(event) for event in heard] == [TrialSubmitted, EpochEnded, TrialEnded]
    assert isinstance(heard[1], EpochEnded) and heard[1].id == "1" and heard[1].row["epoch"] == 1
    stopped = nas.load_run("stopped", runs=runs)
    assert isinstance(stopped, Search) and stopped.state == "stopped" and stopped.best.id == "1"
    with pytest.raises(UsageError, match=r"callbacks takes functions: def tell\(event, run\)"):
        stopped.resume(callbacks=[3])  # type: ignore[list-item]
    rest: list[Event] = []
    again = stopped.resume(trials=3, callbacks=[lambda event, run: rest.append(event)])
    assert again is stopped and again.state == "done" and len(again.trials) == 3 and again.config.trials == 3
    assert isinstance(rest[-1], WinnerChosen) and not any(isinstance(event, SupernetProgress) for event in rest)
    with pytest.raises(UsageError, match=r'exists already\. To resume: nas\.load_run\("stopped", runs=".*"\)\.resume'):
        nas.search("vgg", run="stopped", runs=runs, **SHORT)


def test_what_happens_before_the_first_trial_has_a_bar_where_one_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes anything for a terminal
    for asked in (False, True):
        with pytest.raises(UsageError):
            nas.search("vgg", runs=tmp_path, progress=asked, **{**SHORT, "max_params": 10})
        assert ("preparing" in capsys.readouterr().out) == asked


def test_a_study_has_members(runs: Path) -> None:
    settings = {"seeds": 1, "epochs": 1, "workers": 1, "device": "cpu"}
    run = nas.baseline("hand-nets", members=["model2-setting2"], run="hand", runs=runs, **settings)
    (member,) = run.members
    assert isinstance(run, Study) and run.state == "done" and member.best.id == "model2-setting2.1"
    assert len(member.test_scores) == 1 and repr(member) == "<Member model2-setting2 of hand: 1 of 1 seeds finished>"
    images = torch.zeros(2, *run.input_shape)
    assert run.member("model2-setting2").model()(images).shape == (2, len(run.classes))
    with pytest.raises(RunError, match="Did you mean 'model2-setting2'") as refused:
        run.member("model2-setting3")
    assert refused.value.errors[0][0] == "name"
    with pytest.raises(UsageError, match=r"makes no run: nas\.classical"):
        nas.baseline("classical")


def test_a_search_runs_in_a_thread(runs: Path) -> None:
    found: list[Search] = []

    def work() -> None:
        found.append(nas.search("vgg", trials=1, confirm=0, run="thread", runs=runs, **SHORT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0].state == "done" and found[0].refresh().trials[0].status == "finished"


def test_a_process_that_may_start_none_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="a daemon of multiprocessing") as refused:
        nas.search("vgg", runs=tmp_path, **SHORT)
    assert len(refused.value.messages) == 1 and not list(tmp_path.iterdir())
