"""Limits on a model, and the sizes people type."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from budgets.cost import BYTES_A_PARAM, Cost, Costs
from search_spaces.errors import UsageError

_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000, "ki": 2**10, "mi": 2**20, "gi": 2**30}
LARGEST = 2**62  # costs are counted in int64
COST_OF_LIMIT = {
    "max_params": "params", "min_params": "params", "max_macs": "macs",
    "max_bytes": "size_bytes", "max_peak_memory": "peak_memory",
}  # fmt: skip
MOST_SHOWN = 40  # characters of what cannot be read
WITHOUT_HEAD = " (without the last layer, which gives the classes)"
UNITS = {
    "params": "parameters",
    "macs": "MACs",
    "size_bytes": "bytes of weights",
    "peak_memory": "bytes of activations",
}


def parse_size(text: str) -> int:
    """Parse ``150k``, ``150000``, ``1.5M`` or ``64KiB`` as a whole number.

    k, M and G are powers of 1000; Ki, Mi and Gi of 1024; a final B is allowed.

    Raises:
        ValueError: Says what is accepted.
    """
    shown = repr(text) if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]!r}..."
    match = re.fullmatch(r"(\d+(?:[._]\d+)*)([kmg]i?)?b?", text.strip().lower())
    cure = "write a whole number, or one with k, M or G, such as 150k or 1.5M"
    if not match:
        raise ValueError(f"{shown} is not a size: {cure}")
    number = match[1].replace("_", "")
    try:
        value = float(number) * _FACTORS[match[2] or ""]
    except ValueError:
        raise ValueError(f"{shown} is not a size: {cure}") from None
    if value > LARGEST:
        raise ValueError(f"{shown} is more than any network has: {cure}")
    if value != int(value) or value < 1:
        raise ValueError(f"{shown} is not a whole number of at least 1: {cure}")
    return int(value)


def parse_count(text: str) -> int:
    """As ``parse_size``, of what is no bytes: ValueError for 50kB."""
    if re.fullmatch(r"[\d._]+\s*[kmg]?i?b", text.strip().lower()):
        plain = text.strip().rstrip("bB")
        raise ValueError(f"{text!r} is a size in bytes, and this limit is not in bytes: write {plain}")
    return parse_size(text)


def parse_limit(name: str, text: str) -> int:
    """Parse the limit called ``name``, of ``LIMITS``: bytes or a count.

    Args:
        name: One of ``LIMITS``.
        text: Size as typed, see ``parse_size``.

    Raises:
        ValueError: Says what is accepted.
    """
    return (parse_size if name in ("max_bytes", "max_peak_memory") else parse_count)(text)


def format_size(value: float) -> str:
    """A number as people read it: 149,566 in full up to a million, then 1.50M."""
    if value < 1_000_000:
        return f"{value:,.0f}"
    return f"{value / 1e6:,.2f}M" if value < 1e9 else f"{value / 1e9:,.2f}G"


@dataclass(frozen=True)
class Budget:
    """Limits on one architecture; None is no limit. ``min_params`` keeps a search near its budget.

    ``without_head``: they hold for what is left of a network without its last layer, which embedders ship without
    (see ``Task.has_head``).
    """

    max_params: int | None = None
    max_macs: int | None = None
    max_bytes: int | None = None
    max_peak_memory: int | None = None
    min_params: int | None = None
    without_head: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if self.max_params and self.min_params and self.min_params > self.max_params:
            raise UsageError(
                f"--min-params {self.min_params:,} is more than --max-params {self.max_params:,}: no architecture "
                "can have both; lower the first or raise the second."
            )

    @property
    def limits(self) -> dict[str, int]:
        """The limits that are set, by name."""
        return {name: value for name in LIMITS if (value := getattr(self, name)) is not None}

    def violations(self, cost: Cost) -> list[str]:
        """A sentence for every limit that ``cost`` breaks; empty if it fits."""
        found = []
        for name, limit in self.limits.items():
            unit = COST_OF_LIMIT[name]
            value = getattr(cost, unit)
            if value > limit and name.startswith("max"):
                found.append(f"{value:,} {UNITS[unit]} are over the budget of {limit:,}")
            elif value < limit and name.startswith("min"):
                found.append(f"{value:,} {UNITS[unit]} are under the minimum of {limit:,}")
        return found

    def excess(self, costs: Costs) -> npt.NDArray[np.float64]:
        """By which factor each of N costs is outside: 0 where it fits, 0.5 if half as much again (N,)."""
        worst = np.zeros(len(costs))
        for name, limit in self.limits.items():
            values = getattr(costs, COST_OF_LIMIT[name])
            ratio = values / limit if name.startswith("max") else limit / np.maximum(values, 1)
            np.maximum(worst, ratio - 1, out=worst)
        return worst

    def admits(self, costs: Costs) -> npt.NDArray[np.bool_]:
        """Mask (N,) of the costs that are within every limit."""
        fits = np.ones(len(costs), bool)
        for name, limit in self.limits.items():
            values = getattr(costs, COST_OF_LIMIT[name])
            fits &= values <= limit if name.startswith("max") else values >= limit
        return fits

    def may_admit(self, params: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Mask (N,) of the numbers of parameters that no limit rules out, whatever the other costs are."""
        fits = np.ones(len(params), bool)
        if self.min_params is not None:
            fits &= params >= self.min_params
        if self.max_params is not None:
            fits &= params <= self.max_params
        if self.max_bytes is not None:
            fits &= BYTES_A_PARAM * params <= self.max_bytes
        return fits

    @property
    def rules_out_by_params(self) -> bool:
        """True if ``may_admit`` can say no."""
        return not {"max_params", "min_params", "max_bytes"}.isdisjoint(self.limits)

    @property
    def needs_params_only(self) -> bool:
        """True if ``may_admit`` says all that ``admits`` does."""
        return {"max_params", "min_params"}.issuperset(self.limits)

    def __str__(self) -> str:
        words = [
            f"{'at most' if name.startswith('max') else 'at least'} {format_size(limit)} {UNITS[COST_OF_LIMIT[name]]}"
            for name, limit in self.limits.items()
        ]
        return (", ".join(words) or "no limit") + (WITHOUT_HEAD if self.without_head else "")


LIMITS = tuple(limit.name for limit in fields(Budget) if limit.name != "without_head")  # by name
