"""Filters of a network's convolutions: which there are, as arrays, and laid out as a picture. Bright is a large weight.

A network may be built without memory for its weights (torch's meta device); weights are those of a state dict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nas.analysis.thumbnails import Label
from nas.errors import nearest
from nas.units import counted, listed

if TYPE_CHECKING:
    from torch import Tensor, nn

CELL, GAP, TEXT, TOP, BOTTOM = 42, 3, 244, 54, 6  # pixels; 42 is a whole multiple of kernels of 1, 2, 3, 6 and 7
A_LINE = 16  # filters
LEAST_WIDTH = 620  # what the lines of text above take
BLUE, WHITE = (112, 146, 190), (255, 255, 255)  # between grey filters, and between coloured ones


@dataclass(frozen=True)
class Layer:
    """A convolution that is trained. ``number`` counts those of its network from 1, in the network's order."""

    number: int
    name: str
    weight: str  # its name in the file of weights
    pointwise: bool  # its kernel is 1x1


@dataclass(frozen=True)
class NetworkLayers:
    """The convolutions of a network: those that are trained, and the names of those that are frozen."""

    trained: tuple[Layer, ...]
    frozen: tuple[str, ...]

    def chosen(self, layers: Sequence[str]) -> list[Layer]:
        """The layers called so, in the network's order; for none, all that are larger than 1x1."""
        if not layers:
            return [layer for layer in self.trained if not layer.pointwise]
        return [layer for layer in self.trained if any(_is_called(layer, typed) for typed in layers)]


@dataclass(frozen=True)
class LayerFilters:
    """The first filters of a layer. ``shares`` (n, h, w, 1 or 3): where each weight lies between the layer's lowest, 0,
    and its highest, 1; three channels are the colours of a first layer, one is the first input channel."""

    layer: Layer
    shares: npt.NDArray[np.float32]
    lowest: float
    highest: float
    filters: int  # that it has
    channels: int  # that each has


def layers_in(module: nn.Module) -> NetworkLayers:
    """The convolutions of a network."""
    from torch import nn

    found = [(name, part) for name, part in module.named_modules() if isinstance(part, nn.Conv2d)]
    trained = [(name, part) for name, part in found if part.weight.requires_grad]
    return NetworkLayers(
        tuple(
            Layer(number, _said(name), f"{name}.weight", part.kernel_size == (1, 1))
            for number, (name, part) in enumerate(trained, start=1)
        ),
        tuple(name for name, part in found if not part.weight.requires_grad),
    )


def filters_in(state: Mapping[str, Tensor], layers: Sequence[Layer], count: int) -> list[LayerFilters]:
    """The first ``count`` filters of each layer, from a state dict, which has them."""
    return [_first(layer, state[layer.weight].detach().float().cpu().numpy(), count) for layer in layers]


def filters_canvas(
    title: str, filters: Sequence[LayerFilters], left_out: str
) -> tuple[npt.NDArray[np.uint8], list[Label]]:
    """A picture (H, W, 3) and the text on it: a line for each layer, or more if it has many filters. ``left_out`` says
    what is not shown."""
    columns = min(A_LINE, max(len(one.shares) for one in filters))
    cells = [_enlarged(one.shares) for one in filters]
    width = max(LEAST_WIDTH, TEXT + GAP + columns * (max(cell.shape[2] for cell in cells) + GAP) + GAP)
    blocks, labels, top = [np.full((TOP, width, 3), 255, dtype=np.uint8)], list[Label](), TOP
    for one, cell in zip(filters, cells, strict=True):
        laid = _laid_out(cell, WHITE if one.shares.shape[3] == 3 else BLUE)
        block = np.full((max(laid.shape[0], CELL + 2 * GAP) + BOTTOM, width, 3), 255, dtype=np.uint8)
        block[: laid.shape[0], TEXT : TEXT + laid.shape[1]] = laid
        labels.append(Label(GAP, top + 1, words_on(one), 6))
        blocks.append(block)
        top += block.shape[0]
    scale = "Each layer has its own scale, from its lowest weight (black) to its highest (white)."
    labels = [Label(GAP, 4, title, 8), Label(GAP, 24, f"{scale}\n{left_out}", 6), *labels]
    return np.concatenate(blocks), labels


