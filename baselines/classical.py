"""Classical methods on pixels, which any network worth its training should beat; their scores as a function of arrays.

Methods and their settings are chosen on rank; only the one that is chosen meets the test split. scikit-learn is
imported when scores are computed.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from baselines.evaluation import Evaluation
from baselines.metrics import Metric, metrics_in

NEAREST = "nearest-neighbor"
NAME = "classical"  # as ``nasctl baseline`` knows them
SENTENCE = "No networks: logistic regression, RBF SVM and nearest neighbours on pixels, in seconds to a minute"
VERSION = 2  # of what is computed: other metrics for the same images need another number

MOST_IMAGES = 4_000  # that are trained on: the time of an SVM grows with their square
MOST_CLASSES = 200  # of an SVM, which is one for each pair of classes, and of a logistic regression
MOST_OF_MANY = 20_000  # images that are trained on where there are more classes: nearest neighbours have no training
MOST_NUMBERS = 500  # of an image; where there are more, principal components take their place
COMPONENTS = 100
MOST_SIDE = 32  # pixels; larger images are shrunk to means of blocks
CHUNK = 500  # images that are read or judged at a time

Rows = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float32]  # (images, numbers)
Predict = Callable[[Matrix], Labels]
Settings = Mapping[str, float]


class Pixels(Protocol):
    """Images that are read by their rows, of any shape: uint8, or floating point from 0 to 1. Arrays are such."""

    def __getitem__(self, rows: Rows, /) -> npt.NDArray[Any]: ...


Images = tuple[Pixels, Labels]
"""The images of one split, and for each an index into the classes."""


@dataclass(frozen=True)
class Method:
    """A classical method: ``fit(x, labels, settings, seed)`` for each of its ``settings`` gives what predicts."""

    name: str
    label: str
    settings: tuple[Settings, ...]
    fit: Callable[[Matrix, Labels, Settings, int], Predict]


@dataclass(frozen=True)
class MethodScores:
    """Scores of a method on rank with the best of its settings: metrics from 0 to 1 by name."""

    name: str
    label: str
    settings: dict[str, float]
    rank: dict[str, float]


@dataclass(frozen=True)
class ClassicalScores:
    """Scores of all methods on rank, and of the best of them on test."""

    methods: tuple[MethodScores, ...]
    chosen: str  # the name of the best on rank
    test: dict[str, float]  # its metrics there
    images: int  # that were trained on
    of_images: int  # that there are to train on
    components: int | None  # principal components; None: pixels as they are

    @property
    def best(self) -> MethodScores:
        """The method that was chosen on rank."""
        return next(method for method in self.methods if method.name == self.chosen)


def classical_scores(
    train: Images,
    rank: Images,
    test: Images,
    num_classes: int,
    *,
    objective: str = "balanced_accuracy",
    measure: Metric | None = None,
    seed: int = 0,
    most: int | None = None,
) -> ClassicalScores:
    """Train every method on at most ``most`` training images, choose by ``objective`` on rank, score that on test.

    Of more than ``MOST_CLASSES`` classes only nearest neighbours are asked, by up to ``MOST_OF_MANY`` images; else
    ``most`` is ``MOST_IMAGES`` if nothing else is said.

    Seconds for a small set, about a minute for the largest. ``objective`` is a name that ``metrics`` gives, or that of
    ``measure``, which is given labels and predicted classes. ValueError if the training images are of one class.
    """
    pixels, labels = train
    rows = sample_rows(labels, most or (MOST_OF_MANY if num_classes > MOST_CLASSES else MOST_IMAGES), seed)
    if len(np.unique(labels)) < 2:
        raise ValueError("classical methods need training images of two classes or more")
    prepare, x, components = _preparation(pixels, rows, seed)
    x_rank, (_, rank_labels), (_, test_labels) = _prepared(rank, prepare), rank, test

    def scored(predicted: Labels, labels: Labels) -> dict[str, float]:
        evaluation = Evaluation(labels, predicted=predicted, num_classes=num_classes)
        return metrics_in(evaluation) | ({} if measure is None else {objective: measure(evaluation)})

    def on_rank(predict: Predict) -> dict[str, float]:
        return scored(predict(x_rank), rank_labels)

    best: dict[str, tuple[MethodScores, Predict]] = {}  # by method; of equals, the first
    for scores, predict in _tried((x, labels[rows]), methods_for(num_classes), on_rank, seed):
        if scores.name not in best or scores.rank[objective] > best[scores.name][0].rank[objective]:
            best[scores.name] = scores, predict
    chosen, predict = max(best.values(), key=lambda pair: pair[0].rank[objective])
    return ClassicalScores(
        methods=tuple(scores for scores, _ in best.values()),
        chosen=chosen.name,
        test=scored(predict(_prepared(test, prepare)), test_labels),
        images=len(rows),
        of_images=len(labels),
        components=components,
    )


def sample_rows(labels: Labels, most: int, seed: int) -> Rows:
    """Sorted rows of at most ``most`` images, but one a class at least: every image of the rare classes, and of each
    of the others equally many, sampled at random."""
    counts = np.bincount(labels)
    caps = range(1, int(counts.max(initial=0)) + 1)
    each = max(1, bisect.bisect_right(caps, most, key=lambda cap: int(np.minimum(counts, cap).sum())))
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    place = np.arange(len(labels)) - np.searchsorted(labels[by_class], labels[by_class])  # within its class
    rows: Rows = np.sort(by_class[place < each])
    return rows


def _tried(
    train: tuple[Matrix, Labels],
    methods: Sequence[Method],
    on_rank: Callable[[Predict], dict[str, float]],
    seed: int,
) -> Iterator[tuple[MethodScores, Predict]]:
    """Every method with every one of its settings: what it reaches on rank, and what predicts with it."""
    for method in methods:
        for settings in method.settings:
            predict = method.fit(*train, settings, seed)
            yield MethodScores(method.name, method.label, dict(settings), on_rank(predict)), predict


def _preparation(pixels: Pixels, rows: Rows, seed: int) -> tuple[Callable[[Matrix], Matrix], Matrix, int | None]:
    """Preparation of an image's numbers for the methods, learnt on ``rows`` alone; these rows so prepared, and the
    number of principal components, None where there are none."""
    x = numbers_of(pixels, rows)
    if x.shape[1] <= MOST_NUMBERS:
        return lambda numbers: numbers, x, None
    from sklearn.decomposition import PCA

    analysis = PCA(min(COMPONENTS, len(x)), svd_solver="randomized", random_state=seed).fit(x)

    def project(numbers: Matrix) -> Matrix:
        projected: Matrix = analysis.transform(numbers).astype(np.float32, copy=False)
        return projected

    return project, project(x), int(analysis.n_components_)


def _prepared(images: Images, prepare: Callable[[Matrix], Matrix]) -> Matrix:
    """All images of a split as methods see them, read piece by piece."""
    pixels, labels = images
    rows = np.arange(len(labels))
    return np.concatenate([prepare(numbers_of(pixels, rows[piece])) for piece in _pieces(len(rows))])


def numbers_of(pixels: Pixels, rows: Rows) -> Matrix:
    """Images as rows of numbers from 0 to 1, large ones shrunk."""
    numbers = []
    for piece in _pieces(len(rows)):
        images = pixels[rows[piece]]
        scale = 255 if images.dtype == np.uint8 else 1
        shrunk = _shrunk(images) if images.ndim == 4 else images
        numbers.append(shrunk.reshape(len(images), -1).astype(np.float32) / np.float32(scale))
    return np.concatenate(numbers)


def _pieces(count: int) -> list[slice]:
    """So many images, ``CHUNK`` at a time."""
    return [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]


def _shrunk(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Means of square blocks, so that no side is longer than ``MOST_SIDE``; small images as they are."""
    block = math.ceil(max(images.shape[2:]) / MOST_SIDE)
    if block == 1:
        return images
    for axis in (2, 3):
        starts = np.arange(0, images.shape[axis], block)
        sizes = np.diff(np.append(starts, images.shape[axis])).reshape((-1, 1) if axis == 2 else (-1,))
        images = np.add.reduceat(images, starts, axis=axis, dtype=np.float32) / sizes.astype(np.float32)
    return images


