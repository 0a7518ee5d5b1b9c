"""Plug-ins: loading of a user's own file with spaces, losses and so on, and the names to write one with.

A plug-in is a Python file that registers things when it is executed, each a decorated function or class::

    from nas.plugins import register_loss

    @register_loss("mse")
    def squared_error(recipe, counts):
        return lambda logits, labels: (logits.softmax(1) - one_hot(labels, logits.shape[1])).square().sum(1)

Names that authors need are gathered here, whatever package they are of, and imported when they are first used. What
finds, checks and executes the files belongs here too; what the kinds are does not.
"""

from typing import TYPE_CHECKING

from nas.lazy import lazy

if TYPE_CHECKING:
    from baselines.evaluation import Evaluation
    from baselines.registry import register_network
    from nas.config import Recipe
    from nas.config.objectives import register_objective
    from nas.data.oversampling import Synthetic, register_oversampler
    from nas.data.sources.registry import ArraySource, register_source
    from nas.plugins.loading import load_plugin
    from nas.runs import SearchRun, TrialRecord
    from nas.runs.listeners import register_listener
    from nas.strategies import Proposal, register_strategy
    from nas.strategies.proposals import Proposer
    from nas.training.class_counts import ClassCounts
    from nas.training.losses import register_loss
    from nas.training.mixing import register_mixing
    from nas.training.regularizers import register_regularizer
    from nas.training.sampling import register_sampler
    from search_spaces.registry import register_space

__all__ = [
    "ArraySource",
    "ClassCounts",
    "Evaluation",
    "Proposal",
    "Proposer",
    "Recipe",
    "SearchRun",
    "Synthetic",
    "TrialRecord",
    "load_plugin",
    "register_listener",
    "register_loss",
    "register_mixing",
    "register_network",
    "register_objective",
    "register_oversampler",
    "register_regularizer",
    "register_sampler",
    "register_source",
    "register_space",
    "register_strategy",
]

__getattr__ = lazy(
    __name__,
    {
        "baselines.evaluation": ["Evaluation"],
        "baselines.registry": ["register_network"],
        "nas.config": ["Recipe"],
        "nas.config.objectives": ["register_objective"],
        "nas.data.oversampling": ["Synthetic", "register_oversampler"],
        "nas.data.sources.registry": ["ArraySource", "register_source"],
        "nas.plugins.loading": ["load_plugin"],
        "nas.runs": ["SearchRun", "TrialRecord"],
        "nas.runs.listeners": ["register_listener"],
        "nas.strategies": ["Proposal", "register_strategy"],
        "nas.strategies.proposals": ["Proposer"],
        "nas.training.class_counts": ["ClassCounts"],
        "nas.training.losses": ["register_loss"],
        "nas.training.mixing": ["register_mixing"],
        "nas.training.regularizers": ["register_regularizer"],
        "nas.training.sampling": ["register_sampler"],
        "search_spaces.registry": ["register_space"],
    },
)
