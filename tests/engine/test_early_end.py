"""--stop-when and --search-patience: when trials end before their number, and that they stay ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_search import events_of, resume, run_all, story, timeless

import nas
from nas.api.settings import search_config
from nas.config.run_rules import stop_when_errors
from nas.errors import UsageError
from nas.runs import EventLog, SearchRun
from nas.runs.events import SettingsChanged, TrialSubmitted
from nas.testing.strategies import SimulatedExecutor


def scores_of(run: SearchRun) -> list[float]:
    found = [trial.score(run.config.objective) for trial in run.stage("search")]
    return [score for score in found if score is not None]


def test_trials_end_when_one_scores_enough(tmp_path: Path) -> None:
    whole = scores_of(run_all(tmp_path / "whole"))
    goal = sorted(whole)[-2]
    run = run_all(tmp_path / "run", stop_when=goal)
    assert scores_of(run) == whole[: len(scores_of(run))] and scores_of(run)[-1] >= goal > max(scores_of(run)[:-1])
    assert len(whole) > len(scores_of(run))
    last = run.stage("search")[-1].id
    assert run.notes == [f"No more trials: trial {last} scored {scores_of(run)[-1]:.4g}, and --stop-when is {goal:g}."]
    assert run.winner and run.stage("confirm")


def test_trials_end_when_none_is_better(tmp_path: Path) -> None:
    whole = scores_of(run_all(tmp_path / "whole"))
    run = run_all(tmp_path / "run", search_patience=3)
    found = scores_of(run)
    assert found == whole[: len(found)] and len(found) < len(whole)
    best = found.index(max(found))
    assert len(found) - 1 - best == 3
    assert run.notes[0].startswith(f"No more trials: the last 3 were no better than trial {best + 1}, ")


def test_failed_trials_are_not_counted(tmp_path: Path) -> None:
    plain = run_all(tmp_path / "plain", strategy="random", search_patience=3)
    last = plain.stage("search")[-1].id
    run = run_all(tmp_path / "run", SimulatedExecutor(fail=[last]), strategy="random", search_patience=3)
    assert len(run.stage("search")) > len(plain.stage("search"))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_resumed_search_stays_ended_until_told_otherwise(workers: int, tmp_path: Path) -> None:
    settings = {"search_patience": 2, "trials": 20}
    whole = run_all(tmp_path / "whole", SimulatedExecutor(num_slots=workers), **settings)
    trials = len(whole.stage("search"))
    assert trials < 20
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run_all(folder, SimulatedExecutor(num_slots=workers, stop_after=trials + 1), **settings)
    if workers == 1:
        resume(folder, SimulatedExecutor())
        assert [timeless(event) for event in story(folder)] == [timeless(e) for e in story(tmp_path / "whole")]
        return
    with EventLog(folder) as log:
        log.append(SettingsChanged(whole.config.model_copy(update={"search_patience": 5})))
    resume(folder, SimulatedExecutor(num_slots=workers))
    searched = [e for e in events_of(folder) if isinstance(e, TrialSubmitted) and e.stage == "search"]
    assert len(searched) > trials


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            {"stop_when": "97"},
            "balanced accuracy is above 0 and at most 1; 97 per cent is 0.97",
        ),
        ({"stop_when": "97", "search_patience": "0"}, "--stop-when 97 cannot be used"),  # all errors at once
        ({"stop_when": "0"}, "--stop-when 0 cannot be used"),
        ({"stop_when": "-0.5"}, "--stop-when -0.5 cannot be used"),
        ({"stop_when": "nan"}, "--stop-when 'nan' cannot be used"),
        ({"search_patience": "0"}, "--search-patience '0' cannot be used: give a number of at least 1"),
        ({"search_patience": "-2"}, "--search-patience '-2' cannot be used"),
    ],
)
def test_nonsense_is_refused(flags: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        search_config({"space": "vgg", "max_params": "20k", "data": None, **flags})
    assert words in str(refused.value)


def test_an_own_objective_may_stop_at_any_metric() -> None:
    assert stop_when_errors(-3.5, "minus_seconds") == [] and stop_when_errors(1.0, "accuracy") == []


def test_a_searcher_asks_no_more(tmp_path: Path) -> None:
    space = nas.space("vgg", input_shape=(1, 8, 8))
    with nas.Searcher(space, max_params="20k", trials=8, stop_when=5.0, folder=tmp_path / "s") as searcher:
        for score in (1.0, 7.0):
            trial = searcher.ask()
            assert trial is not None
            searcher.tell(trial, score)
        assert searcher.ask() is None
    with nas.Searcher.load(tmp_path / "s") as searcher:
        assert searcher.ask() is None and searcher.best.score == 7.0
