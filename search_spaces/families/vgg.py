"""VGG-13 (Simonyan and Zisserman 2015, configuration B) with batch normalization and a pooled head."""

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
    conv_norm_act,
    repeat,
    sequence,
)

STAGES = range(1, 6)
_WIDTHS = (4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256)
_LARGEST = {1: 64, 2: 128, 3: 192, 4: 256, 5: 256}


def _line(s: Sample) -> str:
    stages = " | ".join(f"{s[f'depth{i}']}x{s[f'width{i}']} k{s[f'kernel{i}']}" for i in STAGES)
    return f"{stages} | head {s['head'] or 'linear'}"


@register(
    "vgg",
    summary="VGG-13: width, depth and kernel per stage, classifier head",
    choices={
        **{f"width{i}": [w for w in _WIDTHS if w <= _LARGEST[i]] for i in STAGES},
        **{f"depth{i}": (1, 2, 3) for i in STAGES},
        **{f"kernel{i}": (3, 5) for i in STAGES},
        "head": (0, 32, 64, 128, 256, 512),
    },
    line=_line,
    canonical={  # widths 64, 128, 256, 512, 512 and the 4096-wide head, all divided by 8
        **dict(zip((f"width{i}" for i in STAGES), (8, 16, 32, 64, 64), strict=True)),
        **{f"depth{i}": 2 for i in STAGES},
        **{f"kernel{i}": 3 for i in STAGES},
        "head": 512,
    },
)
def vgg(c: Choices, task: Task) -> Node:
    """Stages of convolutions, each closed by a 2x2 max pool."""

    def stage(i: int) -> Node:
        conv = conv_norm_act(c[f"width{i}"], c[f"kernel{i}"])
        return sequence(repeat(lambda _: conv, c[f"depth{i}"]), Pool("max"), name=f"stage{i}")

    head = Either(c["head"], {0: sequence()}, otherwise=sequence(Linear(c["head"]), Act()))
    return sequence(
        *(Pool("max") for _ in range(task.stem_halvings)),
        *(stage(i) for i in STAGES),
        GlobalPool(),
        sequence(head, Linear(task.num_classes), name="head"),
    )
