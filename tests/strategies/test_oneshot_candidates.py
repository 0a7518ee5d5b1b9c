"""The answer of a one-shot search: it fits the budget whatever the alphas prefer, and is ranked honestly."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from simulated_search import timeless
from small_spaces import trimmed
from small_supernets import BUDGET, TASK, made

from budgets import Budget, cost_of, costs_of
from nas.runs.events import Candidate, CandidatesRanked, decode, encode
from nas.strategies.oneshot import candidates
from nas.strategies.oneshot.alphas import Probabilities, likeliest, log_likelihood
from nas.strategies.oneshot.batches import calibrate
from nas.strategies.oneshot.candidate_pool import Pool
from nas.strategies.oneshot.candidates import (
    fitting_over_sizes,
    is_far_under,
    likeliest_fitting,
    note_on_collapse,
    ranked_candidates,
)
from nas.training.metrics import evaluate
from search_spaces import SearchSpace, get_space, space_names

pytestmark = pytest.mark.usefixtures("one_thread")


def sharp(space: SearchSpace, seed: int = 0) -> Probabilities:
    """Probabilities that are almost decided, on networks of any size."""
    rng = np.random.default_rng(seed)
    raw = [np.exp(5 * rng.normal(size=len(choice.values))) for choice in space.choices]
    return [array / array.sum() for array in raw]


@pytest.mark.parametrize("name", space_names())
def test_whatever_the_alphas_prefer_every_candidate_fits(name: str) -> None:
    space, budget = get_space(name), Budget(max_params=20_000, min_params=10_000)
    largest: Probabilities = [np.eye(len(choice.values))[-1] for choice in space.choices]
    for probabilities in (sharp(space), largest):
        rows, _ = likeliest_fitting(space, TASK, budget, probabilities, np.random.default_rng(0))
        assert len(rows) > 32
        assert budget.admits(costs_of(space, rows, TASK)).all()
        assert (np.diff(log_likelihood(probabilities, rows)) <= 0).all()
        assert len(np.unique(rows, axis=0)) == len(rows)


def test_the_likeliest_that_fits_is_found() -> None:
    """Compared with every architecture of a small space."""
    space = trimmed("resnet", 2)
    every = np.array(list(product(*(range(len(choice.values)) for choice in space.choices))), np.int16)
    budget = Budget(max_params=700, min_params=500)
    fitting = every[budget.admits(costs_of(space, every, TASK))]
    for seed in range(5):
        probabilities = sharp(space, seed)
        rows, sampled = likeliest_fitting(space, TASK, budget, probabilities, np.random.default_rng(seed))
        best = log_likelihood(probabilities, fitting).max()
        assert log_likelihood(probabilities, rows[:1])[0] == pytest.approx(best)
        assert 0 <= sampled <= candidates.SAMPLES


def test_the_climb_finds_likelier_ones_than_samples_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    space, budget = get_space("mobilenet"), Budget(max_params=25_000, min_params=12_500)
    probabilities = sharp(space)
    best = []
    for rounds in (0, candidates.ROUNDS):
        monkeypatch.setattr(candidates, "ROUNDS", rounds)
        rows, _ = likeliest_fitting(space, TASK, budget, probabilities, np.random.default_rng(0))
        best.append(log_likelihood(probabilities, rows[:1])[0])
    assert best[1] > best[0]
    assert best[1] <= log_likelihood(probabilities, likeliest(probabilities)[None])[0]


@pytest.mark.parametrize("strategy", ["darts", "gumbel-darts", "random-oneshot"])
def test_candidates_are_ranked_by_their_inherited_weights(strategy: str) -> None:
    training = made(strategy=strategy, supernet={"candidates": 6})
    for epoch in (1, 2):
        training.run_epoch(epoch)
    found = ranked_candidates(training)
    kind, body, _ = encode(found)
    assert decode(1, kind, body, None) == found  # as the log holds it
    assert len(found.ranked) == 6
    scores = [candidate.score for candidate in found.ranked]
    assert scores == sorted(scores, reverse=True)
    identities = set()
    for candidate in found.ranked:
        cost = cost_of(training.space, candidate.sample, TASK)
        assert not BUDGET.violations(cost) and cost.params == candidate.params
        assert (candidate.log_likelihood is None) == (strategy == "random-oneshot")
        assert candidate.far_under == is_far_under(candidate.score, found.supernet_score, 10)
        identities.add(training.space.architecture_id(candidate.sample, TASK))
    assert len(identities) == 6
    again = ranked_candidates(training)
    assert timeless(again) == timeless(found)


def test_a_score_is_that_of_the_inherited_network_with_statistics_of_its_own() -> None:
    training = made()
    training.run_epoch(1)
    found = ranked_candidates(training).ranked[0]
    model = training.supernet.inherit(found.sample)
    seed = training._seed("calibration")
    calibrate(model, training.images.calibration(torch.Generator().manual_seed(seed)))
    rank = training.images.rank
    metrics = evaluate(
        model, rank[0:10_000], rank.labels, training.images.normalization, num_classes=10, device="cpu"
    )  # fmt: skip
    assert metrics["balanced_accuracy"] == found.score


def test_candidates_without_alphas_are_distributed_over_sizes() -> None:
    space = trimmed("vgg", 4)
    pool = Pool(space, TASK, BUDGET, seed=0)
    rows = fitting_over_sizes(space, TASK, pool, np.random.default_rng(0), 32)
    params = costs_of(space, rows, TASK).params
    assert len(rows) == 32
    assert np.histogram(params, bins=4, range=(2_000, 4_000))[0].min() >= 3
    assert BUDGET.admits(costs_of(space, rows, TASK)).all()


def test_fewer_architectures_than_asked_for_are_all_there_are() -> None:
    space, budget = trimmed("resnet", 2), Budget(max_params=700)
    pool = Pool(space, TASK, budget, seed=0)
    every = np.array(list(product(*(range(len(choice.values)) for choice in space.choices))), np.int16)
    fitting = every[budget.admits(costs_of(space, every, TASK))]
    different = {space.architecture_id(space.decode(row), TASK) for row in fitting}
    assert 0 < len(different) < 500
    rows = fitting_over_sizes(space, TASK, pool, np.random.default_rng(0), 500)
    assert {space.architecture_id(space.decode(row), TASK) for row in rows} == different


def found(scores: list[float], supernet: float = 0.9) -> CandidatesRanked:
    ranked = [Candidate({}, 1, None, score, is_far_under(score, supernet, 10)) for score in scores]
    return CandidatesRanked(supernet, drawn=6, fitting=6, seconds=1.0, ranked=ranked)


def test_collapse_is_told_with_metrics() -> None:
    assert note_on_collapse(found([0.8, 0.51])) is None
    note = note_on_collapse(found([0.8, 0.4, 0.3, 0.25, 0.2, 0.1]))
    assert note is not None
    assert note.startswith("5 of 6 candidates are less than half as far above chance level as the supernet's own 0.900")
    assert "(0.400, 0.300, 0.250, 0.200, ...)" in note


def test_with_two_classes_guessing_is_far_under() -> None:
    assert is_far_under(0.5, 0.9, num_classes=2) and not is_far_under(0.75, 0.9, num_classes=2)
    assert not is_far_under(0.5, 0.5, num_classes=2)  # the supernet itself has learned nothing
