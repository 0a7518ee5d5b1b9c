"""The search itself in simulated time: real strategies, store and replay; a formula instead of training.

Trials "train" by reading their score off the sample, so that hundreds run in seconds and the best is known.
"""

from __future__ import annotations

import itertools
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated_search import MOST, TASK, Simulated, begin, config, events_of, recorded, resume, run_all, story

from budgets import Budget, cost_of, costs_of
from nas.awake import awake
from nas.config import SearchConfig
from nas.engine.advice import duration
from nas.engine.plan import Plan, start
from nas.engine.search import run_search
from nas.errors import MachineError, ReplayError, RunError, SearchStopped, TrialError
from nas.executors import WorkerSlot
from nas.executors.base import TOO_LONG
from nas.executors.local import describe_exit
from nas.runs import EventLog, Run, load_run, load_search
from nas.runs.events import Event, SearchStarted, SettingsChanged, TrialEnded, TrialSubmitted, WinnerChosen
from nas.runs.retention import drop_weights
from nas.strategies.oneshot.stage import supernet_space
from nas.training.evaluation import check_finite
from nas.trials.spec import TrialResult
from nas.units import parse_duration
from search_spaces import SearchSpace, get_space, space_names

STRATEGIES = {
    "evolution": {"strategy": "evolution"}, "random": {"strategy": "random"},
    "guided": {"strategy": "evolution", "guide": "on"},
}  # fmt: skip
COUNT = 18  # trials, enough to continue after the first, which are sampled at random
every_strategy = pytest.mark.parametrize("strategy", list(STRATEGIES.values()), ids=list(STRATEGIES))