def _logistic_regression(x: Matrix, labels: Labels, settings: Settings, seed: int) -> Predict:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=settings["C"], class_weight="balanced", max_iter=1000, random_state=seed)
    return _predict(model.fit(x, labels))


def _rbf_svm(x: Matrix, labels: Labels, settings: Settings, seed: int) -> Predict:
    from sklearn.svm import SVC

    variance = float(x.var()) * x.shape[1] or 1.0  # of images that are all alike: any gamma does
    gamma = settings["gamma"] / variance
    model = SVC(C=settings["C"], gamma=gamma, class_weight="balanced", cache_size=500, random_state=seed)
    model.fit(x, labels)
    return _predict(model) if len(model.classes_) == 2 else _svm_votes(model, gamma)


def _svm_votes(model: Any, gamma: float) -> Predict:
    """Predictions of an SVM of three classes or more: for each pair of classes a vote, as its own ``predict`` has it,
    but by products of matrices, which for 62 classes takes a tenth of the time."""
    from sklearn.metrics.pairwise import rbf_kernel

    ends = np.cumsum(model.n_support_)
    own = [slice(end - count, end) for end, count in zip(ends, model.n_support_, strict=True)]  # of each class
    pairs = list(itertools.combinations(range(len(own)), 2))

    def predict_piece(images: Matrix) -> Labels:
        kernel = rbf_kernel(images, model.support_vectors_, gamma)
        against = [kernel[:, rows] @ model.dual_coef_[:, rows].T for rows in own]  # the others, in their order
        votes = np.zeros((len(images), len(own)), np.int64)
        for (one, other), bias in zip(pairs, model.intercept_, strict=True):
            won = against[one][:, other - 1] + against[other][:, one] + bias > 0
            votes[:, one] += won
            votes[:, other] += ~won
        predicted: Labels = model.classes_[votes.argmax(axis=1)]
        return predicted

    return lambda images: np.concatenate([predict_piece(images[piece]) for piece in _pieces(len(images))])


