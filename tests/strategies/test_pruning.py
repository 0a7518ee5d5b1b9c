"""Stopping weak trials early: the rule itself, what a worker and a search make of it, and resuming with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_search import Simulated, begin, events_of, recorded, resume, run_all, story

from budgets import Budget, Cost
from nas.api.settings import search_config
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig
from nas.data import DataConfig
from nas.engine.plan import plan_search, start
from nas.engine.search import run_search
from nas.engine.trial_loop import TrialLoop
from nas.errors import SearchStopped
from nas.executors import InlineExecutor, WorkerSlot
from nas.report.live import eta, standing, trial_line
from nas.report.tables.search import trials_table
from nas.report.tensorboard.listener import keep_files
from nas.runs import TrialRecord
from nas.runs.events import TrialEnded
from nas.strategies.median_pruner import CLEAR, LEAST_TRIALS, MOST_TRIALS, MedianPruner, pruning_thresholds
from nas.testing.strategies import score_of
from nas.training.early_stopping import curve, why_pruned
from nas.trials.run_trial import run_trial
from nas.trials.spec import TrialResult, TrialSpec
from search_spaces import get_space

EPOCHS = 12
SHARE = st.floats(0, 1, allow_subnormal=False)
CURVES = st.lists(
    st.lists(SHARE, min_size=1, max_size=EPOCHS).map(lambda values: sorted(values)), min_size=LEAST_TRIALS, max_size=9
)


def rows(values: list[float]) -> list[dict[str, float]]:
    return [{"epoch": e, "select_accuracy": value} for e, value in enumerate(values, start=1)]


@given(CURVES)
def test_nobody_is_stopped_early_late_or_close_to_the_best(curves):
    least = pruning_thresholds(curves, EPOCHS)
    assert least[: EPOCHS // 3 - 1] == (0.0,) * (EPOCHS // 3 - 1)
    assert least[-1] == 0.0
    for epoch, needed in enumerate(least, start=1):
        bests = sorted(curve[min(epoch, len(curve)) - 1] for curve in curves)
        assert 0 <= needed <= max(0.0, bests[-1] - CLEAR)
        assert sum(best < needed for best in bests) <= len(bests) / 2


@given(CURVES, st.randoms(use_true_random=False))
def test_the_order_of_the_trials_before_does_not_matter(curves, random):
    assert pruning_thresholds(random.sample(curves, len(curves)), EPOCHS) == pruning_thresholds(curves, EPOCHS)


@given(st.lists(st.lists(SHARE, min_size=1, max_size=EPOCHS), max_size=LEAST_TRIALS - 1))
def test_too_few_trials_judge_nobody(curves):
    assert pruning_thresholds(curves, EPOCHS) == ()
    assert pruning_thresholds([*curves, [], []], EPOCHS) == ()


def test_a_margin_below_the_worst_quarter_at_a_third_and_below_the_median_from_half_on():
    curves = [[level] * 24 for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
    least = pruning_thresholds(curves, 24)
    assert least[:7] == (0.0,) * 7
    assert least[7] == pytest.approx(0.3 - CLEAR)
    assert least[7:12] == tuple(sorted(least[7:12]))
    assert least[11:] == pytest.approx((*[0.5 - CLEAR] * 12, 0.0))


def test_a_trial_that_was_stopped_weighs_as_if_it_had_stayed_below():
    curves = [[level] * 24 for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
    stopped = [curve[:8] if curve[0] < 0.5 else curve for curve in curves]
    assert pruning_thresholds(stopped, 24) == pruning_thresholds(curves, 24)


def test_very_short_trainings_are_never_stopped():
    curves = [[level] * 3 for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
    for epochs in (1, 2, 3):
        assert set(pruning_thresholds(curves, epochs)) == {0.0}


def test_an_objective_below_zero_is_judged_by_the_same_distances() -> None:
    curves = [[number / 100] * 24 for number in range(50)]
    lower = [[score - 1 for score in curve] for curve in curves]
    for plain, below in zip(pruning_thresholds(curves, 24), pruning_thresholds(lower, 24), strict=True):
        assert below == (pytest.approx(plain - 1) if plain else -math.inf)


def test_the_best_so_far_is_judged_not_the_last_epoch():
    history = rows([0.1, 0.6, 0.2])
    assert curve(history, "accuracy") == [0.1, 0.6, 0.6]
    unscored = [{"epoch": 1.0}, *history[:2], {"epoch": 4.0}, *history[2:]]
    assert curve(unscored, "accuracy") == [0.1, 0.1, 0.6, 0.6, 0.6] and curve([{"epoch": 1.0}], "accuracy") == []
    assert why_pruned(history, "accuracy", (0.0, 0.0, 0.6, 0.0)) is None
    assert why_pruned(history, "accuracy", ()) is None
    assert why_pruned([], "accuracy", (1.0,)) is None
    assert why_pruned(history, "accuracy", (0.0, 0.0, 0.61, 0.0)) == (
        "after epoch 3 of 4: best 0.600 on select, 0.610 required"
    )


def test_the_newest_that_had_ended_judge_and_each_is_read_once():
    reads: list[str] = []

    def read(trial_id: str) -> list[dict[str, float]]:
        reads.append(trial_id)
        return rows([int(trial_id) / 1000] * 24)

    course: list[tuple[str, TrialRecord]] = []
    pruner = MedianPruner(course, lambda trial: read(trial.id), "accuracy", 24)
    for number in range(300):
        trial = TrialRecord(str(number), "search", str(number), "a", {}, Cost(1, 1, 1, 1), 0)
        course.append(("submitted", trial))
        trial.status = "finished" if number % 10 else "failed"  # those judge nobody
        course.append(("result", trial))
    assert pruner.threshold("3") == ()
    assert reads == ["1", "2"]
    newest = [number for number in range(299) if number % 10][-MOST_TRIALS:]
    for _ in range(2):
        assert pruner.threshold("299") == pruning_thresholds([[number / 1000] * 24 for number in newest], 24)
    assert reads == ["1", "2", *map(str, newest)]


class Learning(Simulated):
    """Trials whose curves rise evenly to their scores, and are judged as a worker does it."""

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        specs = {spec.id: spec for _, spec in self.queue}
        (result,) = super().wait(timeout)
        spec = specs[result.id]
        if result.status == "failed" or spec.test:
            return [result]
        history: list[dict[str, float]] = []
        for epoch in range(1, spec.recipe.epochs + 1):
            history.append({"epoch": epoch, "select_balanced_accuracy": score_of(spec) * epoch / spec.recipe.epochs})
            if reason := why_pruned(history, spec.objective, spec.threshold):
                Path(spec.weights_path or "").unlink()
                metrics = {"balanced_accuracy": history[-1]["select_balanced_accuracy"]}
                return [TrialResult(spec.id, "pruned", {"rank": metrics}, history, 0.1, reason)]
        return [replace(result, history=history)]


@pytest.mark.parametrize(("strategy", "workers"), [("evolution", 1), ("evolution", 3), ("random", 1)])
def test_a_search_with_pruned_trials_resumes_as_if_it_had_not_been_stopped(tmp_path, strategy, workers):
    options = {"space": "vgg", "strategy": strategy, "seed": 5, "trials": 16, "confirm": 1, "prune": True}
    whole = run_all(tmp_path / "whole", Learning(workers), **options)
    assert any(trial.status == "pruned" for trial in whole.stage("search"))
    for stop_after in (5, 11, 17):
        folder = tmp_path / f"stopped{stop_after}"
        first, second = Learning(workers, stop_after=stop_after), Learning(workers)
        with pytest.raises(KeyboardInterrupt):
            run_all(folder, first, **options)
        before = story(folder)
        resume(folder, second)
        assert story(folder)[: len(before)] == before
        assert not set(first.trained) & set(second.trained)
        if workers == 1:
            assert story(folder) == story(tmp_path / "whole")


def test_an_interrupted_trial_is_judged_by_those_that_judged_it_before(tmp_path):
    """With several workers others ended between its submission and the kill; it must not matter to it."""
    thresholds: dict[str, list[tuple[float, ...]]] = {}

    class Watched(Learning):
        def submit(self, spec: TrialSpec) -> None:
            thresholds.setdefault(spec.id, []).append(spec.threshold)
            super().submit(spec)

    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "run", Watched(5, stop_after=14), trials=20, confirm=0, prune=True)
    resume(tmp_path / "run", Watched(5))
    again = [given for name, given in thresholds.items() if len(given) == 2 and name.isdecimal()]
    assert any(first for first, _ in again)
    assert all(first == second for first, second in again)


def test_pruned_trials_neither_win_nor_rank_nor_are_confirmed(tmp_path):
    executor = Learning(2)
    run = run_all(tmp_path / "run", executor, prune=True)
    pruned = {trial.id: trial for trial in run.stage("search") if trial.status == "pruned"}
    assert pruned
    assert not pruned.keys() & {trial.id for trial in run.ranked()}
    assert not any(trial.status == "pruned" for trial in run.stage("confirm"))
    assert not pruned.keys() & {run.winner.trial, *(trial.of for trial in run.stage("confirm"))}
    assert len(run.stage("search")) == 30
    weak = next(iter(pruned.values()))
    assert weak.score("balanced_accuracy") is None
    assert weak.score_so_far("balanced_accuracy") > 0
    assert weak.epochs < 24
    assert f", {len(pruned)} pruned, 0 failed" in standing(run)
    assert f"trial {weak.id:>4}  pruned after epoch {weak.epochs} of 24" in trial_line(run, weak)
    assert eta(run, 1) == "0:00 left"
    status = trials_table(run, [weak]).columns[1]
    assert list(status.cells) == ["pruned"]


def test_the_winner_is_that_of_the_search_without_pruning(tmp_path):
    """Random search proposes the same; curves that never cross leave the rule no way to go wrong."""
    whole = run_all(tmp_path / "whole", Learning(), strategy="random")
    run = run_all(tmp_path / "pruned", Learning(), strategy="random", prune=True)
    assert [t.sample for t in run.stage("search")] == [t.sample for t in whole.stage("search")]
    assert run.winner == whole.winner
    epochs = [sum(trial.epochs for trial in r.stage("search")) for r in (whole, run)]
    assert epochs[0] == 30 * 24
    assert epochs[1] < 0.95 * epochs[0]


def test_the_strategy_is_told_the_score_of_a_pruned_trial(tmp_path):
    """Evolution must fill its population with weak individuals, too: as failures they would be asked for again."""
    told: dict[str, float | None] = {}
    attend: Callable[..., None] = TrialLoop.attend

    class Loop(TrialLoop):
        def attend(self, tell: Any) -> None:
            def note(trial: TrialRecord) -> None:
                told[trial.id] = trial.score_so_far("balanced_accuracy")
                tell(trial)

            attend(self, note)

    with begin(tmp_path / "run", prune=True, confirm=0) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr("nas.engine.search.TrialLoop", Loop)
        run = run_search(recorded(store), store, [WorkerSlot("cpu", 1)], [], lambda slots: Learning())
    assert told == {trial.id: trial.score_so_far("balanced_accuracy") for trial in run.stage("search")}


def test_without_pruning_nobody_is_judged(tmp_path):
    run = run_all(tmp_path / "run", Learning(), trials=12, confirm=0)
    assert {trial.status for trial in run.trials.values()} == {"finished"}


def test_pruned_trials_do_not_end_a_row_of_failures(tmp_path):
    class Failing(Learning):
        def wait(self, timeout: float | None = None) -> list[TrialResult]:
            (result,) = super().wait(timeout)
            if result.status == "finished" and int(result.id) > LEAST_TRIALS:
                return [TrialResult(result.id, "failed", error="simulated")]
            return [result]

    with pytest.raises(SearchStopped, match="10 trials in a row failed"):
        run_all(tmp_path / "run", Failing(), trials=60, strategy="random", prune=True)
    statuses = [e.result.status for e in events_of(tmp_path / "run") if isinstance(e, TrialEnded)]
    assert "pruned" in statuses[LEAST_TRIALS:-1]


def test_the_command_line_prunes_unless_told_otherwise():
    flags = {"space": "vgg", "prune": None}
    assert search_config(flags).prune
    assert search_config(flags | {"prune": True}).prune
    assert not search_config(flags | {"prune": False}).prune


@pytest.mark.usefixtures("one_thread")
def test_a_real_trial_is_stopped_and_scored_but_leaves_no_weights(tmp_path):
    spec = TrialSpec(
        id="7", space="vgg", sample=get_space("vgg").canonical, input_shape=(1, 8, 8), num_classes=10,
        data=DataConfig(), recipe=Recipe(epochs=4, batch_size=64), seed=3,
        weights_path=str(tmp_path / "weights" / "7.safetensors"), log_path=str(tmp_path / "logs" / "7.txt"),
    )  # fmt: skip
    whole = run_trial(spec, "cpu")
    best = curve(whole.history, "balanced_accuracy")[2]
    Path(spec.weights_path or "").unlink()
    passed = run_trial(replace(spec, threshold=(0.0, 0.0, best, 0.0)), "cpu")
    assert (passed.status, passed.metrics) == ("finished", whole.metrics)
    Path(spec.weights_path or "").unlink()
    pruned = run_trial(replace(spec, threshold=(0.0, 0.0, best + 0.01, 0.0)), "cpu")
    assert pruned.status == "pruned"
    assert pruned.error == f"after epoch 3 of 4: best {best:.3f} on select, {best + 0.01:.3f} required"
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.history] for r in (pruned, whole)]
    assert timeless[0] == timeless[1][:3]
    assert set(pruned.metrics) == {"select", "rank"}
    assert pruned.metrics["select"]["balanced_accuracy"] == best
    assert not Path(spec.weights_path or "").exists()
    assert f"pruned {pruned.error}" in Path(spec.log_path or "").read_text()


@pytest.mark.usefixtures("one_thread")
def test_a_real_search_stops_its_weak_trials(tmp_path):
    """Unlike the simulated ones its curves are noisy, its worker judges them, and its files are kept or not."""
    settings = SearchConfig(
        space="vgg", strategy="random", trials=6, confirm=0, budget=Budget(max_params=20_000), data=DataConfig(),
        recipe=Recipe(epochs=6), seed=4, keep=9, device="cpu", prune=True,
    )  # fmt: skip
    slots = [WorkerSlot("cpu", 1)]
    with start(plan_search(settings), tmp_path / "run") as store:
        run = run_search(recorded(store), store, slots, [keep_files], lambda slots: InlineExecutor(run_trial))
    pruned = [trial for trial in run.stage("search") if trial.status == "pruned"]
    assert pruned
    assert all(3 <= trial.epochs < 6 for trial in pruned)
    assert run.winner.trial == run.ranked()[0].id
    assert {path.stem for path in (tmp_path / "run" / "weights").iterdir()} == {trial.id for trial in run.ranked()}
    assert all(list((tmp_path / "run" / "tensorboard" / trial.id).glob("*tfevents*")) for trial in pruned)
