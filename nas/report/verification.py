"""The metrics of verification in words."""

from __future__ import annotations

from baselines.verification import COUNTS, METRICS, REPORTED_FAR
from nas.config.recipe import Metrics
from nas.report.metric_text import decimal


def verification_words(metrics: Metrics) -> str | None:
    """Metrics of pairs of images of identities that nothing trained on; None without such metrics."""
    area, equal, accepted, same, different = (metrics.get(name) for name in (*METRICS, *COUNTS))
    if not isinstance(same, float) or not isinstance(different, float):
        return None
    numbers = [value if isinstance(value, float) else None for value in (area, equal, accepted)]
    return (
        f"ROC area {decimal(numbers[0])}, equal error rate {decimal(numbers[1])}, true accept rate "
        f"{decimal(numbers[2])} at a false accept rate of {REPORTED_FAR:g}; {same:,.0f} pairs of one identity, "
        f"{different:,.0f} of two"
    )
