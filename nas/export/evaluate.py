"""Evaluation of an exported network on its own test split or on any labelled folder. Needs no torch.

Images go the way of training's: they are read by the source that they lie in, with the size, fit and levels that the
network was trained with. Classes are matched by name, never by their order.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_fscore_support

from baselines import evaluation
from baselines.metrics import METRICS, metrics
from nas.config import DataConfig
from nas.config.objectives import OBJECTIVES, is_verification, measure
from nas.config.options import base_name
from nas.data import Dataset
from nas.data.cache import cache_root
from nas.data.dataset import Preprocessing, SplitName
from nas.data.images import reason
from nas.data.printable_names import printable, printable_names
from nas.data.selection import OUT, select
from nas.data.sources.base import PARTS, TEST, Found, Progress
from nas.data.sources.find import find_source
from nas.data.survey import survey_of
from nas.errors import DataError, NasctlError
from nas.export.fingerprints import Fingerprints, fingerprints
from nas.export.predict_script import Classifier
from nas.units import counted

Pixels = npt.NDArray[np.uint8]  # (N, C, H, W)
Labels = npt.NDArray[np.int64]

RESAMPLES = 2000  # of the bootstrap
CHUNK = 64  # images in memory at once
MOST_CLASSES = 200  # of a confusion matrix with all its zeros
AVERAGES = ("micro", "macro", "weighted")


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class: shares of 1, and 0 where they divide by zero."""

    name: str
    images: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of a network, which ``nasctl evaluate`` shows."""

    data: str
    part: str  # of the data: "all", "test", ...
    images: int
    objective: str | None  # of the run that the network comes from, among the metrics; None: not known
    metrics: dict[str, float]  # shares of 1, but for an objective of an author's own
    intervals: dict[str, tuple[float, float]]  # of some metrics, 95 % by bootstrap over images
    by_class: list[ClassMetrics]
    # Images of each true class (rows) by the class that they were given; None above ``MOST_CLASSES`` classes: then
    # its cells that are not zero, as true class, given class and images, are in ``cells``. Classes by their place.
    confusion: list[list[int]] | None
    confused: list[tuple[str, str, int]]  # true class, given class, images: the most first
    trained_on: int | None  # of the images; None if what it was trained on is not known
    missing: list[str] = field(default_factory=list)  # classes of the network without images here
    surplus: list[str] = field(default_factory=list)  # classes here that the network does not know; left out
    broken: list[str] = field(default_factory=list)  # files that could not be read, and why
    clipped: int = 0  # images with values outside the range of training's
    cells: list[tuple[int, int, int]] | None = None
    unscored: str | None = None  # why ``objective`` is not among the metrics


@dataclass(frozen=True)
class Labelled:
    """Images to evaluate on: pixels and labels in chunks, labels by the network's classes."""

    data: str
    part: str
    chunks: Iterator[tuple[Pixels, Labels]]
    missing: list[str]
    surplus: list[str]
    broken: list[str]  # filled while chunks are read
    clipped: int = 0
    count: int = 0  # of images, the broken ones among them
    names: list[str] = field(default_factory=list)  # of files; filled while chunks are read, by those that have some


def own_split(dataset: Dataset, name: SplitName) -> Labelled:
    """A split of what the network was trained on."""
    split = dataset.split(name)
    return Labelled(dataset.name, name, split.batches(CHUNK), [], [], [], count=len(split.rows))


def preprocessing_of(classifier: Classifier) -> Preprocessing:
    """Conversion of an exported network's images to pixels."""
    return Preprocessing.of(classifier.shape, classifier.card["input"]["preprocessing"]["fit"], classifier.levels)


