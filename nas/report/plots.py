"""Pictures as PNG files. With ``nas.analysis.figures`` the only module that knows matplotlib; it draws without a
display and without pyplot, whose figures are global."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    StrMethodFormatter,
)

from nas.analysis.figures import (
    DPI,
    MOST_BARS,
    bars_figure,
    color,
    confusion_figure,
    picture_figure,
    save,
)
from nas.analysis.thumbnails import Label, shown_name
from nas.report import metric_text

Curves = Mapping[str, Sequence[Sequence[float]]]  # by name: for each seed, a value of every epoch
CLOSE = 8.0  # factor between the largest and the least size, below which an axis has even steps
MOST_TOGETHER = 7  # rows whose curves lie over each other; of more, each has its own
A_ROW = 4  # of those
LONG_NAME = 40  # characters of a row, of which a legend has room for one in a line


@dataclass(frozen=True)
class Point:
    """One network in a plot of size against quality."""

    name: str
    group: str
    params: int
    mean: float
    std: float | None


@dataclass(frozen=True)
class Progress:
    """The training loss after every epoch and the seconds that each took, of every seed; images that an epoch sees."""

    images: int
    losses: Sequence[Sequence[float]]
    seconds: Sequence[Sequence[float]]


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
        columns = 3 if max(map(len, recalls)) <= LONG_NAME else 1
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns, fontsize=8)
    else:
        figure = Figure(figsize=(wide + 1.5, 1.6 + 0.28 * len(recalls)), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(table, cmap="cividis", vmin=0, vmax=100, aspect="auto")
        axes.set_yticks(range(len(recalls)), list(recalls), fontsize=8, parse_math=False)
        figure.colorbar(image, ax=axes, label="recall (%)")
    step = math.ceil(len(order) / MOST_BARS)
    small = len(order) > 12 or max(map(len, classes)) > 6
    labels = [f"{shown_name(classes[index])} ({counts[index]:,})" if small else
              f"{classes[index]}\n{counts[index]:,}" for index in order[::step]]  # fmt: skip
    axes.set_xticks(range(0, len(order), step), labels, rotation=90 if small else 0, fontsize=8, parse_math=False)
    axes.set_xlabel("class (training images), the most frequent first")
    axes.set_title(title, fontsize=10, parse_math=False)
    save(figure, path)


def confusion_plot(path: Path, title: str, classes: Sequence[str], confusion: npt.NDArray[np.int64]) -> None:
    """Rows of true classes that sum to 100 %, from counts (classes, classes): ``nas.analysis.figures``."""
    save(confusion_figure(title, classes, confusion), path)


def curves_plot(path: Path, title: str, train: Curves, select: Curves, score: Curves, *, metric: str) -> None:
    """Loss on the training images and on the select split, and ``metric`` of the latter, by epoch: means over seeds,
    the band from lowest to highest. Above ``MOST_TOGETHER`` rows, each has curves of its own, on the scales of all."""
    drawn = curves_figure(train, select, score, metric)
    if drawn.get_layout_engine() is None:
        drawn.suptitle(title, y=1 - 0.1 / drawn.get_figheight(), va="top", parse_math=False)
    else:
        drawn.suptitle(title, parse_math=False)
    save(drawn, path)


def curves_figure(train: Curves, select: Curves, score: Curves, name: str) -> Figure:
    """Picture of ``curves_plot`` without a title; ``name`` is the metric's."""
    draw = _curves_together if len(score) <= MOST_TOGETHER else _curves_apart
    return draw(train, select, score, name)


def _curves_together(train: Curves, select: Curves, score: Curves, metric_name: str) -> Figure:
    figure = Figure(figsize=(14.0, 5.2), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, 3)
    words = ("loss on the training images (each member's own)", "cross-entropy on the select split")
    for axes, curves, text in zip(panels, (train, select), words, strict=False):
        for place, (name, seeds) in enumerate(curves.items()):
            _curve(axes, seeds, 1.0, color=color(place), label=name)
        axes.set_ylabel(text)
        _loss_scale(axes, curves)
    for place, (name, seeds) in enumerate(score.items()):
        _curve(panels[2], seeds, metric_text.factor(metric_name), color=color(place), label=name)
    panels[2].set_ylabel(metric_text.label(metric_name, "on the select split"), parse_math=False)
    for axes in panels:
        axes.set_xlabel("epoch")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _curves_apart(train: Curves, select: Curves, score: Curves, metric_name: str) -> Figure:
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
        words = metric_text.label(metric_name, "on the select split")
        _curve(lower, score[name], metric_text.factor(metric_name), color=color(2), label=words)
        upper.set_title(name, fontsize=9, parse_math=False)
        _loss_scale(upper, train, select)
        upper.tick_params(labelbottom=False, labelsize=8)
        lower.tick_params(labelbottom=place + A_ROW >= len(score), labelsize=8)
        if place % A_ROW == 0:
            upper.set_ylabel("loss", fontsize=8)
            lower.set_ylabel(f"score{metric_text.mark(metric_name)}", fontsize=8)
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
    order = "those with most training images first"
    save(bars_figure(title, names, images, recognised, what="test images", order=order), path)


