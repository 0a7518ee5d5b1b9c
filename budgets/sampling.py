"""Sampling what fits a budget, over all sizes; and what to say when none fits.

Counting is so cheap (hundreds of thousands a second) that everything here samples by the thousand, costs in
one call, and keeps what fits. A search that takes the first that fits drifts to small and shallow networks,
since most of them are; picking a bin of size first (as whittle does, Sukthankar et al. 2024) prevents it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from budgets.budget import UNITS, Budget
from budgets.cost import COST_NAMES, Cost, Costs, costs_of, params_of
from search_spaces.errors import UsageError
from search_spaces.restriction import restriction_words
from search_spaces.space import Rows, Sample, SearchSpace, Task

BATCH = 4096
NUM_BINS = 8
ENOUGH = 256  # samples that fit, for one pick among them
MOST_BATCHES = 24
MANY_CLASSES = 100  # from which on the last layer may be the most of a network

Floats = npt.NDArray[np.float64]


def sample_feasible(
    space: SearchSpace,
    task: Task,
    budget: Budget,
    rng: np.random.Generator,
    *,
    most_batches: int = MOST_BATCHES,
) -> tuple[Rows, Costs]:
    """Samples that fit ``budget`` and their costs: about ``ENOUGH`` of them, fewer if they are rare.

    Where random samples find none, samples are led into the budget one choice at a time. Empty only if that
    fails from every start.
    """
    found = hopeful = np.empty((0, len(space.choices)), np.int16)
    for _ in range(most_batches):
        hopeful = np.concatenate([hopeful, _hopeful(space, task, budget, space.sample_over_sizes(rng, BATCH))])
        if len(found) + len(hopeful) >= ENOUGH:  # else it is too early to look closer
            found, hopeful = np.concatenate([found, _admitted(space, task, budget, hopeful)]), hopeful[:0]
        if len(found) >= ENOUGH:
            break
    found = np.concatenate([found, _admitted(space, task, budget, hopeful)])
    if not len(found):
        found = _led_inside(space, task, budget, rng)
    rows = distinct(found)[0]
    return rows, costs_of(space, rows, task)


def distinct(rows: Rows) -> tuple[Rows, npt.NDArray[np.intp]]:
    """The different ones of ``rows`` in ascending order, and where each stands first: ``np.unique`` of rows, by a sort
    that takes a tenth of the time or less."""
    order = np.lexsort(rows.T[::-1]) if rows.size else np.arange(len(rows))
    ordered = rows[order]
    is_new = np.ones(len(rows), bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[is_new], order[is_new]


def fitting(space: SearchSpace, task: Task, budget: Budget, rows: Rows) -> Rows:
    """Those of ``rows`` that fit. Where the budget limits parameters or bytes, these are counted first, and the
    other costs only of rows that pass."""
    return _admitted(space, task, budget, _hopeful(space, task, budget, rows))


def _hopeful(space: SearchSpace, task: Task, budget: Budget, rows: Rows) -> Rows:
    """Those of ``rows`` whose parameters no limit rules out."""
    return rows[budget.may_admit(params_of(space, rows, task))] if budget.rules_out_by_params else rows


def _admitted(space: SearchSpace, task: Task, budget: Budget, hopeful: Rows) -> Rows:
    """Those that fit of rows whose parameters were looked at."""
    return hopeful if budget.needs_params_only else hopeful[budget.admits(costs_of(space, hopeful, task))]


def sample_near(space: SearchSpace, task: Task, budget: Budget, known: Rows, rng: np.random.Generator) -> Rows:
    """Samples that fit, of a batch that differ from ``known`` ones in one to three choices and a batch sampled
    anywhere; some more than once, and known ones among them."""
    parents = known[rng.integers(len(known), size=BATCH)]
    rows = np.concatenate([space.mutants(parents, rng, BATCH), space.sample_over_sizes(rng, BATCH)])
    return fitting(space, task, budget, rows)


def _led_inside(space: SearchSpace, task: Task, budget: Budget, rng: np.random.Generator) -> Rows:
    starts = np.concatenate([np.zeros((1, len(space.choices)), np.int16), space.sample_over_sizes(rng, 12)])
    ends, excess = descend(space, starts, lambda rows: budget.excess(costs_of(space, rows, task)))
    inside = ends[excess == 0]
    neighbours = [space.mutants(row, rng, 512) for row in inside]
    return fitting(space, task, budget, np.concatenate([inside, *neighbours]))


def pick(params: npt.NDArray[np.int64], rng: np.random.Generator) -> int:
    """An index into ``params``: a bin of equal width in parameters first, then one of its members."""
    low, high = int(params.min()), int(params.max())
    bins = np.minimum((params - low) * NUM_BINS // max(1, high - low), NUM_BINS - 1)
    chosen = rng.choice(np.unique(bins))
    return int(rng.choice(np.flatnonzero(bins == chosen)))


def descend(space: SearchSpace, starts: Rows, score: Callable[[Rows], Floats]) -> tuple[Rows, Floats]:
    """Descend from each of N ``starts`` to the row where changing any one choice no longer lowers ``score``, or where
    it is 0; also the scores there (N,). All descend together, since a thousand rows cost little more than a hundred."""
    rows, best = starts.copy(), score(starts)
    column = np.repeat(np.arange(len(space.choices)), [len(choice.values) for choice in space.choices])
    value = np.concatenate([np.arange(len(choice.values)) for choice in space.choices])
    moving = np.flatnonzero(best > 0)
    while len(moving):
        neighbours = np.repeat(rows[moving, None], len(column), axis=1)
        neighbours[:, np.arange(len(column)), column] = value
        scores = score(neighbours.reshape(-1, len(space.choices))).reshape(len(moving), -1)
        lowest = scores.argmin(axis=1)
        least = scores[np.arange(len(moving)), lowest]
        lower = least < best[moving]
        rows[moving[lower]], best[moving[lower]] = neighbours[lower, lowest[lower]], least[lower]
        moving = moving[lower & (least > 0)]
    return rows, best


def smallest(space: SearchSpace, task: Task, cost_name: str) -> tuple[Sample, Cost]:
    """The sample with the least of one cost, found by descent from several starts."""
    rng = np.random.default_rng(0)
    starts = np.concatenate([np.zeros((1, len(space.choices)), np.int16), space.sample_uniform(rng, 4)])

    def score(rows: Rows) -> Floats:
        return np.asarray(getattr(costs_of(space, rows, task), cost_name), np.float64)

    rows, scores = descend(space, starts, score)
    row = rows[scores.argmin()]
    return space.decode(row), costs_of(space, row[None], task)[0]


def resolve_budget(space: SearchSpace, task: Task, budget: Budget) -> tuple[Budget, str]:
    """The budget a search uses, and a sentence on what was resolved: where no minimum is given, it becomes
    half of what ``max_params`` and ``max_bytes`` allow, if anything is that large. UsageError if nothing fits."""
    rng = np.random.default_rng(0)
    note = ""
    if budget.min_params is None:
        allowed = [most for most in (budget.max_params, budget.max_bytes and budget.max_bytes // 4) if most]
        near = replace(budget, min_params=max(1, min(allowed) // 2)) if allowed else None
        if near and len(sample_feasible(space, task, near, rng)[0]):
            words = "min_params defaults to half of max_params (change: --min-params)"
            return near, "; ".join(filter(None, [words, _about_head(space, task, near)]))
        note = "no minimum size: " + (
            "no feasible architecture is half as large as the budget allows" if near else "--min-params sets one"
        )
    if not len(sample_feasible(space, task, budget, rng)[0]):
        raise UsageError(nothing_fits(space, task, budget))
    return budget, "; ".join(filter(None, [note, _about_head(space, task, budget)]))


def _may_be_mostly_head(space: SearchSpace, task: Task) -> bool:
    """True if classes are many, and networks have a last layer of which nothing was said yet."""
    if task.num_classes < MANY_CLASSES or not task.has_head:
        return False
    try:
        space.definition(replace(task, has_head=False))
    except UsageError:  # they end in something else
        return False
    return True


def _about_head(space: SearchSpace, task: Task, budget: Budget) -> str:
    """Remark on the last layer where that of the smallest network takes half of the parameters or more; "" for few
    classes."""
    if not budget.max_params or not _may_be_mostly_head(space, task):
        return ""
    _, cost = smallest(space, task, "params")
    _, embedder = smallest(space, replace(task, has_head=False), "params")
    head = cost.params - embedder.params
    if 2 * head < budget.max_params:
        return ""
    return (
        f"the last layer alone takes {head:,} parameters or more for {task.num_classes:,} classes "
        "(--budget-without-head does not count it, for embedders)"
    )


def nothing_fits(space: SearchSpace, task: Task, budget: Budget) -> str:
    """Message for an infeasible budget: the limits, and the smallest possible sizes with their sample."""
    channels, height, width = task.input_shape
    ends = {name: smallest(space, task, name) for name in COST_NAMES}
    flags = {
        "params": "max_params",
        "macs": "max_macs",
        "size_bytes": "max_bytes",
        "peak_memory": "max_peak_memory",
    }
    words = restriction_words(space)
    part = f" with {words}" if words else ""
    lines = [
        f"No {space.name} network{part} for {channels}x{height}x{width} inputs and {task.num_classes} classes has "
        f"{budget}."
    ]
    for name, (sample, cost) in ends.items():
        limit = getattr(budget, flags[name])
        value = getattr(cost, name)
        if limit is not None and value > limit:
            flag = "--" + flags[name].replace("_", "-")
            lines.append(
                f"The smallest possible has {value:,} {UNITS[name]} ({flag} {value} allows it): {space.text(sample)}."
            )
            if name == "params" and _may_be_mostly_head(space, task):
                lines += _cures_of_head(space, sample, task, limit)
    if budget.min_params and list(budget.limits) == ["min_params"]:
        rng = np.random.default_rng(0)
        ends_above, _ = descend(space, space.sample_uniform(rng, 4), lambda rows: 1e12 / params_of(space, rows, task))
        most = int(params_of(space, ends_above, task).max())
        lines.append(f"The largest possible has {most:,} (--min-params {most} allows it).")
    if len(lines) == 1:
        lines.append("Each limit can be met alone, but not all of them together: raise one, or lower --min-params.")
    if space.whole is not None and len(sample_feasible(space.whole, task, budget, np.random.default_rng(0))[0]):
        lines.append("Some architectures fit without --fix and --choices: remove some of these options.")
    return " ".join(lines)


def _cures_of_head(space: SearchSpace, sample: Sample, task: Task, limit: int) -> list[str]:
    """Cures where ``sample``, the smallest, is over ``limit`` parameters because of its last layer."""
    whole = params_of(space, space.encode(sample)[None], task)[0]
    rest = params_of(space, space.encode(sample)[None], replace(task, has_head=False))[0]
    a_class = (whole - rest) // task.num_classes
    if 2 * (whole - rest) < limit:
        return []
    room = (limit - rest) // a_class
    fewer = f" For up to {room:,} classes it would fit." if room >= 2 else ""
    without = (
        " To count only what comes before that layer, for an embedder that ships without it: --budget-without-head "
        f"({rest:,} then)."
    )
    return [
        f"Its last layer takes {whole - rest:,} of them, {a_class} for each class.{fewer}"
        + (without if rest <= limit else "")
    ]
