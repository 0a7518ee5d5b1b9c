"""Recall and confusion by class, calibration, curves, and the images of an analysis."""

from __future__ import annotations

import base64
import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nas.analysis.record import Analysis, Calibration, Curves, Embedding, Shown, analysis_folder, kept_analysis
from nas.errors import RunError
from nas.report.html.markup import Cell, Markup, Part, Row, joined, name_of, number, table, tag
from nas.report.html.provenance import MOST_CLASSES, name_of_cell
from nas.report.html.svg import Axis, Plot, canvas, figure, key, linear
from nas.report.metric_text import decimal
from nas.report.recalls import Recalls, few_images_words, recalls_of
from nas.runs import SearchRun
from nas.units import counted

OPTIMISTIC = (
    "Confusion, mistakes and calibration are those of the weights to export, on the rank split, by which they were "
    "chosen: they can look better than they are. Recall of each class is on test."
)
NAMED = 14  # classes whose names stand under their bars
HEAT = 430  # side of a confusion matrix, in units
WORST = 5  # classes that are named
THUMBS, AUGMENTED = 24, 12
LARGEST_THUMB, LARGEST_PICTURE = 60_000, 400_000  # bytes of a picture that is put into the page


Kept = tuple[Analysis, Path]
"""An analysis, and the folder of its pictures."""


def classes(run: SearchRun, kept: Kept | None, remark: str | None) -> Markup | None:
    """Of the winner, on test as it was scored; what was ``kept`` of its analysis, or why that cannot be shown
    (``kept_of_winner``); of a run without either, nothing."""
    found = recalls_of(run)
    if found is None and kept is None and remark is None:
        return None
    return joined(
        [tag("p", remark)] if remark else None,
        tag("p", OPTIMISTIC, class_="note") if kept and kept[0].split == "rank" else None,
        _weak(run, found, kept[0] if kept else None) if found else None,
        tag("div", recall_figure(found) if found else None, [analysis_parts(*kept)] if kept else None, class_="grid2"),
        [thumbs(*kept), filters(*kept)] if kept else _none_kept(run),
    )


def kept_of_winner(run: SearchRun) -> tuple[Kept | None, str | None]:
    """The winner's analysis with its folder, if one was kept; why it cannot be shown, if so."""
    if run.winner is None:
        return None, None
    for trial in (run.winner.weights, run.winner.trial):
        try:
            if (analysis := kept_analysis(run.folder, trial)) is not None:
                return (analysis, analysis_folder(run.folder, trial)), None
        except RunError as error:
            return None, f"The winner's stored analysis cannot be shown: {' '.join(error.args)}"
    return None, None


def _none_kept(run: SearchRun) -> Markup | None:
    if run.winner is None or not run.facts.counts:
        return None
    return tag("p", "Confusion, misclassified images, Grad-CAM and calibration are made by ",
               tag("code", f"nasctl analyze {run.name}"), ", and then appear here.", class_="note")  # fmt: skip


def _weak(run: SearchRun, found: Recalls, analysis: Analysis | None) -> Markup:
    order = sorted((i for i, recall in enumerate(found.recalls) if recall is not None),
                   key=lambda i: (found.recalls[i] or 0.0, found.train[i]))  # fmt: skip
    said = []
    for i in order[: 3 if len(order) > 4 else 1]:
        said.append(tag("li", tag("strong", name_of(found.classes[i])), f": recall {decimal(found.recalls[i])} on "
                        f"{found.split} ({counted(found.counts[i], 'image')}), with "
                        f"{counted(found.train[i], 'image')} in train"
                        , _taken_for(i, analysis), "."))  # fmt: skip
    return joined(tag("p", "The weakest classes:"), tag("ul", said), tag("p", few_images_words(found)))


def _taken_for(place: int, analysis: Analysis | None) -> Part:
    if analysis is None or analysis.confusion is None:
        return None
    row = analysis.confusion[place]
    other = max((j for j in range(len(row)) if j != place), key=lambda j: row[j], default=None)
    if other is None or not row[other]:
        return None
    return ["; on ", analysis.split, " most often predicted as ", name_of(analysis.classes[other]),
            f" ({row[other]} of {sum(row)} images)"]  # fmt: skip


