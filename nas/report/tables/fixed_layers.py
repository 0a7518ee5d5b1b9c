"""The layers of a study's fixed network: what each gives, and what it takes."""

from __future__ import annotations

import json
from dataclasses import asdict

from baselines import FixedNetwork
from baselines.counting import LayerCount, layer_counts
from nas.config.run import MemberConfig
from nas.errors import UsageError
from nas.report.screen import Screen
from nas.report.tables.format import compact, make_table
from nas.runs import StudyRun

MIB = 1 << 20
DROPPED = ("Dropout", "Identity")  # that change nothing where a network is evaluated


def print_fixed_layers(console: Screen, run: StudyRun, member: MemberConfig, *, as_json: bool = False) -> None:
    """A row a layer, and the memory of all. UsageError if the member's network is no fixed one."""
    if member.network is None:
        raise UsageError(
            f"--layers is for fixed networks, and {member.name} is an architecture of {member.space}: leave it out."
        )
    network = FixedNetwork(member.network, member.settings)
    layers = layer_counts(network, run.facts.input_shape, len(run.facts.classes))
    if as_json:
        print(json.dumps([{**asdict(layer), "bytes": layer.num_bytes} for layer in layers], indent=1))
        return
    shape = "x".join(map(str, run.facts.input_shape))
    title = (
        f"Layers of {member.network} at {shape} and {len(run.facts.classes):,} classes; memory of one image's output"
    )
    table = make_table(title, ("layer", "kind"), ("output", "parameters", "MACs", "KiB"))
    for layer in layers:
        if layer.kind not in DROPPED:
            table.add_row(layer.name, layer.kind, *_cells(layer))
    console.print(table)
    params, outputs = sum(layer.params for layer in layers), sum(layer.num_bytes for layer in layers)
    console.print(
        f"{params:,} parameters, {4 * params / MIB:.2f} MiB; what all layers give for one image {outputs / MIB:.2f} "
        f"MiB, and as much again for gradients: {(4 * params + 2 * outputs) / MIB:.2f} MiB in all",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def _cells(layer: LayerCount) -> tuple[str, ...]:
    shape = "x".join(map(str, layer.output))
    return shape, f"{layer.params:,}", compact(layer.macs) if layer.macs else "", f"{layer.num_bytes / 1024:,.1f}"
