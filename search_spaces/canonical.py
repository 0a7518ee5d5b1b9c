"""A cell's graph in a form that does not depend on how its nodes are numbered.

Skips are contracted (a node reached by a skip is its source), parameter-free operations of the same input
are one, and the sum at a node does not care for order. What remains is a set of operations, each with the
multiset of operations it reads; it is written down in the numbering that gives the smallest text.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import groupby, permutations, product

Terms = tuple[tuple[int, int], ...]  # (operation, how often it is added), -1 being the cell's input


@lru_cache(maxsize=4096)
def canonical_cell(edges: tuple[tuple[str, str, bool], ...]) -> str:
    """``edges``: (name "edgeIJ", text of the operation, whether it has weights); an empty text is a skip."""
    operations, output = _contract(edges)
    keys: list[str] = []
    for text, terms in operations:
        inputs = sorted((keys[index] if index >= 0 else "x", count) for index, count in terms)
        keys.append(f"{text}<{inputs}>")
    order = sorted(range(len(keys)), key=keys.__getitem__)
    groups = [list(group) for _, group in groupby(order, key=keys.__getitem__)]
    return min(
        _written(operations, output, [index for group in chosen for index in group])
        for chosen in product(*(permutations(group) for group in groups))
    )


def _contract(edges: tuple[tuple[str, str, bool], ...]) -> tuple[list[tuple[str, Terms]], Terms]:
    nodes: dict[int, Counter[int]] = {0: Counter({-1: 1})}
    operations: list[tuple[str, Terms]] = []
    for name, text, has_weights in sorted(edges, key=lambda edge: (edge[0][5], edge[0][4])):
        source, target = int(name[4]), int(name[5])
        total = nodes.setdefault(target, Counter())
        if not text:
            total.update(nodes[source])
            continue
        operation = (text, tuple(sorted(nodes[source].items())))
        if has_weights or operation not in operations:
            operations.append(operation)
        total[len(operations) - 1 if has_weights else operations.index(operation)] += 1
    return operations, tuple(sorted(nodes[max(nodes)].items()))


def _written(operations: list[tuple[str, Terms]], output: Terms, order: list[int]) -> str:
    number = {operation: position for position, operation in enumerate(order)} | {-1: -1}

    def renumbered(terms: Terms) -> str:
        return "+".join(f"{count}*{index}" for index, count in sorted((number[i], n) for i, n in terms))

    lines = [f"{operations[index][0]}({renumbered(operations[index][1])})" for index in order]
    return " ".join([*lines, f"out({renumbered(output)})"])