def left_out_words(layers: NetworkLayers, shown: Sequence[Layer], *, by_name: bool) -> str:
    """Convolutions that a picture does not show, and why; empty if it shows all."""
    parts = []
    missing = [layer for layer in layers.trained if layer not in shown]
    if missing and not by_name:
        numbers = listed([f"{layer.number}" for layer in missing], 12)
        parts.append(f"{counted(len(missing), 'layer')} of 1x1 ({numbers}; --layers draws them)")
    elif missing:
        parts.append(f"{counted(len(missing), 'other trained layer')}")
    if layers.frozen:
        parts.append(counted(len(layers.frozen), "frozen layer"))
    return f"Not shown: {', '.join(parts)}." if parts else ""


def words_on(one: LayerFilters) -> str:
    """Text beside the filters of a layer."""
    shown, _, _, depth = one.shares.shape
    height, width = one.shares.shape[1:3]
    if depth == 3:
        channels = "its 3 input channels in colour"
    else:
        channels = "1 input channel" if one.channels == 1 else f"the first of {one.channels} input channels"
    name = one.layer.name if len(one.layer.name) <= 32 else f"…{one.layer.name[-31:]}"
    return (
        f"{one.layer.number}: {name}\n{shown} of {one.filters} filters {height}x{width}, weights "
        f"{one.lowest:.2g} to {one.highest:.2g}\n{channels}"
    )


def layer_errors(found: Mapping[str, NetworkLayers], typed: Sequence[str]) -> list[str]:
    """Errors of the layers that were typed, of networks by name: a sentence each, and after the last the layers there
    are."""
    errors = []
    for name in typed:
        if any(layers.chosen([name]) for layers in found.values()):
            continue
        frozen = [member for member, layers in found.items() if name.removesuffix(".weight") in layers.frozen]
        known = list(dict.fromkeys(layer.name for layers in found.values() for layer in layers.trained))
        why = (
            f"is frozen in {frozen[0]}, not trained."
            if frozen
            else f"is not a trained convolution.{nearest(name, known)}"
        )
        errors.append(f"--layers {name!r} {why}")
    if errors:
        members = defaultdict(list)
        for member, layers in found.items():
            members[layers.trained].append(member)
        lists = [
            f"{listed(names, 2)}: {', '.join(f'{one.number} {one.name}' for one in trained) or 'none'}"
            for trained, names in members.items()
        ]
        errors[-1] += " Layers by number and name: " + "; ".join(lists) + "."
    return errors


def _said(name: str) -> str:
    """Name of a layer in a message. A name that is a number keeps its ending: numbers say where a layer stands."""
    return f"{name}.weight" if name.isdecimal() else name


def _is_called(layer: Layer, typed: str) -> bool:
    return typed in (layer.name, layer.weight, f"{layer.number}")


def _first(layer: Layer, weights: npt.NDArray[np.float32], count: int) -> LayerFilters:
    """``weights`` (filters, channels, h, w): in colours only where the network's own first layer takes three."""
    lowest, highest = float(weights.min()), float(weights.max())
    value_range = highest - lowest
    shares = (weights[:count] - lowest) / (value_range if value_range > 0 else 1.0)
    channels = weights.shape[1]
    depth = 3 if layer.number == 1 and channels == 3 else 1
    shown = np.ascontiguousarray(shares[:, :depth].transpose(0, 2, 3, 1))
    return LayerFilters(layer, shown, lowest, highest, len(weights), channels)


def _enlarged(shares: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Filters (n, h, w, 1 or 3) as pixels (n, H, W, 3), each weight a square of whole pixels."""
    times = max(1, CELL // max(shares.shape[1:3]))
    pixels = np.rint(255 * shares).astype(np.uint8).repeat(times, axis=1).repeat(times, axis=2)
    return pixels if pixels.shape[3] == 3 else pixels.repeat(3, axis=3)


def _laid_out(cells: npt.NDArray[np.uint8], between: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """Cells (n, H, W, 3) side by side in lines of ``A_LINE``, a colour ``between`` them."""
    number, height, width, _ = cells.shape
    columns, lines = min(A_LINE, number), -(-number // A_LINE)
    canvas = np.full((lines * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), between, dtype=np.uint8)
    for place, cell in enumerate(cells):
        top, left = GAP + place // A_LINE * (height + GAP), GAP + place % A_LINE * (width + GAP)
        canvas[top : top + height, left : left + width] = cell
    return canvas
