"""Filters of a study's trained networks: which are drawn, and the picture made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines import FixedNetwork
from nas.analysis.convolutions import (
    Layer,
    LayerFilters,
    NetworkLayers,
    filters_canvas,
    filters_in,
    layer_errors,
    layers_in,
)
from nas.config import raise_all
from nas.config.run import MemberConfig
from nas.errors import RunError
from nas.runs import StudyRun
from search_spaces import get_space


@dataclass(frozen=True)
class FilterChoice:
    """Choice of filters to draw: the first ``count`` filters of a layer; of ``layers``, by name or number, or where it
    is empty of every trainable convolution larger than 1x1."""

    count: int = 16
    layers: tuple[str, ...] = ()


def network_layers(member: MemberConfig, shape: tuple[int, int, int], num_classes: int) -> NetworkLayers:
    """The convolutions of a member's network, which is built without memory for its weights (torch's meta device)."""
    import torch

    with torch.device("meta"):
        if member.network is not None:
            module = FixedNetwork(member.network, member.settings).construction(shape, num_classes).build()
        else:
            module = get_space(str(member.space)).build(member.sample, shape, num_classes)
    return layers_in(module)


def layers_of(run: StudyRun, choice: FilterChoice) -> dict[str, NetworkLayers]:
    """The convolutions of every member's network. UsageError for layers chosen that no member trains."""
    run.use_plugins()
    found = {m.name: network_layers(m, run.task.input_shape, run.task.num_classes) for m in run.config.members}
    raise_all(layer_errors(found, choice.layers))
    return found


def filters_of(path: Path, layers: Sequence[Layer], count: int) -> list[LayerFilters]:
    """The first ``count`` filters of each layer, from a file of weights. RunError if it cannot be read."""
    from nas.trials.weights import load_weights

    state, _ = load_weights(path)
    if missing := [layer.weight for layer in layers if layer.weight not in state]:
        raise RunError(
            f"The weights {path} are of another network: they have no {missing[0]}. Put the run's own file back."
        )
    return filters_in(state, layers, count)


def draw_filters(path: Path, title: str, filters: Sequence[LayerFilters], left_out: str) -> None:
    """Write the picture: see ``nas.analysis.convolutions.filters_canvas``."""
    from nas.report.plots import picture_plot

    picture_plot(path, *filters_canvas(title, filters, left_out))
