"""Plots as SVG: axes with round numbers, marks that tell what they are, and a table behind each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nas.report.html.markup import Markup, Part, folded, tag
from nas.report.tables.format import compact

WIDTH, HEIGHT = 520, 320  # of a plot, in units that are pixels on a wide screen
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 46  # what is left free around it
LETTER = 6.7  # width of a letter
SCALE = 1.12  # pixels a unit, where there is room
TICKS = 6  # about so many
NARROW = 5  # factor from low to high below which a logarithmic axis has the ticks of a linear one


@dataclass(frozen=True)
class Axis:
    """Axis from ``low`` to ``high``, along which ``ticks`` have numbers."""

    label: str
    low: float
    high: float
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()

    def share(self, value: float) -> float:
        """Position of a value, from 0 at the low end to 1."""
        low, high, value = (math.log(v) for v in (self.low, self.high, value)) if self.log else (
            self.low, self.high, value)  # fmt: skip
        return (value - low) / (high - low) if high > low else 0.5


def linear(label: str, values: Iterable[float], *, include: Sequence[float] = (), whole: bool = False) -> Axis:
    """An axis for ``values`` with a little room at its ends; ``whole``: numbers that are counted."""
    known = [*values, *include]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - room, high + room
    step = _round_step((high - low) / TICKS)
    if whole:
        step = max(1.0, step)
    first = math.ceil(low / step - 1e-9)
    places = [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]
    places = [place for place in places if low <= place <= high]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if whole or max(abs(low), abs(high)) >= 10_000:
        return Axis(label, low, high, ticks=tuple((place, compact_count(place)) for place in places))
    return Axis(label, low, high, ticks=tuple((place, f"{place + 0.0:.{digits}f}") for place in places))


def logarithmic(label: str, values: Iterable[float]) -> Axis:
    """An axis for numbers above 0 on a logarithmic scale."""
    known = [value for value in values if value > 0] or [1.0]
    low, high = min(known), max(known)
    room = max((high / low) ** 0.05, 1.05)
    low, high = low / room, high * room
    if high < NARROW * low:
        ticks = tuple((place, text) for place, text in linear(label, [low, high]).ticks if low <= place <= high)
        return Axis(label, low, high, log=True, ticks=ticks)
    for marks in ((1,), (1, 3), (1, 2, 5)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        places = [mark * 10.0**power for power in powers for mark in marks if low <= mark * 10.0**power <= high]
        if len(places) >= 4:
            break
    return Axis(label, low, high, log=True, ticks=tuple((place, compact_count(place)) for place in places))


def compact_count(value: float) -> str:
    """A count as 800, 25k, 1.2M; a small number as it is."""
    return compact(round(value, 6)) if abs(value) >= 1000 else f"{value:g}"


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(mark * power for mark in (1, 2, 5, 10) if mark * power >= step * (1 - 1e-9))


@dataclass
class Plot:
    """A plot that is being drawn; y grows upwards. What is added later lies above."""

    x: Axis
    y: Axis
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    bottom: float = BOTTOM
    fixed: bool = False  # its text is as large as room was left for it
    parts: list[Markup] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fixed = self.fixed or any(not text[:1].isdigit() and text[:1] != "-" for _, text in self.x.ticks)
        room = (self.width - self.left - RIGHT) / max(len(self.x.ticks), 1)
        longest = max((len(text) for _, text in self.x.ticks), default=0)
        if LETTER * longest > 0.95 * room and len(self.x.ticks) > 1:  # words, which then slant
            self.bottom = BOTTOM + 4.6 * longest
            self.height += 4.6 * longest

    def at_x(self, value: float) -> float:
        """In units of the picture."""
        return round(self.left + self.x.share(value) * (self.width - self.left - RIGHT), 1)

    def at_y(self, value: float) -> float:
        """In units of the picture, from its top."""
        return round(self.height - self.bottom - self.y.share(value) * (self.height - TOP - self.bottom), 1)

    def dot(self, x: float, y: float, kind: str, tip: str, *, trial: str | None = None, size: float = 4.5) -> None:
        """A mark; ``kind`` is its class in the style sheet."""
        self.parts.append(tag("circle", cx=self.at_x(x), cy=self.at_y(y), r=size, class_=kind, data_tip=tip,
                              data_trial=trial))  # fmt: skip

    def star(self, x: float, y: float, kind: str, tip: str, *, trial: str | None = None) -> None:
        """The mark of the one that everything is about."""
        self.parts.append(tag("path", d=_star(self.at_x(x), self.at_y(y), 11), class_=kind, data_tip=tip,
                              data_trial=trial))  # fmt: skip

    def square(self, x: float, y: float, kind: str, tip: str, *, trial: str | None = None) -> None:
        """A mark of another shape."""
        self.parts.append(tag("rect", x=self.at_x(x) - 4.5, y=self.at_y(y) - 4.5, width=9, height=9, class_=kind,
                              data_tip=tip, data_trial=trial))  # fmt: skip

    def line(self, points: Sequence[tuple[float, float]], kind: str, tip: str | None = None, *,
             trial: str | None = None, steps: bool = False, up_first: bool = False) -> None:  # fmt: skip
        """A line through points, or with ``steps`` one that changes its height where the next is, with ``up_first``
        where the last was."""
        if not points:
            return
        places = [(self.at_x(x), self.at_y(y)) for x, y in points]
        text = f"M{places[0][0]:g} {places[0][1]:g}"
        text += "".join(
            (f"V{y:g}H{x:g}" if up_first else f"H{x:g}V{y:g}" if steps else f"L{x:g} {y:g}") for x, y in places[1:]
        )
        self.parts.append(tag("path", d=text, class_=f"line {kind}", data_tip=tip, data_trial=trial))

    def level(self, y: float, kind: str, words: str) -> None:
        """A line across at a height, with words on it."""
        height = self.at_y(y)
        self.parts.append(tag("path", d=f"M{self.left} {height}H{self.width - RIGHT}", class_=f"line {kind}",
                              data_tip=words))  # fmt: skip
        above = height - 4 if height > TOP + 14 else height + 13
        self.parts.append(tag("text", words, x=self.width - RIGHT - 2, y=above, class_="end small"))

    def drawn(self, words: str) -> Markup:
        """The picture; ``words`` say what it shows to those who cannot see it."""
        across, down = self.width - RIGHT, self.height - self.bottom
        grid = [
            (tag("path", d=f"M{self.at_x(v)} {TOP}V{down}", class_="grid"),
             self._tick(text, self.at_x(v), down + 16))
            for v, text in self.x.ticks
        ] + [
            (tag("path", d=f"M{self.left} {self.at_y(v)}H{across}", class_="grid"),
             tag("text", text, x=self.left - 6, y=self.at_y(v) + 4, class_="end"))
            for v, text in self.y.ticks
        ]  # fmt: skip
        middle = (TOP + down) / 2
        labels = [
            tag("text", self.x.label, x=(self.left + across) / 2, y=self.height - 8, class_="mid"),
            tag("text", self.y.label, transform=f"translate(13 {middle}) rotate(-90)", class_="mid"),
        ]
        return canvas(self.width, self.height, words, grid, labels, self.parts, fixed=self.fixed)

    def _tick(self, text: str, x: float, y: float) -> Markup:
        """Words under the axis; slanting where they would lie on each other."""
        if self.bottom == BOTTOM:
            return tag("text", text, x=x, y=y, class_="mid")
        return tag("text", text, transform=f"translate({x + 4} {y - 4}) rotate(-40)", class_="end small")


def canvas(width: float, height: float, words: str, *parts: Part, fixed: bool = True) -> Markup:
    """A picture of so many units; unless ``fixed``, its text grows on a phone."""
    kind = "wide" if width > WIDTH else "" if width >= 0.9 * WIDTH else "narrow"
    kind += "" if fixed else " grows"
    return tag(
        "svg", *parts, viewBox=f"0 0 {width:g} {height:g}", width=round(SCALE * width), role="img", aria_label=words,
        class_=kind.strip() or None,
    )  # fmt: skip


def _star(x: float, y: float, size: float) -> str:
    points = []
    for corner in range(10):
        radius, angle = size if corner % 2 == 0 else size * 0.45, math.pi * (corner / 5 - 0.5)
        points.append(f"{x + radius * math.cos(angle):.1f} {y + radius * math.sin(angle):.1f}")
    return f"M{'L'.join(points)}Z"


def figure(title: str, picture: Markup, behind: Markup | None, note: Part = None, legend: Part = None) -> Markup:
    """A picture with its title, what is to be known of it, and the table of its numbers."""
    return tag(
        "figure",
        tag("figcaption", title),
        tag("p", legend, class_="legend") if legend else None,
        tag("div", picture, class_="scroll", tabindex="0", role="region", aria_label=title),
        tag("p", note, class_="note") if note else None,
        folded("Table", behind) if behind else None,
    )


def key(*marks: tuple[str, str]) -> Markup:
    """Legend: the meaning of kinds of marks, by their class in the style sheet."""
    return tag("span", [
        tag("span", tag("svg", _sample(kind), viewBox="0 0 16 12", class_="key", aria_hidden="true"), words,
            class_="item")
        for kind, words in marks
    ])  # fmt: skip


def _sample(kind: str) -> Markup:
    if kind.startswith("line"):
        return tag("path", d="M0 6H16", class_=kind)
    if "star" in kind:
        return tag("path", d=_star(8, 6, 6), class_=kind)
    if "square" in kind:
        return tag("rect", x=4, y=2, width=8, height=8, class_=kind)
    return tag("circle", cx=8, cy=6, r=4, class_=kind)
