"""Rivals of a study's fixed network: a random architecture of about its size, and the best that a search finds within
its parameters."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from baselines import FixedNetwork
from baselines.studies import Member
from budgets import Budget, Cost
from budgets.sampling import resolve_budget, sample_feasible
from nas.config.run import MemberConfig, StudySearch
from nas.trials.spec import derived_seed
from search_spaces import Sample, Task, get_space

NEAR = 0.9  # of the parameters of the fixed network, which a random architecture has at least, if any has


@functools.cache  # it is built to be counted
def fixed_cost(network: str, task: Task) -> Cost:
    """Cost of a fixed network for a task, by the settings it has of itself."""
    from baselines.counting import count  # imports torch

    return count(FixedNetwork(network), task.input_shape, task.num_classes).cost


def random_rival(member: Member, task: Task, seed: int) -> Sample:
    """An architecture of about the size of a member's network: the same one for every member of that network.

    UsageError if the space has none so small.
    """
    assert member.space and member.network
    space, most = get_space(member.space), fixed_cost(member.network, task).params
    rng = np.random.default_rng(derived_seed(seed, f"random {member.network}"))
    rows = sample_feasible(space, task, Budget(max_params=most, min_params=math.ceil(NEAR * most)), rng)[0]
    if not len(rows):
        rows = sample_feasible(space, task, resolve_budget(space, task, Budget(max_params=most))[0], rng)[0]
    return space.decode(rows[int(rng.integers(len(rows)))])


def searches_of(resolved: Sequence[MemberConfig], members: Sequence[Member], task: Task) -> tuple[StudySearch, ...]:
    """The searches that a study has to make for some of its members, one for each fixed network they are set beside and
    number of parameters they may have."""
    awaited = [(member, config) for member, config in zip(members, resolved, strict=True) if member.rival == "found"]
    searches = []
    for wanted in dict.fromkeys((member.network, member.max_params) for member, _ in awaited):
        network, size = wanted
        mine = [pair for pair in awaited if (pair[0].network, pair[0].max_params) == wanted]
        space = mine[0][0].space
        assert network and space
        most = fixed_cost(network, task).params if size is None else size
        name = network if size is None else f"{space}-{size}"
        searches.append(
            StudySearch(name=name, space=space, max_params=most, members=tuple(config for _, config in mine))
        )
    return tuple(searches)