@every_strategy
@pytest.mark.parametrize("space", space_names())
def test_no_trial_exceeds_its_budget_or_repeats_another(tmp_path, space, strategy):
    run = run_all(tmp_path / "run", Simulated(3), space=space, trials=COUNT, **strategy)
    trials = run.stage("search")
    assert len(trials) == COUNT
    assert all(MOST // 2 <= trial.cost.params <= MOST for trial in trials)
    assert all(cost_of(get_space(space), trial.sample, TASK) == trial.cost for trial in trials)
    assert len({trial.architecture for trial in trials}) == COUNT


def test_guided_finds_more_in_fewer_trials_than_evolution_and_that_than_random_on_a_known_landscape(tmp_path):
    best = {
        name: np.mean([
            run_all(tmp_path / f"{name}{seed}", space="vgg", seed=seed, trials=trials, confirm=0, **STRATEGIES[name])
            .ranked()[0].score("balanced_accuracy")
            for seed in range(4)
        ])
        for name, trials in {"guided": 40, "evolution": 60, "random": 60}.items()
    }  # fmt: skip
    assert best["guided"] > best["evolution"] > best["random"] + 0.02


@every_strategy
def test_equal_seeds_give_equal_logs_and_others_do_not(tmp_path, strategy):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run_all(tmp_path / name, space="vgg", seed=seed, **strategy)
    assert story(tmp_path / "a") == story(tmp_path / "b")
    assert story(tmp_path / "a")[1:] != story(tmp_path / "c")[1:]


@pytest.mark.parametrize("workers", [1, 7])
@every_strategy
def test_a_search_stopped_anywhere_resumes_as_if_it_had_not_been(tmp_path, strategy, workers):
    """With one worker the whole log is equal; with several, everything that was recorded stays, and every
    trial that had ended is not trained again."""
    options = {"space": "vgg", "trials": 20, **strategy}  # the space whose costs are read fastest
    whole = run_all(tmp_path / "whole", Simulated(workers), **options)
    for stop_after in (
        0,
        5,
        13,
        20,
        23,
    ):  # before any, in the first, in later ones, at their end, after it
        folder = tmp_path / f"stopped{stop_after}"
        first = Simulated(workers, stop_after=stop_after)
        with pytest.raises(KeyboardInterrupt):
            run_all(folder, first, **options)
        before = story(folder)
        second = Simulated(workers)
        run = resume(folder, second)
        assert story(folder)[: len(before)] == before
        assert not set(first.trained) & set(second.trained)
        assert len(run.stage("search")) == 20
        assert sorted(second.tested) == sorted(run.winner.test)
        if workers == 1:
            assert story(folder) == story(tmp_path / "whole")
            assert run.winner == whole.winner


@every_strategy
def test_a_search_of_a_part_of_a_space_stays_in_it_also_after_a_stop(tmp_path, strategy):
    """And its networks have the ids that they have in any other search."""
    options = {"trials": 12, **strategy, "restrict": {"width1": (8, 16), "block3": ("basic",)}}
    run_all(tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "stopped", Simulated(stop_after=5), **options)
    run = resume(tmp_path / "stopped", Simulated())
    assert story(tmp_path / "stopped") == story(tmp_path / "whole")
    assert len(run.trials) > 12  # and confirmations
    for trial in run.trials.values():
        assert trial.sample["block3"] == "basic" and trial.sample["width1"] in (8, 16)
        assert trial.architecture == get_space("resnet").architecture_id(trial.sample, run.task)


def test_a_supernet_holds_the_part_of_a_space_that_is_searched(tmp_path):
    with begin(tmp_path / "run", space="vgg", strategy="darts", restrict={"kernel1": (3,), "width1": (8, 12)}) as log:
        values = {choice.label: choice.values for choice in supernet_space(recorded(log)).choices}
    assert values["kernel1"] == (3,) and values["width1"] == (8, 12) and values["kernel2"] == (3, 5)


def test_a_search_that_was_recorded_before_there_were_restrictions_is_read():
    old = config().model_dump(mode="json", exclude={"restrict"})
    assert SearchConfig.model_validate(old) == config()
    part = config(restrict={"width1": (8, 16), "block3": ("basic",)})
    assert SearchConfig.model_validate_json(part.model_dump_json()) == part


def test_replay_is_exact_however_often_it_is_stopped(tmp_path):
    run_all(tmp_path / "whole", trials=20)
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run_all(folder, Simulated(stop_after=2), trials=20)
    for _ in range(11):
        with pytest.raises(KeyboardInterrupt):
            resume(folder, Simulated(stop_after=2))
    resume(folder, Simulated())
    assert story(folder) == story(tmp_path / "whole")


def test_a_run_may_resume_with_another_number_of_workers(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "run", Simulated(6, stop_after=9))
    run = resume(tmp_path / "run", Simulated(2))
    assert len(run.stage("search")) == 30
    assert len({trial.architecture for trial in run.stage("search")}) == 30


def test_a_log_that_replay_does_not_reproduce_is_a_named_error(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "run", Simulated(stop_after=8))
    forged = tmp_path / "forged"
    forged.mkdir()
    with EventLog(forged) as store:
        for event in events_of(tmp_path / "run"):
            if isinstance(event, SearchStarted):
                event = replace(event, config=event.config.model_copy(update={"seed": 5}))
            store.append(event)
    before = story(forged)
    with pytest.raises(ReplayError, match="recorded by another version"):
        resume(forged, Simulated())
    assert story(forged) == before


class FullDisk(Simulated):
    """Whose disk is full after some trials."""

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        try:
            return super().wait(timeout)
        except KeyboardInterrupt:
            raise MachineError("No space left on device (weights/3.safetensors)") from None


def test_an_error_of_the_machine_stops_it_and_trials_are_trained_again(tmp_path):
    run_all(tmp_path / "whole", trials=20)
    folder = tmp_path / "stopped"
    with pytest.raises(SearchStopped, match=r"^Stopped: No space left.*3\.safetensors.*nasctl resume stopped"):
        run_all(folder, FullDisk(stop_after=5), trials=20)
    run = load_search(str(folder))
    assert (run.state, run.stopped) == ("stopped", "No space left on device (weights/3.safetensors)")
    assert run.tally.count("failed") == 0 and run.tally.count("running") > 0
    resume(folder, Simulated())
    assert story(folder) == story(tmp_path / "whole")


def test_failures_are_recorded_and_the_search_resumes(tmp_path):
    run = run_all(tmp_path / "run", Simulated(2, fail=["2", "3", "7"]))
    assert [t.id for t in run.stage("search") if t.status == "failed"] == ["2", "3", "7"]
    assert run.trials["2"].error == "simulated"
    assert run.state == "done"


def test_ten_failures_in_a_row_stop_it_with_the_reasons(tmp_path):
    with pytest.raises(SearchStopped, match="10 trials in a row failed") as caught:
        run_all(tmp_path / "run", Simulated(fail=["all"]))
    assert str(caught.value).count("simulated") == 10
    assert "nasctl resume run" in str(caught.value)
    stopped = load_run("run", tmp_path)
    assert (stopped.state, stopped.stopped) == ("stopped", "Stopped: 10 trials in a row failed:")
    run = resume(tmp_path / "run", Simulated())  # the cause is gone
    assert run.state == "done"
    assert sum(t.status == "failed" for t in run.stage("search")) == 10


def test_a_score_that_is_not_a_number_fails_its_trial(tmp_path):
    class Sick(Simulated):
        def wait(self, timeout: float | None = None) -> list[TrialResult]:
            (result,) = super().wait(timeout)
            if result.id != "4":
                return [result]
            return [TrialResult(result.id, "finished", {"rank": {"balanced_accuracy": float("nan")}})]

    run = run_all(tmp_path / "run", Sick())
    assert run.trials["4"].status == "failed"
    assert "nan" in (run.trials["4"].error or "")


def test_winner_has_the_best_mean_and_alone_is_scored_on_the_test_split_once(tmp_path):
    executor = Simulated(3)
    run = run_all(tmp_path / "run", executor, confirm=3)
    means = {
        trial.id: np.mean([t.score("balanced_accuracy") for t in run.confirmations(trial.id)])
        for trial in run.ranked()[:3]
    }
    assert run.winner.trial == max(means, key=means.__getitem__)
    assert sorted(executor.tested) == [f"{run.winner.trial}.{n}" for n in (1, 2, 3)]
    assert len({t.seed for t in run.stage("confirm")}) == 9
    resume(tmp_path / "run", executor)  # nothing is left to do
    assert len(executor.tested) == 3


def test_without_confirmation_the_best_trial_is_scored_on_the_test_split_once(tmp_path):
    executor = Simulated()
    run = run_all(tmp_path / "run", executor, confirm=0)
    best = run.ranked()[0].id
    assert (run.winner.trial, run.winner.weights, list(run.winner.test)) == (best, best, [best])
    assert executor.tested == [best]


def test_confirmations_that_all_fail_do_not_make_a_winner_and_run_again(tmp_path):
    folder = tmp_path / "run"
    failing = [f"{trial}.{seed}" for trial in range(1, 31) for seed in (1, 2, 3)]
    with pytest.raises(SearchStopped, match="No confirmation finished"):
        run_all(folder, Simulated(fail=failing))
    assert load_search("run", tmp_path).winner is None
    second = Simulated()
    run = resume(folder, second)
    assert run.winner is not None
    assert len(second.trained) == 6  # the confirmations alone


def test_more_seeds_count_more_than_a_lucky_one(tmp_path):
    whole = run_all(tmp_path / "whole")
    winner = whole.winner.trial
    run = run_all(tmp_path / "run", Simulated(fail=[f"{winner}.2", f"{winner}.3"]))
    assert len(run.confirmations(winner)) == 1
    assert run.winner.trial != winner


def test_metrics_that_json_cannot_hold_fail_their_trial(tmp_path):
    class Infinite(Simulated):
        def wait(self, timeout: float | None = None) -> list[TrialResult]:
            (result,) = super().wait(timeout)
            if result.id == "4":
                result.metrics["rank"] = {**result.metrics["rank"], "loss": float("inf")}
            return [result]

    run = run_all(tmp_path / "run", Infinite())
    assert run.trials["4"].status == "failed"
    assert "loss" in (run.trials["4"].error or "")
    assert run.state == "done"


def test_a_search_whose_trials_all_fail_is_an_error(tmp_path):
    with pytest.raises(SearchStopped, match=r"(?s)No trial finished.*simulated"):
        run_all(tmp_path / "run", Simulated(fail=["all"]), trials=3)


class Slow(Simulated):
    """Its trials and confirmations take 30 s, and the time limit of the run in ``folder`` stops them."""

    def __init__(self, folder: Path, *, slow: Sequence[str] = (), stop_after: int | None = None) -> None:
        super().__init__(stop_after=stop_after)
        self.folder, self.slow = folder, slow

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        (result,) = super().wait(timeout)
        limit = load_search(self.folder.name, self.folder.parent).config.trial_timeout
        if limit is None or limit >= 30 or (self.slow and result.id not in self.slow) or "test" in result.metrics:
            return [result]
        return [TrialResult(result.id, "failed", seconds=limit + 0.1, error=f"stopped after {limit:g} s {TOO_LONG}")]


def give(folder: Path, **limits: float) -> None:
    """Change settings as ``nasctl resume`` records it."""
    with EventLog(folder) as log:
        log.append(SettingsChanged(recorded(log).config.model_copy(update=limits)))


def test_trials_that_all_took_too_long_are_given_more_time_and_trained_again(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(SearchStopped, match="10 trials in a row failed") as caught:
        run_all(folder, Slow(folder), trials=12, confirm=0, trial_timeout=20.0)
    assert str(caught.value).endswith(
        "To give them more time: nasctl resume run --runs " + f"{tmp_path} --trial-timeout 60s"
    )
    with pytest.raises(SearchStopped, match="No trial finished") as caught:
        resume(folder, Slow(folder))  # the rest, with the same limit
    assert str(caught.value).endswith("--trial-timeout 60s") and "--trials" not in str(caught.value)
    give(folder, trial_timeout=60.0)
    with pytest.raises(KeyboardInterrupt):
        resume(folder, Slow(folder, stop_after=5))
    last = Slow(folder)
    run = resume(folder, last)
    assert len(last.trained) == 7  # what was trained before the interruption is kept
    assert [trial.status for trial in run.stage("search")] == ["finished"] * 12
    assert [trial.id for what, trial in run.course if what == "submitted"] == [str(n) for n in range(1, 13)]
    assert {trial.status for what, trial in run.course} == {"failed"}  # what the strategy was told
    assert run.state == "done"


def test_more_time_helps_one_slow_trial_and_changes_no_proposal(tmp_path):
    folder, options = tmp_path / "run", {"trials": 16, "confirm": 0, "trial_timeout": 20.0}
    with pytest.raises(KeyboardInterrupt):
        run_all(folder, Slow(folder, slow=["3"], stop_after=14), **options)
    before = story(folder)
    give(folder, trial_timeout=40.0)
    run = resume(folder, again := Slow(folder, slow=["3"]))
    assert story(folder)[: len(before)] == before
    assert again.trained == ["15", "16", "3"] and run.trials["3"].status == "finished"
    untouched = run_all(tmp_path / "other", Simulated(fail=["3"]), **options)
    samples = [[trial.sample for trial in one.stage("search")] for one in (run, untouched)]
    assert samples[0] == samples[1]


def test_confirmations_that_took_too_long_ask_for_more_time(tmp_path):
    folder = tmp_path / "run"
    slow = [f"{trial}.{seed}" for trial in range(1, 31) for seed in (1, 2, 3)]
    with pytest.raises(SearchStopped, match=r"(?s)No confirmation finished.*--trial-timeout 60s$"):
        run_all(folder, Slow(folder, slow=slow), trial_timeout=20.0)
    give(folder, trial_timeout=60.0)
    assert resume(folder, Slow(folder, slow=slow)).state == "done"


def not_finite() -> str:
    """As a training says it."""
    with pytest.raises(TrialError) as caught:
        check_finite({"epoch": 1, "learning_rate": 1e30, "train_loss": float("nan")}, "train_loss")
    return str(caught.value)


@pytest.mark.parametrize("trials", [3, 30], ids=["all", "ten in a row"])
@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("simulated", "{what}: nasctl resume run --runs {runs}{more}"),
        (describe_exit(-signal.SIGKILL), "one at a time: nasctl resume run --runs {runs}{more} --workers 1"),
        ("out of memory on cuda:0: CUDA out of memory", "one at a time: nasctl resume run --runs {runs}{more}"),
        (not_finite(), "lower --learning-rate"),
        ("loss on rank is inf, not a number that ranks", "lower --learning-rate"),
    ],
)
def test_advice_is_by_the_cause(tmp_path, error, advice, trials):
    class Failing(Simulated):
        def wait(self, timeout: float | None = None) -> list[TrialResult]:
            (result,) = super().wait(timeout)
            return [TrialResult(result.id, "failed", error=error)]

    with pytest.raises(SearchStopped) as caught:
        run_all(tmp_path / "run", Failing(), trials=trials)
    what, more = ("try others", " --trials 6") if trials == 3 else ("resume", "")
    assert advice.format(runs=tmp_path, what=what, more=more) in str(caught.value)
    assert "--time-limit" not in str(caught.value) and "--trial-timeout" not in str(caught.value)


