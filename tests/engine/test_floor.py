"""The floor under a search: where its event stands in the log, how it is computed beside the search, what is said."""

from __future__ import annotations

import json
import os
import resource
import runpy
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from command_line import fails, nasctl
from registered import registering
from simulated_search import Simulated, begin, events_of, recorded, resume, run_all, story

from nas.config.objectives import OBJECTIVES, register_objective
from nas.data import DataConfig, Dataset, open_data
from nas.engine import floor
from nas.engine.floor import NONE, Floor, classical_floor, floor_beside, recall
from nas.errors import MachineError, SearchStopped, UsageError
from nas.report import run_document
from nas.report.screen import Screen
from nas.report.tables.search import print_outcome
from nas.runs import SearchRun
from nas.runs.events import FloorMeasured, Noted, TrialSubmitted, WinnerChosen
from nas.runs.folders import read_run
from nas.trials import TrialResult

SEARCH = {"space": "vgg", "trials": 8}


def reaching(test: float) -> FloorMeasured:
    metrics = {"balanced_accuracy": test}
    return FloorMeasured(
        method="RBF SVM on pixels", settings={"C": 2.0}, rank=metrics, test=metrics, images=90, of_images=90,
        components=None,
    )  # fmt: skip


def reached(test: float) -> Floor:
    return lambda: reaching(test)


def never() -> FloorMeasured:
    raise AssertionError("asked for what is known")


class Untested(Simulated):
    """It is interrupted when the winner is to be scored."""

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        if self.queue[0][1].test:
            raise KeyboardInterrupt
        return super().wait(timeout)


def outcome(run: SearchRun) -> str:
    console = Screen(width=200, file=StringIO(), record=True)
    print_outcome(console, run)
    return console.export_text()


def place(folder: Path) -> str:
    """Event right after the floor, which is there once."""
    events = story(folder)
    (number,) = [n for n, event in enumerate(events) if isinstance(event, FloorMeasured)]
    match events[number + 1]:
        case TrialSubmitted(stage=stage):
            return stage
        case WinnerChosen():
            return "winner"
        case other:
            return str(other)


def test_it_is_recorded_once_right_before_the_confirmation(tmp_path: Path) -> None:
    run = run_all(tmp_path / "run", Simulated(3), floor=reached(0.5), **SEARCH)
    events = story(tmp_path / "run")
    assert place(tmp_path / "run") == "confirm"
    first = next(n for n, event in enumerate(events) if isinstance(event, TrialSubmitted) and event.stage == "confirm")
    assert events[first - 1] == run.floor == reaching(0.5)
    run_all(tmp_path / "no-confirmation", floor=reached(0.5), confirm=0, **SEARCH)
    assert place(tmp_path / "no-confirmation") == "winner"


def test_it_decides_nothing(tmp_path: Path) -> None:
    run_all(tmp_path / "with", floor=reached(0.9999), **SEARCH)
    run_all(tmp_path / "without", **SEARCH)
    rest = [event for event in story(tmp_path / "with") if not isinstance(event, FloorMeasured)]
    assert rest == story(tmp_path / "without")


@pytest.mark.parametrize("stop_after", [0, 4, 8, 9, 13])
def test_a_search_stopped_anywhere_has_it_as_if_it_had_not_been(tmp_path: Path, stop_after: int) -> None:
    run_all(tmp_path / "whole", floor=reached(0.5), **SEARCH)
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run_all(folder, Simulated(stop_after=stop_after), floor=reached(0.5), **SEARCH)
    resume(folder, Simulated(), floor=never if stop_after >= 8 else reached(0.5))
    assert story(folder) == story(tmp_path / "whole")


def test_interrupted_while_it_is_waited_for_it_comes_when_the_search_resumes(tmp_path: Path) -> None:
    def interrupted() -> FloorMeasured:
        raise KeyboardInterrupt

    run_all(tmp_path / "whole", floor=reached(0.5), **SEARCH)
    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "run", floor=interrupted, **SEARCH)
    resume(tmp_path / "run", Simulated(), floor=reached(0.5))
    assert story(tmp_path / "run") == story(tmp_path / "whole")