def other_data(
    config: DataConfig, classes: Sequence[str], how: Preprocessing, progress: Progress | None = None
) -> Labelled:
    """The test part of a source, or all of it if it has none, for a network of these ``classes`` whose images are
    prepared as ``how`` says. DataError if no class has a name that the network knows, no image can be read, or there is
    no such source."""
    source = find_source(config, cache_root(config.cache_dir))
    source.fingerprint()  # it lists the files
    found = printable_names(source.look(progress))
    chosen = select(config, found)
    if chosen.errors:
        raise DataError(*chosen.errors)
    known = {name: index for index, name in enumerate(classes)}
    part = TEST if TEST in chosen.own_parts else None
    own = np.array([known.get(name, -1) for name in chosen.classes], dtype=np.int64)
    rows = np.flatnonzero((chosen.parts != OUT) if part is None else (chosen.parts == part))
    with_images = {chosen.classes[label] for label in np.unique(chosen.labels[rows])}
    rows = rows[own[chosen.labels[rows]] >= 0]
    broken = [
        f"{one.name}: {one.reason}"
        for one in chosen.broken
        if (part is None or one.part == part) and own[one.label] >= 0
    ]
    if broken and not len(rows):
        raise DataError(
            f"None of {counted(len(broken), 'image')} can be read; the first is {broken[0]}. Give other images."
        )
    if not len(rows):
        raise DataError(
            f"No class of {printable(source.name)} is one that the network knows. It knows: "
            f"{', '.join(classes)}. Rename the classes to match."
        )
    used = np.full(len(chosen.parts), OUT, dtype=np.uint8)
    used[rows] = chosen.parts[rows]
    survey = survey_of(found, used, how.levels)
    preprocessing = Preprocessing.of(how.shape, how.fit, survey.levels)
    names: list[str] = []
    return Labelled(
        printable(source.name),
        "all" if part is None else PARTS[part],
        _read(found, rows, own[chosen.labels[rows]], preprocessing, broken, names, progress),
        [name for name in classes if name not in with_images],
        sorted(with_images - known.keys()),
        broken,
        sum(survey.clipped.values()),
        count=len(rows),
        names=names,
    )


def _read(
    found: Found, rows: Labels, labels: Labels, how: Preprocessing, broken: list[str], names: list[str],
    progress: Progress | None,
) -> Iterator[tuple[Pixels, Labels]]:  # fmt: skip
    """Images and their labels, decoded in threads, as training's were."""

    read_one = found.read
    assert read_one is not None, "only today's look can read"

    def read(row: int) -> Pixels | str:
        try:
            return read_one(int(row), how)
        except Exception as error:  # Pillow's readers raise nearly anything on damaged files
            return f"{found.names[row]}: {reason(error)}"

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(rows), CHUNK):
            images = list(pool.map(read, rows[start : start + CHUNK]))
            good = [not isinstance(image, str) for image in images]
            broken += [image for image in images if isinstance(image, str)]
            chunk = rows[start : start + CHUNK].tolist()
            names += [found.names[row] for row, readable in zip(chunk, good, strict=True) if readable]
            if any(good):
                pixels = np.stack([image for image in images if not isinstance(image, str)])
                yield pixels, labels[start : start + CHUNK][good]
            if progress:
                progress(min(start + CHUNK, len(rows)), len(rows))


def evaluate(classifier: Classifier, labelled: Labelled, known: Fingerprints | None) -> Evaluation:
    """All metrics, and the objective that the network was found by. ``known`` are the fingerprints of what it was
    trained on. DataError if no image can be read."""
    objective = classifier.card.get("objective")
    right, given, seen = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    logits: list[npt.NDArray[np.float64]] = []  # of an objective that is not built in
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about odd metadata of images that it then reads well
        for pixels, labels in labelled.chunks:
            answered = classifier.logits(classifier.normalized(pixels))
            right.append(labels)
            given.append(classifier.scores(answered).argmax(axis=1))
            logits += [] if objective in (None, *METRICS) else [answered + classifier.temperature * classifier.shift]
            seen += 0 if known is None else int(np.isin(fingerprints(pixels), known).sum())
    labels, answers = np.concatenate(right), np.concatenate(given)
    if not len(labels):
        raise DataError(f"No image of {labelled.data} can be read. Give other images.", *labelled.broken[:5])
    names = classifier.classes
    number = len(names)
    true_C, given_C = (np.bincount(each, minlength=number) for each in (labels, answers))
    right_C = np.bincount(labels[labels == answers], minlength=number)
    cells = confusion_cells(labels, answers, number)
    own, unscored = _own(objective, labels, np.concatenate(logits)) if objective and logits else ({}, None)
    return Evaluation(
        data=labelled.data,
        part=labelled.part,
        images=len(labels),
        objective=objective,
        metrics={**metrics(*(counts.astype(float) for counts in (right_C, true_C, given_C))), **own},
        intervals=intervals(right_C, true_C),
        by_class=_by_class(labels, answers, names),
        confusion=_matrix(cells, number).tolist() if number <= MOST_CLASSES else None,
        confused=most_confused(cells, names),
        trained_on=None if known is None else seen,
        missing=labelled.missing,
        surplus=labelled.surplus,
        broken=labelled.broken,
        clipped=labelled.clipped,
        cells=[(true, given, images) for true, given, images in cells.tolist()] if number > MOST_CLASSES else None,
        unscored=unscored,
    )


