"""One architecture of a space, for the images and classes of a data set: its costs, and whether a budget admits it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property

from budgets import Budget, Cost, cost_of
from nas.report.documents import Document
from search_spaces import Sample, SearchSpace, Task


@dataclass(frozen=True)
class ArchitectureReport:
    """An architecture, and the limits that it is held against."""

    space: SearchSpace
    sample: Sample
    task: Task
    data_name: str
    budget: Budget

    @cached_property
    def cost(self) -> Cost:
        return cost_of(self.space, self.sample, self.task)

    @property
    def violations(self) -> list[str]:
        """A sentence for every limit that it breaks; empty if it fits."""
        return self.budget.violations(self.cost)


def architecture_document(report: ArchitectureReport) -> Document:
    """As JSON, which ``--arch`` takes again: counts, bytes of ``peak_memory`` and ``size_bytes``."""
    return {
        "space": report.space.name,
        "sample": report.sample,
        "text": report.space.text(report.sample),
        **asdict(report.cost),
        "input_shape": list(report.task.input_shape),
        "classes": report.task.num_classes,
        "budget": report.budget.limits,
        "violations": report.violations,
    }
