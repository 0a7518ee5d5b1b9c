"""Peak activation memory measured on a built module, by another road than ``budgets.reading``: the module's
traced graph, the shapes that flow through it, and the last use of each tensor."""

from __future__ import annotations

import operator

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

IN_PLACE = (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Sigmoid)
SAME_TENSOR = (nn.Identity, nn.Flatten)


def measured_peak(model: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Bytes of float32 activations alive at once for one image, executed in order."""
    traced = fx.symbolic_trace(model.eval())
    ShapeProp(traced).propagate(torch.zeros(1, *input_shape))
    modules = dict(traced.named_modules())
    nodes = [node for node in traced.graph.nodes if node.op != "output"]
    storage: dict[fx.Node, fx.Node] = {}  # which node made the tensor that a node's value lives in
    for node in nodes:
        alias = node.op == "call_module" and isinstance(modules[node.target], SAME_TENSOR)
        storage[node] = storage[node.all_input_nodes[0]] if alias else node
    last_use = {}
    for position, node in enumerate(nodes):
        for source in (*node.all_input_nodes, node):
            last_use[storage[source]] = position
    sizes = {node: node.meta["tensor_meta"].shape.numel() for node in nodes}
    alive: dict[fx.Node, int] = {}
    peak = 0
    for position, node in enumerate(nodes):
        if storage[node] is node:
            dying = [s for s in map(storage.get, node.all_input_nodes) if s is not None and last_use[s] == position]
            elementwise = node.target in (operator.add, operator.mul) or (
                node.op == "call_module" and isinstance(modules[node.target], IN_PLACE)
            )
            reused = next((s for s in dying if elementwise and sizes[s] == sizes[node]), None)
            if reused is not None:
                del alive[reused]
            alive[node] = sizes[node]
        peak = max(peak, sum(alive.values()))
        alive = {tensor: size for tensor, size in alive.items() if last_use[tensor] > position}
    return 4 * peak
