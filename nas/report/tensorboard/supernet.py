"""A supernet as TensorBoard shows it: its curves, and in the Custom Scalars tab one chart a choice with a line
for the probability of each value.

The file is a function of the run's log. It grows by an epoch at a time, so that a TensorBoard that is open
follows it; after a kill it is completed, or written anew where the log took another course.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import metadata
from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent

from nas.files import write_atomically
from nas.report.tensorboard.trial import PARTIAL, records
from nas.runs.events import SupernetEpoch

Choices = Mapping[str, Sequence[int | str]]

METRICS = {  # of a row, with what TensorBoard says about them
    "train_loss": "Mean loss of the steps that train the weights.",
    "select_loss": "Mean loss of the steps that train the alphas, on the select split; none in the warm-up.",
    "penalty": "How far outside the budget architectures sampled from the alphas are: mean of log(1 + excess).",
    "entropy": "Mean over the choices of the entropy of their probabilities: 1 is undecided, 0 decided.",
    "expected_params": "Parameters of architectures sampled from the alphas, on average.",
    "likeliest_params": "Parameters of the architecture of the likeliest values.",
    "within_budget": "Share of the architectures sampled from the alphas that fit the budget.",
    "skip_share": "Mean probability of the values without weights (a skip, pooling), over the choices that can skip.",
    "temperature": "Temperature of the Gumbel softmax.",
    "learning_rate": "Learning rate of the weights, the largest of the epoch.",
}


def write_supernet(
    folder: Path,
    choices: Choices,
    epochs: Sequence[SupernetEpoch],
    *,
    started: float,
    objective: str,
    limits: Mapping[str, int],
) -> None:
    """Bring the supernet's file in ``folder`` up to date with the epochs recorded so far.

    ``choices`` maps labels to values and gives each a chart; ``limits`` are lines to compare parameters with.
    """
    path = folder / f"events.out.tfevents.{int(started)}.nasctl"

    def part(number: int) -> bytes:
        """Content of the file for an epoch; for 0, what comes before all epochs."""
        if number == 0:
            return _head(choices, objective, started)
        return _epoch(choices, epochs[:number], objective, limits, started)

    folder.mkdir(parents=True, exist_ok=True)
    path.touch()
    number = len(epochs)
    if number and _ends_with(path, part(number - 1)):  # the usual case: the last epoch alone is lacking
        _append(path, part(number))
        return
    wanted, found = b"".join(map(part, range(number + 1))), path.read_bytes()
    if wanted.startswith(found):
        _append(path, wanted[len(found) :])
        return
    write_atomically(path, wanted, partial=folder.with_name(PARTIAL + folder.name))


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def _ends_with(path: Path, content: bytes) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(content)))
        return file.read() == content


def _head(choices: Choices, objective: str, started: float) -> bytes:
    layout = TensorProto(dtype=DT_STRING, string_val=[_layout(choices, objective).SerializeToString()])
    layout.tensor_shape.SetInParent()  # a single string
    described: SummaryMetadata = metadata.create_summary_metadata()
    value = Summary.Value(tag=metadata.CONFIG_SUMMARY_TAG, metadata=described, tensor=layout)
    return records(
        Event(wall_time=started, file_version="brain.Event:2"),
        Event(wall_time=started, summary=Summary(value=[value])),
    )


def _layout(choices: Choices, objective: str) -> Layout:
    """The Custom Scalars tab: the supernet's own charts, and one for each choice."""
    words = objective.replace("_", " ")
    own = Category(title="Supernet", chart=[
        _chart("parameters: expected, likeliest, and the budget", "supernet/(expected|likeliest)_params", "budget/.+"),
        _chart(f"score: {words} on select", "supernet/score"),
        _chart("losses", "supernet/(train|select)_loss"),
        _chart("entropy, shares within the budget and without weights", "supernet/(entropy|within_budget|skip_share)"),
    ])  # fmt: skip
    charts = [_chart(label, f"alphas/{re.escape(label)}/.+") for label in choices]
    alphas = Category(title="Alphas: probability of each value", chart=charts)
    return Layout(category=[own, alphas] if charts else [own])


def _chart(title: str, *tags: str) -> Chart:
    return Chart(title=title, multiline=MultilineChartContent(tag=[f"^{tag}$" for tag in tags]))


def _epoch(
    choices: Choices, epochs: Sequence[SupernetEpoch], objective: str, limits: Mapping[str, int],
    started: float,
) -> bytes:  # fmt: skip
    """The record of the last of ``epochs``."""
    values = [*_metrics(epochs[-1], objective), *_alphas(choices, epochs[-1])]
    values += [Summary.Value(tag=f"budget/{name}", simple_value=limit) for name, limit in limits.items()]
    now = started + sum(row.seconds for row in epochs)
    return records(Event(wall_time=now, step=epochs[-1].epoch, summary=Summary(value=values)))


def _metrics(row: SupernetEpoch, objective: str) -> Iterator[Summary.Value]:
    score = {"score": f"{objective.replace('_', ' ').capitalize()} of the supernet itself, on the select split."}
    for name, text in (METRICS | score).items():
        metric = getattr(row, name)
        if metric is not None:
            plugin = SummaryMetadata.PluginData(plugin_name="scalars")
            described = SummaryMetadata(summary_description=text, plugin_data=plugin)
            yield Summary.Value(tag=f"supernet/{name}", simple_value=metric, metadata=described)


def _alphas(choices: Choices, row: SupernetEpoch) -> Iterator[Summary.Value]:
    for label, values in choices.items():
        for value, probability in zip(values, row.probabilities[label], strict=True):
            yield Summary.Value(tag=f"alphas/{label}/{value}", simple_value=probability)
