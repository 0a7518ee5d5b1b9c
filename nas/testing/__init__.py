"""Contract tests for authors of plug-ins: what a space, a loss and so on promises, as functions that check it.

``check_KIND`` runs all promises of a kind on one thing, registered or not, and raises AssertionError with what was
broken; the functions beside it, one a promise, say more precisely what is meant. One module a kind. Call them from any
test runner::

    from nas.testing import check_loss

    def test_my_loss() -> None:
        check_loss(my_loss)

Of everything in a plug-in's file: ``check_plugin("my_plugin.py")``, or from a shell ``python -m nas.testing FILE.py``.
Our own tests call the same functions over every registered name. Tests of our own code do not belong here, nor does
anything that a search needs. The public names are imported when they are first used: most need torch.
"""

from typing import TYPE_CHECKING

from nas.lazy import lazy

if TYPE_CHECKING:
    from nas.testing.executors import check_executor
    from nas.testing.losses import check_loss
    from nas.testing.mixings import check_mixing
    from nas.testing.networks import check_network
    from nas.testing.objectives import check_objective
    from nas.testing.oversamplers import check_oversampler
    from nas.testing.plugins import check_plugin
    from nas.testing.regularizers import check_regularizer
    from nas.testing.samplers import check_sampler
    from nas.testing.sources import check_source
    from nas.testing.spaces import check_space
    from nas.testing.strategies import check_strategy
    from nas.testing.supernets import check_supernet

__all__ = [
    "check_executor",
    "check_loss",
    "check_mixing",
    "check_network",
    "check_objective",
    "check_oversampler",
    "check_plugin",
    "check_regularizer",
    "check_sampler",
    "check_source",
    "check_space",
    "check_strategy",
    "check_supernet",
]

__getattr__ = lazy(
    __name__,
    {
        "nas.testing.executors": ["check_executor"],
        "nas.testing.losses": ["check_loss"],
        "nas.testing.mixings": ["check_mixing"],
        "nas.testing.objectives": ["check_objective"],
        "nas.testing.networks": ["check_network"],
        "nas.testing.oversamplers": ["check_oversampler"],
        "nas.testing.plugins": ["check_plugin"],
        "nas.testing.regularizers": ["check_regularizer"],
        "nas.testing.samplers": ["check_sampler"],
        "nas.testing.sources": ["check_source"],
        "nas.testing.spaces": ["check_space"],
        "nas.testing.strategies": ["check_strategy"],
        "nas.testing.supernets": ["check_supernet"],
    },
)
