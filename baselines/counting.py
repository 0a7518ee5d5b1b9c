"""Parameters, MACs and memory of a fixed network, counted on the module itself on torch's meta device, without
computing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.freezing import freeze
from baselines.registry import FixedNetwork, Shape
from budgets import Cost


@dataclass(frozen=True)
class Count:
    """The cost of a network, and how many of its parameters learn."""

    cost: Cost
    trainable: int


@dataclass(frozen=True)
class LayerCount:
    """One layer of a network: its name and kind, what it gives for one image, and what it takes."""

    name: str
    kind: str  # of torch: "Conv2d"
    output: tuple[int, ...]  # shape, without the batch
    params: int
    macs: int

    @property
    def num_bytes(self) -> int:
        """Memory of its output in float32."""
        return 4 * math.prod(self.output)


def layer_counts(network: FixedNetwork, input_shape: Shape, num_classes: int) -> list[LayerCount]:
    """Every layer of a network in the order in which an image passes them, as often as it does."""
    module, image = _on_meta(network, input_shape, num_classes)
    found, name_of = list[LayerCount](), {layer: name for name, layer in module.named_modules()}

    def listen(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        params = sum(parameter.numel() for parameter in layer.parameters())
        found.append(
            LayerCount(name_of[layer], type(layer).__name__, tuple(output.shape[1:]), params, _macs(layer, output))
        )

    _run(module, image, listen)
    return found


def count(network: FixedNetwork, input_shape: Shape, num_classes: int, frozen: str = "") -> Count:
    """Parameters, multiply-accumulates of convolutions and linear layers for one image (as ``budgets`` counts them),
    bytes of the state dict, and the most bytes of one layer's input and output together. The last is a lower bound
    of the peak: what a shortcut holds meanwhile is not in it. ``frozen``: names of modules that do not learn."""
    module, image = _on_meta(network, input_shape, num_classes)
    freeze(module, frozen)
    macs = peak = 0

    def listen(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs, peak
        peak = max(peak, 4 * (inputs[0].numel() + output.numel()))
        macs += _macs(layer, output)

    _run(module, image, listen)
    params = sum(parameter.numel() for parameter in module.parameters())
    size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    trainable = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    return Count(Cost(params, macs, size, peak), trainable)


def _on_meta(network: FixedNetwork, input_shape: Shape, num_classes: int) -> tuple[nn.Module, Tensor]:
    """The network, which evaluates, and one image."""
    with torch.device("meta"):
        return network.construction(input_shape, num_classes).build().eval(), torch.empty(1, *input_shape)


def _run(module: nn.Module, image: Tensor, listen: Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]) -> None:
    """Let the image pass, and ``listen`` to every layer that holds no others."""
    for layer in module.modules():
        if not any(True for _ in layer.children()):
            layer.register_forward_hook(listen)
    with torch.no_grad():
        module(image)


def _macs(layer: nn.Module, output: Tensor) -> int:
    if isinstance(layer, nn.Conv2d):
        return output.numel() * layer.weight[0].numel()
    return layer.weight.numel() if isinstance(layer, nn.Linear) else 0
