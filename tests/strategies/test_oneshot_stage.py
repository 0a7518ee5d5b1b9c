"""The first stage of a one-shot search in its run: events, checkpoints, resume, limits, and what can go wrong."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import oneshot_runs
import pytest
import torch
from oneshot_runs import BUDGET, EPOCHS, RECIPE, SPACE, TASK, begin, find
from registered import registering
from simulated_search import Simulated, events_of, timeless
from simulated_search import recorded as recorded_search

from baselines.evaluation import Evaluation
from budgets import cost_of
from nas.config.objectives import register_objective
from nas.engine.search import run_search
from nas.errors import RunError, SearchStopped
from nas.executors import WorkerSlot
from nas.runs import EventLog, Journal, Run, SearchRun, as_search
from nas.runs import run as runs_module
from nas.runs.events import (
    CandidatesRanked,
    Event,
    Noted,
    SearchStarted,
    SessionStarted,
    SessionStopped,
    SettingsChanged,
    SupernetEpoch,
    SupernetProgress,
    SupernetStarted,
    TrialSubmitted,
)
from nas.runs.folders import read_run
from nas.strategies import get_strategy
from nas.strategies.oneshot import checkpoint
from nas.strategies.oneshot.training import SupernetTraining


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setattr(runs_module, "get_space", lambda name: SPACE)


def read_search(folder: Path) -> SearchRun:
    return as_search(read_run(folder))


def story(folder: Path) -> list[Event]:
    """Events of a run, without times."""
    events = [event for event in events_of(folder) if not isinstance(event, SessionStarted | SessionStopped)]
    return [timeless(event) for event in events]


def stop_at(kind: type[Event], epoch: int | None = None) -> Any:
    """A listener that is interrupted by the user at an event."""

    def listener(event: Event, run: Run) -> None:
        if isinstance(event, kind) and epoch in (None, getattr(event, "epoch", None)):
            raise KeyboardInterrupt

    return listener


@contextmanager
def as_small() -> Iterator[None]:
    """``small``, for fixtures of the module."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs_module, "get_space", lambda name: SPACE)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage that nothing interrupted, of Gumbel-DARTS with Adam."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with as_small(), begin(folder) as store:
        find(store)
    return folder


def test_the_log_holds_the_supernet_its_epochs_and_its_candidates(whole: Path) -> None:
    events = [event for event in story(whole) if not isinstance(event, Noted)]
    kinds = [SearchStarted, SupernetStarted, *[SupernetEpoch] * EPOCHS, CandidatesRanked]
    assert [type(event) for event in events] == kinds
    run = read_search(whole)
    supernet = run.supernet
    assert supernet is not None
    assert supernet.choices == {choice.label: list(choice.values) for choice in SPACE.choices}
    assert (supernet.epochs, supernet.warm_up_epochs) == (EPOCHS, 1)
    assert supernet.params > 1000 and supernet.peak_bytes > 16 * supernet.params
    assert [record.epoch for record in run.supernet_epochs] == [1, 2, 3, 4]
    for candidate in run.ranked_candidates:
        assert not BUDGET.violations(cost_of(SPACE, candidate.sample, TASK))
    assert not (whole / "supernet").exists()  # nothing needs the checkpoint any more


def test_an_interrupted_stage_ends_like_one_that_was_not(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), begin(folder) as store:
        find(store, [stop_at(SupernetStarted)])
    for epoch in (1, 3, 4):
        with pytest.raises(KeyboardInterrupt), EventLog(folder) as store:
            find(store, [stop_at(SupernetEpoch, epoch)])
    with pytest.raises(KeyboardInterrupt), EventLog(folder) as store:
        find(store, [stop_at(CandidatesRanked)])
    assert (folder / "supernet").exists()  # left by what seemed a kill
    with EventLog(folder) as store:
        find(store)
    assert story(folder) == story(whole)
    assert not (folder / "supernet").exists()