def sizes_plot(
    path: Path, title: str, score: str, points: Sequence[Point], *, floor: tuple[str, float] | None = None
) -> None:
    """Parameters, on a logarithmic scale, against test quality; numbers name the points in the legend. The first,
    which others are compared with, is a star. ``score``, the metric's name; ``floor``, a line: a method without
    parameters, and its score."""
    times = metric_text.factor(score)
    figure = Figure(figsize=(10.5, 5.6), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    groups = list(dict.fromkeys(point.group for point in points))
    rows = _rows_at(points)
    for number, point in enumerate(points, start=1):
        x = point.params
        place = groups.index(point.group)
        axes.errorbar(
            x, times * point.mean, yerr=None if point.std is None else times * point.std, capsize=3,
            fmt="*" if number == 1 else "osD^v"[(place - 1) % 5], markersize=16 if number == 1 else 7,
            color=color(place), ecolor=(color(place), 0.5), label=f"{number}  {point.group}: {point.name}",
        )  # fmt: skip
        place_of_number = (6 + 11 * rows[number - 1], 4)  # equal sizes: side by side
        axes.annotate(str(number), (x, times * point.mean), place_of_number, textcoords="offset points", fontsize=8)
    if floor is not None:
        axes.axhline(
            times * floor[1], color="grey", linestyle="--", linewidth=1, label=f"classical baseline: {floor[0]}"
        )
    _sizes_axis(axes, [point.params for point in points])
    axes.set_xlabel("parameters (logarithmic)")
    axes.set_ylabel(f"{metric_text.label(score, 'on the test split')}, mean ± std over seeds", parse_math=False)
    axes.set_title(title)
    axes.grid(alpha=0.3, which="both")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, markerscale=0.7)
    save(figure, path)


@dataclass(frozen=True)
class Rivals:
    """A panel: by group of networks (parameters, mean, std) each, shares of 1; ``line``: words and a share."""

    groups: Mapping[str, Sequence[tuple[int, float, float | None]]]
    line: tuple[str, float] | None


def rivals_plot(path: Path, title: str, score: str, panels: Mapping[str, Rivals]) -> None:
    """Parameters, on a logarithmic scale, against test quality: a panel a way to train, a line through each group."""
    figure = Figure(figsize=(max(6.5, 5.6 * len(panels)), 5.4), dpi=DPI, layout="constrained")
    columns = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, panel) in zip(columns, panels.items(), strict=True):
        for place, (group, points) in enumerate(panel.groups.items()):
            if points:
                params, means, stds = zip(*points, strict=True)
                axes.errorbar(
                    params, [100 * mean for mean in means], yerr=[100 * (std or 0.0) for std in stds],
                    marker="s*o"[place % 3], markersize=(7, 12, 6)[place % 3], ls=("-", "-", ":")[place % 3],
                    color=color(place), capsize=3, lw=1.2, label=group,
                )  # fmt: skip
        if panel.line is not None:
            axes.axhline(100 * panel.line[1], color="grey", linestyle="--", linewidth=1, label=panel.line[0])
        _sizes_axis(axes, [point[0] for points in panel.groups.values() for point in points])
        axes.set_xlabel("parameters (logarithmic)")
        axes.set_title(name, fontsize=10)
        axes.grid(alpha=0.3, which="both")
    columns[0].set_ylabel(f"{metric_text.label(score, 'on the test split')}, mean ± std over seeds")
    figure.suptitle(title)
    handles = {text: handle for axes in columns for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8)
    save(figure, path)


def _rows_at(points: Sequence[Point]) -> list[int]:
    """Of each point how many before it have as many parameters."""
    return [sum(other.params == point.params for other in points[:n]) for n, point in enumerate(points)]


def _sizes_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """A logarithmic axis with the numbers that people read: where the sizes lie close together, those of a few even
    steps, since no power of ten is among them."""
    axes.set_xscale("log")
    low, high = min(sizes), max(sizes)
    if high < CLOSE * low:
        margin = 1.1 if high < 1.2 * low else (high / low) ** 0.15
        axes.set_xlim(low / margin, high * margin)
        axes.xaxis.set_major_locator(
            FixedLocator(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low / margin, high * margin))
        )
    else:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_locator(NullLocator())