def recall_figure(found: Recalls, whose: str = "") -> Markup:
    """A bar a class; ``whose``: words before the title."""
    order = sorted(range(len(found.classes)), key=lambda i: -found.train[i])
    shown, note = order, None
    if len(order) > MOST_CLASSES:
        shown = [*order[: MOST_CLASSES // 2], *order[-MOST_CLASSES // 2 :]]
        note = f"{len(order) - len(shown):,} classes between the ends are left out."
    few = len(shown) <= NAMED
    ticks = tuple((place, _short(found.classes[i])) for place, i in enumerate(shown)) if few else ()
    words = "class, those with most training images first" + ("" if few else " (names: pointer, or table)")
    plot = Plot(
        Axis(words, -0.6, len(shown) - 0.4, ticks=ticks), linear(f"recall on {found.split}", [], include=(0, 1))
    )
    wide = 0.7 * (plot.width - 70) / len(shown)
    for place, i in enumerate(shown):
        recall = found.recalls[i]
        if recall is None:
            continue
        top, foot = plot.at_y(recall), plot.at_y(0)
        plot.parts.append(tag("rect", x=round(plot.at_x(place) - wide / 2, 1), y=top, width=round(max(wide, 0.8), 1),
                              height=max(foot - top, 0.5), class_="c0",
                              data_tip=f"{found.classes[i]}: recall {decimal(recall)}\n"
                                       f"{found.train[i]:,} training images, "
                                       f"{found.counts[i]:,} on {found.split}"))  # fmt: skip
    rows = [Row([name_of_cell(found.classes[i]), number(found.train[i]), number(found.counts[i]),
                 number(found.recalls[i], decimal(found.recalls[i]))]) for i in shown]  # fmt: skip
    behind = table(("class", "to train on", f"on {found.split}", "recall"), rows, caption="Recall of each class",
                   sortable=True)  # fmt: skip
    mean = statistics.fmean(recall for recall in found.recalls if recall is not None)
    return figure(
        f"{whose}Recall of each class, {found.words}",
        plot.drawn(f"Recall of {len(shown)} classes, {decimal(mean)} on average."),
        behind,
        note,
    )


def analysis_parts(analysis: Analysis, folder: Path) -> Iterator[Markup | None]:
    """Pictures of what was kept of an analysis."""
    if sum(analysis.right) == analysis.num_images:
        yield tag(
            "p",
            f"All {analysis.num_images:,} images of {analysis.split} are correctly classified: there is no "
            "confusion to show, and the curves are perfect.",
            class_="note",
        )
        yield _calibration(analysis.calibration, analysis)
        yield from _embedding(analysis)
        return
    yield _confusion(analysis)
    yield _calibration(analysis.calibration, analysis)
    yield _curves(analysis.roc, "ROC curve, macro average", ("false positive rate", "true positive rate"), "area",
                  analysis)  # fmt: skip
    yield _curves(analysis.pr, "Precision-recall curve, macro average", ("recall", "precision"), "average precision",
                  analysis)  # fmt: skip
    yield from _embedding(analysis)


def _confusion(analysis: Analysis) -> Markup:
    title = f"Confusion on {analysis.split} ({analysis.num_images:,} images)"
    pairs = [Row([name_of_cell(analysis.classes[true]), Cell(name_of(analysis.classes[other])), number(count)])
             for true, other, count in analysis.worst_pairs]  # fmt: skip
    behind = table(("true", "predicted", "images"), pairs, caption="Most frequent mistakes")
    if analysis.confusion is None:
        return tag("figure", tag("figcaption", title), behind)
    size, names = len(analysis.confusion), [_short(name) for name in analysis.classes]
    room = 12 + 6.2 * max(map(len, names)) if size <= 70 else 20
    side = HEAT / size
    parts, every = [], -(-size * 11 // HEAT)
    for i, row in enumerate(analysis.confusion):
        total = sum(row)
        if i % every == 0:
            y = 4 + (i + 0.5) * side
            parts.append(tag("text", names[i], x=room - 5, y=round(y + 4, 1), class_="end small"))
            x = round(room + (i + 0.5) * side + 4, 1)
            parts.append(tag("text", names[i], transform=f"translate({x} {HEAT + 10}) rotate(-90)", class_="end small"))
        for j, count in enumerate(row):
            if count:
                kind = "c0" if i == j else "c1"
                parts.append(tag(
                    "rect", x=round(room + j * side, 1), y=round(4 + i * side, 1), width=round(side, 1),
                    height=round(side, 1), class_=f"heat {kind}", fill_opacity=round(max(0.12, count / total), 2),
                    data_tip=f"{analysis.classes[i]} predicted as {analysis.classes[j]}: {count} of {total}",
                ))  # fmt: skip
                if size <= 12:
                    parts.append(tag("text", str(count), x=round(room + (j + 0.5) * side, 1),
                                     y=round(8 + (i + 0.5) * side, 1), class_="mid small halo"))  # fmt: skip
    frame = tag("path", d=f"M{room} 4H{room + HEAT}V{4 + HEAT}H{room}Z", class_="frame")
    wrong = analysis.num_images - sum(analysis.right)
    words = f"Confusion matrix of {size} classes; {wrong} of {analysis.num_images} images are wrong."
    picture = canvas(room + HEAT + 8, HEAT + room + 6, words, parts, frame)
    note = "Rows: true classes; columns: predicted ones. The stronger the colour, the larger the share of the row."
    return figure(title, picture, behind, note, key(("c0 square", "right"), ("c1 square", "wrong")))


def _calibration(found: Calibration, analysis: Analysis) -> Markup:
    axes = linear("confidence", [], include=(0, 1)), linear("accuracy", [], include=(0, 1))
    plot = Plot(*axes)
    plot.line([(0, 0), (1, 1)], "floor", "ideal confidence")
    bins = [one for one in found.bins if one.count and one.confidence is not None and one.accuracy is not None]
    points = [(one.confidence or 0.0, one.accuracy or 0.0) for one in bins]
    for one, (x, y) in zip(bins, points, strict=True):
        size = 3 + 7 * math.sqrt(one.count / analysis.num_images)
        plot.dot(x, y, "c0", f"{one.count:,} images: confidence {x:.2f}, accuracy {y:.2f}", size=round(size, 1))
    rows = [Row([f"{one.low:.2f} to {one.high:.2f}", number(one.count), number(one.confidence, decimal(one.confidence)),
                 number(one.accuracy, decimal(one.accuracy))]) for one in found.bins]  # fmt: skip
    behind = table(("confidence", "images", "mean confidence", "right"), rows, caption="Bins of confidence")
    legend = key(("c0", "bins of confidence (larger: more images)"), ("line floor", "ideal"))
    return figure(f"Calibration on {analysis.split}: expected calibration error {decimal(found.ece)}",
                  plot.drawn(f"Reliability diagram; expected calibration error {decimal(found.ece)}."), behind,
                  "Below the line the network is overconfident, above it underconfident.", legend)  # fmt: skip


def _curves(curves: Curves, title: str, labels: tuple[str, str], area: str, analysis: Analysis) -> Markup | None:
    if not curves.macro.points:
        return None
    plot = Plot(linear(labels[0], [], include=(0, 1)), linear(labels[1], [], include=(0, 1)))
    steps = curves is analysis.pr  # precision holds from one recall to the next
    known = [(i, one) for i, one in enumerate(curves.classes) if one.area is not None]
    worst = sorted(known, key=lambda pair: pair[1].area or 0.0)[:WORST]
    for i, one in worst:
        if one.points:
            plot.line(one.points, "c1 faint", f"{analysis.classes[i]}: {area} {decimal(one.area)}", up_first=steps)
    plot.line(curves.macro.points, "c0 strong", f"macro average: {area} {decimal(curves.macro.area)}",
              up_first=steps)  # fmt: skip
    rows = [Row([name_of_cell(analysis.classes[i]), number(one.area, decimal(one.area))]) for i, one in
            sorted(known, key=lambda pair: pair[1].area or 0.0)[:MOST_CLASSES]]  # fmt: skip
    behind = table(("class", area), rows, caption=f"{area.capitalize()} of each class, the lowest first", sortable=True)
    legend = key(("line c0", f"macro average: {area} {decimal(curves.macro.area)}"),
                 ("line c1", "the worst classes"))  # fmt: skip
    return figure(f"{title}, {analysis.split}", plot.drawn(f"{title}: {area} {decimal(curves.macro.area)}."), behind,
                  legend=legend)  # fmt: skip


def _embedding(analysis: Analysis) -> Iterator[Markup]:
    """Inputs of the last layer, by principal components, and by t-SNE if that was asked for."""
    found = analysis.embedding
    if found is None or not found.pca:
        return
    first, second = (f"{100 * share:.0f} % of the variance" for share in found.explained)
    yield _scatter(analysis, found, found.pca, (f"first component ({first})", f"second component ({second})"),
                   "by principal components")  # fmt: skip
    if found.tsne:
        yield _scatter(analysis, found, found.tsne, ("t-SNE, first", "t-SNE, second"), "by t-SNE")


def _scatter(
    analysis: Analysis, found: Embedding, places: Sequence[tuple[float, float]], labels: tuple[str, str], how: str
) -> Markup:
    array = np.asarray(places)
    plot = Plot(linear(labels[0], array[:, 0]), linear(labels[1], array[:, 1]))
    for (x, y), label, right in zip(places, found.labels, found.right, strict=True):
        if right:
            plot.dot(x, y, "c0 faint", f"{analysis.classes[label]}", size=3)
    for (x, y), label, right in zip(places, found.labels, found.right, strict=True):
        if not right:
            plot.square(x, y, "c1", f"{analysis.classes[label]}, misclassified")
    words = f"{len(places)} images of {analysis.split} in two dimensions, {found.right.count(False)} of them wrong."
    legend = key(("c0 faint", "recognised"), ("c1 square", "not recognised"))
    note = f"Embeddings, the input of the last layer ({counted(found.num_features, 'number')} per image), {how}."
    return figure(f"Images as the network sees them, {analysis.split}, {how}", plot.drawn(words), None, note, legend)


def filters(analysis: Analysis, folder: Path) -> Markup | None:
    """The picture of the filters, if one was drawn."""
    name = analysis.pictures.get("filters")
    made = _image(folder / name, "Filters of the convolutions", "picture", LARGEST_PICTURE) if name else None
    return joined(tag("h3", "Filters (bright is a large weight)"), made) if made else None


def as_given(analysis: Analysis, folder: Path) -> Markup | None:
    """Training images, and each as the network was given it in an epoch."""
    items = []
    for one in analysis.augmented[:AUGMENTED]:
        name = analysis.classes[one.label]
        pair = [made for picture, words in ((one.original, name), (one.prepared, f"{name}, as given"))
                if (made := _image(folder / picture, words))]  # fmt: skip
        if pair:
            items.append(tag("li", tag("div", pair, class_="pair"), tag("span", name_of(name))))
    if not items:
        return None
    title = "Training images, original and augmented"
    return joined(tag("h3", title), tag("ul", items, class_="thumbs"))


def thumbs(analysis: Analysis, folder: Path) -> Markup | None:
    """Images with their Grad-CAM: the misclassified ones, and some that are right."""
    parts: list[Part] = []
    for title, images, wrong in (
        (f"Misclassified on {analysis.split}, the most confident first", analysis.misclassified, True),
        ("Correctly classified, a few of each class", analysis.examples, False),
    ):
        items = [item for one in images[:THUMBS] if (item := _thumb(one, analysis, folder, wrong=wrong))]
        if items:
            parts += [tag("h3", title), tag("ul", items, class_="thumbs")]
    if not parts:
        return None
    where = f"; {analysis.layer}" if analysis.layer else ""
    note = tag("p", f"To the right of each image: Grad-CAM (Selvaraju et al. 2017{where}), the regions that "
               "contribute to the predicted class.", class_="note")  # fmt: skip
    return joined(parts[:1], note, parts[1:])


def _thumb(one: Shown, analysis: Analysis, folder: Path, *, wrong: bool) -> Markup | None:
    true, answer = analysis.classes[one.true], analysis.classes[one.predicted]
    words = f"{true}, predicted as {answer}" if wrong else true
    images = [made for name, alt in ((one.picture, words), (one.heat, f"Grad-CAM of {words}"))
              if name and (made := _image(folder / name, alt))]  # fmt: skip
    if not images:
        return None
    said: list[Part] = [name_of(true)]
    if wrong:
        said += [", predicted as ", name_of(answer)]
    return tag("li", tag("div", images, class_="pair"),
               tag("span", said, f" ({100 * one.confidence:.0f} %)", f", {one.file}" if one.file else ""))  # fmt: skip


def _image(path: Path, words: str, kind: str | None = None, largest: int = LARGEST_THUMB) -> Markup | None:
    """A PNG put into the page; None where it is gone or too large."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) > largest or not content.startswith(b"\x89PNG"):
        return None
    return tag("img", src=f"data:image/png;base64,{base64.b64encode(content).decode()}", alt=words, class_=kind)


def _short(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11]}…"
