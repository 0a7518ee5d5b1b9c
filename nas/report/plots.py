"""Pictures as PNG files. The only module that knows matplotlib; it draws without a display and without pyplot,
whose figures are global."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

Curves = Mapping[str, Sequence[Sequence[float]]]  # by name: for each seed, a figure of every epoch
DPI = 120
APART = 1.07  # factor between points of equal parameters
MOST_NAMED = 70  # classes whose names an axis shows


@dataclass(frozen=True)
class Point:
    """One network in a plot of size against quality."""

    name: str
    group: str
    params: int
    mean: float  # a share of 1
    spread: float | None


def color(place: int) -> tuple[float, float, float, float]:
    """The colour of a row; the first ten are told apart best, the next ten are their lighter twins."""
    red, green, blue, alpha = colormaps["tab10" if place < 10 else "tab20"](place if place < 10 else place * 2 % 20 + 1)
    return red, green, blue, alpha


def recall_plot(
    path: Path, title: str, classes: Sequence[str], counts: Sequence[int], recalls: Mapping[str, Sequence[float]]
) -> None:
    """Test recall of every class for every row of a study, the classes with most training images first."""
    order = sorted(range(len(classes)), key=lambda index: -counts[index])
    figure = Figure(figsize=(max(7.0, min(30.0, 3.2 + 0.42 * len(classes))), 5.2), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    for place, (name, recall) in enumerate(recalls.items()):
        axes.plot([100 * recall[index] for index in order], marker=_marker(place), color=color(place), label=name, lw=1)
    axes.set_xticks(range(len(order)))
    small = len(order) > 12 or max(map(len, classes)) > 6
    labels = [f"{_short(classes[index])} ({counts[index]:,})" if small else
              f"{classes[index]}\n{counts[index]:,}" for index in order]  # fmt: skip
    axes.set_xticklabels(labels, rotation=90 if small else 0, fontsize=8)
    axes.set_xlabel("class (images to train), the most frequent first")
    axes.set_ylabel("recall on the test split (%)")
    axes.set_ylim(-3, 103)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
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


def curves_plot(path: Path, title: str, loss: Curves, score: Curves, score_name: str) -> None:
    """Training loss and a figure of the select split by epoch: means over seeds, the band from lowest to highest."""
    figure = Figure(figsize=(11.0, 5.4), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    _curves(left, loss, 1.0)
    _curves(right, score, 100.0)
    left.set_ylabel("loss on the training images (each row's own)")
    if _positive(loss):
        left.set_yscale("log")
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        left.yaxis.set_minor_formatter(NullFormatter())
    right.set_ylabel(f"{score_name} on the select split (%)")
    figure.suptitle(title)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path)


def sizes_plot(
    path: Path, title: str, score_name: str, points: Sequence[Point], *, floor: tuple[str, float] | None = None
) -> None:
    """Parameters, on a logarithmic scale, against test quality; numbers name the points in the legend. The first,
    which others are compared with, is a star. ``floor``, a line: a method without parameters, and its share of 1."""
    figure = Figure(figsize=(10.5, 5.6), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    groups = list(dict.fromkeys(point.group for point in points))
    for number, (point, x) in enumerate(zip(points, _side_by_side(points), strict=True), start=1):
        place = groups.index(point.group)
        axes.errorbar(
            x, 100 * point.mean, yerr=None if point.spread is None else 100 * point.spread, capsize=3,
            fmt="*" if number == 1 else "osD^v"[(place - 1) % 5], markersize=16 if number == 1 else 7,
            color=color(place), ecolor=(*color(place)[:3], 0.5), label=f"{number}  {point.group}: {point.name}",
        )  # fmt: skip
        axes.annotate(str(number), (x, 100 * point.mean), (6, 4), textcoords="offset points", fontsize=8)
    if floor is not None:
        axes.axhline(100 * floor[1], color="grey", linestyle="--", linewidth=1, label=f"floor: {floor[0]}")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("parameters (logarithmic; equal ones side by side)")
    axes.set_ylabel(f"{score_name} on the test split (%), mean ± spread over seeds")
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


def rivals_plot(path: Path, title: str, score_name: str, panels: Mapping[str, Rivals]) -> None:
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
    columns[0].set_ylabel(f"{score_name} on the test split (%), mean ± spread over seeds")
    figure.suptitle(title)
    handles = {text: handle for axes in columns for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path)


def _side_by_side(points: Sequence[Point]) -> list[float]:
    """Where each point stands on the axis of parameters: equal ones in a row around their place, not on each other."""
    groups = [[n for n, other in enumerate(points) if other.params == point.params] for point in points]
    ranks = [group.index(n) - (len(group) - 1) / 2 for n, group in enumerate(groups)]
    return [point.params * APART**rank for point, rank in zip(points, ranks, strict=True)]


def _curves(axes: Axes, curves: Curves, factor: float) -> None:
    for place, (name, seeds) in enumerate(curves.items()):
        length = max(map(len, seeds), default=0)
        table = np.full((len(seeds), length), np.nan)  # early stopping: seeds of unequal length
        for row, values in zip(table, seeds, strict=True):
            row[: len(values)] = np.asarray(values) * factor
        epochs = np.arange(1, length + 1)
        axes.plot(epochs, np.nanmean(table, axis=0), color=color(place), label=name, lw=1.4)
        if len(seeds) > 1:
            low, high = np.nanmin(table, axis=0), np.nanmax(table, axis=0)
            axes.fill_between(epochs, low, high, color=color(place), alpha=0.12, lw=0)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _positive(curves: Curves) -> bool:
    return all(value > 0 for seeds in curves.values() for values in seeds for value in values)


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"


def _marker(place: int) -> str:
    return "os^Dv<>PX*"[place % 10]


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
