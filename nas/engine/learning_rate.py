"""The learning-rate range test of a network (Smith 2017), and the rate that plans choose by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from baselines import FixedNetwork
from nas.config import DataConfig, Recipe
from nas.config.run import MemberConfig
from nas.errors import UsageError
from nas.executors import WorkerSlot
from nas.trials.spec import TrialSpec
from search_spaces import Task

if TYPE_CHECKING:
    from nas.training.range_test import RangeTest


def tested(
    spec: TrialSpec, slot: WorkerSlot, rates: Sequence[float] | None = None, *,
    on_step: Callable[[int, int], None] | None = None,
) -> RangeTest:  # fmt: skip
    """Train the network of ``spec`` for a step at each of ``rates``, in this process; ``on_step`` is told how many are
    taken, and of how many. TrialError if it cannot be trained by its recipe."""
    import torch

    from nas.training.range_test import growing_rates
    from nas.trials.range_test import rate_curve

    rates = growing_rates() if rates is None else rates
    before = torch.get_num_threads()
    torch.set_num_threads(slot.num_threads)
    try:
        return rate_curve(
            spec, slot.device, rates, on_step=None if on_step is None else lambda taken: on_step(taken, len(rates))
        )
    finally:
        torch.set_num_threads(before)


def tested_as(member: MemberConfig, task: Task, data: DataConfig, seed: int = 0) -> TrialSpec:
    """Specification of the range test of a member, of a study or as it would be one."""
    network = FixedNetwork(member.network, member.settings) if member.network else None
    return TrialSpec(
        "range test", member.space or "", member.sample, task.input_shape, task.num_classes, data, member.recipe, seed,
        network=network,
    )  # fmt: skip


def found_rate(spec: TrialSpec, slot: WorkerSlot) -> tuple[Recipe, str]:
    """The recipe of ``spec`` with a tenth of the rate from which on its network's loss rises, and that in words.

    UsageError if the loss falls at no rate.
    """
    recipe = spec.recipe.model_copy(update={"rate_to_find": False})
    rate = tested(replace(spec, recipe=recipe), slot).tenth
    if rate is None:
        raise UsageError(
            "--learning-rate find: the loss fell at no rate of the range test ('nasctl lr-find' shows the curve). Give "
            "a number."
        )
    rate = float(f"{rate:.2g}")
    words = f"learning rate {rate:g} found, a tenth of where the loss rises"
    return recipe.model_copy(update={"learning_rate": rate}), words
