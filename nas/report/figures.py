"""How figures are shown beside one another: those that are built in, shares of 1, in per cent; an author's own
objective as it is, for only the author knows what it is a number of."""

from __future__ import annotations

from collections.abc import Iterable

from baselines.figures import FIGURES
from nas.report.study import Spread

NONE = "-"


def factor(name: str) -> float:
    """What the figure called ``name`` is multiplied by."""
    return 100.0 if name in FIGURES else 1.0


def label(name: str, where: str = "") -> str:
    """What an axis or a heading calls it: "macro f1 on the test split (%)"."""
    return name.replace("_", " ") + (f" {where}" if where else "") + mark(name)


def mark(name: str) -> str:
    """What follows the words for a figure that is shown in per cent."""
    return " (%)" if name in FIGURES else ""


def unit(names: Iterable[str]) -> str:
    """What numbers of these figures are, for a title: "%", or "% (top k: as it is)"."""
    own = [name.replace("_", " ") for name in names if name not in FIGURES]
    return f"% ({', '.join(own)}: as it is)" if own else "%"


def spread(name: str, figure: Spread) -> str:
    """Mean and, if there is one, standard deviation: 86.7 ±2.5, of an own objective 0.867 ±0.025; a dash without."""
    if figure.mean is None:
        return NONE
    return value(name, figure.mean) + ("" if figure.std is None else f" ±{value(name, figure.std)}")


def value(name: str, figure: float | None) -> str:
    """One number; a dash for none."""
    if figure is None:
        return NONE
    return f"{100 * figure:.1f}" if name in FIGURES else decimal(figure)


def difference(name: str, figure: float | None) -> str:
    """How far one number is above another, with its sign; a dash for none."""
    if figure is None:
        return NONE
    return f"{100 * figure:+.1f}" if name in FIGURES else ("+" if figure >= 0 else "") + decimal(figure)


def decimal(figure: float | None) -> str:
    """A number as 0.943, or 0.00012 where three places would be nothing; a dash for none."""
    if figure is None:
        return NONE
    return f"{figure:.2g}" if 0 < abs(figure) < 0.0005 else f"{figure:.3f}"