@pytest.mark.parametrize("strategy", ["darts", "random-oneshot"])
def test_the_other_strategies_and_sgd_resume_exactly(tmp_path: Path, strategy: str) -> None:
    stories = []
    for name in ("whole", "stopped"):
        recipe = RECIPE.model_copy(update={"optimizer": "sgd"})
        options = {"strategy": strategy, "recipe": recipe, "supernet": {"epochs": 3, "candidates": 2}}
        with begin(tmp_path / name, **options) as store:
            if name == "stopped":
                with pytest.raises(KeyboardInterrupt):
                    find(store, [stop_at(SupernetEpoch, 2)])
            find(store)
        stories.append(story(tmp_path / name))
    assert stories[0] == stories[1]


def test_a_kill_between_the_checkpoint_and_the_log_loses_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, save = tmp_path / "run", checkpoint.Checkpoint.save

    def killed_after(self: Any, training: SupernetTraining, record: SupernetEpoch) -> None:
        save(self, training, record)
        if record.epoch == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "save", killed_after)
    with begin(folder) as store:
        with pytest.raises(KeyboardInterrupt):
            find(store)
        assert len(recorded_search(store).supernet_epochs) == 2
        trained: list[int] = []
        monkeypatch.setattr(checkpoint.Checkpoint, "save", save)
        original = SupernetTraining.run_epoch
        monkeypatch.setattr(
            SupernetTraining, "run_epoch", lambda self, epoch, *_: (trained.append(epoch), original(self, epoch))[1]
        )
        find(store)
    assert trained == [4]
    assert story(folder) == story(whole)


