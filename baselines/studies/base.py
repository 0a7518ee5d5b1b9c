"""Studies and their members as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Member:
    """One row of a study: a network, how it is trained, and what was published for it.

    What ``recipe`` has is what the member is about: no flag of a run changes it.
    ``name`` is short and made of letters, digits, '-' and '_', since files are called by it. ``network``: a fixed one;
    None: the one that the user chooses for the study. ``recipe_when_large``: batch, epochs and patience as they were
    published, for no fewer than ``SMALL`` training images. ``published``: test accuracy in per cent by imbalance
    factor, of the same network on CIFAR-10, long-tailed or not. ``reported``: the origin study's metrics on test, by
    name, of the same network and recipe on its data (593,242 images of EMNIST ByClass to train); or those of another
    study, on the data that the study's ``reported_on`` names.

    ``rival``: not the network itself is trained, but an architecture of ``space`` with no more parameters, in the same
    way: the best that a search finds, or a random one of about the size. ``beside`` is the member it is compared with.
    ``max_params``: a found one has at most so many parameters instead.
    """

    name: str
    label: str
    recipe: Settings = field(default_factory=dict)
    recipe_when_large: Settings = field(default_factory=dict)
    network: str | None = None
    published: Mapping[int, float] = field(default_factory=dict)
    reported: Mapping[str, float] = field(default_factory=dict)
    rival: Literal["found", "random"] | None = None
    space: str | None = None
    beside: str | None = None
    # Begins with ImageNet's weights; None: if its network has any, unless told otherwise.
    pretrained: bool | None = None
    max_params: int | None = None


@dataclass(frozen=True)
class Study:
    """Trainings of one comparison. ``recipe`` holds for all members; theirs goes over it."""

    name: str
    sentence: str
    members: tuple[Member, ...]
    network: str = "resnet18"
    recipe: Settings = field(default_factory=dict)
    seeds: int = 3
    data: str = "digits"
    imbalance: float | None = None
    published_of: str = "resnet32"  # the network of its members' published metrics
    hold_out: bool = True  # False: trained on every training image; no epoch may be chosen then
    score_train: bool = False  # networks are scored on their training images too
    is_grid: bool = False  # members are the cells of a grid, and the report is about its axes
    test_per_class: int | None = None  # images of each class that are set aside first, where a set brings none
    score_before: bool = False  # networks are scored on test before they are trained too
    reported_on: str | None = None  # of its members' reported metrics, a sentence; None: the origin study's
    from_scratch: bool = False  # ImageNet weights are used only where they are given
    draws_answers: bool = False  # ROC curves and embeddings of the best seed of each member are drawn
