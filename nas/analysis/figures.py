"""Figures as matplotlib draws them, from plain numbers and names. With ``nas.report.plots`` the only module that knows
matplotlib; it draws without a display and without pyplot, whose figures are global."""

from __future__ import annotations

import io
import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Figure
from matplotlib.text import Text
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from nas.analysis.record import Bin
from nas.analysis.thumbnails import Label, shown_name
from nas.files import write_atomically
from nas.text import shown

DPI = 120
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = "os^Dv<>P*X"  # beside colours, for who cannot tell these apart
DASHES = ("-", "--", ":", "-.")
PLAIN = "#BBBBBB"  # of what is not looked at
MOST_NAMED = 70  # classes whose names an axis shows
MOST_BARS, BARS_A_LINE = 100, 34  # classes
MOST_POINTED = 20  # classes that are named beside their points; of more, those of the ends
ENDS = 6  # classes at each end that are shown of many

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """A curve with its name."""

    name: str
    points: Points


def color(place: int) -> str:
    """The colour of a row: those of Okabe and Ito, which colour-blind readers tell apart; then they come again."""
    return COLORS[place % len(COLORS)]


def save(figure: Figure, path: Path) -> None:
    """Write a picture, whole or not at all, its texts ``as_written``. What the font lacks is a box, and no warning.
    OSError if it cannot be written, ValueError if its name ends as that of no kind of picture."""
    as_written(figure)
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(content, format=path.suffix[1:] or None)
    write_atomically(path, content.getvalue())


def as_written(figure: Figure) -> Figure:
    """The same, in which every text stands as it is: ``$`` begins no formula, and nothing in it is invisible."""
    for text in _words(figure):
        text.set_parse_math(False)
        text.set_text(shown(text.get_text()))
    return figure


def _words(figure: Figure) -> Iterator[Text]:
    """All texts but the numbers of axes, which matplotlib writes as formulas."""
    legends = [legend for axes in figure.axes if (legend := axes.get_legend()) is not None]
    for legend in (*figure.legends, *legends):
        yield from (*legend.get_texts(), legend.get_title())
    for axes in figure.axes:
        yield from (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)
    yield from figure.texts


def picture_figure(canvas: npt.NDArray[np.uint8], labels: Sequence[Label]) -> Figure:
    """A picture (H, W, 3), pixel by pixel, with text on it."""
    height, width = canvas.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(canvas, aspect="auto", interpolation="nearest", extent=(0, width, height, 0))
    axes.set_axis_off()
    for label in labels:
        axes.text(label.x, label.y, label.text, fontsize=label.size, va="top", linespacing=1.3, parse_math=False)
    return figure


