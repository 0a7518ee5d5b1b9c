"""One architecture of a space, for the images and classes of a data set: its costs, whether a budget admits it, and
its layers in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property

from budgets import Budget, Cost, cost_of
from nas.report.documents import Document
from search_spaces import Sample, SearchSpace, Task
from search_spaces.structure import Layer, Shape


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
        "text": report.space.text(report.sample, report.task),
        **asdict(report.cost),
        "input_shape": list(report.task.input_shape),
        "classes": report.task.num_classes,
        "budget": report.budget.limits,
        "violations": report.violations,
    }


def layer_words(layer: Layer) -> str:
    """Text of one layer: "conv 3x3 /2", "batch norm"."""
    kind, settings = layer.kind, dict(layer.settings)
    if kind == "conv":
        name = "depthwise" if settings["groups"] == settings["out"] != 1 else "conv"
        stride = f" /{settings['stride']}" if settings["stride"] != 1 else ""
        return f"{name} {settings['kernel']}x{settings['kernel']}{stride}"
    if kind == "pool":
        return f"{settings['kind']} pool {settings['kernel']}x{settings['kernel']} /{settings['stride']}"
    return {"norm": "batch norm", "act": str(settings.get("kind")), "global_pool": "global mean"}.get(kind, kind)


def shape_words(shape: Shape) -> str:
    """Channels, height and width as 16x8x8, or of a vector its length."""
    return "x".join(map(str, shape)) if shape[1:] != (1, 1) else str(shape[0])
