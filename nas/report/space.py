"""Report on a space under a budget: the feasible share, examples over all sizes, and the time of a trial here."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from budgets import Budget, Cost, Costs, costs_of
from budgets.sampling import pick, sample_feasible
from nas.config import SearchConfig
from nas.engine.duration import search_seconds, trial_seconds
from nas.engine.placement import placed
from nas.engine.plan import Plan, plan_search
from nas.report.documents import Document
from search_spaces import Sample, SearchSpace, Task, get_space, space_names

SAMPLES = 100_000
NUM_EXAMPLES = 5
ENOUGH = 100  # uniform samples that fit: fewer say too little about what fits


@dataclass(frozen=True)
class Share:
    """The share of a space that fits, from ``sampled`` uniform samples, with its standard error."""

    sampled: int
    fitting: int

    @property
    def share(self) -> float:
        return self.fitting / self.sampled

    @property
    def error(self) -> float:
        return math.sqrt(self.share * (1 - self.share) / self.sampled)

    def __str__(self) -> str:
        if self.fitting == 0:  # the rule of three: with 95 % confidence
            return f"less than {300 / self.sampled:.3f} % (none of {self.sampled:,} sampled)"
        return f"{100 * self.share:.3g} % ± {100 * self.error:.1g} (of {self.sampled:,} sampled)"


@dataclass(frozen=True)
class Example:
    """One architecture that fits."""

    sample: Sample
    cost: Cost


@dataclass(frozen=True)
class Timing:
    """Time of a search of the space on this machine."""

    seconds: float  # of a trial on average
    epochs: int  # of a trial
    trials: int
    confirmations: int
    confirm_epochs: int
    num_slots: int  # trainings in parallel
    total: float  # seconds of the whole search


@dataclass(frozen=True)
class SpaceReport:
    """One space under one budget, for the images and classes of one data set."""

    space: SearchSpace
    task: Task
    data_name: str  # empty for a task without data
    budget: Budget  # as a search would resolve it
    note: str  # what was resolved about it
    share: Share
    costs: Costs  # of samples that fit
    examples: tuple[Example, ...]  # the smallest first
    timing: Timing | None  # None: not measured


def space_report(config: SearchConfig, *, timing: bool) -> SpaceReport:
    """Sample the space and count the costs; ``timing``: also train some for a few steps, as the search
    would, which takes seconds. UsageError with every error of ``config``, of its data, and if nothing fits the budget.
    """
    plan = plan_search(config)
    report = report_of(plan.space, plan.task, plan.budget, plan.note)
    return replace(report, data_name=plan.data_name, timing=_timing(placed(plan)) if timing else None)


def report_of(space: SearchSpace, task: Task, budget: Budget, note: str) -> SpaceReport:
    """Report on the feasible part of a space under a resolved budget, for a task without data; nothing is trained."""
    rng = np.random.default_rng(0)
    sampled = space.sample_uniform(rng, SAMPLES)
    costs = costs_of(space, sampled, task)
    fits = budget.admits(costs)
    share = Share(len(sampled), int(fits.sum()))
    found, found_costs = sample_feasible(space, task, budget, rng)
    examples = _examples(space, found, found_costs, rng)
    shown = costs.take(fits) if share.fitting >= ENOUGH else found_costs
    return SpaceReport(space, task, "", budget, note, share, shown, examples, timing=None)


def spaces_document() -> list[Document]:
    """Every space with what it varies, as JSON."""
    spaces = [get_space(name) for name in space_names()]
    return [{"space": each.name, "samples": each.num_samples, "summary": each.summary} for each in spaces]


def space_document(report: SpaceReport) -> Document:
    """A report as JSON: counts, bytes of ``peak_memory`` and ``size_bytes``, seconds."""

    def quantiles(values: npt.NDArray[np.int64]) -> dict[str, int]:
        return {"min": int(values.min()), "median": int(np.median(values)), "max": int(values.max())}

    space, share, costs = report.space, report.share, report.costs
    return {
        "space": space.name,
        "choices": {choice.label: list(choice.values) for choice in space.choices},
        "restriction": {label: list(values) for label, values in space.restriction.items()},
        "samples": space.num_samples_for(report.task),
        "budget": report.budget.limits,
        "share": {"value": share.share, "standard_error": share.error, "drawn": share.sampled},
        "params": quantiles(costs.params),
        "macs": quantiles(costs.macs),
        "peak_memory": quantiles(costs.peak_memory),
        "examples": [
            {"text": space.text(e.sample, report.task), "sample": e.sample, **asdict(e.cost)} for e in report.examples
        ],
        "trial_seconds": report.timing.seconds if report.timing else None,
    }


def _examples(
    space: SearchSpace, rows: npt.NDArray[np.int16], costs: Costs, rng: np.random.Generator
) -> tuple[Example, ...]:
    """Up to five samples over the whole range of sizes, the smallest first."""
    chosen: set[int] = set()
    for _ in range(50):
        if len(chosen) == min(NUM_EXAMPLES, len(rows)):
            break
        chosen.add(pick(costs.params, rng))
    return tuple(Example(space.decode(rows[i]), costs[i]) for i in sorted(chosen, key=lambda i: int(costs.params[i])))


def _timing(plan: Plan) -> Timing | None:
    """None if nothing could be measured."""
    seconds, config, num_slots = trial_seconds(plan), plan.config, len(plan.slots)
    if seconds is None:
        return None
    total = search_seconds(config, seconds, num_slots)
    confirming = config.num_confirmations, config.confirm_recipe.epochs
    return Timing(seconds, config.recipe.epochs, config.trials, *confirming, num_slots, total)
