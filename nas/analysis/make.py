"""An analysis, whole: the network asked, the metrics computed, the pictures drawn, all of it put into one folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nas.analysis.answers import Batches, Gallery, Labels, Picked, Pixels, Progress, answers_to
from nas.analysis.convolutions import layer_errors, layers_in
from nas.analysis.measure import measured
from nas.analysis.prepared_images import prepared_images
from nas.analysis.projections import embedding_of
from nas.analysis.record import (
    FILE,
    MOST_SHOWN,
    Analysis,
    Prepared,
    Shown,
    analysis_folder,
    write_analysis,
)
from nas.analysis.subject import Subject, subject_of
from nas.analysis.thumbnails import Canvas, Entry, fitted, heated, sheet, shown_name, write_png
from nas.config import DataConfig, raise_all
from nas.data.loading import image_names
from nas.errors import RunError, UsageError, attempt, reason
from nas.export.fingerprints import Fingerprints, fingerprints, known_images, trained_on
from nas.files import new_folder
from nas.runs.hints import RUNS
from nas.training.tensor_split import CPU_CHUNK

if TYPE_CHECKING:
    from nas.analysis.figures import Figure
    from nas.export.evaluate import Labelled

Own = Literal["rank", "test"]
OWN: tuple[Own, ...] = ("rank", "test")
AS_GIVEN = "Left: original; right: augmented, as in an epoch of training."
IMAGES = "images"  # folder of the small pictures
_OURS = re.compile(  # what an analysis wrote, also where its file is damaged
    r"analysis\.json|(misclassified|examples|augmented|filters|confusion|recall|bars|roc|precision_recall|calibration|"
    r"embedding_pca|embedding_tsne)\.png|images/(wrong|right|train)-\d\d(-heat|-prepared)?\.png"
)
Names = Callable[[int], str | None]


def analyze(
    name: str | Path,
    *,
    runs: str | Path = RUNS,
    out: str | Path | None = None,
    split: Own = "rank",
    data: str | Path | DataConfig | None = None,
    tsne: bool = False,
    layers: Sequence[str] = (),
) -> Analysis:
    """Analyse the network called ``name`` on labelled images: what ``nasctl analyze`` writes, and gives as JSON.

    ``name``: RUN for its winner, RUN:TRIAL, STUDY:MEMBER, or an exported folder. See ``analyze_subject`` for the rest.
    UsageError with every error.
    """
    if split not in OWN:
        raise UsageError(f"split={split!r} is not a split to analyze: give 'rank' or 'test'.")
    given = DataConfig(source=str(data)) if isinstance(data, str | Path) else data
    subject, folder = subject_of(str(name), Path(runs)), None if out is None else Path(out)
    return analyze_subject(subject, folder, split=split, data=given, tsne=tsne, layers=layers)[0]


def analyze_subject(
    subject: Subject,
    out: Path | None = None,
    *,
    split: Own = "rank",
    data: DataConfig | None = None,
    tsne: bool = False,
    layers: Sequence[str] = (),
    pictures: bool = True,
    progress: Progress | None = None,
) -> tuple[Analysis, Path]:
    """Analyse a network on a split of its run's data, or on other ``data``; what was found, and the folder that has it.

    The folder is ``out``, or the trial's own, or ``analysis-NAME`` here (see ``usual_folder``). It appears whole, or
    not at all, in the place of an earlier analysis. ``layers``: whose filters are drawn. Without
    ``pictures`` the numbers and the small images are all that is written, which takes no matplotlib. UsageError for a
    layer that there is not, data that cannot be used, or a folder that has other files.
    """
    folder = out or usual_folder(subject, own=data is None)
    errors = layer_errors({"the network": layers_in(subject.network.module)}, layers)
    attempt(lambda: check_folder(folder), errors)
    raise_all(errors)
    found, gallery, name_of = asked(subject, split, data, tsne=tsne, progress=progress)
    try:
        with new_folder(folder) as work:
            found, sheets = _with_images(subject, found, gallery, name_of, work)
            if pictures:
                found = replace(found, pictures=_drawn(subject, found, sheets, layers, work))
            write_analysis(work, found)
            _make_way(folder, subject)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {reason(error)}. Give --out another folder.") from error
    return found, folder


def asked(
    subject: Subject,
    split: Own = "rank",
    data: DataConfig | None = None,
    *,
    tsne: bool = False,
    progress: Progress | None = None,
) -> tuple[Analysis, Gallery, Names]:
    """Answers of the network, as numbers without pictures; the images to show; the function that names the file of
    each."""
    labelled, name_of = _labelled(subject, split, data, progress)
    seen = Seen(labelled.chunks, known_to(subject) if data else None)
    train = subject.train_counts
    order = sorted(range(len(subject.classes)), key=lambda label: -train[label] if train else label)
    gallery = Gallery.of(order)
    answers = answers_to(subject.network, seen, labelled.count, gallery, None if data else progress)
    if not len(answers.labels):
        raise UsageError(
            f"No image of {labelled.data} can be read: {', '.join(labelled.broken[:5])}. Give other images."
        )
    found = measured(
        answers, list(subject.classes), network=subject.text, run=subject.run.name if subject.run else None,
        trial=subject.trial, model=str(subject.model) if subject.model else None, data=labelled.data,
        split="given" if data else split, input_shape=subject.preprocessing.shape,
        train_counts=list(train) if train else None, embedding=embedding_of(answers, tsne=tsne),
        remarks=remarks(labelled, seen.known_ones), num_broken=len(labelled.broken),
    )  # fmt: skip
    return found, gallery, name_of


@dataclass(frozen=True)
class Images:
    """A split of a run's own data, of which nothing is missing or broken; see ``nas.export.evaluate.Labelled``."""

    data: str
    chunks: Batches
    count: int
    missing: Sequence[str] = ()
    surplus: Sequence[str] = ()
    broken: Sequence[str] = ()
    clipped: int = 0