def progress_plot(path: Path, title: str, members: Mapping[str, Progress]) -> None:
    """Training loss by images seen, and by seconds, which are means over seeds; where members lie far apart in time,
    on a logarithmic scale."""
    figure = Figure(figsize=(12.0, 5.2), dpi=DPI, layout="constrained")
    by_images, by_time = figure.subplots(1, 2, sharey=True)
    lengths = []
    for place, (name, one) in enumerate(members.items()):
        seconds = np.nanmean(np.cumsum(_by_epoch(one.seconds), axis=1), axis=0)
        seen = one.images * np.arange(1.0, len(seconds) + 1)
        _curve(by_images, one.losses, 1.0, color=color(place), label=name, at=seen)
        _curve(by_time, one.losses, 1.0, color=color(place), label=name, at=seconds)
        lengths.append(seconds[-1])
    _loss_scale(by_images, {name: one.losses for name, one in members.items()})
    by_images.set_ylabel("loss on the training images, mean of an epoch")
    by_images.set_xlabel("images seen in training")
    by_images.xaxis.set_major_formatter(EngFormatter(sep=""))
    by_time.set_xlabel("seconds, scoring on select among them")
    if 0 < CLOSE * min(lengths) < max(lengths):
        by_time.set_xscale("log")
        by_time.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        by_time.xaxis.set_minor_formatter(NullFormatter())
        by_time.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        by_time.set_xlabel("seconds (logarithmic), scoring on select among them")
    figure.suptitle(title, parse_math=False)
    figure.legend(*by_images.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    save(figure, path)


def _by_epoch(seeds: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """Values as an array (seeds, epochs), NaN where a seed stopped early."""
    table = np.full((len(seeds), max(map(len, seeds), default=0)), np.nan)
    for row, values in zip(table, seeds, strict=True):
        row[: len(values)] = values
    return table


def _curve(
    axes: Axes, seeds: Sequence[Sequence[float]], factor: float, *, color: str, label: str, dashes: str = "-",
    at: npt.NDArray[np.float64] | None = None,
) -> None:  # fmt: skip
    """The mean over seeds by epoch, or ``at`` other places, and the band from lowest to highest."""
    table = factor * _by_epoch(seeds)
    length = table.shape[1]
    lone = "o" if length == 1 else None  # a line of one point would not be seen
    places = np.arange(1, length + 1) if at is None else at
    axes.plot(places, np.nanmean(table, axis=0), color=color, label=label, lw=1.4, ls=dashes, marker=lone)
    if len(seeds) > 1:
        low, high = np.nanmin(table, axis=0), np.nanmax(table, axis=0)
        axes.fill_between(places, low, high, color=color, alpha=0.15, lw=0)
    if at is None:
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


def picture_plot(path: Path, canvas: npt.NDArray[np.uint8], labels: Sequence[Label]) -> None:
    """A picture (H, W, 3), pixel by pixel, with text on it."""
    save(picture_figure(canvas, labels), path)


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
    save(figure, path)


def influence_plot(
    path: Path, title: str, axes: Mapping[str, Mapping[str, tuple[float, tuple[float, float] | None, Sequence[float]]]],
    metric: str,
) -> None:  # fmt: skip
    """For each value of each axis of a grid its cells as dots, their mean as a bar, and the interval of the mean."""
    columns, factor = min(3, len(axes)), metric_text.factor(metric)
    lines = math.ceil(len(axes) / columns)
    figure = Figure(figsize=(4.6 * columns, 0.6 + 3.2 * lines), dpi=DPI, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for panel, (axis, values) in zip(panels, axes.items(), strict=False):
        for place, (mean, ends, cells) in enumerate(values.values()):
            spread = np.linspace(-0.18, 0.18, len(cells)) if len(cells) > 1 else [0.0]
            panel.plot(place + np.asarray(spread), factor * np.asarray(cells), "o", color="0.7", ms=3, zorder=1)
            panel.plot([place - 0.25, place + 0.25], [factor * mean] * 2, color=color(0), lw=2.5, zorder=2)
            if ends is not None:
                panel.plot([place, place], [factor * end for end in ends], color=color(0), lw=1.2, zorder=2)
        panel.set_xticks(range(len(values)), list(values), fontsize=8, rotation=20 if len(values) > 3 else 0)
        panel.set_title(f"{axis} (cells)", fontsize=10)
        panel.grid(axis="y", alpha=0.3)
    for panel in panels[len(axes) :]:
        panel.set_visible(False)
    for panel in panels[::columns]:
        panel.set_ylabel(metric_text.label(metric, "on rank"), parse_math=False)
    figure.suptitle(title, parse_math=False)
    save(figure, path)