def test_a_confirmation_that_began_without_is_not_held_up_for_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "run", Simulated(stop_after=9), **SEARCH)
    assert resume(tmp_path / "run", Simulated(), floor=reached(0.5)).floor == reaching(0.5)
    assert place(tmp_path / "run") == "winner"


def test_where_no_trial_finished_nobody_waits_for_it(tmp_path: Path) -> None:
    with pytest.raises(SearchStopped, match="No trial finished"):
        run_all(tmp_path / "run", Simulated(fail=["all"]), floor=never, space="vgg", trials=3)


def test_a_floor_that_cannot_be_is_a_note_and_the_search_resumes(tmp_path: Path) -> None:
    run = run_all(tmp_path / "run", floor=lambda: Noted("The classical baseline was not measured: why."), **SEARCH)
    assert run.is_done and run.floor is None
    assert run.notes == ["The classical baseline was not measured: why."]
    assert "Floor:" not in outcome(run)
    assert run_document(run)["floor"] is None


def test_what_the_machine_was_at_error_for_is_asked_for_again(tmp_path: Path) -> None:
    answers: list[MachineError | FloorMeasured] = [MachineError("No space left on device"), reaching(0.5)]

    def floor() -> FloorMeasured:
        answer = answers.pop(0)
        if isinstance(answer, MachineError):
            raise answer
        return answer

    run = run_all(tmp_path / "run", floor=floor, **SEARCH)
    assert (run.floor, run.notes, place(tmp_path / "run")) == (reaching(0.5), [], "winner")

    answers = [MachineError("No space left on device")] * 2 + [reaching(0.5)]
    with pytest.raises(KeyboardInterrupt):  # after both, when the run can still be resumed
        run_all(tmp_path / "stopped", Untested(), floor=floor, **SEARCH)
    run = resume(tmp_path / "stopped", Simulated(), floor=floor)
    assert run.notes == [
        "There is no classical baseline: No space left on device. The data are not the cause, and the next search "
        "tries again."
    ]
    assert (run.floor, run.is_done) == (reaching(0.5), True)

    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "data", Untested(), floor=lambda: Noted(f"{NONE}why."), **SEARCH)
    assert resume(tmp_path / "data", Simulated(), floor=never).notes == [f"{NONE}why."]


@pytest.mark.parametrize(("test", "below"), [(0.9999, True), (0.0001, False)])
def test_the_winner_stands_beside_it_and_is_told_when_it_is_below(tmp_path: Path, test: float, below: bool) -> None:
    run = run_all(tmp_path / "run", floor=reached(test), **SEARCH)
    text = outcome(run)
    assert f"Classical baseline: RBF SVM on pixels {test:.3f} (balanced accuracy on test)\n" in text
    assert text.index("Test balanced accuracy:") < text.index("Classical baseline:")
    assert ("The winner is below the classical baseline" in text) == below
    assert ("--epochs 48" in text and "--trials 16" in text) == below
    told = run_document(run)["floor"]
    assert (told["method"], told["test"]) == ("RBF SVM on pixels", {"balanced_accuracy": test})
    assert told["winner_is_below"] is below
    again = read_run(tmp_path / "run")
    assert isinstance(again, SearchRun) and again.floor == run.floor


def test_before_there_is_a_winner_it_is_shown_alone(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "run", Simulated(stop_after=9), floor=reached(0.9999), **SEARCH)
    run = read_run(tmp_path / "run")
    assert isinstance(run, SearchRun)
    assert "Classical baseline: RBF SVM on pixels 1.000" in outcome(run)
    assert "below the floor" not in outcome(run)
    assert run_document(run)["floor"]["winner_is_below"] is None


# The computation itself, on real images.


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return open_data(DataConfig())


def search_on(folder: Path, key: str, **changes: object) -> SearchRun:
    """A search that is begun, of data with that key."""
    with begin(folder, **SEARCH, **changes) as log:
        run = recorded(log)
    object.__setattr__(run.facts, "data_key", key)
    return run


