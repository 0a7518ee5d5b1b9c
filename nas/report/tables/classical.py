"""Scores of classical methods, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict

from baselines.classical import NAME, ClassicalScores
from baselines.verification import METRICS
from nas.data import Dataset
from nas.report.documents import Document
from nas.report.metric_text import decimal
from nas.report.screen import Screen
from nas.report.study import REPORTED
from nas.report.tables.format import make_table


def print_classical(console: Screen, dataset: Dataset, scores: ClassicalScores, objective: str) -> None:
    """A row a method; under the table all test metrics of the one that was chosen, and on what all were trained."""
    title = f"Classical methods on {dataset.name}: {objective.replace('_', ' ')}"
    table = make_table(title, ("method", "settings"), ("rank", "test"))
    for method in scores.methods:
        chosen = method.name == scores.chosen
        settings = ", ".join(f"{name} {value:g}" for name, value in method.settings.items())
        test = decimal(scores.test[objective]) if chosen else ""
        table.add_row(f"{'* ' if chosen else ''}{method.label}", settings, decimal(method.rank[objective]), test)
    console.print(table)
    metrics = ", ".join(
        f"{name.replace('_', ' ')} {scores.test[name]:.3f}" for name in scores.test if name in (*REPORTED, *METRICS)
    )
    lines = [
        "*: the best on rank, which alone is scored on test, once.",
        f"Its test metrics: {metrics}",
        f"Trained on {_trained_on(scores)}",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def _trained_on(scores: ClassicalScores) -> str:
    """Number of images that the methods saw, and as what."""
    images = f"{scores.images:,} of {scores.of_images:,}" if scores.images < scores.of_images else f"{scores.images:,}"
    seen = "their pixels" if scores.components is None else f"{scores.components} principal components of their pixels"
    return f"{images} images, by {seen}"


def classical_document(dataset: Dataset, scores: ClassicalScores, objective: str) -> Document:
    """The same as JSON."""
    data = {"name": dataset.name, "key": dataset.key, "classes": dataset.classes, "counts": dataset.counts}
    return {"study": NAME, "data": data, "objective": objective, **asdict(scores)}
