"""Members of a study that a run trains: those named, of a grid some drawn by seed, of these a shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from baselines.studies import Member, Study, get_members
from nas.config import StudyRequest
from nas.errors import UsageError
from nas.trials.spec import derived_seed


def chosen_members(study: Study, request: StudyRequest) -> tuple[Member, ...]:
    """The members that ``request`` asks for, in the study's order.

    What is drawn depends on the seed and the members to draw from; shards of one draw share no member, and all together
    are the draw. UsageError if a name is unknown, or nothing is left.
    """
    members = without_weights(get_members(study, request.members), request)
    if request.sample is not None and request.sample < len(members):
        import numpy as np

        rng = np.random.default_rng(derived_seed(request.seed, "sample"))
        drawn = rng.choice(len(members), request.sample, replace=False)
        members = tuple(members[place] for place in sorted(drawn.tolist()))
    if request.shard is None:
        return members
    number, total = request.shard
    if total > len(members):
        raise UsageError(
            f"--shard {number}/{total}: there are {len(members)} members, which are fewer than shards. Give at most "
            f"{number if number == len(members) else 1}/{len(members)}."
        )
    return members[number - 1 :: total]


def without_weights(members: Sequence[Member], request: StudyRequest) -> tuple[Member, ...]:
    """``members`` as they are asked for: with --from-scratch none that is pretrained. UsageError if none is left."""
    if not request.from_scratch:
        return tuple(members)
    left = tuple(replace(member, pretrained=False) for member in members if not member.pretrained)
    if not left:
        raise UsageError("--from-scratch leaves out pretrained members, and so every one here: choose other --members.")
    return left
