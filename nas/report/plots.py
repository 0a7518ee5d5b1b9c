"""Pictures as PNG files. The only module that knows matplotlib; it draws without a display and without pyplot,
whose figures are global."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from nas.report import figures

Curves = Mapping[str, Sequence[Sequence[float]]]  # by name: for each seed, a figure of every epoch
DPI = 120
APART = 1.07  # factor between points of equal parameters
MOST_NAMED = 70  # classes whose names an axis shows
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MOST_TOGETHER = 7  # rows whose curves lie over each other; of more, each has its own
A_ROW = 4  # of those
MOST_BARS, BARS_A_LINE = 100, 34  # classes


@dataclass(frozen=True)
class Point:
    """One network in a plot of size against quality."""

    name: str
    group: str
    params: int
    mean: float
    spread: float | None


def color(place: int) -> str:
    """The colour of a row: those of Okabe and Ito, which colour-blind readers tell apart; then they come again."""
    return COLORS[place % len(COLORS)]


def recall_plot(
    path: Path, title: str, classes: Sequence[str], counts: Sequence[int], recalls: Mapping[str, Sequence[float]]
) -> None:
    """Test recall of every class for every row of a study, the classes with most training images first: curves, and
    above ``MOST_TOGETHER`` rows, where those would hide each other, a line of colours each."""
    order = sorted(range(len(classes)), key=lambda index: -counts[index])
    table = np.array([[100 * recall[index] for index in order] for recall in recalls.values()])
    wide = max(7.0, min(30.0, 3.2 + (0.42 if len(classes) <= 12 else 0.24) * len(classes)))
    if len(recalls) <= MOST_TOGETHER:
        figure = Figure(figsize=(wide, 5.2), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        for place, (name, line) in enumerate(zip(recalls, table, strict=True)):
            axes.plot(line, marker="os^Dv<>"[place], color=color(place), label=name, lw=1)
        axes.set_ylabel("recall on the test split (%)")
        axes.set_ylim(-3, 103)
        axes.grid(alpha=0.3)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    else:
        figure = Figure(figsize=(wide + 1.5, 1.6 + 0.28 * len(recalls)), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(table, cmap="cividis", vmin=0, vmax=100, aspect="auto")
        axes.set_yticks(range(len(recalls)), list(recalls), fontsize=8, parse_math=False)
        figure.colorbar(image, ax=axes, label="recall (%)")
    step = math.ceil(len(order) / MOST_BARS)
    small = len(order) > 12 or max(map(len, classes)) > 6
    labels = [f"{_short(classes[index])} ({counts[index]:,})" if small else
              f"{classes[index]}\n{counts[index]:,}" for index in order[::step]]  # fmt: skip
    axes.set_xticks(range(0, len(order), step), labels, rotation=90 if small else 0, fontsize=8, parse_math=False)
    axes.set_xlabel("class (images to train), the most frequent first")
    axes.set_title(title, fontsize=10, parse_math=False)
    figure.savefig(path)


def confusion_plot(path: Path, title: str, classes: Sequence[str], confusion: npt.NDArray[np.int64]) -> None:
    """Rows of true classes that sum to 100 %, from counts (classes, classes); numbers in the cells up to 12 classes."""
    share = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = max(5.0, min(16.0, 2.8 + 0.42 * len(classes)))
    figure = Figure(figsize=(side + 1.0, side), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class (%)")
    step = 1 if len(classes) <= MOST_NAMED else math.ceil(len(classes) / MOST_NAMED)
    ticks = list(range(0, len(classes), step))
    names = [_short(classes[index]) for index in ticks]
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
    figure.savefig(path)


def curves_plot(path: Path, title: str, train: Curves, select: Curves, score: Curves, *, figure: str) -> None:
    """Loss on the training images and on the select split, and ``figure`` of the latter, by epoch: means over seeds,
    the band from lowest to highest. Above ``MOST_TOGETHER`` rows, each has curves of its own, on the scales of all."""
    drawn = curves_figure(train, select, score, figure)
    if drawn.get_layout_engine() is None:
        drawn.suptitle(title, y=1 - 0.1 / drawn.get_figheight(), va="top", parse_math=False)
    else:
        drawn.suptitle(title, parse_math=False)
    drawn.savefig(path)


def curves_figure(train: Curves, select: Curves, score: Curves, name: str) -> Figure:
    """What ``curves_plot`` draws, without a title; ``name`` is the figure's."""
    draw = _curves_together if len(score) <= MOST_TOGETHER else _curves_apart
    return draw(train, select, score, name)