@pytest.mark.parametrize(("seconds", "text"), [(0.5, "1s"), (90, "90s"), (121, "3m"), (7200, "120m"), (7201, "3h")])
def test_a_proposed_time_is_what_a_flag_takes(seconds, text):
    assert duration(seconds) == text
    assert parse_duration(text) >= seconds


def test_a_log_that_is_removed_stops_the_search(tmp_path):
    class Remover(Simulated):
        def wait(self, timeout: float | None = None) -> list[TrialResult]:
            if len(self.trained) == 3:
                shutil.rmtree(tmp_path / "run")
                (tmp_path / "run").mkdir()
                self.stop_after = None
                return [TrialResult(self.queue[0][1].id, "failed", error="folder gone")]
            return super().wait(timeout)

    with pytest.raises(RunError, match="was removed while the search ran"):
        run_all(tmp_path / "run", Remover())


def test_a_small_space_is_searched_to_its_end(tmp_path):
    """With a budget that a handful of architectures fit, the search ends when all are tried."""
    task_budget = Budget(max_params=640, min_params=1)
    chosen = config(trials=500, confirm=0, budget=Budget(max_params=640))
    plan = Plan(
        chosen, get_space("resnet"), TASK, task_budget, "", tuple("0123456789"), [], {"train": [9]}, "digits", "key"
    )
    with start(plan, tmp_path / "run") as store:
        run = run_search(recorded(store), store, [WorkerSlot("cpu", 1)], [], lambda slots: Simulated())
    space = get_space("resnet")
    rows = everything_small(space)
    small = rows[costs_of(space, rows, TASK).params <= 640]
    fitting = {space.architecture_id(space.decode(row), TASK) for row in small}
    assert {trial.architecture for trial in run.stage("search")} == fitting
    assert run.notes == [f"Every architecture found to fit the budget was tried: {len(fitting)}."]
    assert run.state == "done"


