"""Curves, calibration and counts, compared with other ways to compute them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.decomposition import PCA
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from nas.analysis.measure import Answers, calibration, measured, pr_curves, roc_curves
from nas.analysis.projections import embedding_of, principal_components
from nas.errors import UsageError


def some_answers(classes: int = 4, count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that know something, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)).round(1)  # with ties
    logits[np.arange(count), labels] += 1.5
    return logits, labels


def shares_of(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_calibration_is_that_of_a_loop_and_of_scikit_learn() -> None:
    logits, labels = some_answers()
    shares = shares_of(logits)
    sure, right = shares.max(1), shares.argmax(1) == labels
    found = calibration(sure, right)
    expected = 0.0
    for one in found.bins:
        inside = (sure > one.low) & (sure <= one.high)
        assert one.count == inside.sum()
        if one.count:
            assert one.confidence == pytest.approx(sure[inside].mean())
            assert one.accuracy == pytest.approx(right[inside].mean())
            expected += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
        else:
            assert one.confidence is None and one.accuracy is None
    assert found.ece == pytest.approx(expected)
    accuracy, confidence = calibration_curve(right, sure, n_bins=15)
    filled = [one for one in found.bins if one.count]
    assert [one.accuracy for one in filled] == pytest.approx(accuracy.tolist())
    assert [one.confidence for one in filled] == pytest.approx(confidence.tolist())


def test_confidence_of_0_and_1_lies_in_the_outer_bins() -> None:
    found = calibration(np.array([0.0, 1.0, 1.0]), np.array([False, True, False]))
    assert (found.bins[0].count, found.bins[-1].count, found.ece) == (1, 2, pytest.approx(1 / 3))


def test_the_area_under_the_roc_curve_is_the_chance_to_rank_a_pair_rightly() -> None:
    logits, labels = some_answers()
    shares = shares_of(logits)
    found = roc_curves(shares, labels)
    for label, curve in enumerate(found.classes):
        own, other = shares[labels == label, label], shares[labels != label, label]
        apart = own[:, None] - other[None]
        assert curve.area == pytest.approx((apart > 0).mean() + (apart == 0).mean() / 2)
        assert curve.points[0] == (0, 0) and curve.points[-1] == (1, 1) and len(curve.points) <= 50
        x, y = np.array(curve.points).T
        assert np.trapezoid(y, x) == pytest.approx(curve.area, abs=0.02)  # what is drawn is the curve
    assert found.macro.area == pytest.approx(np.mean([curve.area for curve in found.classes]))
    x, y = np.array(found.macro.points).T
    assert np.trapezoid(y, x) == pytest.approx(found.macro.area, abs=0.02)


def test_the_average_precision_is_that_of_a_loop() -> None:
    logits, labels = some_answers()
    shares = shares_of(logits)
    found = pr_curves(shares, labels)
    for label, curve in enumerate(found.classes):
        is_class, score = labels == label, shares[:, label]
        area, before = 0.0, 0.0
        for threshold in sorted(set(score), reverse=True):
            taken = score >= threshold
            recall = (taken & is_class).sum() / is_class.sum()
            area += (recall - before) * (taken & is_class).sum() / taken.sum()
            before = recall
        assert curve.area == pytest.approx(area)
        x, y = np.array(curve.points).T
        assert (np.diff(x) * y[1:]).sum() == pytest.approx(area, abs=0.03)
        assert (curve.points[0][0], curve.points[-1][0]) == (0, 1) and len(curve.points) <= 50
    assert found.macro.area == pytest.approx(np.mean([curve.area for curve in found.classes]))


def test_curves_are_those_of_scikit_learn() -> None:
    logits, labels = some_answers()
    shares = shares_of(logits)
    roc, pr = roc_curves(shares, labels), pr_curves(shares, labels)
    for label in range(4):
        is_class, score = labels == label, shares[:, label]
        assert roc.classes[label].area == pytest.approx(roc_auc_score(is_class, score))
        assert pr.classes[label].area == pytest.approx(average_precision_score(is_class, score))
        known = {(round(x, 5), round(y, 5)) for x, y in zip(*roc_curve(is_class, score)[:2], strict=True)}
        assert set(roc.classes[label].points) <= known
        precision, recall, _ = precision_recall_curve(is_class, score)
        known = {(round(x, 5), round(y, 5)) for x, y in zip(recall, precision, strict=True)}
        assert set(pr.classes[label].points[1:]) <= known


def test_a_class_without_images_or_with_all_of_them_has_no_curve() -> None:
    logits, labels = some_answers(3)
    few = labels != 2
    found = roc_curves(shares_of(logits[few]), labels[few])
    assert found.classes[2].area is None and found.classes[2].points == []
    assert found.macro.area == pytest.approx(np.mean([curve.area for curve in found.classes[:2]]))
    alone = pr_curves(shares_of(logits[labels == 1]), labels[labels == 1])
    assert [curve.area for curve in alone.classes] == [None] * 3
    assert alone.macro.area is None and alone.macro.points == []


def test_of_many_classes_the_worst_keep_their_curves() -> None:
    logits, labels = some_answers(30, 600)
    found = roc_curves(shares_of(logits), labels)
    drawn = [at for at, curve in enumerate(found.classes) if curve.points]
    assert drawn == sorted(np.argsort([curve.area for curve in found.classes])[:5].tolist())
    assert all(curve.area is not None for curve in found.classes)


def test_metrics_are_those_of_scikit_learn() -> None:
    logits, labels = some_answers()
    found = measured(Answers.of(logits, labels), list("abcd"))
    given = logits.argmax(1)
    assert found.confusion == confusion_matrix(labels, given).tolist()
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, given))
    assert found.macro_f1 == pytest.approx(f1_score(labels, given, average="macro"))
    assert found.recalls == pytest.approx(f1_score_parts(labels, given))
    pairs = [(t, g, n) for t, row in enumerate(found.confusion) for g, n in enumerate(row) if t != g and n]
    assert found.worst_pairs == sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[:20]


def f1_score_parts(labels: np.ndarray, given: np.ndarray) -> list[float]:
    return [float((given[labels == label] == label).mean()) for label in range(4)]


def test_at_seven_thousand_classes_nothing_grows_with_their_square() -> None:
    labels = np.arange(200) * 7 % 7000
    logits = np.zeros((200, 7000), np.float32)
    logits[np.arange(200), (labels + np.arange(200) % 2) % 7000] = 5.0
    found = measured(Answers.of(logits, labels), [f"class {at}" for at in range(7000)])
    assert found.confusion is None and len(found.worst_pairs) == 20 and found.accuracy == 0.5
    assert found.recalls[0] == 1.0 and found.recalls[1] is None


def test_answers_must_fit_their_labels() -> None:
    for logits, labels in ((np.zeros((2, 3)), [0]), (np.zeros(3), [0]), (np.zeros((2, 3)), [0, 3]),
                           (np.zeros((1, 3)), [0.5]), (np.zeros((0, 3)), [])):  # fmt: skip
        with pytest.raises(UsageError):
            Answers.of(logits, np.array(labels))


def test_principal_components_are_those_of_scikit_learn() -> None:
    features = np.random.default_rng(0).normal(size=(40, 6)) * [5, 3, 1, 1, 1, 1]
    points, explained = principal_components(features)
    other = PCA(2)
    expected = other.fit_transform(features)
    for at in range(2):
        assert np.allclose(points[:, at], expected[:, at]) or np.allclose(points[:, at], -expected[:, at])
    assert explained == pytest.approx(tuple(other.explained_variance_ratio_))
    alone, shares = principal_components(features[:, :1])
    assert shares == (1.0, 0.0) and not alone[:, 1].any()


def test_embeddings_say_which_images_are_right() -> None:
    logits, labels = some_answers(3, 1500)
    answers = Answers.of(logits, labels, np.random.default_rng(1).normal(size=(1500, 5)))
    found = embedding_of(answers)
    assert found is not None and found.tsne is None
    assert len(found.pca) == len(found.labels) == 1000 and found.indexes == sorted(found.indexes)
    assert found.right == (logits.argmax(1) == labels)[found.indexes].tolist()
    assert embedding_of(Answers.of(logits, labels)) is None
    few = embedding_of(Answers.of(logits[:40], labels[:40], np.random.default_rng(1).normal(size=(40, 5))), tsne=True)
    assert few is not None and np.isfinite(few.tsne).all() and len(few.tsne or []) == 40
