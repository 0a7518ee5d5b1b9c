"""A repeated cell whose edges choose an operation, in the macro structure of NAS-Bench-201 (Dong and Yang 2020).

Unlike there, no edge may be absent: every operation of a trained network then does something, and a weight
shared between architectures means the same in each.
"""

from __future__ import annotations

from search_spaces.registry import register
from search_spaces.space import Choices, Sample, Task
from search_spaces.vocabulary import (
    INCOMING,
    Act,
    Cell,
    Conv,
    Either,
    GlobalPool,
    Linear,
    Node,
    Norm,
    Pool,
    Residual,
    conv_norm_act,
    repeat,
    sequence,
    stages_and_head,
)

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_SHORT = {"skip": "skip", "pool": "pool", "conv1": "c1", "separable3": "s3", "conv3": "c3"}


def _line(s: Sample) -> str:
    nodes = " + ".join(
        "(" + " ".join(f"{_SHORT[str(s[f'edge{i}{j}'])]}:{i}" for i in range(j)) + ")" for j in range(1, 4)
    )
    return f"width {s['width']}, {s['stages']}x{s['cells']} cells {nodes}"


@register(
    "cell",
    summary="Cells: an operation for each of six edges, stages, width, number of cells",
    choices={
        "stages": (2, 3),
        "width": (4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 28, 32, 36, 40, 48, 56, 64),
        "cells": (1, 2, 3, 4, 5),
        **{f"edge{i}{j}": ("skip", "pool", "conv1", "separable3", "conv3") for i, j in EDGES},
    },
    line=_line,
    canonical={
        "stages": 3,
        "width": 16,
        "cells": 5,
        **{f"edge{i}{j}": "conv3" if j == i + 1 else "skip" for i, j in EDGES},
    },
)
def cell(c: Choices, task: Task) -> Node:
    """Stem, two or three stages of equal cells, and between them a residual block that halves and doubles the width."""

    def operation(choice: str) -> Node:
        return Either(
            c[choice],
            {
                "skip": sequence(),
                "pool": Pool("avg", stride=1),
                "conv1": sequence(Act(), Conv(INCOMING, 1), Norm()),
                "separable3": sequence(Act(), Conv(None, 3, depthwise=True), Conv(INCOMING, 1), Norm()),
                "conv3": sequence(Act(), Conv(INCOMING, 3), Norm()),
            },
        )

    one = Cell({(a, b): operation(f"edge{a}{b}") for a, b in EDGES})

    def stage(i: int) -> Node:
        return sequence(repeat(lambda _: one, c["cells"]), name=f"stage{i}")

    def reduction(factor: int) -> Node:
        wide = c["width"] * factor
        body = sequence(conv_norm_act(wide, stride=2), conv_norm_act(wide, act=None))
        return sequence(Residual(body), Act(), name=f"reduction{factor}")

    stem_stride = 2 if task.stem_halvings else 1
    stem = sequence(
        conv_norm_act(c["width"], stride=stem_stride, act=None),
        *(Pool("max") for _ in range(task.stem_halvings - 1)),
        name="stem",
    )
    head = sequence(Norm(), Act(), GlobalPool(), Linear(task.num_classes), name="head")
    stages = [stage(1), sequence(reduction(2), stage(2)), sequence(reduction(4), stage(3))]
    return sequence(stem, stages_and_head(stages, c["stages"], head))
