"""Text of metrics: built-in ones, shares of 1, in per cent; an author's own objective as it is, for only the author
knows what it is a number of."""

from __future__ import annotations

from collections.abc import Iterable

from baselines.metrics import METRICS
from nas.report.study import MeanStd

NONE = "-"


def factor(name: str) -> float:
    """Factor by which the metric called ``name`` is multiplied."""
    return 100.0 if name in METRICS else 1.0


def label(name: str, where: str = "") -> str:
    """Label of an axis or a heading: "macro f1 on the test split (%)"."""
    return name.replace("_", " ") + (f" {where}" if where else "") + mark(name)


def mark(name: str) -> str:
    """Mark behind the words for a metric that is shown in per cent."""
    return " (%)" if name in METRICS else ""


def unit(names: Iterable[str]) -> str:
    """Unit of these metrics, for a title: "%", or "% (top k: as it is)"."""
    own = [name.replace("_", " ") for name in names if name not in METRICS]
    return f"% ({', '.join(own)}: not in %)" if own else "%"


def mean_std(name: str, found: MeanStd) -> str:
    """Mean and, if there is one, standard deviation: 86.7 ±2.5, of an own objective 0.867 ±0.025; a dash without."""
    if found.mean is None:
        return NONE
    return value(name, found.mean) + ("" if found.std is None else f" ±{value(name, found.std)}")


def value(name: str, metric: float | None) -> str:
    """One number; a dash for none."""
    if metric is None:
        return NONE
    return f"{100 * metric:.1f}" if name in METRICS else decimal(metric)


def difference(name: str, metric: float | None) -> str:
    """Difference of two numbers, with its sign; a dash for none."""
    if metric is None:
        return NONE
    return f"{100 * metric:+.1f}" if name in METRICS else ("+" if metric >= 0 else "") + decimal(metric)


def decimal(metric: float | None) -> str:
    """A number as 0.943, or 0.00012 where three places would be nothing; a dash for none."""
    if metric is None:
        return NONE
    return f"{metric:.2g}" if 0 < abs(metric) < 0.0005 else f"{metric:.3f}"
