"""Classical methods: known metrics on the digits, what is chosen, what is read, and data hard to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from baselines import classical
from baselines.classical import (
    COMPONENTS,
    METHODS,
    ClassicalScores,
    Images,
    Labels,
    Matrix,
    Predict,
    Settings,
    classical_scores,
    sample_rows,
)
from baselines.metrics import METRICS, metrics_of
from nas.data import DataConfig, open_data
from nas.training.metrics import classification_metrics

pytestmark = [pytest.mark.usefixtures("one_blas_thread"), pytest.mark.filterwarnings("ignore:lbfgs failed to converge")]


@pytest.fixture(scope="module")
def one_blas_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def blobs(counts: list[int], shape: tuple[int, ...] = (1, 6, 6), *, seed: int = 0, noise: float = 40.0) -> Images:
    """Noisy copies of one random image a class, as uint8."""
    centres = np.random.default_rng(99).integers(40, 216, (len(counts), *shape))
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = centres[labels] + np.random.default_rng(seed).normal(0, noise, (len(labels), *shape))
    return pixels.clip(0, 255).astype(np.uint8), labels


def scored(counts: list[int], shape: tuple[int, ...] = (1, 6, 6), **options: Any) -> ClassicalScores:
    """Trained on so many images of each class, with ten of each in the other splits."""
    even = [10] * len(counts)
    rank, test = blobs(even, shape, seed=1), blobs(even, shape, seed=2)
    return classical_scores(blobs(counts, shape), rank, test, len(counts), **options)


def test_the_digits_have_their_known_metrics() -> None:
    data = open_data(DataConfig())
    splits = [data.split(name) for name in ("train", "rank", "test")]
    train, rank, test = ((split.images, split.labels) for split in splits)
    scores = classical_scores(train, rank, test, 10)
    found = {method.name: method.rank["balanced_accuracy"] for method in scores.methods}
    assert found == pytest.approx({"logistic-regression": 0.908, "rbf-svm": 0.936, "nearest-neighbor": 0.925}, abs=0.02)
    assert scores.chosen == "rbf-svm"
    assert scores.test["balanced_accuracy"] == pytest.approx(0.938, abs=0.01)
    assert (scores.images, scores.of_images, scores.components) == (341, 341, None)
    assert classical_scores(train, rank, test, 10) == scores
    # Pixels may also come as floating point, and without their shape.
    as_floats = [(split.images.reshape(len(split.labels), -1) / 255, split.labels) for split in splits]
    assert classical_scores(*as_floats, 10).test == pytest.approx(scores.test, abs=0.01)


def test_metrics_are_those_of_a_network() -> None:
    rng = np.random.default_rng(0)
    for num_classes, missing in ((2, 0), (7, 2), (7, 5)):
        labels = rng.integers(0, num_classes - missing, 40)
        predicted = rng.integers(0, num_classes, 40)
        expected = classification_metrics(torch.from_numpy(predicted), torch.from_numpy(labels), num_classes)
        del expected["recall_by_class"]
        assert metrics_of(predicted, labels, num_classes) == pytest.approx(expected)
        assert metrics_of(predicted, labels, num_classes).keys() == set(METRICS)


class Watched:
    """Images that remember how often each was read."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        self.pixels, self.read = pixels, np.zeros(len(pixels), np.int64)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        np.add.at(self.read, rows, 1)
        return self.pixels[rows]