class Seen:
    """Batches of images as they come, which counts those that a network was trained on."""

    def __init__(self, batches: Batches, known: Fingerprints | None) -> None:
        self.batches, self.known, self.known_ones = batches, known, 0

    def __iter__(self) -> Iterator[tuple[Pixels, Labels]]:
        for pixels, labels in self.batches:
            if self.known is not None:
                self.known_ones += int(np.isin(fingerprints(pixels), self.known).sum())
            yield pixels, labels


def known_to(subject: Subject) -> Fingerprints | None:
    """Known fingerprints of the images that a network was trained on."""
    if subject.model is not None:
        return known_images(subject.model)
    return None if subject.dataset is None else trained_on(subject.dataset)


def usual_folder(subject: Subject, *, own: bool = True) -> Path:
    """Default folder of an analysis: beside the run's other files; here, if it is not on the run's own images, or of an
    exported folder, into which nothing is written."""
    if subject.run is None:
        assert subject.model is not None
        return Path(f"analysis-{subject.model.resolve().name}")
    assert subject.trial is not None
    return (
        analysis_folder(subject.run.folder, subject.trial)
        if own
        else Path(f"analysis-{subject.run.name}-{subject.trial}")
    )


def check_folder(folder: Path) -> None:
    """UsageError if an analysis must not be put there: other files are in it."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give --out another name.")
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
    if others := [name for name in files if FILE not in files or not _OURS.fullmatch(name)]:
        raise UsageError(f"{folder} holds other files ({', '.join(others[:3])}); give --out an empty or new folder.")


def remarks(labelled: Labelled | Images, trained_on: int) -> list[str]:
    """Remarks on why the metrics say less than they seem to. ``trained_on``: the number of images that were trained
    on."""
    said = []
    if trained_on:
        said.append(
            f"Images that the network was trained on, where it does better than on new images: {trained_on:,} of these."
        )
    if labelled.missing:
        said.append(f"Classes without images here: {', '.join(labelled.missing[:20])}.")
    if labelled.surplus:
        said.append(f"Classes that the network does not know, left out: {', '.join(labelled.surplus[:20])}.")
    if labelled.broken:
        said.append(f"Files that could not be read, left out ({len(labelled.broken):,}): {labelled.broken[0]}.")
    if labelled.clipped:
        said.append(f"Images with values outside the range of training, which were clipped: {labelled.clipped:,}.")
    return said


def _labelled(
    subject: Subject, split: Own, data: DataConfig | None, progress: Progress | None
) -> tuple[Labelled | Images, Names]:
    """The images, and what gives the name of the file of each."""
    if data is not None:
        from nas.export.evaluate import other_data  # which the worker of ``keep`` need not import

        given = other_data(data, subject.classes, subject.preprocessing, progress)
        return given, lambda at: given.names[at] if given.names[at] != f"image {at}" else None
    own = subject.own(split)
    of_split, config = own.split(split), subject.data_config
    names = None if config is None else attempt(lambda: image_names(config), [])
    chunks = of_split.batches(CPU_CHUNK)
    return Images(own.name, chunks, len(of_split.rows)), lambda at: None if names is None else names[of_split.rows[at]]


def _with_images(
    subject: Subject, found: Analysis, gallery: Gallery, name_of: Names, work: Path
) -> tuple[Analysis, dict[str, list[Entry]]]:
    """The analysis with its single images, which lie in ``work``, and what a sheet of each kind has."""
    (work / IMAGES).mkdir()
    layer = subject.network.map_layer(np.zeros((1, *found.input_shape), np.uint8))
    wrong, wrong_entries = _shown(subject, gallery.wrong, "wrong", name_of, work)
    right, right_entries = _shown(subject, gallery.examples, "right", name_of, work)
    train, train_entries = _prepared(subject, work)
    sheets = {"misclassified": wrong_entries, "examples": right_entries, "augmented": train_entries}
    return replace(found, layer=layer, misclassified=wrong, examples=right, augmented=train), sheets


def _drawn(
    subject: Subject, found: Analysis, sheets: Mapping[str, list[Entry]], layers: Sequence[str], work: Path
) -> dict[str, str]:
    """The pictures, which lie in ``work``: the name of the file of each."""
    from nas.analysis import figures, views

    title = views.title_of(found)
    beside = views.BESIDE if found.layer else "The network has no feature map larger than 1x1, so there is no Grad-CAM."
    said = f"Of each image: its class, the prediction and its confidence. {beside}"
    trained = f"Images that {views.name_of(found)} was trained on"
    drawn: dict[str, Callable[[], Figure | None]] = {
        "misclassified": _sheet(
            f"Misclassified images, the most confident first: {title}", said, sheets["misclassified"]
        ),
        "examples": _sheet(
            f"Right answers: {title}",
            f"Of each image: its class and the confidence of the prediction. {beside}",
            sheets["examples"],
        ),
        "augmented": _sheet(trained, AS_GIVEN, sheets["augmented"]),
        "filters": lambda: views.filters(subject.network.module, layers, title=f"Filters of {views.name_of(found)}"),
        "confusion": lambda: views.confusion(found),
        "recall": lambda: views.recall(found),
        "bars": lambda: views.bars(found),
        "roc": lambda: views.roc(found),
        "precision_recall": lambda: views.precision_recall(found),
        "calibration": lambda: views.reliability(found),
        "embedding_pca": lambda: views.embedding(found) if found.embedding else None,
        "embedding_tsne": lambda: views.embedding(found, "tsne") if found.embedding and found.embedding.tsne else None,
    }
    pictures = {}
    for name, draw in drawn.items():
        if (figure := draw()) is not None:
            figures.save(figure, work / f"{name}.png")
            pictures[name] = f"{name}.png"
    return pictures


def _sheet(title: str, below: str, entries: Sequence[Entry]) -> Callable[[], Any]:
    def draw() -> Any:
        from nas.analysis import figures

        return figures.picture_figure(*sheet(title, below, entries)) if entries else None

    return draw


def _shown(
    subject: Subject, picked: Sequence[Picked], stem: str, name_of: Names, work: Path
) -> tuple[list[Shown], list[Entry]]:
    """Images with their heat maps as small files, and as entries of a sheet."""
    if not picked:
        return [], []
    maps = subject.network.maps(np.stack([one.pixels for one in picked]), np.array([one.predicted for one in picked]))
    shown, entries = [], []
    for number, one in enumerate(picked):
        picture, heat = _png(work, f"{stem}-{number:02}", fitted(one.pixels)), None
        beside = [fitted(one.pixels)]
        if maps is not None:
            beside.append(heated(one.pixels, maps[number]))
            heat = _png(work, f"{stem}-{number:02}-heat", beside[-1])
        file = name_of(one.index)
        shown.append(Shown(one.index, file, one.true, one.predicted, one.confidence, picture, heat))
        names = [subject.classes[label] for label in (one.true, one.predicted)]
        words = f"true: {shown_name(names[0])}" + (
            f"\npredicted: {shown_name(names[1])}" if one.true != one.predicted else ""
        )
        place = shown_name(Path(file).name, 20) if file else f"image {one.index}"
        entries.append(Entry(beside, f"{words}\nconfidence {one.confidence:.1%}\n{place}"))
    return shown, entries


def _prepared(subject: Subject, work: Path) -> tuple[list[Prepared], list[Entry]]:
    """Training images beside what the network was given; none where they cannot be had."""
    if subject.dataset is None or subject.recipe is None:
        return [], []
    found, entries = [], []
    views = prepared_images(subject.network, subject.dataset.split("train"), subject.recipe, MOST_SHOWN)
    for number, (index, label, pixels, given) in enumerate(views):
        one, other = fitted(pixels), fitted(given)
        original = _png(work, f"train-{number:02}", one)
        found.append(Prepared(index, label, original, _png(work, f"train-{number:02}-prepared", other)))
        entries.append(Entry([one, other], shown_name(subject.classes[label], 20)))
    return found, entries


def _png(work: Path, stem: str, shown: Canvas) -> str:
    name = f"{IMAGES}/{stem}.png"
    write_png(work / name, shown)
    return name


def _make_way(folder: Path, subject: Subject) -> None:
    """Remove an earlier analysis, so that a new one can have its name. UsageError if other files came meanwhile, or the
    run went."""
    if subject.run is not None and not subject.run.folder.is_dir():
        raise RunError(f"The run {subject.run.folder} was removed: name another.")
    if folder.exists():
        check_folder(folder)
        shutil.rmtree(folder)