def confusion_figure(title: str, classes: Sequence[str], confusion: npt.NDArray[np.int64]) -> Figure:
    """Rows of true classes that sum to 100 %, from counts (classes, classes); numbers in the cells up to 12 classes."""
    share = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = max(5.0, min(16.0, 2.8 + 0.42 * len(classes)))
    figure = Figure(figsize=(side + 1.0, side), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class (%)")
    step = 1 if len(classes) <= MOST_NAMED else math.ceil(len(classes) / MOST_NAMED)
    ticks = list(range(0, len(classes), step))
    names = [shown_name(classes[index]) for index in ticks]
    rotation = 90 if max(map(len, names)) > 2 else 0
    axes.set_xticks(ticks, names, rotation=rotation, fontsize=8, parse_math=False)  # "$" is a letter here
    axes.set_yticks(ticks, names, fontsize=8, parse_math=False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title, fontsize=10, parse_math=False)
    if len(classes) <= 12:
        for row, column in np.argwhere(share >= 0.5):
            shade = "white" if share[row, column] > 55 else "black"
            axes.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", color=shade, fontsize=8)
    return figure


def pairs_figure(title: str, pairs: Sequence[tuple[str, str, int]]) -> Figure:
    """The pairs of true and predicted class with most images, where there are too many classes for a matrix."""
    figure = Figure(figsize=(7.5, 1.4 + 0.28 * max(len(pairs), 1)), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    counts = [count for _, _, count in pairs]
    axes.barh(range(len(pairs)), counts, color=color(0))
    names = [f"{shown_name(true, 24)} predicted as {shown_name(given, 24)}" for true, given, _ in pairs]
    axes.set_yticks(range(len(pairs)), names, fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_xlabel("images")
    axes.set_title(title, fontsize=10, parse_math=False)
    return figure


def bars_figure(
    title: str, names: Sequence[str], images: Sequence[int], recognised: Sequence[float], *, what: str, order: str
) -> Figure:
    """All images of each class beside those recognised, with their share in per cent. Above ``MOST_BARS`` classes the
    first and the last are shown. ``what`` images these are, and in which ``order`` the classes stand, in words."""
    lines, hidden = lines_of_bars(len(names))
    longest = max(map(len, lines))
    figure = Figure(figsize=(max(6.5, 0.9 + 0.33 * longest), 1.3 + 2.5 * len(lines)), dpi=DPI, layout="constrained")
    panels = figure.subplots(len(lines), 1, squeeze=False)[:, 0]
    for number, (axes, line) in enumerate(zip(panels, lines, strict=True)):
        x = np.arange(len(line))
        whole, part = [images[index] for index in line], [recognised[index] for index in line]
        axes.bar(x - 0.2, whole, 0.4, color=PLAIN, label=f"all {what}")
        axes.bar(x + 0.2, part, 0.4, color=color(0), label="correctly classified (with their share in %)")
        for place, (of, right) in enumerate(zip(whole, part, strict=True)):
            axes.annotate(f"{100 * right / of:.0f}" if of else "-", (place + 0.2, right), (0, 1),
                          textcoords="offset points", ha="center", fontsize=7, color=color(0))  # fmt: skip
        text = [shown_name(names[index]) for index in line]
        axes.set_xticks(x, text, fontsize=8, rotation=90 if max(map(len, text)) > 3 else 0, parse_math=False)
        axes.set_xlim(-0.7, longest - 0.3)
        axes.margins(y=0.12)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.tick_params(axis="y", labelsize=8)
        if hidden and number == len(lines) // 2:
            axes.set_title(f"... {hidden:,} classes left out ...", fontsize=9)
    scales = "; each line has its own scale" if len(lines) > 1 else ""
    panels[-1].set_xlabel(f"class, {order}{scales}", fontsize=9)
    figure.supylabel(what, fontsize=9)
    total = f"{sum(recognised):,.0f} of {sum(images):,} correctly classified"
    figure.suptitle(f"{title}: {total}", fontsize=10, parse_math=False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    return figure


def lines_of_bars(classes: int) -> tuple[list[range], int]:
    """Classes in each line of a picture, and the number of those in none."""
    half = MOST_BARS // 2
    ends = [range(classes)] if classes <= MOST_BARS else [range(half), range(classes - half, classes)]
    lines = []
    for end in ends:
        length = math.ceil(len(end) / math.ceil(len(end) / BARS_A_LINE))
        lines += [end[at : at + length] for at in range(0, len(end), length)]
    return lines, classes - sum(map(len, ends))


def recall_figure(
    title: str, names: Sequence[str], counts: Sequence[int], recalls: Sequence[float], *, axis: str
) -> Figure:
    """The recall of each class against its number of images, a point a class; of many, those with the lowest recall
    are named. ``axis`` says what the numbers count."""
    figure = Figure(figsize=(8.5, 5.4), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    percent = [100 * recall for recall in recalls]
    axes.plot(counts, percent, "o", color=color(0), markersize=5, alpha=0.8 if len(names) <= 100 else 0.35)
    worst = sorted(range(len(names)), key=lambda at: (recalls[at], counts[at]))
    named = worst if len(names) <= MOST_POINTED else worst[: 2 * ENDS]
    if len(set(counts)) > 1 and min(counts, default=0) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(NullFormatter())
    _name_points(axes, [(counts[at], percent[at], shown_name(names[at])) for at in named])
    axes.set_ylim(-4, 106)
    axes.margins(x=0.12)
    axes.set_xlabel(f"{axis}{' (logarithmic)' if axes.get_xscale() == 'log' else ''}")
    axes.set_ylabel("recall (%)")
    axes.grid(alpha=0.3)
    hidden = len(names) - len(named)
    more = f"\nthe {len(named)} classes with the lowest recall are named, {hidden:,} are not" if hidden else ""
    axes.set_title(f"{title}{more}", fontsize=10, parse_math=False)
    return figure


def _name_points(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Names beside points. Points that lie within the text of another share it, so that no name lies on another."""
    exponents = [math.log(max(x, 1)) for x, _, _ in points]
    across = max(exponents, default=0.0) - min(exponents, default=0.0)
    groups: list[tuple[float, float, list[str]]] = []
    for x, y, name in sorted(points, key=lambda point: (point[0], point[1])):
        for left, level, names in groups:
            wide = 0.03 + 0.0115 * len(_together([*names, ""]))  # of the axis, by the size of letters
            if math.log(max(x, 1)) - math.log(max(left, 1)) <= wide * across and abs(y - level) < 3.2:
                names.append(name)
                break
        else:
            groups.append((x, y, [name]))
    for x, y, names in groups:
        axes.annotate(_together(names), (x, y), (5, 3), textcoords="offset points", fontsize=8, parse_math=False)


def _together(names: Sequence[str]) -> str:
    """As many names as a short text has room for, at least one, and how many more there are."""
    count = max(1, sum(length <= 20 for length in itertools.accumulate(len(name) + 2 for name in names)))
    more = f" +{len(names) - count}" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def lines_figure(
    title: str, lines: Sequence[Line], macro: Line, *, x: str, y: str, diagonal: bool = False, steps: bool = False,
    note: str = "",
) -> Figure:  # fmt: skip
    """ROC or precision-recall curves, a thick line for the macro average; with ``steps`` the value between two points
    is that of the right one. ``note``: of what is not shown."""
    figure = Figure(figsize=(8.6, 5.4), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    if diagonal:
        axes.plot([0, 1], [0, 1], color="grey", ls=":", lw=1, label="guessing")
    for place, line in enumerate(lines):
        style = {"color": color(place), "ls": DASHES[place // len(COLORS) % len(DASHES)], "lw": 1.1}
        style |= {"drawstyle": "steps-pre"} if steps else {}
        axes.plot(*_columns(line.points), **style, label=line.name)  # type: ignore[arg-type]
    if macro.points:
        axes.plot(*_columns(macro.points), color="black", lw=2.6, label=macro.name)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=10, parse_math=False)
    handles, names = axes.get_legend_handles_labels()
    legend = figure.legend(handles, names, loc="outside right center", fontsize=8, title_fontsize=8)
    legend.set_title(note)
    return as_written(figure)


def reliability_figure(title: str, bins: Sequence[Bin], ece: float) -> Figure:
    """Accuracy by confidence beside what it would be if confidence were to be believed, over the number of images."""
    figure = Figure(figsize=(6.4, 6.2), dpi=DPI, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [one for one in bins if one.accuracy is not None and one.confidence is not None]
    width = 1 / max(len(bins), 1)
    middles = [(one.low + one.high) / 2 for one in filled]
    upper.plot([0, 1], [0, 1], color="grey", ls=":", lw=1, label="confidence is accuracy")
    upper.bar(middles, [one.accuracy or 0.0 for one in filled], 0.94 * width, color=color(0), label="accuracy")
    upper.plot(
        [one.confidence or 0.0 for one in filled], [one.accuracy or 0.0 for one in filled], "D", color=color(1),
        markersize=5, label="mean confidence of the bin",
    )  # fmt: skip
    upper.set_ylabel("share of correct predictions")
    upper.set_ylim(0, 1.03)
    upper.legend(loc="upper left", fontsize=8)
    upper.set_title(f"{title}\nexpected calibration error (ECE) {ece:.3f}", fontsize=10, parse_math=False)
    lower.bar([(one.low + one.high) / 2 for one in bins], [one.count for one in bins], 0.94 * width, color=PLAIN)
    lower.set_ylabel("images")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    lower.set_xlabel("confidence: the probability of the predicted class")
    lower.set_xlim(0, 1)
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return figure


def embedding_figure(
    title: str, groups: Mapping[str, Points], wrong: Points, *, x: str, y: str, others: Points = (), note: str = ""
) -> Figure:
    """A point an image, a colour and a sign a group; those answered ``wrong`` are crossed. ``others``, of no group,
    are grey."""
    figure = Figure(figsize=(8.6, 6.0), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    if others:
        axes.plot(*_columns(others), ".", color=PLAIN, markersize=3, label=note, zorder=1)
    for place, (name, points) in enumerate(groups.items()):
        marker = MARKERS[(place + place // len(COLORS)) % len(MARKERS)]
        axes.plot(*_columns(points), marker, color=color(place), markersize=4.5, alpha=0.75, label=name, mew=0)
    if wrong:
        axes.plot(*_columns(wrong), "x", color="black", markersize=4.5, mew=0.8, label="answered wrongly")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=10, parse_math=False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=8, markerscale=1.3,
                  ncols=1 if len(groups) <= 30 else 2)  # fmt: skip
    return as_written(figure)


def _columns(points: Points) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