def test_epochs_that_the_log_has_and_the_checkpoint_lost_are_trained_again(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with begin(folder) as store:
        with pytest.raises(KeyboardInterrupt):
            find(store, [stop_at(SupernetEpoch, 2)])
        (folder / "supernet" / "checkpoint.safetensors").unlink()
        run = find(store)
    expected = read_search(whole)
    assert [timeless(r) for r in run.supernet_epochs] == [timeless(r) for r in expected.supernet_epochs]
    assert run.candidates is not None and expected.candidates is not None
    assert timeless(run.candidates) == timeless(expected.candidates)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage of two epochs that was stopped after the first; ``stopped`` is a copy."""
    folder = tmp_path_factory.mktemp("interrupted") / "run"
    with as_small(), pytest.raises(KeyboardInterrupt), begin(folder, supernet={"epochs": 2}) as store:
        find(store, [stop_at(SupernetEpoch, 1)])
    return folder


@pytest.fixture
def stopped(interrupted: Path, tmp_path: Path) -> Path:
    return shutil.copytree(interrupted, tmp_path / "run")


@pytest.mark.parametrize("damage", ["truncated", "empty", "other"])
def test_a_checkpoint_that_cannot_be_used_says_what_to_do(stopped: Path, tmp_path: Path, damage: str) -> None:
    path = stopped / "supernet" / "checkpoint.safetensors"
    content = path.read_bytes()
    if damage == "other":
        other = tmp_path / "other"
        with pytest.raises(KeyboardInterrupt), begin(other, seed=5, supernet={"epochs": 2}) as store:
            find(store, [stop_at(SupernetEpoch, 1)])
        content = (other / "supernet" / "checkpoint.safetensors").read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "other": content}[damage])
    before = story(stopped)
    cure = "Remove it to train the supernet again, then: nasctl resume run"
    with pytest.raises(RunError, match=cure) as caught, EventLog(stopped) as store:
        find(store)
    assert ("is of another search" in str(caught.value)) == (damage == "other")
    assert story(stopped) == before


def test_limits_that_change_at_resume_leave_the_checkpoint_valid(stopped: Path) -> None:
    with EventLog(stopped) as store:
        changes = {"trials": 3, "time_limit": 9e9, "device": "cpu"}
        store.append(SettingsChanged(recorded_search(store).config.model_copy(update=changes)))
        run = find(store)
    assert [record.epoch for record in run.supernet_epochs] == [1, 2]


def test_a_disk_that_refuses_is_told_and_nothing_is_lost(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = (stopped / "supernet" / "checkpoint.safetensors").read_bytes()
    with EventLog(stopped) as store:
        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", full)
            with pytest.raises(RunError, match=r"No space left on device.*make room.*nasctl resume run"):
                find(store)
        assert [path.name for path in (stopped / "supernet").iterdir()] == ["checkpoint.safetensors"]
        assert (stopped / "supernet" / "checkpoint.safetensors").read_bytes() == before
        assert find(store).candidates is not None


def test_that_a_supernet_is_built_is_told_before_it_takes_time(tmp_path: Path) -> None:
    told: list[Event] = []

    def listener(event: Event, run: Run) -> None:
        told.append(event)
        raise KeyboardInterrupt

    with begin(tmp_path / "run") as store, pytest.raises(KeyboardInterrupt):
        get_strategy("darts").prepare(Journal(recorded_search(store), store, [listener]), "cpu", 1)
    assert told == [SupernetProgress(epoch=0, steps=0, of_steps=0, seconds=0.0)]


def test_a_checkpoint_holds_tensors_alone(stopped: Path) -> None:
    content = (stopped / "supernet" / "checkpoint.safetensors").read_bytes()
    assert b"pickle" not in content and b"__reduce__" not in content
    header = content[8 : 8 + int.from_bytes(content[:8], "little")].decode()
    for part in ('"supernet.', '"choices.', '"weights_optimizer.'):
        assert part in header


def test_half_of_a_time_limit_is_for_the_supernet(tmp_path: Path) -> None:
    with begin(tmp_path / "run", time_limit=0.001, supernet={"epochs": 50}) as store:
        run = find(store)
    assert len(run.supernet_epochs) == 1
    assert run.candidates is not None
    assert any(
        "trained for 1 of 50 epochs: another epoch would have" in note and "had not begun to learn" in note
        for note in run.notes
    )


def test_a_loss_that_is_not_finite_stops_the_search_with_a_cure(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"optimizer": "sgd", "learning_rate": 1e30})
    error = r"train_loss is (nan|inf) in epoch 1.*lower --learning-rate"
    with begin(tmp_path / "run", recipe=recipe) as store, pytest.raises(SearchStopped, match=error):
        find(store)


def test_running_out_of_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(self: SupernetTraining, epoch: int, *_: Any) -> Any:
        torch.empty(1 << 60, dtype=torch.uint8)

    monkeypatch.setattr(SupernetTraining, "run_epoch", greedy)
    with begin(tmp_path / "run") as store, pytest.raises(SearchStopped, match="ran out of memory on cpu"):
        find(store)


def test_memory_that_does_not_suffice_is_told_before_anything_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.strategies.oneshot import memory

    monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
    with (
        begin(tmp_path / "run") as store,
        pytest.raises(SearchStopped, match=r"of memory for batches of 128.*Free some.*nasctl resume"),
    ):
        find(store)
    assert [type(event) for event in story(tmp_path / "run")] == [SearchStarted]


# The whole search: candidates become ordinary trials.


@pytest.fixture
def search_all(whole: Path) -> Any:
    """Searches on, in a copy of the run whose supernet is trained, or where that was stopped."""

    def searched(folder: Path, executor: Simulated, **changes: Any) -> Run:
        if not folder.exists():
            shutil.copytree(whole, folder)
        with EventLog(folder) as store:
            if changes:
                store.append(SettingsChanged(recorded_search(store).config.model_copy(update=changes)))
            return run_search(
                recorded_search(store), store, [WorkerSlot("cpu", 1)] * executor.num_slots, [], lambda slots: executor
            )

    return searched


def test_a_search_trains_its_supernet_first_and_then_the_best_candidates(tmp_path: Path) -> None:
    opened: list[int] = []

    def open_executor(slots: Any) -> Simulated:
        opened.append(len(events_of(tmp_path / "run")))  # after the candidates, lest workers sit idle
        return Simulated(2)

    with begin(tmp_path / "run", trials=3, confirm=1, supernet={"epochs": 1}) as store:
        run = run_search(recorded_search(store), store, [WorkerSlot("cpu", 1)] * 2, [], open_executor)
    assert run.candidates is not None
    best = [candidate.sample for candidate in run.ranked_candidates[:3]]
    assert [trial.sample for trial in run.stage("search")] == best
    assert len(run.confirmations(run.winner.trial)) == 3  # type: ignore[union-attr]
    assert run.state == "done"
    before = [type(event) for event in events_of(tmp_path / "run")[: opened[0]]]
    assert CandidatesRanked in before and TrialSubmitted not in before


def test_all_candidates_are_tried_and_then_it_ends(search_all: Any, tmp_path: Path) -> None:
    run = search_all(tmp_path / "run", Simulated(3), trials=30)
    assert len(run.stage("search")) == len(run.ranked_candidates) == 4
    assert "Every candidate of the supernet was tried: 4." in run.notes


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("trials", [3, 30])
def test_trials_are_replayed_and_nothing_is_trained_again(
    search_all: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, trials: int
) -> None:
    monkeypatch.setattr(SupernetTraining, "run_epoch", lambda *_: pytest.fail("the supernet was trained again"))
    whole = search_all(tmp_path / "whole", Simulated(workers), trials=trials, confirm=1)
    for stop_after in (0, 1, 2, 3, 5):
        folder = tmp_path / f"stopped{stop_after}"
        first, second = Simulated(workers, stop_after=stop_after), Simulated(workers)
        with pytest.raises(KeyboardInterrupt):
            search_all(folder, first, trials=trials, confirm=1)
        before = story(folder)
        run = search_all(folder, second)
        assert story(folder)[: len(before)] == before
        assert not set(first.trained) & set(second.trained)
        if workers == 1:
            assert story(folder) == story(tmp_path / "whole")
            assert run.winner == whole.winner


def test_a_stopped_search_can_get_more_trials(search_all: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search_all(tmp_path / "run", Simulated(stop_after=1), trials=2)
    run = search_all(tmp_path / "run", Simulated(), trials=4)
    assert len(run.stage("search")) == 4
    assert [trial.sample for trial in run.stage("search")] == [c.sample for c in run.ranked_candidates]


# A real kill.


def test_a_killed_supernet_ends_with_the_alphas_of_one_that_was_not(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    command = [sys.executable, str(Path(oneshot_runs.__file__)), str(folder)]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    kept = story(folder)
    assert sum(isinstance(event, SupernetEpoch) for event in kept) == 2
    with EventLog(folder) as store:
        find(store)
    assert story(folder)[: len(kept)] == kept
    assert story(folder) == story(whole)


def test_a_supernet_is_scored_by_an_objective_of_ones_own(tmp_path: Path) -> None:
    def lopsided(evaluation: Evaluation) -> float:
        return -float(evaluation.embeddings.std() / len(evaluation.logits))

    with registering():
        register_objective("lopsided")(lopsided)
        register_objective("broken")(lambda evaluation: [][0])
        with begin(tmp_path / "run", objective="lopsided", supernet={"epochs": 1}) as store:
            run = find(store)
        assert all(record.score < 0 for record in run.supernet_epochs) and run.candidates is not None
        scores = [candidate.score for candidate in run.ranked_candidates]
        assert scores == sorted(scores, reverse=True) and max(scores) < 0
        assert not any(candidate.far_under for candidate in run.ranked_candidates)
        with (
            begin(tmp_path / "broken", objective="broken", supernet={"epochs": 1}) as store,
            pytest.raises(SearchStopped, match=r"cannot be ranked: the objective broken failed: IndexError.*fixed"),
        ):
            find(store)
