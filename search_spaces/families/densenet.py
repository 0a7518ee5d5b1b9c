"""DenseNet-121 with bottlenecks and compression (Huang et al. 2017)."""

from __future__ import annotations

from search_spaces.registry import register
from search_spaces.space import Choices, Sample, Task
from search_spaces.vocabulary import (
    INCOMING,
    Act,
    Concat,
    Conv,
    GlobalPool,
    Linear,
    Node,
    Norm,
    Pool,
    conv_norm_act,
    repeat,
    sequence,
    stages_and_head,
)

BLOCKS = range(1, 5)


def _line(s: Sample) -> str:
    layers = "-".join(str(s[f"layers{i}"]) for i in BLOCKS[: int(s["blocks"])])
    rest = f"growth {s['growth']}, bottleneck x{s['bottleneck']}, keep {s['compression']}%"
    return f"stem {s['stem']}, layers {layers}, {rest}"


@register(
    "densenet",
    summary="DenseNet-121: dense blocks, stem, growth, bottleneck factor, layers per block, compression",
    choices={
        "blocks": (2, 3, 4),
        "stem": (4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64),
        "growth": (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32),
        "bottleneck": (1, 2, 3, 4),
        "layers1": (1, 2, 3, 4, 5, 6),
        "layers2": (1, 2, 3, 4, 5, 6, 8, 10, 12),
        "layers3": (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24),
        "layers4": (1, 2, 3, 4, 5, 6, 8, 10, 12, 16),
        "compression": (30, 40, 50, 60, 70, 80, 90, 100),
    },
    line=_line,
    canonical={  # growth 32 and stem 64, divided by 4
        "blocks": 4,
        "stem": 16, "growth": 8, "bottleneck": 4, "compression": 50,
        "layers1": 6, "layers2": 12, "layers3": 24, "layers4": 16,
    },
)  # fmt: skip
def densenet(c: Choices, task: Task) -> Node:
    """Two to four dense blocks; between them a 1x1 convolution keeps a share of the channels, and a pool halves."""
    growth = c["growth"]

    def layer(_: int) -> Node:
        return Concat(sequence(Norm(), Act(), conv_norm_act(growth * c["bottleneck"], 1), Conv(growth)))

    def block(i: int) -> Node:
        return sequence(repeat(layer, c[f"layers{i}"]), name=f"block{i}")

    def transition(i: int) -> Node:
        kept = Conv(INCOMING * c["compression"] // 100, 1)
        return sequence(Norm(), Act(), kept, Pool("avg"), name=f"transition{i}")

    blocks = [sequence(transition(i - 1), block(i)) if i > 1 else block(i) for i in BLOCKS]
    head = sequence(Norm(), Act(), GlobalPool(), Linear(task.num_classes), name="head")
    stem_stride = 2 if task.stem_halvings else 1
    return sequence(
        sequence(
            conv_norm_act(c["stem"], stride=stem_stride),
            *(Pool("max") for _ in range(task.stem_halvings - 1)),
            name="stem",
        ),
        stages_and_head(blocks, c["blocks"], head),
    )
