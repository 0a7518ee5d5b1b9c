"""A search space: plain convolutions, of a width and a depth to choose, and a plain or a separable one at the end."""

from nas.plugins import register_space
from search_spaces.vocabulary import Either, GlobalPool, Linear, Pool, conv_norm_act, repeat, sequence


@register_space(
    "tiny",
    summary="plain convolutions: width, depth, and what the last one is",
    choices={"width": (4, 6, 8, 12, 16), "depth": (1, 2, 3), "last": ("plain", "separable")},
    line=lambda sample: f"{sample['depth']}x{sample['width']}, then {sample['last']}",
)
def tiny(choices, task):
    """Called once: what it returns stands for every sample."""
    width = choices["width"]
    separable = sequence(conv_norm_act(None, 3, depthwise=True), conv_norm_act(width * 2, 1))
    return sequence(
        *(Pool("max") for _ in range(task.stem_halvings)),  # large images first come down to a side of 64 or less
        repeat(lambda number: conv_norm_act(width, 3), choices["depth"]),
        Pool("max"),
        Either(choices["last"], {"separable": separable}, otherwise=conv_norm_act(width * 2, 3)),
        GlobalPool(),
        Linear(task.num_classes),
    )
