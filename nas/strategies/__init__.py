"""Strategies: the next architecture to try, and pruning of trials; NNI in two files. No processes, no printing."""

from nas.strategies.base import AskTell, Driven, Proposal, Pruner, Strategy, Trials, drive
from nas.strategies.registry import get_strategy, register_strategy

__all__ = [
    "AskTell",
    "Driven",
    "Proposal",
    "Pruner",
    "Strategy",
    "Trials",
    "drive",
    "get_strategy",
    "register_strategy",
]