def test_the_best_on_rank_is_chosen_and_alone_meets_the_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    train, rank, test = blobs([20] * 3), blobs([10] * 3, seed=1), blobs([11] * 3, seed=2)
    judged: list[tuple[str, float, int]] = []

    def method(name: str, share_right: dict[float, float]) -> classical.Method:
        def fit(x: Matrix, labels: Labels, settings: Settings, seed: int) -> Predict:
            def predict(images: Matrix) -> Labels:
                judged.append((name, settings["a"], len(images)))
                true = np.repeat(np.arange(3), len(images) // 3)
                wrong = np.arange(len(true)) % 10 >= 10 * share_right[settings["a"]]
                return np.where(wrong, (true + 1) % 3, true)

            return predict

        return classical.Method(name, name, tuple({"a": a} for a in share_right), fit)

    methods = (method("poor", {1.0: 0.5}), method("good", {1.0: 0.2, 2.0: 0.9}), method("equal", {1.0: 0.9}))
    monkeypatch.setattr(classical, "METHODS", methods)
    watched = Watched(test[0])
    scores = classical_scores(train, rank, (watched, test[1]), 3, objective="accuracy")
    assert scores.best.name == scores.chosen == "good"
    assert scores.best.settings == {"a": 2.0}
    assert [entry for entry in judged if entry[2] == 33] == [("good", 2.0, 33)]
    assert (watched.read == 1).all()


def test_the_objective_decides() -> None:
    """An answer that is always the large class is accurate, and not balanced."""
    even = [10, 190]
    rank, test = blobs(even, seed=1, noise=300), blobs(even, seed=2, noise=300)
    by_accuracy, balanced = (
        classical_scores(blobs([12, 228], noise=300), rank, test, 2, objective=objective)
        for objective in ("accuracy", "balanced_accuracy")
    )
    assert by_accuracy.best.rank["accuracy"] == max(method.rank["accuracy"] for method in by_accuracy.methods)
    assert by_accuracy.best.rank["accuracy"] > balanced.best.rank["accuracy"]


@pytest.mark.parametrize(
    ("counts", "shape", "components"),
    [
        ([40, 40], (1, 6, 6), None),  # two classes
        ([60, 30, 1], (1, 6, 6), None),  # a class with one image
        ([60, 60, 20], (3, 24, 20), COMPONENTS),  # colour, more numbers than are used as they are
        ([2, 2], (3, 24, 20), 4),  # fewer images than components
        ([1, 1], (1, 6, 6), None),
        ([12, 9], (1, 70, 40), None),  # larger than 32 pixels: means of 3 x 3 blocks, 24 x 14
    ],
)
def test_small_and_odd_sets_are_learnt(counts: list[int], shape: tuple[int, int, int], components: int | None) -> None:
    scores = scored(counts, shape)
    assert scores.test["balanced_accuracy"] > 0.9
    assert scores.components == components


def test_a_class_without_a_training_image_is_missed_and_breaks_nothing() -> None:
    scores = scored([30, 0, 30])
    assert scores.test["balanced_accuracy"] == pytest.approx(2 / 3)
    assert scores.test["worst_recall"] == 0


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 16, 16)])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_constant_pixels_are_guessed(shape: tuple[int, int, int]) -> None:
    labels = np.repeat([0, 1], 10)
    same = (np.full((20, *shape), 7, np.uint8), labels)
    assert classical_scores(same, same, same, 2).test["balanced_accuracy"] == 0.5


def test_one_class_cannot_be_told_from_another() -> None:
    with pytest.raises(ValueError, match="two classes"):
        scored([9, 0])


def test_of_many_images_every_rare_one_is_used() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), [3000, 900, 300, 40, 1]))
    rows = sample_rows(labels, 1000, seed=0)
    assert (np.diff(rows) > 0).all()
    kept = np.bincount(labels[rows])
    assert kept.tolist() == [329, 329, 300, 40, 1]
    assert sample_rows(labels, 10_000, seed=0).tolist() == list(range(len(labels)))
    assert (sample_rows(labels, 1000, seed=0) == rows).all()
    assert np.bincount(labels[sample_rows(labels, 3, seed=0)]).tolist() == [1] * 5
    scores = scored([200, 100, 4], most=100)
    assert (scores.images, scores.of_images) == (100, 304)
    assert scores.test["balanced_accuracy"] > 0.9


def test_votes_of_an_svm_are_its_own() -> None:
    x, labels = (part.astype(np.float32) for part in blobs([9, 30, 4, 17, 25], noise=90))
    others = blobs([50] * 5, seed=3, noise=90)[0].reshape(250, -1).astype(np.float32) / 255
    x = x.reshape(len(x), -1) / 255
    gamma = 1 / (x.var() * x.shape[1])
    model = SVC(C=2, gamma=gamma, class_weight="balanced").fit(x, labels)
    (svm,) = (method for method in METHODS if method.name == "rbf-svm")
    predict = svm.fit(x, labels.astype(np.int64), {"C": 2.0, "gamma": 1.0}, 0)
    assert (predict(others) == model.predict(others)).all()
    assert len(set(predict(others).tolist())) == 5


def test_near_rare_images_outvote_near_frequent_ones() -> None:
    (method,) = (method for method in METHODS if method.name == "nearest-neighbor")
    x = np.array([[0.0], [0.1], [0.2], [0.3], [1.0]], np.float32)
    predict = method.fit(x, np.array([0, 0, 0, 0, 1]), {"k": 5.0}, 0)
    assert predict(np.array([[0.62]], np.float32)).tolist() == [1]  # the class weight of the one image is four times
    assert predict(np.array([[0.15]], np.float32)).tolist() == [0]
