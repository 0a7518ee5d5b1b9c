"""The torch reading: a tree of layers becomes an ordinary ``nn.Module``.

Exported networks carry the text of classes and functions from here (``search_spaces.source``), which therefore use
nothing but torch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from search_spaces.structure import Layer, named_children


class Residual(nn.Module):
    """``body(x) + shortcut(x)``; the shortcut is the identity where shapes agree."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to the body's shape."""
        out: torch.Tensor = self.body(x) + self.shortcut(x)
        return out


class Concat(nn.Module):
    """The input's channels followed by the body's (Huang et al. 2017)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C + growth, H, W)."""
        return torch.cat([x, self.body(x)], 1)


class Gate(nn.Module):
    """Squeeze and excitation (Hu et al. 2018): channels scaled by a function of their means."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.act = nn.ReLU()
        self.excite = nn.Conv2d(squeezed, channels, 1)
        self.scale = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to the same shape."""
        out: torch.Tensor = x * self.scale(self.excite(self.act(self.squeeze(self.pool(x)))))
        return out


class Cell(nn.Module):
    """Node j is the sum of edge ij applied to node i over all i < j; the last node is the output."""

    def __init__(self, num_nodes: int, **edges: nn.Module) -> None:
        super().__init__()
        self.num_nodes = num_nodes
        for name, edge in edges.items():
            self.add_module(name, edge)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to the same shape."""
        nodes = [x]
        for target in range(1, self.num_nodes):
            total = self.get_submodule(f"edge0{target}")(nodes[0])
            for source in range(1, target):
                total = total + self.get_submodule(f"edge{source}{target}")(nodes[source])
            nodes.append(total)
        return nodes[-1]


def sequence(**layers: nn.Module) -> nn.Sequential:
    """One layer after the other, each under the name that its weights have."""
    return nn.Sequential(OrderedDict(layers))


def initialize(network: nn.Module) -> None:
    """Initialize convolutions by fan-out (He et al. 2015), as torchvision's networks do."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


def build(layer: Layer) -> nn.Module:
    """The module of a layer tree: float (N, C, H, W) in, logits (N, classes) out for a whole network.

    Weights are initialized from torch's global generator: seed it first.
    """
    module: nn.Module = _BUILDERS[layer.kind](layer)
    if not any(parameter.is_meta for parameter in module.parameters()):  # nothing to initialize there, and slow
        initialize(module)
    return module


def _parts(layer: Layer) -> dict[str, nn.Module]:
    return {name: _BUILDERS[child.kind](child) for name, child in named_children(layer)}


def _conv(layer: Layer) -> nn.Module:
    kernel = layer["kernel"]
    return nn.Conv2d(
        layer.in_shape[0],
        layer["out"],
        kernel,
        layer["stride"],
        kernel // 2,
        groups=layer["groups"],
        bias=False,
    )


def _pool(layer: Layer) -> nn.Module:
    padding = 1 if layer["kernel"] == 3 else 0
    if layer["kind"] == "max":
        return nn.MaxPool2d(layer["kernel"], layer["stride"], padding)
    return nn.AvgPool2d(layer["kernel"], layer["stride"], padding, count_include_pad=False)


def _global_pool(layer: Layer) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


_BUILDERS: dict[str, Callable[[Layer], Any]] = {
    "conv": _conv,
    "norm": lambda layer: nn.BatchNorm2d(layer.in_shape[0]),
    "act": lambda layer: nn.ReLU6() if layer["kind"] == "relu6" else nn.ReLU(),
    "pool": _pool,
    "global_pool": _global_pool,
    "linear": lambda layer: nn.Linear(layer.in_shape[0], layer["out"]),
    "gate": lambda layer: Gate(layer.in_shape[0], layer["squeezed"]),
    "residual": lambda layer: Residual(**_parts(layer)),
    "concat": lambda layer: Concat(**_parts(layer)),
    "cell": lambda layer: Cell(layer["nodes"], **_parts(layer)),
    "sequence": lambda layer: sequence(**_parts(layer)),
}
