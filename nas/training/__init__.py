"""Tensors in, weights and history out. Files, processes and data sources do not belong here.

The public names are imported when they are first used: they need torch.
"""

from typing import TYPE_CHECKING

from nas.lazy import lazy

if TYPE_CHECKING:
    from baselines.evaluation import Evaluation
    from nas.config.objectives import register_objective
    from nas.training.evaluation import evaluate_split
    from nas.training.loop import Training, train
    from nas.training.losses import register_loss
    from nas.training.mixing import register_mixing
    from nas.training.regularizers import register_regularizer

__all__ = [
    "Evaluation",
    "Training",
    "evaluate_split",
    "register_loss",
    "register_mixing",
    "register_objective",
    "register_regularizer",
    "train",
]

__getattr__ = lazy(
    __name__,
    {
        "baselines.evaluation": ["Evaluation"],
        "nas.config.objectives": ["register_objective"],
        "nas.training.evaluation": ["evaluate_split"],
        "nas.training.loop": ["Training", "train"],
        "nas.training.losses": ["register_loss"],
        "nas.training.mixing": ["register_mixing"],
        "nas.training.regularizers": ["register_regularizer"],
    },
)