def _own(objective: str, labels: Labels, logits: npt.NDArray[np.float64]) -> tuple[dict[str, float], str | None]:
    """An author's own objective, of logits for the classes as they come; or why there is none, in a sentence."""
    if base_name(objective) not in OBJECTIVES:
        return (
            {},
            f"The objective of its run, {objective}, is not known here: add --plugin FILE.py, a plug-in that "
            "registers it.",
        )
    if is_verification(objective):
        return {}, f"The objective {objective} compares pairs of images: nasctl verify MODEL --pairs pairs.csv."
    try:
        return {objective: measure(objective, evaluation.Evaluation(labels, logits))}, None
    except evaluation.NotGiven as lack:
        return (
            {},
            f"The objective {objective} needs {lack.array}, which exported networks do not compute: it is left out.",
        )
    except NasctlError as error:
        return {}, f"The objective of its run, {objective}, is left out: {error}"


def _by_class(labels: Labels, answers: Labels, names: Sequence[str]) -> list[ClassMetrics]:
    found = precision_recall_fscore_support(labels, answers, labels=range(len(names)), zero_division=0)
    return [
        ClassMetrics(name, int(images), float(precision), float(recall), float(f1))
        for name, precision, recall, f1, images in zip(names, *found, strict=True)
    ]


def confusion_cells(labels: Labels, answers: Labels, number: int) -> Labels:
    """Cells (K, 3) of the confusion matrix that are not zero, in its order: true class, given class, images."""
    codes, images = np.unique(labels * number + answers, return_counts=True)
    return np.stack([codes // number, codes % number, images], axis=1)


def _matrix(cells: Labels, number: int) -> Labels:
    """The whole matrix (C, C)."""
    matrix = np.zeros((number, number), np.int64)
    matrix[cells[:, 0], cells[:, 1]] = cells[:, 2]
    return matrix


def intervals(right_C: Labels, true_C: Labels) -> dict[str, tuple[float, float]]:
    """95 % of the bootstrap: images sampled again, with replacement, as often as there are (Efron 1979).

    Of an image only its class and whether its answer was right are sampled: two cells a class. ``right_C`` (C,) and
    ``true_C`` (C,) are the images of each class that were answered right, and all of them.
    """
    has_images = true_C > 0
    hits, totals = right_C[has_images], true_C[has_images]
    cells = np.concatenate([hits, totals - hits])
    sampled = np.random.default_rng(0).multinomial(int(cells.sum()), cells / cells.sum(), RESAMPLES)
    right, wrong = np.split(sampled, 2, axis=1)
    with np.errstate(invalid="ignore"):  # a class may be sampled not once
        recalls = right / (right + wrong)
    resampled = {"accuracy": right.sum(axis=1) / cells.sum(), "balanced_accuracy": np.nanmean(recalls, axis=1)}
    bounds = {name: np.percentile(values, (2.5, 97.5)) for name, values in resampled.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def most_confused(cells: Labels, names: Sequence[str], most: int = 5) -> list[tuple[str, str, int]]:
    """The pairs of true and given class with most images, but not one class for itself, of ``confusion_cells``."""
    wrong = cells[cells[:, 0] != cells[:, 1]]
    order = np.argsort(-wrong[:, 2], kind="stable")[:most]
    return [(names[true], names[given], images) for true, given, images in wrong[order].tolist()]
