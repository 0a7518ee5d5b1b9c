"""ResNet-18 (He et al. 2016); its blocks may also be bottlenecks or depthwise separable."""

from __future__ import annotations

from search_spaces.registry import register
from search_spaces.space import Choices, Sample, Task
from search_spaces.vocabulary import (
    Act,
    Either,
    GlobalPool,
    Linear,
    Node,
    Pool,
    Residual,
    conv_norm_act,
    repeat,
    sequence,
    stages_and_head,
)

STAGES = range(1, 5)
KINDS = ("separable", "bottleneck", "basic")
_WIDTHS = (8, 10, 12, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256)
_RANGE = {1: (8, 64), 2: (12, 96), 3: (16, 160), 4: (24, 256)}


def _line(s: Sample) -> str:
    return " | ".join(f"{s[f'depth{i}']}x{s[f'width{i}']} {s[f'block{i}']}" for i in STAGES[: int(s["stages"])])


@register(
    "resnet",
    summary="ResNet-18: stages, width, depth and kind of block per stage",
    choices={
        "stages": (2, 3, 4),
        **{f"width{i}": [w for w in _WIDTHS if least <= w <= most] for i, (least, most) in _RANGE.items()},
        **{f"depth{i}": (1, 2, 3) for i in STAGES},
        **{f"block{i}": KINDS for i in STAGES},
    },
    line=_line,
    canonical={  # widths 64, 128, 256, 512 divided by 8
        "stages": 4,
        **dict(zip((f"width{i}" for i in STAGES), (8, 16, 32, 64), strict=True)),
        **{f"depth{i}": 2 for i in STAGES},
        **{f"block{i}": "basic" for i in STAGES},
    },
)
def resnet(c: Choices, task: Task) -> Node:
    """A 3x3 stem and up to four stages; every stage but the first starts with stride 2."""

    def block(i: int, kind: str, stride: int) -> Node:
        width = c[f"width{i}"]
        bodies = {
            "basic": sequence(conv_norm_act(width, stride=stride), conv_norm_act(width, act=None)),
            "bottleneck": sequence(
                conv_norm_act(width // 4, 1), conv_norm_act(width // 4, stride=stride),
                conv_norm_act(width, 1, act=None),
            ),
            "separable": sequence(
                conv_norm_act(None, depthwise=True, stride=stride), conv_norm_act(width, 1),
                conv_norm_act(None, depthwise=True), conv_norm_act(width, 1, act=None),
            ),
        }  # fmt: skip
        return sequence(Residual(bodies[kind]), Act())

    def blocks(i: int, kind: str) -> Node:
        first, other = block(i, kind, 1 if i == 1 else 2), block(i, kind, 1)
        return repeat(lambda n: other if n else first, c[f"depth{i}"])

    def stage(i: int) -> Node:
        return sequence(Either(c[f"block{i}"], {kind: blocks(i, kind) for kind in KINDS}), name=f"stage{i}")

    head = sequence(GlobalPool(), sequence(Linear(task.num_classes), name="head"))
    stem_stride = 2 if task.stem_halvings else 1
    return sequence(
        sequence(
            conv_norm_act(c["width1"], stride=stem_stride),
            *(Pool("max") for _ in range(task.stem_halvings - 1)),
            name="stem",
        ),
        stages_and_head([stage(i) for i in STAGES], c["stages"], head),
    )
