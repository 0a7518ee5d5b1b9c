"""Canonical text of what a module computes: two modules share it exactly if they are the same network.

By another road than ``search_spaces.structure.architecture_id``: from the traced module, not from the definition.
"""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any

import torch
from torch import fx, nn

Term = tuple[int, int, int]  # argument of the operation, number of the value that is read, how often it is added
Value = tuple[str, tuple[Term, ...]]  # operation, what it reads


def computed_form(model: nn.Module) -> str:
    """The text of a module, whatever its weights are."""
    return _canonical(_values(model))


def _values(model: nn.Module) -> list[Value]:
    """The values that a module computes, by its trace. Each argument of an operation is a sum of values, so
    additions and identities are none of their own; nor is the same operation without weights on the same input, nor
    the mean pool of a sum, which is the sum of the mean pools."""
    traced = fx.symbolic_trace(model)
    modules = dict(traced.named_modules())
    values: list[Value] = []
    sums: dict[fx.Node, Counter[int]] = {}

    def number(value: Value, *, shared: bool) -> int:
        if not shared or value not in values:
            values.append(value)
            return len(values) - 1
        return values.index(value)

    for node in traced.graph.nodes:
        listed: Any = node.args[0] if node.target is torch.cat else node.args
        read = [sums[source] for source in listed if isinstance(source, fx.Node)]
        module = modules[str(node.target)] if node.op == "call_module" else None
        if node.target is operator.add:
            sums[node] = read[0] + read[1]
        elif isinstance(module, nn.Identity):
            sums[node] = read[0]
        elif isinstance(module, nn.AvgPool2d):
            parts = sorted(read[0].items())
            sums[node] = Counter({number((str(module), ((0, i, 1),)), shared=True): count for i, count in parts})
        else:
            operation = str(module or getattr(node.target, "__name__", node.target))
            value = (operation, tuple((k, *term) for k, terms in enumerate(read) for term in sorted(terms.items())))
            sums[node] = Counter([number(value, shared=not (module and any(True for _ in module.parameters())))])
    return values


def _canonical(values: list[Value]) -> str:
    """``values`` written in an order that does not depend on how they are numbered.

    Values are told apart by depth and operation, then by what they read and what reads them, until nothing
    more is told apart; of those that remain alike one is put first, and so on. Two networks with one text are
    the same; two that are the same have one text where those alike may be exchanged, as in cells.
    """
    depths: list[int] = []
    readers: list[list[Term]] = [[] for _ in values]
    for index, (_, terms) in enumerate(values):
        depths.append(1 + max((depths[source] for _, source, _ in terms), default=0))
        for argument, source, count in terms:
            readers[source].append((argument, index, count))
    ranks = _ranked([(depth, operation) for depth, (operation, _) in zip(depths, values, strict=True)])
    while True:
        known = len(set(ranks))
        ranks = _ranked(
            [
                (ranks[index], *(tuple(sorted((k, ranks[i], n) for k, i, n in e)) for e in (terms, readers[index])))
                for index, (_, terms) in enumerate(values)
            ]
        )
        if len(set(ranks)) == len(values):
            break
        if len(set(ranks)) == known:
            tied = min(rank for rank, count in Counter(ranks).items() if count > 1)
            ranks = [2 * rank for rank in ranks]
            ranks[ranks.index(2 * tied)] -= 1
    lines = [
        f"{operation}{sorted((k, ranks[i], n) for k, i, n in terms)}"
        for _, (operation, terms) in sorted(zip(ranks, values, strict=True))
    ]
    return "\n".join(lines)


def _ranked(signatures: list[Any]) -> list[int]:
    position = {signature: rank for rank, signature in enumerate(sorted(set(signatures)))}
    return [position[signature] for signature in signatures]