def everything_small(space: SearchSpace) -> np.ndarray:
    """Rows of all samples that differ from the smallest in at most four choices, by one step each."""
    steps = [row for row in itertools.product((0, 1), repeat=len(space.choices)) if sum(row) <= 4]
    kinds = [row for row in itertools.product((0, 1, 2), repeat=4)]
    rows = np.array(steps, np.int16)
    return np.concatenate([np.concatenate([rows[:, :9], np.tile(kind, (len(rows), 1))], axis=1) for kind in kinds])


def test_a_time_limit_starts_no_further_trial(tmp_path):
    with pytest.raises(SearchStopped, match="none was started within the time limit") as caught:
        run_all(tmp_path / "run", time_limit=1e-9)
    assert str(caught.value).endswith("--time-limit 60s") and "--trials" not in str(caught.value)
    give(tmp_path / "run", time_limit=60.0)
    assert resume(tmp_path / "run", Simulated()).state == "done"


def test_a_time_limit_that_starting_alone_took_is_made_much_longer(tmp_path, monkeypatch):
    """Twice as much would be spent on starting again."""
    with begin(tmp_path / "run", time_limit=10.0) as log:
        monkeypatch.setattr("nas.runs.log.awake", lambda: awake() + 100)
        with pytest.raises(SearchStopped, match=r"none was started within the time limit.*--time-limit 7m$"):
            run_search(recorded(log), log, [WorkerSlot("cpu", 1)], [], lambda slots: Simulated())


