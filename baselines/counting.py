"""Parameters, MACs and memory of a fixed network, counted on the module itself on torch's meta device, without
computing."""

from __future__ import annotations

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


def count(network: FixedNetwork, input_shape: Shape, num_classes: int, frozen: str = "") -> Count:
    """Parameters, multiply-accumulates of convolutions and linear layers for one image (as ``budgets`` counts them),
    bytes of the state dict, and the most bytes of one layer's input and output together. The last is a lower bound
    of the peak: what a shortcut holds meanwhile is not in it. ``frozen``: names of modules that do not learn."""
    with torch.device("meta"):
        module = network.construction(input_shape, num_classes).build().eval()
        freeze(module, frozen)
        image = torch.empty(1, *input_shape)
    macs = peak = 0

    def listen(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs, peak
        peak = max(peak, 4 * (inputs[0].numel() + output.numel()))
        if isinstance(layer, nn.Conv2d):
            macs += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            macs += layer.weight.numel()

    for layer in module.modules():
        if not any(True for _ in layer.children()):
            layer.register_forward_hook(listen)
    with torch.no_grad():
        module(image)
    params = sum(parameter.numel() for parameter in module.parameters())
    size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    trainable = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    return Count(Cost(params, macs, size, peak), trainable)
