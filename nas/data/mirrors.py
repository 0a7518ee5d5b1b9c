"""Decision whether training mirrors images, from whether a mirror image still shows its class."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.data.dataset import Dataset
from nas.data.pooling import pooled

_CHARACTERS = ("digits", "mnist", "kmnist", "usps", "svhn", "emnist-")  # names of sets, or how they begin
_SIDE = 16  # of what is compared
_SAMPLE = 4_000  # images
_MOST_CLASSES = 200  # that are looked at: of more some at random, which tell as much
_LEAST = 8  # images of a class that say something
_RIDGE = 0.3  # times the mean variance
_FALSE_ALARMS = 0.01  # expected in a set, by chance
_KEPT = 0.5  # share of what is recognised beyond chance that mirror images must keep

Vectors = npt.NDArray[np.float32]


def mirroring(data: Dataset, source: str) -> tuple[bool, str]:
    """True if to mirror the images of ``data`` in training, and why; ``source`` is how the user named the set.

    Digits and letters have a hand, and so have signs that point; of photos the mirror image is as good as they are.
    """
    if data.input_shape[0] == 1:
        return False, "grey images"
    if source.startswith(_CHARACTERS) or _are_characters(data.classes, source):
        return False, "digits and letters change when mirrored"
    rows, labels, classes = _sample(data)
    images = data.split("train").stored
    if all((images[row] == images[row][:1]).all() for row in rows[:200]):
        return False, "grey images in three channels"
    pairs, kept = judged(pooled(images, rows, _SIDE, colour=True), labels)
    if pairs:
        named = ", ".join(f"{classes[one]} and {classes[other]}" for one, other in pairs[:3])
        more = f", and {len(pairs) - 3} more" if len(pairs) > 3 else ""
        return False, f"these look like each other's mirror image: {named}{more}"
    if kept < _KEPT:
        return False, f"mirror images are rarely predicted as their class: {max(kept, 0):.0%} as often as the originals"
    return True, "colour images"


_NUMBERED = {".npz", ".csv", ".tsv", ".txt", ".parquet"}  # where labels are often numbers


def _are_characters(classes: tuple[str, ...], source: str) -> bool:
    """True if the classes are named by one character each. Labels that are numbers say nothing."""
    numbers = all(name.isdecimal() for name in classes) and Path(source).suffix.lower() in _NUMBERED
    return not numbers and all(len(name) == 1 and name.isalnum() for name in classes)


def _sample(data: Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], list[str]]:
    """Rows and labels of training images, of each class as many as of any other if they are there, and the names of
    these classes."""
    train = data.split("train")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(train.rows))
    order = order[np.argsort(train.labels[order], kind="stable")]
    labels = train.labels[order]
    position = np.arange(len(order)) - np.searchsorted(labels, labels)
    number = min(len(data.classes), _MOST_CLASSES)
    chosen = order[position < max(_LEAST * 2, _SAMPLE // number)]
    if number == len(data.classes):
        return train.rows[chosen], train.labels[chosen], list(data.classes)
    looked_at = np.sort(rng.choice(len(data.classes), number, replace=False))
    chosen = chosen[np.isin(train.labels[chosen], looked_at)]
    labels = np.searchsorted(looked_at, train.labels[chosen])
    return train.rows[chosen], labels, [data.classes[label] for label in looked_at]


def judged(images: Vectors, labels: npt.NDArray[np.int64]) -> tuple[list[tuple[int, int]], float]:
    """Pairs of classes that are each other's mirror image, and the share of what a linear classifier recognises beyond
    chance that it recognises in mirror images too. ``images``: (N, C, H, W).

    Each half of the images is judged by what was fitted to the other half, as they are and mirrored. Of a pair, images
    of either class as they are look more like their own, and mirrored more like the other.
    """
    images = np.concatenate([images, _edges(images)], axis=1)
    plain = images.reshape(len(images), -1)
    mirrored = images[..., ::-1].reshape(len(images), -1)
    num_classes = int(labels.max()) + 1
    scores = np.empty((2, len(images), num_classes), dtype=np.float32)
    half = np.arange(len(images)) % 2 == 0  # labels are sorted, so that both halves hold every class
    for fitted in (half, ~half):
        weights, bias = _linear(plain[fitted], labels[fitted], num_classes)
        for scored, some in zip(scores, (plain, mirrored), strict=True):
            scored[~fitted] = some[~fitted] @ weights + bias
    counts = np.bincount(labels, minlength=num_classes)
    chance = 1 / num_classes
    right, kept = (
        float(np.mean([(one[labels == c].argmax(axis=1) == c).mean() for c in np.flatnonzero(counts)])) - chance
        for one in scores
    )
    certain = right > 3 * math.sqrt(chance * (1 - chance) / len(labels))
    return _pairs(scores, labels, counts), kept / right if certain else 1.0


def _edges(images: Vectors) -> Vectors:
    """Steepness of the grey levels everywhere, (N, 1, H, W): shapes, whatever their colour."""
    grey = images.mean(axis=1, keepdims=True)
    down, across = np.gradient(grey, axis=(2, 3))
    return np.asarray(2 * np.hypot(down, across), dtype=np.float32)


def _linear(x: Vectors, labels: npt.NDArray[np.int64], num_classes: int) -> tuple[Vectors, Vectors]:
    """Weights and biases of a ridge regression on the classes, each of which counts as much as any other."""
    target = np.eye(num_classes, dtype=np.float32)[labels]
    share = target / np.maximum(target.sum(axis=0), 1)
    weight = share.sum(axis=1, keepdims=True)
    mean = (x * weight).sum(axis=0) / weight.sum()
    level = (target * weight).sum(axis=0) / weight.sum()
    centred, aim = x - mean, target - level
    ridge = _RIDGE * float((np.square(centred) * weight).sum()) / x.shape[1] + 1e-6
    if len(x) < x.shape[1]:  # the same weights by the smaller of two systems
        weights = centred.T @ np.linalg.solve(centred @ centred.T + np.diag(ridge / weight[:, 0]), aim)
    else:
        gram = centred.T @ (centred * weight) + ridge * np.eye(x.shape[1], dtype=np.float32)
        weights = np.linalg.solve(gram, centred.T @ (aim * weight))
    weights = weights.astype(np.float32)
    return weights, np.asarray(level - mean @ weights, dtype=np.float32)


def _pairs(
    scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> list[tuple[int, int]]:
    enough = np.flatnonzero(counts >= _LEAST).tolist()
    tests = max(1, len(enough) * (len(enough) - 1))
    beyond = math.sqrt(2 * math.log(tests / _FALSE_ALARMS))  # standard deviations, by Chernoff's bound
    sides = np.zeros((2, len(counts), len(counts)))
    for (
        own
    ) in enough:  # how far from a toss-up its images, as they are and mirrored, are taken for it and not the other
        of = scores[:, labels == own]
        sides[:, own] = (2 * (of[:, :, own, None] > of).mean(axis=1) - 1) * math.sqrt(counts[own])
    plain, mirrored = sides
    both = (np.minimum(plain, plain.T) > beyond) & (np.maximum(mirrored, mirrored.T) < -beyond)
    return [(int(one), int(other)) for one, other in np.argwhere(np.triu(both, 1))]