@pytest.fixture
def empty_cache(tmp_path: Path) -> DataConfig:
    """The digits, to be decoded into a cache of their own."""
    (tmp_path / "cache" / "sets").mkdir(parents=True)  # a folder named in a log is only used where it is a cache
    return DataConfig(cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The processes that compute and their channels."""
    found: list[Any] = []
    start = floor._start

    def remembered(*arguments: Any) -> Any:
        found.append(start(*arguments))
        return found[-1]

    monkeypatch.setattr(floor, "_start", remembered)
    return found


def test_it_is_computed_in_a_process_and_read_from_the_cache_afterwards(
    tmp_path: Path, empty_cache: DataConfig, digits: Dataset, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = search_on(tmp_path / "run", digits.key, data=empty_cache)
    with floor_beside(run) as waited:
        assert waited is not None
        started[0][0].kill()
        with pytest.raises(MachineError, match="was killed"):
            waited()
        first = waited()
    assert len(started) == 2 and not any(process.is_alive() for process, _ in started)
    assert isinstance(first, FloorMeasured), first
    assert first.method == "RBF SVM on pixels"
    assert first.test["balanced_accuracy"] == pytest.approx(0.938, abs=0.01)
    assert (first.images, first.of_images) == (341, 341)
    monkeypatch.setattr(floor, "_start", never)
    with floor_beside(run) as waited:
        assert waited is not None and waited() == first
    assert recall(empty_cache, digits.key, "accuracy") is None  # another objective may choose another method
    assert recall(empty_cache, "other data", "balanced_accuracy") is None
    (kept,) = (tmp_path / "cache" / "floors").iterdir()
    kept.write_text(kept.read_text().replace('"chosen"', '"chsoen"'))
    assert recall(empty_cache, digits.key, "balanced_accuracy") is None


def test_a_search_without_one_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "_start", never)
    with floor_beside(search_on(tmp_path / "run", "key", floor=False)) as waited:
        assert waited is None
    done = run_all(tmp_path / "done", **SEARCH)
    with floor_beside(done) as waited:
        assert waited is None


def test_what_goes_wrong_in_the_process_is_the_note(tmp_path: Path, empty_cache: DataConfig) -> None:
    run = search_on(tmp_path / "run", "another key", data=empty_cache)
    with floor_beside(run) as waited:
        assert waited is not None
        assert waited() == Noted(
            "The classical baseline was not measured: the data changed since the search began. To see what is wrong: "
            "nasctl baseline run classical"
        )
    gone = search_on(tmp_path / "gone", "key", data=DataConfig(source=str(tmp_path / "nowhere")))
    with floor_beside(gone) as waited:
        assert waited is not None
        (noted,) = [waited()]
    assert isinstance(noted, Noted) and "DataError: There is no" in noted.text


def test_a_search_does_not_wait_for_ever_and_none_is_left(
    tmp_path: Path, empty_cache: DataConfig, started: list[Any]
) -> None:
    hurried = search_on(tmp_path / "hurried", "key", data=empty_cache, time_limit=0.1)
    with floor_beside(hurried) as waited:
        assert waited is not None
        for _ in range(2):
            with pytest.raises(MachineError, match="took too long"):
                waited()
        ((process, _),) = started  # it continues
        os.kill(process.pid, 0)
    assert not process.is_alive()


def test_a_full_disk_is_no_error_of_the_data(tmp_path: Path, empty_cache: DataConfig, started: list[Any]) -> None:
    """A limit on the size of files stands for it; processes inherit it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    run = search_on(tmp_path / "run", "key", data=empty_cache)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with floor_beside(run) as waited:
            assert waited is not None
            with pytest.raises(MachineError, match=r"cache folder .* is full"):
                waited()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_scores_that_are_known_are_not_computed_again(digits: Dataset, empty_cache: DataConfig) -> None:
    scores = classical_floor(digits, empty_cache, "balanced_accuracy")
    assert (
        classical_floor(digits, empty_cache, "balanced_accuracy")
        == scores
        == recall(empty_cache, digits.key, "balanced_accuracy")
    )


# As a user meets it.

QUICK = ["--space", "vgg", "--max-params", "20k", "--epochs", 1, "--trials", 1, "--workers", 1, "--device", "cpu"]


def test_a_search_has_one_unless_it_is_told_not_to(tmp_path: Path) -> None:
    done = nasctl("search", *QUICK, "--confirm", 0, "--run", "with", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert told["floor"]["method"] == "RBF SVM on pixels"
    assert told["floor"]["winner_is_below"] is True  # after one epoch
    status = nasctl("status", "--run", "with", cwd=tmp_path).stdout
    assert (
        "Classical baseline: RBF SVM on pixels 0.9" in status and "The winner is below the classical baseline" in status
    )
    assert nasctl("search", *QUICK, "--confirm", 0, "--run", "without", "--no-floor", cwd=tmp_path).returncode == 0
    assert "Floor" not in nasctl("status", "--run", "without", cwd=tmp_path).stdout
    run = read_run(tmp_path / "runs" / "without")
    assert isinstance(run, SearchRun) and not run.config.floor and run.is_done
    assert not [event for event in events_of(run.folder) if isinstance(event, FloorMeasured)]


def test_classical_methods_can_be_asked_for_alone(tmp_path: Path) -> None:
    told = json.loads(nasctl("baseline", "run", "classical", "--json", cwd=tmp_path).stdout)
    assert told["chosen"] == "rbf-svm"
    assert [method["name"] for method in told["methods"]] == ["logistic-regression", "rbf-svm", "nearest-neighbor"]
    assert told["test"]["balanced_accuracy"] == pytest.approx(0.938, abs=0.01)
    assert told["data"]["counts"]["train"][0] == 100
    shown = nasctl("baseline", "run", "classical", cwd=tmp_path).stdout
    assert "* RBF SVM" in shown and "Trained on 341 images, by their pixels" in shown
    assert nasctl("baseline", "run", "classical", "--quiet", cwd=tmp_path).stdout == ""
    assert "classical  No networks" in nasctl("baseline", "list", cwd=tmp_path).stdout
    listed = json.loads(nasctl("baseline", "list", "--json", cwd=tmp_path).stdout)["studies"]
    assert [member["name"] for member in listed[-1]["members"]] == [method["name"] for method in told["methods"]]
    assert not (tmp_path / "runs").exists()


def test_what_classical_methods_cannot_use_is_refused_in_one_message(tmp_path: Path) -> None:
    message = fails(
        "baseline", "run", "classical", "--epochs", 3, "--train-on-all", "--from-scratch", "--objective", "acc",
        "--imbalance", 0, cwd=tmp_path,
    )  # fmt: skip
    for flag in ("--epochs", "--hold-out", "--from-scratch", "no objective 'acc'", "--imbalance"):
        assert flag in message
    assert len(message.splitlines()) == 5
    assert "Did you mean 'classical'?" in fails("baseline", "run", "clasical", cwd=tmp_path)
    assert "/nowhere" in fails("baseline", "run", "classical", "--data", "/nowhere", cwd=tmp_path)


def test_an_objective_of_ones_own_has_a_floor_if_predicted_classes_are_enough(
    tmp_path: Path, empty_cache: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floor, "_start", never)
    with registering("objective.py"):
        run = search_on(tmp_path / "run", "key", data=empty_cache, objective="top_k:k=3")
        why = "he objective top_k:k=3 needs logits, which classical methods do not have"
        with floor_beside(run) as waited:
            assert waited is not None and waited() == Noted(f"{NONE}t{why}.")
        with pytest.raises(UsageError, match=f"^T{why}: choose another --objective.$"):
            classical_floor(open_data(empty_cache), empty_cache, "top_k:k=3")

        file = tmp_path / "own.py"
        facts = []
        for weight in ("1", "2"):  # the same name, other lines
            OBJECTIVES._entries.pop("own", None)
            file.write_text(f"def own(evaluation):\n    return {weight} * evaluation.recall_C[0]\n")
            register_objective("own")(runpy.run_path(str(file))["own"])
            facts.append(floor._facts("key", "own"))
        assert facts[0] != facts[1] and floor._facts("key", "accuracy").keys() == facts[0].keys() - {"file"}