def test_a_time_limit_leaves_time_to_confirm(tmp_path):
    """Trials say that they took 1 s each: with 6 confirmations to come, 6.1 s leave 0.1 s for the search."""
    run = run_all(tmp_path / "run", time_limit=6.1, trials=1000)
    assert 1 <= len(run.stage("search")) < 500
    assert len(run.stage("confirm")) == min(2, len(run.stage("search"))) * 3
    assert run.state == "done"


def test_only_the_best_keep_their_weights(tmp_path):
    listeners = [lambda event, run: drop_weights(run)]
    folder = tmp_path / "run"
    with begin(folder, keep=2) as store:
        run = run_search(recorded(store), store, [WorkerSlot("cpu", 1)], listeners, lambda slots: Simulated())
    left = {path.stem for path in (folder / "weights").iterdir()}
    assert left == {t.id for t in run.ranked()[:2]} | set(run.winner.test)


def test_a_run_that_exists_names_resume(tmp_path):
    run_all(tmp_path / "run")
    with pytest.raises(RunError, match="nasctl resume run"):
        begin(tmp_path / "run")


def test_a_kill_before_the_first_event_leaves_nothing_in_the_way(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    EventLog(folder).close()  # a log without an event
    assert run_all(folder, trials=3, confirm=0).state == "done"
    with pytest.raises(RunError, match="exists"):
        begin(folder)
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_text("not ours")
    with pytest.raises(RunError, match="exists"):
        begin(other)


def test_listeners_hear_of_every_event_after_it_is_on_the_disk(tmp_path):
    heard: list[Event] = []

    def listen(event: Event, run: Run) -> None:
        assert events_of(tmp_path / "run")[-1] == event
        heard.append(event)

    with begin(tmp_path / "run", trials=5, confirm=1) as store:
        run_search(recorded(store), store, [WorkerSlot("cpu", 1)], [listen], lambda slots: Simulated())
    kinds = [type(event) for event in heard]
    assert kinds.count(TrialSubmitted) == kinds.count(TrialEnded) == 5 + 3
    assert kinds[-1] is WinnerChosen


def test_a_copied_run_folder_is_still_readable(tmp_path):
    run_all(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert load_search("copy", tmp_path).winner is not None
