"""MobileNetV2 (Sandler et al. 2018) with optional 5x5 kernels and squeeze-and-excitation."""

from __future__ import annotations

from search_spaces.registry import register
from search_spaces.space import Choices, Sample, Task
from search_spaces.vocabulary import (
    INCOMING,
    Either,
    Gate,
    GlobalPool,
    Linear,
    Node,
    Residual,
    conv_norm_act,
    repeat,
    sequence,
    stages_and_head,
)

STAGES = range(1, 8)  # the first has no expansion and one block, as in the paper
_WIDTHS = (8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256)
_RANGE = {1: (8, 64), 2: (8, 128), 3: (12, 128), 4: (16, 256), 5: (16, 256), 6: (24, 256), 7: (32, 256)}
_MOST_REPEATS = {2: 2, 3: 3, 4: 4, 5: 3, 6: 3, 7: 1}  # the paper's


def _line(s: Sample) -> str:
    def stage(i: int) -> str:
        repeats = f"{s[f'repeats{i}']}x" if f"repeats{i}" in s else ""
        expansion = f" t{s[f'expansion{i}']}" if i > 1 else ""
        gate = " se" if s[f"gate{i}"] == "se" else ""
        return f"{repeats}{s[f'width{i}']}{expansion} k{s[f'kernel{i}']}{gate}"

    return f"stem {s['stem']} | {' | '.join(stage(i) for i in STAGES[: int(s['stages'])])} | head {s['head']}"


@register(
    "mobilenet",
    summary="MobileNetV2: stages, stem, width, expansion, repeats, kernel and squeeze-and-excitation per stage",
    choices={
        "stages": (3, 4, 5, 6, 7),
        "stem": (8, 12, 16, 24, 32, 48, 64),
        **{f"width{i}": [w for w in _WIDTHS if least <= w <= most] for i, (least, most) in _RANGE.items()},
        **{f"expansion{i}": (1, 2, 3, 4, 6) for i in STAGES if i > 1},
        **{f"repeats{i}": tuple(range(1, most + 1)) for i, most in _MOST_REPEATS.items() if most > 1},
        **{f"kernel{i}": (3, 5) for i in STAGES},
        **{f"gate{i}": ("none", "se") for i in STAGES},
        "head": (32, 48, 64, 96, 128, 192, 256, 320, 384, 512, 640, 1280),
    },
    line=_line,
    canonical={  # a stem of 32, widths 16, 24, 32, 64, 96, 160, 320 and the head of 1280, divided by 2
        "stages": 7,
        "stem": 16,
        **dict(zip((f"width{i}" for i in STAGES), (8, 12, 16, 32, 48, 80, 160), strict=True)),
        **{f"expansion{i}": 6 for i in STAGES if i > 1},
        **{f"repeats{i}": most for i, most in _MOST_REPEATS.items() if most > 1},
        **{f"kernel{i}": 3 for i in STAGES},
        **{f"gate{i}": "none" for i in STAGES},
        "head": 640,
    },
)
def mobilenet(c: Choices, task: Task) -> Node:
    """Inverted residual blocks; a shortcut only where the shape stays. Strides are the paper's, except that
    stage 2 keeps the size of inputs up to 48 pixels, as is usual for CIFAR."""
    strides = {2: 2 if min(task.input_shape[1:]) > 48 else 1, 3: 2, 4: 2, 6: 2}

    def block(i: int, stride: int, *, expand: bool, gate: bool) -> Node:
        body = sequence(
            conv_norm_act(INCOMING * c[f"expansion{i}"], 1, act="relu6") if expand else sequence(),
            conv_norm_act(None, c[f"kernel{i}"], stride=stride, depthwise=True, act="relu6"),
            Gate(INCOMING // 4) if gate else sequence(),
            conv_norm_act(c[f"width{i}"], 1, act=None),
        )
        return Residual(body, project=False)

    def blocks(i: int, *, expand: bool, gate: bool) -> Node:
        first, other = (block(i, stride, expand=expand, gate=gate) for stride in (strides.get(i, 1), 1))
        return repeat(lambda n: other if n else first, c.get(f"repeats{i}", 1))

    def gated(i: int, *, expand: bool) -> Node:
        kinds = {"none": False, "se": True}
        return Either(c[f"gate{i}"], {kind: blocks(i, expand=expand, gate=on) for kind, on in kinds.items()})

    def stage(i: int) -> Node:
        plain = gated(i, expand=False)
        body = plain if i == 1 else Either(c[f"expansion{i}"], {1: plain}, gated(i, expand=True))
        return sequence(body, name=f"stage{i}")

    halvings = max(1, task.stem_halvings) if min(task.input_shape[1:]) > 48 else 0
    stem = [conv_norm_act(c["stem"], stride=2 if n < halvings else 1, act="relu6") for n in range(max(1, halvings))]
    head = sequence(conv_norm_act(c["head"], 1, act="relu6"), GlobalPool(), Linear(task.num_classes), name="head")
    return sequence(
        sequence(*stem, name="stem"),
        stages_and_head([stage(i) for i in STAGES], c["stages"], head),
    )
