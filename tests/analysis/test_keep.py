"""A search ends with the analysis of its winner, made by a worker; what goes wrong in it is a notice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import told

from nas.analysis import analysis_folder, kept_analysis
from nas.analysis.keep import keep_analysis
from nas.executors import WorkerSlot
from nas.runs import SearchRun, as_search, as_study, load_run
from nas.runs.log import read_log

SLOTS = [WorkerSlot("cpu", 1)]
SHORT = "--trials 1 --epochs 1 --confirm 0 --workers 1 --no-floor --device cpu"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    told(place, "search", "--space", "vgg", "--max-params", "20k", *SHORT.split(), "--run", "r")
    return place


@pytest.fixture
def run(place: Path) -> SearchRun:
    return as_search(load_run("r", place / "runs"))


def test_a_search_ends_with_the_analysis_of_its_winner(run: SearchRun) -> None:
    assert run.winner is not None
    found = kept_analysis(run.folder, run.winner.weights)
    assert found is not None and (found.trial, found.split) == (run.winner.weights, "rank")
    assert found.accuracy == pytest.approx(run.trials["1"].metrics["rank"]["accuracy"])
    assert found.pictures == {} and found.misclassified and found.augmented  # no matplotlib for what few look at
    folder = analysis_folder(run.folder, "1")
    assert all((folder / one.picture).is_file() and (folder / str(one.heat)).is_file() for one in found.misclassified)


def test_the_log_knows_nothing_of_it(run: SearchRun) -> None:
    last = [entry.event for entry in read_log(run.folder)][-1]
    assert type(last).__name__ == "WinnerChosen" and not run.notes


def test_what_is_there_is_kept_and_what_is_not_is_made(run: SearchRun, tmp_path: Path) -> None:
    path = analysis_folder(run.folder, "1") / "analysis.json"
    before = path.stat().st_mtime_ns
    assert keep_analysis(run, SLOTS) is None and path.stat().st_mtime_ns == before
    shutil.copytree(run.folder, tmp_path / "r", ignore=shutil.ignore_patterns("weights", "analysis"))
    assert keep_analysis(as_search(load_run("r", tmp_path)), SLOTS) is None  # no weights: nothing to do
    assert not (tmp_path / "r" / "analysis").exists()


def test_what_goes_wrong_is_a_notice(run: SearchRun, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "r", ignore=shutil.ignore_patterns("analysis"))
    copy = as_search(load_run("r", tmp_path))
    weights = copy.weights("1").read_bytes()
    notice = keep_analysis(copy, SLOTS, limit=0.01)
    assert notice and "longer than" in notice and f"nasctl analyze r --runs {tmp_path}" in notice
    copy.weights("1").write_bytes(b"damaged")
    notice = keep_analysis(copy, SLOTS)
    assert notice and "analysed: The weights" in notice and "nasctl analyze r" in notice
    copy.weights("1").write_bytes(weights)
    (tmp_path / "r" / "analysis").write_text("a file in the way")
    notice = keep_analysis(copy, SLOTS)
    assert notice and "analysis" in notice
    assert not [path for path in (tmp_path / "r").iterdir() if path.name.startswith(".tmp-")]


def test_a_search_that_cannot_be_analysed_is_done_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.analysis.keep.WORK", "nas.analysis.keep:nothing_of_this_name")
    printed = told(tmp_path, "search", "--space", "vgg", "--max-params", "20k", *SHORT.split(), "--run", "r")
    assert "The network was not analysed" in printed and "To do it: nasctl analyze r" in printed
    assert "done" in told(tmp_path, "status", "r")
    assert not (tmp_path / "runs" / "r" / "analysis").exists()


def test_a_long_training_ends_with_the_analysis_of_its_best_seed(run: SearchRun, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "runs" / "r")
    told(tmp_path, "train", "r", "--run", "long", "--epochs", "1", "--seeds", "1", "--quiet")
    long = as_study(load_run("long", tmp_path / "runs"))
    (trial,) = long.stage("study")
    found = kept_analysis(long.folder, trial.id)
    assert found is not None and found.split == "rank"
    assert found.accuracy == pytest.approx(trial.metrics["rank"]["accuracy"])
    assert "Confusion on rank" in (long.folder / "report.html").read_text()
    told(tmp_path, "train", "r", "--run", "all", "--epochs", "1", "--seeds", "1", "--train-on-all", "--quiet")
    assert not (tmp_path / "runs" / "all" / "analysis").exists()
