"""Verification: ROC area, equal error rate and operating points against references, and which pairs are sampled."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve

from baselines.pixel_verification import pixel_verification
from baselines.verification import (
    FARS,
    NoPairs,
    different_pairs,
    same_pairs,
    scored,
    similarities,
    threshold_at,
    unit,
    verify,
)


def identities(number: int, each: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings around one point an identity, and whose they are."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(number), each))
    vectors = rng.normal(size=(number, 16))[labels] + spread * rng.normal(size=(len(labels), 16))
    return vectors.astype(np.float32), labels


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_metrics_are_those_of_scikit_learn_and_of_the_definitions(spread: float) -> None:
    vectors, labels = identities(20, 12, spread)
    found = verify(vectors, labels)
    pairs = list(itertools.combinations(range(len(labels)), 2))
    norms = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    cosines = np.array([norms[one] @ norms[other] for one, other in pairs])
    same = np.array([labels[one] == labels[other] for one, other in pairs])
    assert (found.same, found.different) == (same.sum(), (~same).sum())
    assert found.auc == pytest.approx(roc_auc_score(same, cosines), abs=1e-6)
    fars, tars, _ = roc_curve(same, cosines, drop_intermediate=False)
    eer = brentq(lambda far: far - (1 - np.interp(far, fars, tars)), 0, 1)
    assert found.eer == pytest.approx(eer, abs=2e-4)
    for far, threshold, tar in zip(FARS, found.thresholds, found.tars, strict=False):
        accepted = cosines >= threshold
        allowed, false = int(far * (~same).sum()), accepted[~same].sum()
        assert abs(false - allowed) <= 1  # in float32 a cosine may lie on the other side
        assert accepted[same].mean() == pytest.approx(tar, abs=2e-3)
    assert len(found.thresholds) == sum(far * found.different >= 1 for far in FARS)


def test_ties_count_half_and_embeddings_that_are_all_alike_guess() -> None:
    found = scored(np.array([0.5, 0.5, 0.9]), np.array([0.5, 0.1]))
    assert found.auc == pytest.approx((2 * 0.5 + 1 + 3) / 6)
    alike = verify(np.ones((12, 4)), np.arange(12) % 3)
    assert (alike.auc, alike.eer, alike.tar) == (0.5, 0.5, 0.0)
    nothing = verify(np.zeros((12, 4)), np.arange(12) % 3)  # and vectors without a direction
    assert (nothing.auc, nothing.eer) == (0.5, 0.5)
    perfect = verify(np.repeat(np.eye(3), 4, axis=0), np.repeat(np.arange(3), 4))
    assert (perfect.auc, perfect.eer, perfect.tar) == (1.0, 0.0, 1.0)
    for labels in (np.arange(5), np.zeros(5, int)):
        with pytest.raises(NoPairs, match="there are no pairs"):
            verify(np.eye(5), labels)


def test_pairs_are_sampled_evenly_and_as_asked() -> None:
    labels = np.random.default_rng(1).permutation(np.repeat([3, 5, 8], [2, 4, 14]))
    every = same_pairs(labels, 1000, np.random.default_rng(0))
    found = {frozenset(pair) for pair in zip(*(side.tolist() for side in every), strict=True)}
    assert found == {frozenset(p) for p in itertools.combinations(range(20), 2) if labels[p[0]] == labels[p[1]]}
    rng, most = np.random.default_rng(0), 60_000
    for pairs, is_same, possible in (
        (same_pairs(labels, 90, rng), True, 98), (different_pairs(labels, most, rng), False, 92),
    ):  # fmt: skip
        assert ((labels[pairs[0]] == labels[pairs[1]]) == is_same).all() and (pairs[0] != pairs[1]).all()
        counts = np.unique(np.sort(np.stack(pairs), axis=0), axis=1, return_counts=True)[1]
        if not is_same:
            assert len(counts) == possible and abs(counts - most / possible).max() < 6 * np.sqrt(most / possible)
    vectors, labels = identities(40, 40, 1.0)
    few, all_of_them = verify(vectors, labels, most=100_000), verify(vectors, labels, most=10**7)
    assert few.same == all_of_them.same and few.different < all_of_them.different
    assert few.auc == pytest.approx(all_of_them.auc, abs=0.01) and few == verify(vectors, labels, most=100_000)
    assert sum(map(len, similarities(unit(vectors), labels, 5_000))) == 5_000


def test_a_threshold_is_never_for_a_higher_rate_than_asked() -> None:
    assert threshold_at((0.1, 0.01), (0.5, 0.8), 0.05) == (0.01, 0.8)
    assert threshold_at((0.1, 0.01), (0.5, 0.8), 0.1) == (0.1, 0.5)
    assert threshold_at((0.1, 0.01), (0.5, 0.8), 0.001) is None


def test_the_floor_is_the_best_of_three_similarities_of_pixels() -> None:
    rng = np.random.default_rng(0)

    def images(seed: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(6), 8)
        faces = np.random.default_rng(seed).integers(60, 200, (6, 1, 8, 8))
        light = rng.integers(-50, 50, (48, 1, 1, 1))
        return (faces[labels] + light + rng.integers(-40, 40, (48, 1, 8, 8))).clip(0, 255).astype(np.uint8), labels

    scores = pixel_verification(images(1), images(2), images(3))
    ranks = {method.name: method.rank["verification_auc"] for method in scores.methods}
    assert set(ranks) == {"correlation", "mean-image", "components"} and scores.chosen == max(
        ranks, key=ranks.__getitem__
    )
    assert ranks["correlation"] > 0.8 > 0.5 and scores.test["verification_auc"] > 0.8  # light does not matter to it