def _nearest_neighbor(x: Matrix, labels: Labels, settings: Settings, seed: int) -> Predict:
    """Votes of the k nearest, each divided by its distance and by the images of its class."""
    from sklearn.neighbors import NearestNeighbors

    counts = np.bincount(labels)
    index = NearestNeighbors(n_neighbors=min(int(settings["k"]), len(x)), algorithm="brute").fit(x)

    def predict_piece(images: Matrix) -> Labels:
        distances, nearest = index.kneighbors(images)
        votes = np.zeros((len(images), len(counts)))
        weights = 1 / (np.maximum(distances, 1e-9) * counts[labels[nearest]])
        np.add.at(votes, (np.arange(len(images))[:, None], labels[nearest]), weights)
        voted: Labels = votes.argmax(axis=1)
        return voted

    return lambda images: np.concatenate([predict_piece(images[piece]) for piece in _pieces(len(images))])


def _predict(model: Any) -> Predict:
    """Predictions of a trained model of scikit-learn."""

    def predict(images: Matrix) -> Labels:
        return np.asarray(model.predict(images), np.int64)

    return predict


METHODS = (
    Method("logistic-regression", "logistic regression", ({"C": 0.1}, {"C": 1.0}), _logistic_regression),
    # gamma: as a multiple of 1 / (numbers x their variance), scikit-learn's "scale".
    Method(
        "rbf-svm", "RBF SVM", tuple({"C": C, "gamma": gamma} for C in (2.0, 10.0) for gamma in (0.25, 1.0)), _rbf_svm
    ),
    Method(NEAREST, "nearest neighbour", ({"k": 1.0}, {"k": 5.0}), _nearest_neighbor),
)


def methods_for(num_classes: int) -> tuple[Method, ...]:
    """Methods whose training takes no longer than a minute with so many classes."""
    return METHODS if num_classes <= MOST_CLASSES else tuple(each for each in METHODS if each.name == NEAREST)
