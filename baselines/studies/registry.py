"""The studies by name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from baselines import classical
from baselines.studies.base import Member, Study
from baselines.studies.faces import FACES
from baselines.studies.imbalance import IMBALANCE
from baselines.studies.losses_and_heads import LOSSES_AND_HEADS
from baselines.studies.origin import ORIGIN
from baselines.studies.other_systems import OTHER_SYSTEMS
from baselines.studies.photo_grid import PHOTO
from search_spaces.errors import UsageError, nearest
from search_spaces.registry import Registry

STUDIES: Registry[Study] = Registry(
    "study",
    "Studies",
    ((s.name, s) for s in (*ORIGIN, *IMBALANCE, *OTHER_SYSTEMS, *LOSSES_AND_HEADS, *PHOTO, *FACES)),
)


def is_grid(name: str) -> bool:
    """True if a study is a grid, whose members are cells."""
    study = STUDIES.get(name)
    return study is not None and study.is_grid


def get_study(name: str) -> Study:
    """The study called ``name``; UsageError names the nearest one."""
    if name not in STUDIES:
        names = [*STUDIES, classical.NAME]  # which trains no networks and is no ``Study``, but is asked for like one
        if name == "train":
            raise UsageError(
                "A long training of one network is not a study, but a command of its own: nasctl train RUN."
            )
        raise UsageError(f"There is no study {name!r}.{nearest(name, names)} Studies: {', '.join(names)}.")
    return STUDIES[name]


def get_members(study: Study, names: Sequence[str]) -> tuple[Member, ...]:
    """The members of those names in the study's order, all for none; ``*`` in a name stands for anything.

    UsageError names the nearest of each unknown name.
    """
    known = Registry(f"member of {study.name}", "Members", ((member.name, member) for member in study.members))
    chosen = set[str]()
    for name in names:
        chosen |= {member for member in known if fnmatchcase(member, name)} or {known.find(name).name}
    return tuple(member for member in study.members if not names or member.name in chosen)
