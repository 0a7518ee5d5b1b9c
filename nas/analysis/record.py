"""Records of an analysis, stored as ``analysis.json`` with the pictures beside it.

Classes are named once, in ``Analysis.classes``; everywhere else a class is an index into them. All shares are of 1.
Names of pictures are those of PNG files, relative to the folder. Imports neither torch nor matplotlib.
"""

from __future__ import annotations

import json
from collections.abc import Sized
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from nas.errors import RunError
from nas.files import write_atomically

FILE = "analysis.json"
FOLDER = "analysis"  # in the folder of a run: the analyses of its trials, each in a folder of its name
FORMAT = 1  # of the file; another one is not read
MOST_CLASSES = 200  # of a confusion matrix that is kept whole
MOST_PAIRS = 20
MOST_SHOWN = 24  # misclassified images, examples, augmented images
MOST_POINTS = 50  # of a curve
MOST_EMBEDDED = 1000  # images
MOST_CURVES = 20  # classes whose curves are all kept; of more, those of the worst
NUM_WORST = 5
NUM_BINS = 15  # of the reliability diagram, as Guo et al. (2017) draw it


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies above ``low`` and up to ``high``: how many there are, the mean of their confidence,
    and how many of them are right; None in both without an image."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error (Naeini et al. 2015, with the bins of Guo et al. 2017): the mean over images of
    how far confidence and accuracy of their bin lie apart."""

    ece: float
    bins: list[Bin]


@dataclass(frozen=True)
class Curve:
    """A class against all others, or the macro average. ``area``: under the ROC curve, or the average precision; None
    where it is not defined (no image of the class, or no other). ``points``: (false positive rate, true positive
    rate), or (recall, precision), at most ``MOST_POINTS``; none where only the area is kept."""

    area: float | None
    points: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Curves:
    """One curve for each class, in their order. ``macro``: the mean over the classes that have one; its area is the
    mean of theirs. ``num_images``: on which they were measured, fewer than all where those were too many."""

    classes: list[Curve]
    macro: Curve
    num_images: int


@dataclass(frozen=True)
class Shown:
    """An image that is shown. ``index``: its place in the split, from 0; ``file``: its name in its source, if it has
    one. ``confidence``: the softmax of the predicted class. ``heat``: the image with its Grad-CAM for the predicted
    class laid over it; None where the network has no map."""

    index: int
    file: str | None
    true: int
    predicted: int
    confidence: float
    picture: str
    heat: str | None


@dataclass(frozen=True)
class Prepared:
    """A training image as it is, and as the network was given it in an epoch: cropped, mirrored, mixed..."""

    index: int
    label: int
    original: str
    prepared: str


@dataclass(frozen=True)
class Embedding:
    """Inputs of the last linear layer, in two dimensions: a point an image, of at most ``MOST_EMBEDDED`` images,
    sampled evenly. ``explained``: the share of the variance that each of the two principal components has."""

    num_features: int
    indexes: list[int]  # the place of each image in the split
    labels: list[int]
    right: list[bool]
    pca: list[tuple[float, float]]
    explained: tuple[float, float]
    tsne: list[tuple[float, float]] | None = None  # only if it was asked for


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Analysis of a network on a split of labelled images. Lists "by class" are in the order of ``classes``."""

    format: int = FORMAT
    nasctl: str  # version
    network: str  # what it is, in a line
    run: str | None  # its run and trial; None for an exported folder
    trial: str | None
    model: str | None  # the exported folder; None for a trial of a run
    data: str  # what its images are called
    split: Literal["rank", "test", "given"]  # "given": other images than the run's own, by --data
    num_images: int
    num_broken: int = 0  # files that could not be read; not among the images
    num_classes: int
    classes: list[str]
    input_shape: tuple[int, int, int]  # (C, H, W)
    train_counts: list[int] | None  # images to train on by class; None if it is not known
    counts: list[int]  # images of the split by class
    right: list[int]  # of these, the recognised ones
    recalls: list[float | None]  # by class; None without an image
    precisions: list[float | None]  # by class; None if nothing was taken for it
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    confusion: list[list[int]] | None  # true classes (rows) by predicted ones; None above ``MOST_CLASSES`` classes
    worst_pairs: list[tuple[int, int, int]]  # true, predicted, images: the most first, at most ``MOST_PAIRS``
    calibration: Calibration
    roc: Curves
    pr: Curves
    layer: str | None  # whose maps Grad-CAM weighs; None where there is none
    misclassified: list[Shown] = field(default_factory=list)  # the most confident first
    examples: list[Shown] = field(default_factory=list)  # right ones, class by class
    augmented: list[Prepared] = field(default_factory=list)
    embedding: Embedding | None = None  # None: the network does not end in a linear layer
    # By what they show: augmented, misclassified, examples, filters, confusion, recall, bars, roc, precision_recall,
    # calibration, embedding_pca, embedding_tsne.
    pictures: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)  # what should be known of it, a sentence each


def analysis_folder(run: Path, trial: str) -> Path:
    """Folder of a trial's analysis in the folder of its run; it may not be there."""
    return run / FOLDER / trial


def write_analysis(folder: Path, analysis: Analysis) -> None:
    """Write ``analysis.json``, whole or not at all, into ``folder``, which its pictures are in. OSError if it cannot be
    written."""
    write_atomically(folder / FILE, json.dumps(asdict(analysis), allow_nan=False) + "\n")


def read_analysis(folder: Path) -> Analysis:
    """Read what ``write_analysis`` wrote. RunError if it is not there, damaged, or of another version."""
    from pydantic import TypeAdapter, ValidationError

    path = folder / FILE
    again = "make it again: nasctl analyze."
    try:
        text = path.read_bytes()
        found = json.loads(text)["format"]
        analysis = TypeAdapter(Analysis).validate_json(text) if found == FORMAT else None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); {again}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise RunError(f"{path} is damaged ({'.'.join(map(str, first['loc']))}: {first['msg']}); {again}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}); {again}") from error
    if analysis is not None and not _agrees(analysis):
        raise RunError(f"{path} is damaged (its lists differ in length); {again}")
    if analysis is None:
        raise RunError(f"{path} is in format {found}, and this nasctl reads {FORMAT}; {again}")
    return analysis


def _agrees(analysis: Analysis) -> bool:
    """True if what is told class by class, and point by point, is told of all."""
    by_class: list[Sized | None] = [
        analysis.counts, analysis.right, analysis.recalls, analysis.precisions, analysis.train_counts,
        analysis.roc.classes, analysis.pr.classes, analysis.confusion, *(analysis.confusion or []),
    ]  # fmt: skip
    named = {
        label for shown in (*analysis.misclassified, *analysis.examples) for label in (shown.true, shown.predicted)
    }
    named |= {label for true, given, _ in analysis.worst_pairs for label in (true, given)}
    by_point: list[Sized | None] = []
    if found := analysis.embedding:
        by_point = [found.labels, found.indexes, found.right, found.pca, found.tsne]
        named |= set(found.labels)
    classes = len(analysis.classes)
    return (
        classes == analysis.num_classes
        and all(each is None or len(each) == classes for each in by_class)
        and len({len(each) for each in by_point if each is not None}) <= 1
        and all(0 <= label < classes for label in named)
    )


def kept_analysis(run: Path, trial: str) -> Analysis | None:
    """The analysis of a trial that lies in the folder of its run; None if there is none. RunError if it is damaged."""
    folder = analysis_folder(run, trial)
    return read_analysis(folder) if (folder / FILE).is_file() else None
