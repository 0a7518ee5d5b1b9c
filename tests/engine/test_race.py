"""The race of a confirmation: who gets seeds, when it stops, how sure it says it is, and that it can be resumed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from simulated_search import begin, recorded, resume, run_all, story, timeless

from nas.engine.race import num_waves, rounds, widths
from nas.report.documents import run_document
from nas.report.screen import Screen
from nas.report.tables.search import print_outcome
from nas.runs.standings import RATIOS, leader, standings
from nas.testing.strategies import SimulatedExecutor


def raced(scores: dict[str, Sequence[float | None]], networks: int, seeds: int) -> tuple[list[int], dict[str, int]]:
    """Trainings of each round, and of each candidate, where the seeds of each score so; None: it fails."""
    given = dict.fromkeys(scores, 0)
    sizes = []

    def scores_of(trial: str, number: int) -> list[float]:
        assert number == given[trial]
        return [score for score in scores[trial][:number] if score is not None]

    for training in rounds({trial: 0.9 for trial in scores}, networks, seeds, scores_of):
        sizes.append(len(training))
        for trial, seed in training:
            assert seed == given[trial]  # none twice, none left out
            given[trial] += 1
    return sizes, given


@pytest.mark.parametrize("networks", range(6))
@pytest.mark.parametrize("seeds", range(1, 6))
def test_as_many_trainings_as_dealt_evenly_and_fewer_networks_each_time(networks: int, seeds: int) -> None:
    for candidates in range(1, 9):
        found = widths(networks, seeds, candidates)
        assert sum(found) == min(networks, candidates) * seeds
        assert (
            list(found) == sorted(found, reverse=True) and max(found) <= candidates and min(found) >= min(networks, 1)
        )
    assert widths(1, seeds, 9) == (1,) * seeds  # --confirm 1 confirms one


def test_the_leaders_get_more_seeds() -> None:
    noisy = {"a": [0.90, 0.93, 0.90], "b": [0.91, 0.90, 0.92], "c": [0.89, 0.95, 0.95], "d": [0.88] * 3}
    assert raced(noisy, 2, 3) == ([3, 2, 1], {"a": 3, "b": 2, "c": 1, "d": 0})
    assert raced(noisy, 3, 3)[0] == [4, 3, 2]
    assert raced(noisy, 0, 3) == ([], dict.fromkeys("abcd", 0))
    assert raced({"a": [0.9] * 3}, 2, 3) == ([3], {"a": 3})


def test_it_stops_when_the_winner_is_clear_which_still_gets_its_seeds() -> None:
    apart = {"a": [0.95, 0.951, 0.949, 0.95], "b": [0.5, 0.501] * 2, "c": [0.5, 0.499] * 2, "d": [0.501, 0.5] * 2}
    _, given = raced(apart, 3, 4)
    assert given["a"] == 4 and sum(given.values()) < 12


def test_what_failed_is_passed_over() -> None:
    _, given = raced({"a": [None] * 3, "b": [0.90, 0.91, 0.9], "c": [0.91, 0.89, 0.9]}, 2, 3)
    assert given["a"] == 1 and max(given["b"], given["c"]) == 3
    assert raced({"a": [None], "b": [None], "c": [None]}, 2, 3)[0] == [3]


@pytest.mark.parametrize(
    "scores",
    [
        [[0.91], [0.90], [0.86]],
        [[0.95, 0.93, 0.94], [0.93, 0.92], [0.91]],
        [[0.90, 0.90], [0.90, 0.90], [0.90, 0.90]],
        [[0.80, 0.95], [0.90, 0.84, 0.86, 0.90]],
    ],
)
def test_the_probability_is_that_of_the_model(scores: list[list[float]]) -> None:
    """Against importance sampling: parameters sampled from far wider ranges, weighted by likelihood and prior."""
    random, number = np.random.default_rng(3), 1_000_000
    every = np.concatenate([np.array(of_one) for of_one in scores])
    prior = max(float(every.var(ddof=1)), 1e-12)
    if prior == 1e-12:  # all are equal: so are the chances
        assert [each.probability for each in standings(scores)] == pytest.approx([1 / 3] * 3, abs=0.02)
        return
    ratio = random.choice(RATIOS, number)
    variance = np.exp(random.uniform(np.log(prior) - 3, np.log(prior) + 4, number))
    width = 1.5 * (every.max() - every.min())
    center = random.uniform(every.mean() - width, every.mean() + width, number)
    # the prior: uniform in the logarithm, and one seed that is as far from its mean as all seeds are
    log_weight = -0.5 * np.log(variance) - prior / (2 * variance)
    means = center[:, None] + np.sqrt(ratio * variance)[:, None] * random.standard_normal((number, len(scores)))
    for place, of_one in enumerate(scores):
        for score in of_one:
            log_weight += -0.5 * np.log(variance) - (score - means[:, place]) ** 2 / (2 * variance)
    weight = np.exp(log_weight - log_weight.max())
    expected = [float(weight[means.argmax(1) == place].sum() / weight.sum()) for place in range(len(scores))]
    assert weight.sum() ** 2 / (weight**2).sum() > 1_000  # as many samples as count
    assert [each.probability for each in standings(scores)] == pytest.approx(expected, abs=0.03)
    best = leader(standings(scores))
    assert standings(scores)[best].mean == pytest.approx((weight @ means[:, best]) / weight.sum(), abs=0.004)


def test_one_lucky_seed_does_not_win_against_three() -> None:
    assert leader(standings([[0.95], [0.93, 0.94, 0.935]])) == 1
    alone, found = standings([[0.9, 0.9], [0.9, 0.9]]), standings([[0.9, 0.9], [0.9, 0.9]], [0.7, 0.6])
    assert abs(alone[0].probability - 0.5) < 0.02
    assert found[0].probability > 0.55 and found[0].mean > found[1].mean  # what it was found with counts a little


def test_a_race_stopped_at_any_training_ends_with_the_same_log(tmp_path: Path) -> None:
    whole = run_all(tmp_path / "whole", trials=8, confirm=3)
    assert sorted(len(whole.confirmations(trial.id)) for trial in whole.best(5)) == [1, 1, 1, 3, 3]
    for stop in range(9, 17, 3):
        with pytest.raises(KeyboardInterrupt):
            run_all(tmp_path / str(stop), SimulatedExecutor(stop_after=stop), trials=8, confirm=3)
        again = SimulatedExecutor()
        resume(tmp_path / str(stop), again)
        assert [timeless(e) for e in story(tmp_path / str(stop))] == [timeless(e) for e in story(tmp_path / "whole")]
        assert len(again.trained) == len(whole.trials) - stop


def test_tables_and_json_say_how_likely_the_winner_is_the_best(tmp_path: Path) -> None:
    run = run_all(tmp_path / "run", trials=8)
    console = Screen(width=200, record=True, file=io.StringIO())
    print_outcome(console, run)
    confirmed = json.loads(json.dumps(run_document(run)))["confirmed"]
    assert sum(row["probability"] for row in confirmed) == pytest.approx(1)
    assert [len(row["scores"]) for row in confirmed] == [len(run.confirmations(row["trial"])) for row in confirmed]
    assert run.winner
    chance = next(row["probability"] for row in confirmed if row["trial"] == run.winner.trial)
    assert f"Probability that it is the best of the 3 confirmed: {chance:.2f}" in console.export_text()


def test_the_plan_counts_what_trains_at_once(tmp_path: Path) -> None:
    with begin(tmp_path / "run", confirm=2, trials=8) as log:
        config = recorded(log).config
    assert [num_waves(config, slots) for slots in (1, 2, 3, 8)] == [6, 4, 3, 3]
