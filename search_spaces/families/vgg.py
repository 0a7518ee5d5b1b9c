"""VGG-13 (Simonyan and Zisserman 2015, configuration B) with batch normalization and a pooled head."""

from __future__ import annotations

from search_spaces.registry import register
from search_spaces.space import Choices, Sample, Task
from search_spaces.vocabulary import (
    INCOMING,
    Act,
    Either,
    GlobalPool,
    Linear,
    Node,
    Pool,
    conv_norm_act,
    repeat,
    sequence,
    stages_and_head,
)

STAGES = range(1, 6)
_GROWTHS = (0, 4, 8, 12, 16, 24, 32, 48, 64)


def _line(s: Sample) -> str:
    width, stages = 0, []
    for i in STAGES[: int(s["stages"])]:
        width += int(s[f"growth{i}"] if i > 1 else s["width1"])
        stages.append(f"{s[f'depth{i}']}x{width} k{s[f'kernel{i}']}")
    return f"{' | '.join(stages)} | head {s['head'] or 'linear'}"


@register(
    "vgg",
    summary="VGG-13: stages, width, channels added, depth and kernel per stage, classifier head",
    choices={
        "stages": (2, 3, 4, 5),
        "width1": (8, 12, 16, 20, 24, 32, 40, 48, 64),
        **{f"growth{i}": _GROWTHS for i in STAGES if i > 1},
        **{f"depth{i}": (1, 2, 3) for i in STAGES},
        **{f"kernel{i}": (3, 5) for i in STAGES},
        "head": (0, 32, 64, 128, 256, 512),
    },
    line=_line,
    canonical={  # widths 64, 128, 256, 512, 512 and the 4096-wide head, all divided by 8
        "stages": 5,
        "width1": 8,
        **dict(zip((f"growth{i}" for i in STAGES if i > 1), (8, 16, 32, 0), strict=True)),
        **{f"depth{i}": 2 for i in STAGES},
        **{f"kernel{i}": 3 for i in STAGES},
        "head": 512,
    },
)
def vgg(c: Choices, task: Task) -> Node:
    """Stages of convolutions, each closed by a 2x2 max pool, at most as many as have a map of their own: three of 8x8
    pixels, five from 32x32 on. A stage adds channels to those of the one before. Widths that fall, or convolutions
    without end on the same few pixels, would make most random networks bad (``benchmarks/spaces.py``)."""
    side = min(task.input_shape[1:]) >> task.stem_halvings

    def stage(i: int) -> Node:
        kernel = c[f"kernel{i}"]
        first = conv_norm_act(INCOMING + c[f"growth{i}"] if i > 1 else c["width1"], kernel)
        other = conv_norm_act(INCOMING, kernel)
        return sequence(repeat(lambda n: other if n else first, c[f"depth{i}"]), Pool("max"), name=f"stage{i}")

    hidden = Either(c["head"], {0: sequence()}, otherwise=sequence(Linear(c["head"]), Act()))
    head = sequence(GlobalPool(), sequence(hidden, Linear(task.num_classes), name="head"))
    stages = [stage(i) for i in STAGES if side >> (i - 1) >= 2]
    return sequence(*(Pool("max") for _ in range(task.stem_halvings)), stages_and_head(stages, c["stages"], head))