def _curves_together(train: Curves, select: Curves, score: Curves, figure_name: str) -> Figure:
    figure = Figure(figsize=(14.0, 5.2), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, 3)
    words = ("loss on the training images (each member's own)", "cross-entropy on the select split")
    for axes, curves, text in zip(panels, (train, select), words, strict=False):
        for place, (name, seeds) in enumerate(curves.items()):
            _curve(axes, seeds, 1.0, color=color(place), label=name)
        axes.set_ylabel(text)
        _loss_scale(axes, curves)
    for place, (name, seeds) in enumerate(score.items()):
        _curve(panels[2], seeds, figures.factor(figure_name), color=color(place), label=name)
    panels[2].set_ylabel(figures.label(figure_name, "on the select split"), parse_math=False)
    for axes in panels:
        axes.set_xlabel("epoch")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _curves_apart(train: Curves, select: Curves, score: Curves, figure_name: str) -> Figure:
    """Of each row its two losses above its score; the scales are those of all rows."""
    lines = math.ceil(len(score) / A_ROW)
    width, height = 12.0, 1.5 + 3.0 * lines
    figure = Figure(figsize=(width, height), dpi=DPI)  # a layout that is computed takes seconds for so many axes
    edges = {"left": 0.6 / width, "right": 1 - 0.1 / width, "bottom": 0.9 / height, "top": 1 - 0.6 / height}
    grid = figure.subplots(
        2 * lines, A_ROW, squeeze=False, sharex=True, gridspec_kw={**edges, "hspace": 0.3, "wspace": 0.06}
    )
    losses, scores = grid[0::2].ravel(), grid[1::2].ravel()
    for several in (losses, scores):
        for axes in several[1:]:
            axes.sharey(several[0])
    for place, name in enumerate(score):
        upper, lower = losses[place], scores[place]
        _curve(upper, train[name], 1.0, color=color(0), label="loss on the training images (each member's own)")
        _curve(upper, select[name], 1.0, color=color(1), label="cross-entropy on the select split", dashes="--")
        words = figures.label(figure_name, "on the select split")
        _curve(lower, score[name], figures.factor(figure_name), color=color(2), label=words)
        upper.set_title(name, fontsize=9, parse_math=False)
        _loss_scale(upper, train, select)
        upper.tick_params(labelbottom=False, labelsize=8)
        lower.tick_params(labelbottom=place + A_ROW >= len(score), labelsize=8)
        if place % A_ROW == 0:
            upper.set_ylabel("loss", fontsize=8)
            lower.set_ylabel(f"score{figures.mark(figure_name)}", fontsize=8)
        else:
            upper.tick_params(labelleft=False)
            lower.tick_params(labelleft=False)
        if place + A_ROW >= len(score):
            lower.set_xlabel("epoch", fontsize=8)
    for axes in (*losses[len(score) :], *scores[len(score) :]):
        axes.set_axis_off()
    handles = [pair for axes in (losses[0], scores[0]) for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    figure.legend(*zip(*handles, strict=True), loc="lower center", ncols=3, fontsize=9)
    return figure


def bars_plot(path: Path, title: str, names: Sequence[str], images: Sequence[int], recognised: Sequence[float]) -> None:
    """All test images of each class beside those recognised, with their share in per cent. Above ``MOST_BARS`` classes
    the first and the last are shown."""
    lines, hidden = lines_of_bars(len(names))
    longest = max(map(len, lines))
    figure = Figure(figsize=(max(6.5, 0.9 + 0.33 * longest), 1.3 + 2.5 * len(lines)), dpi=DPI, layout="constrained")
    panels = figure.subplots(len(lines), 1, squeeze=False)[:, 0]
    for number, (axes, line) in enumerate(zip(panels, lines, strict=True)):
        x = np.arange(len(line))
        whole, part = [images[index] for index in line], [recognised[index] for index in line]
        axes.bar(x - 0.2, whole, 0.4, color="#BBBBBB", label="all test images")
        axes.bar(x + 0.2, part, 0.4, color=color(0), label="recognised (with their share in %)")
        for place, (of, right) in enumerate(zip(whole, part, strict=True)):
            axes.annotate(f"{100 * right / of:.0f}" if of else "-", (place + 0.2, right), (0, 1),
                          textcoords="offset points", ha="center", fontsize=7, color=color(0))  # fmt: skip
        text = [_short(names[index]) for index in line]
        axes.set_xticks(x, text, fontsize=8, rotation=90 if max(map(len, text)) > 3 else 0, parse_math=False)
        axes.set_xlim(-0.7, longest - 0.3)
        axes.margins(y=0.12)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.tick_params(axis="y", labelsize=8)
        if hidden and number == len(lines) // 2:
            axes.set_title(f"... {hidden:,} classes left out ...", fontsize=9)
    order = "class, those with most training images first" + ("; each line has its own scale" if len(lines) > 1 else "")
    panels[-1].set_xlabel(order, fontsize=9)
    figure.supylabel("test images", fontsize=9)
    total = f"{sum(recognised):,.0f} of {sum(images):,} recognised"
    figure.suptitle(f"{title}: {total}", fontsize=10, parse_math=False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    figure.savefig(path)


def lines_of_bars(classes: int) -> tuple[list[range], int]:
    """Which classes stand in each line of a picture, and how many in none."""
    half = MOST_BARS // 2
    ends = [range(classes)] if classes <= MOST_BARS else [range(half), range(classes - half, classes)]
    lines = []
    for end in ends:
        length = math.ceil(len(end) / math.ceil(len(end) / BARS_A_LINE))
        lines += [end[at : at + length] for at in range(0, len(end), length)]
    return lines, classes - sum(map(len, ends))


def sizes_plot(
    path: Path, title: str, score: str, points: Sequence[Point], *, floor: tuple[str, float] | None = None
) -> None:
    """Parameters, on a logarithmic scale, against test quality; numbers name the points in the legend. The first,
    which others are compared with, is a star. ``score``, the figure's name; ``floor``, a line: a method without
    parameters, and its figure."""
    times = figures.factor(score)
    figure = Figure(figsize=(10.5, 5.6), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    groups = list(dict.fromkeys(point.group for point in points))
    for number, (point, x) in enumerate(zip(points, _side_by_side(points), strict=True), start=1):
        place = groups.index(point.group)
        axes.errorbar(
            x, times * point.mean, yerr=None if point.spread is None else times * point.spread, capsize=3,
            fmt="*" if number == 1 else "osD^v"[(place - 1) % 5], markersize=16 if number == 1 else 7,
            color=color(place), ecolor=(color(place), 0.5), label=f"{number}  {point.group}: {point.name}",
        )  # fmt: skip
        axes.annotate(str(number), (x, times * point.mean), (6, 4), textcoords="offset points", fontsize=8)
    if floor is not None:
        axes.axhline(times * floor[1], color="grey", linestyle="--", linewidth=1, label=f"floor: {floor[0]}")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("parameters (logarithmic; equal ones side by side)")
    axes.set_ylabel(f"{figures.label(score, 'on the test split')}, mean ± spread over seeds", parse_math=False)
    axes.set_title(title)
    axes.grid(alpha=0.3, which="both")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, markerscale=0.7)
    figure.savefig(path)


@dataclass(frozen=True)
class Rivals:
    """A panel: by group of networks (parameters, mean, spread) each, shares of 1; ``line``: words and a share."""

    groups: Mapping[str, Sequence[tuple[int, float, float | None]]]
    line: tuple[str, float] | None


def rivals_plot(path: Path, title: str, score: str, panels: Mapping[str, Rivals]) -> None:
    """Parameters, on a logarithmic scale, against test quality: a panel a way to train, a line through each group."""
    figure = Figure(figsize=(max(6.5, 5.6 * len(panels)), 5.4), dpi=DPI, layout="constrained")
    columns = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, panel) in zip(columns, panels.items(), strict=True):
        for place, (group, points) in enumerate(panel.groups.items()):
            if points:
                params, means, spreads = zip(*points, strict=True)
                axes.errorbar(
                    params, [100 * mean for mean in means], yerr=[100 * (spread or 0.0) for spread in spreads],
                    marker="s*o"[place % 3], markersize=(7, 12, 6)[place % 3], ls=("-", "-", ":")[place % 3],
                    color=color(place), capsize=3, lw=1.2, label=group,
                )  # fmt: skip
        if panel.line is not None:
            axes.axhline(100 * panel.line[1], color="grey", linestyle="--", linewidth=1, label=panel.line[0])
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("parameters (logarithmic)")
        axes.set_title(name, fontsize=10)
        axes.grid(alpha=0.3, which="both")
    columns[0].set_ylabel(f"{figures.label(score, 'on the test split')}, mean ± spread over seeds")
    figure.suptitle(title)
    handles = {text: handle for axes in columns for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path)


def _side_by_side(points: Sequence[Point]) -> list[float]:
    """Where each point stands on the axis of parameters: equal ones in a row around their place, not on each other."""
    groups = [[n for n, other in enumerate(points) if other.params == point.params] for point in points]
    ranks = [group.index(n) - (len(group) - 1) / 2 for n, group in enumerate(groups)]
    return [point.params * APART**rank for point, rank in zip(points, ranks, strict=True)]


def _curve(
    axes: Axes, seeds: Sequence[Sequence[float]], factor: float, *, color: str, label: str, dashes: str = "-"
) -> None:
    """The mean over seeds by epoch, and the band from lowest to highest."""
    length = max(map(len, seeds), default=0)
    table = np.full((len(seeds), length), np.nan)  # early stopping: seeds of unequal length
    for row, values in zip(table, seeds, strict=True):
        row[: len(values)] = np.asarray(values) * factor
    epochs = np.arange(1, length + 1)
    lone = "o" if length == 1 else None  # a line of one point would not be seen
    axes.plot(epochs, np.nanmean(table, axis=0), color=color, label=label, lw=1.4, ls=dashes, marker=lone)
    if len(seeds) > 1:
        low, high = np.nanmin(table, axis=0), np.nanmax(table, axis=0)
        axes.fill_between(epochs, low, high, color=color, alpha=0.15, lw=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _loss_scale(axes: Axes, *losses: Curves) -> None:
    """Logarithmic where the losses lie apart: within a power of ten it would have one number or none."""
    values = [value for curves in losses for seeds in curves.values() for seed in seeds for value in seed]
    if 0 < 10 * min(values) < max(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"


@dataclass(frozen=True)
class Label:
    """Text in a picture; ``x`` and ``y`` are the pixels of its upper left corner."""

    x: float
    y: float
    text: str
    size: int


def picture_plot(path: Path, canvas: npt.NDArray[np.uint8], labels: Sequence[Label]) -> None:
    """A picture (H, W, 3), pixel by pixel, with text on it."""
    height, width = canvas.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(canvas, aspect="auto", interpolation="nearest", extent=(0, width, height, 0))
    axes.set_axis_off()
    for label in labels:
        axes.text(label.x, label.y, label.text, fontsize=label.size, va="top", linespacing=1.3, parse_math=False)
    figure.savefig(path)


def rates_plot(
    path: Path, title: str, rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float],
    marks: Mapping[str, float],
) -> None:  # fmt: skip
    """The loss of each step against its learning rate, on a logarithmic scale, its smoothed curve, and rates marked."""
    figure = Figure(figsize=(7.5, 4.8), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(rates, losses, ".", color="#BBBBBB", markersize=4, label="loss of a step")
    axes.plot(rates, smoothed, color=color(0), label="mean over neighbouring steps")
    for place, (name, rate) in enumerate(marks.items(), start=1):
        axes.axvline(rate, color=color(place), linestyle="--", linewidth=1, label=f"{name}: {rate:.2g}")
    axes.set_xscale("log")
    if len(smoothed):
        low, high = min(smoothed), max(smoothed[: max(1, len(smoothed) // 2)])  # what comes after it diverges
        axes.set_ylim(low - 0.15 * (high - low), high + 0.5 * (high - low))
    axes.set_xlabel("learning rate (logarithmic), larger at every step")
    axes.set_ylabel("loss on the training images")
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path)
