"""A cell's graph in a form that does not depend on how its nodes are numbered.

Skips are contracted (a node reached by a skip is its source), a linear operation of a sum is the sum of that of
each part, parameter-free operations of the same input are one, and the sum at a node does not care for order. What
remains is a set of operations, each with the multiset of operations it reads; it is written down in the numbering that
gives the smallest text.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import groupby, permutations, product
from typing import Literal

Terms = tuple[tuple[int, int], ...]  # (operation, how often it is added), -1 being the cell's input
Nature = Literal["weighted", "linear", "fixed"]  # of an operation: with weights; without and linear; without
Edge = tuple[str, str, Nature]


@lru_cache(maxsize=4096)
def canonical_cell(edges: tuple[Edge, ...]) -> str:
    """``edges``: (name "edgeIJ", text of the operation, its nature); an empty text is a skip."""
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


def _contract(edges: tuple[Edge, ...]) -> tuple[list[tuple[str, Terms]], Terms]:
    nodes: dict[int, Counter[int]] = {0: Counter({-1: 1})}
    operations: list[tuple[str, Terms]] = []

    def number(text: str, terms: Terms, *, shared: bool = True) -> int:
        if not shared or (text, terms) not in operations:
            operations.append((text, terms))
            return len(operations) - 1
        return operations.index((text, terms))

    for name, text, nature in sorted(edges, key=lambda edge: (edge[0][5], edge[0][4])):
        source, target = int(name[4]), int(name[5])
        total = nodes.setdefault(target, Counter())
        terms = tuple(sorted(nodes[source].items()))
        if not text:
            total.update(nodes[source])
        elif nature == "linear":
            for index, count in terms:
                total[number(text, ((index, 1),))] += count
        else:
            total[number(text, terms, shared=nature == "fixed")] += 1
    return operations, tuple(sorted(nodes[max(nodes)].items()))


def _written(operations: list[tuple[str, Terms]], output: Terms, order: list[int]) -> str:
    number = {operation: position for position, operation in enumerate(order)} | {-1: -1}

    def renumbered(terms: Terms) -> str:
        return "+".join(f"{count}*{index}" for index, count in sorted((number[i], n) for i, n in terms))

    lines = [f"{operations[index][0]}({renumbered(operations[index][1])})" for index in order]
    return " ".join([*lines, f"out({renumbered(output)})"])
