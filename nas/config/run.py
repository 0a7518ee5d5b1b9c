"""A search's settings: checked once, every fault reported together, frozen afterwards."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from budgets import Budget
from nas.config.data import DataConfig
from nas.config.recipe import Objective, Recipe, named_recipe
from nas.plugins.record import Plugin

Precision = Literal["auto", "float32", "bfloat16"]

ONE_SHOT = ("darts", "gumbel-darts", "random-oneshot")  # the strategies that train one supernet first


class SupernetConfig(BaseModel):
    """How a one-shot strategy trains its supernet; loss, sampling, augmentation and optimizer are the recipe's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int | None = Field(default=None, ge=1)  # None: half of the recipe's
    learning_rate: float = Field(default=0.3, gt=0, le=1)  # of the weights, as a share of the recipe's
    warm_up: float = Field(default=0.25, ge=0, lt=1)  # share of the epochs in which only weights learn
    alpha_learning_rate: float = Field(default=0.1, gt=0)
    penalty: float = Field(default=1.0, ge=0)  # weight of the budget in the alphas' loss; 0: none
    candidates: int = Field(default=32, ge=1)  # architectures that are ranked with inherited weights


class RunConfig(BaseModel):
    """What decides any run. Recorded in its log; a resumed run reads it from there."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: DataConfig
    time_limit: float | None = Field(default=None, gt=0)  # seconds
    trial_timeout: float | None = Field(default=None, gt=0)  # seconds
    workers: int | None = Field(default=None, ge=1)
    trials_per_gpu: int | None = Field(default=None, ge=1)
    device: str | None = None
    threads: int | None = Field(default=None, ge=1)  # of each trial; None: see ``nas.executors.devices.spread``
    precision: Precision = "auto"
    seed: int = Field(default=0, ge=0, lt=2**32)  # what numpy's generators take
    objective: Objective = "balanced_accuracy"
    profile: bool = False  # measure where the time goes
    plugins: tuple[Plugin, ...] = ()  # files and modules that registered what the settings name


class MemberConfig(BaseModel):
    """A row of a study, settled: one network (fixed, or of a space), one recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    label: str
    recipe: Recipe
    network: str | None = None  # a fixed network, with ``settings``; None: the architecture ``sample`` of ``space``
    settings: dict[str, Any] = {}  # JSON of the network's own, which ``baselines`` alone reads
    space: str | None = None
    sample: dict[str, int | str] = {}
    chosen: Literal["found", "random"] | None = None  # how the sample came about; None: it was given
    beside: str | None = None  # the member with a fixed network that it is compared with
    published: float | None = None  # test accuracy in per cent, on the same data at the same imbalance
    reported: dict[str, float] = {}  # the origin study's figures on its own data, shares of 1 by name


class StudySearch(BaseModel):
    """A search that a study makes: for the best network of a space within the parameters of a fixed one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # the fixed network's
    space: str
    max_params: int
    members: tuple[MemberConfig, ...]  # that train what it finds; they have no sample yet


class StudyConfig(RunConfig):
    """Everything that decides a baseline run: a study's members, each trained once with each seed.

    What its ``searches`` find joins the members.
    """

    study: str
    sentence: str
    members: tuple[MemberConfig, ...]
    seeds: int = Field(default=3, ge=1)
    searches: tuple[StudySearch, ...] = ()
    search_images: int = Field(default=8_000, ge=10)  # to train on in each of them, a part of the study's
    search_trials: int = Field(default=12, ge=1)
    keep: int | None = Field(default=None, ge=0)  # trainings of each member whose weights stay on disk; None: all
    as_published: bool = False  # oversample before splitting, as the origin study did, to show what that does

    def oversamples_first(self, name: str) -> bool:
        """Whether the images of the member called ``name`` are oversampled before they are split: its figures on select
        and rank are then not honest, for it was trained on images made from theirs."""
        return self.as_published and self.member(name).recipe.oversampling != "none"

    def member(self, name: str) -> MemberConfig:
        """The member called ``name``."""
        return next(member for member in self.members if member.name == name)


class SearchConfig(RunConfig):
    """Everything that decides a search."""

    space: str
    restrict: dict[str, tuple[int | str, ...]] = {}  # by label, the values that are left of some of its choices
    budget: Budget
    recipe: Recipe
    strategy: str = "evolution"  # of ``nas.strategies.registry``
    supernet: SupernetConfig = SupernetConfig()
    trials: int = Field(default=12, ge=1)
    keep: int = Field(default=3, ge=1)  # trials whose weights stay on disk
    confirm: int = Field(default=2, ge=0)  # trials that are trained again, with so many seeds each
    confirm_seeds: int = Field(default=3, ge=1)
    confirm_epochs: int | None = Field(default=None, ge=1)  # None: as many as a trial
    lengthen: bool = False  # double the length of the confirmations while that gains
    floor: bool = True  # set the winner beside what classical methods reach on the same splits
    prune: bool = False  # stop weak trials early; the command line's default is True

    @property
    def one_shot(self) -> bool:
        """Whether one supernet is trained before any trial."""
        return self.strategy in ONE_SHOT

    @property
    def num_confirmations(self) -> int:
        """Trainings that confirm the best, if as many trials finish."""
        return min(self.confirm, self.trials) * self.confirm_seeds

    @property
    def confirm_recipe(self) -> Recipe:
        """How the best are trained again."""
        return self.recipe.model_copy(update={"epochs": self.confirm_epochs or self.recipe.epochs})

    @property
    def final_epochs(self) -> int:
        """Epochs of the trainings that the winner comes from, if it is not lengthened: confirmations, else trials."""
        return self.confirm_recipe.epochs if self.confirm else self.recipe.epochs

    @property
    def confirm_ratio(self) -> float:
        """How many times as long as a trial a confirmation trains."""
        return self.confirm_recipe.epochs / self.recipe.epochs

    @property
    def total_epochs(self) -> int:
        """Of all trials and confirmations, if none stops early."""
        return self.trials * self.recipe.epochs + self.num_confirmations * self.confirm_recipe.epochs

    @property
    def supernet_epochs(self) -> int:
        return self.supernet.epochs or math.ceil(self.final_epochs / 2)

    def with_length(self, epochs: int) -> Self:
        """With a winner that has trained for ``epochs``; where the best are confirmed, trials train half as long, which
        is enough to rank them (benchmarks/quality.py)."""
        short = self.recipe.model_copy(update={"epochs": math.ceil(epochs / 2)})
        whole = self.recipe.model_copy(update={"epochs": epochs})
        changes = {"recipe": short, "confirm_epochs": epochs} if self.confirm else {"recipe": whole}
        return self.model_copy(update=changes)

    @property
    def population(self) -> int:
        """Individuals of the evolution: a third of the trials, 4 to 50."""
        return max(4, min(50, self.trials // 3))


def search_of(study: StudyConfig, search: StudySearch) -> SearchConfig:
    """The settings of one of a study's searches: the defaults, on a part of the study's images."""
    images = min(study.search_images, study.data.max_images or study.search_images)
    shared = study.model_dump(include=RunConfig.model_fields.keys() - {"data", "profile", "time_limit"})
    return SearchConfig(
        **shared,
        data=study.data.model_copy(update={"max_images": images}),
        space=search.space,
        budget=Budget(max_params=search.max_params),
        recipe=named_recipe("auto"),
        trials=study.search_trials,
        prune=True,
        floor=False,
    )


class Changes(BaseModel):
    """What a resumed run may do otherwise; None: as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trials: int | None = Field(default=None, ge=1)  # of a search
    time_limit: float | None = Field(default=None, gt=0)  # seconds, for all sessions together
    trial_timeout: float | None = Field(default=None, gt=0)  # seconds
    workers: int | None = Field(default=None, ge=1)
    trials_per_gpu: int | None = Field(default=None, ge=1)
    device: str | None = None
    threads: int | None = Field(default=None, ge=1)
    profile: bool | None = None

    def of(self, config: RunConfig) -> dict[str, int | float | str | bool]:
        """The settings that were given, by name; ``profile`` only if it differs from that of ``config``."""
        given = self.model_dump(exclude_none=True)
        return {name: value for name, value in given.items() if not (name == "profile" and value == config.profile)}


def too_many_trials(trials: int, candidates: int) -> list[str]:
    """The fault of a one-shot search that asks for more trials than it has architectures to choose them from."""
    if trials <= candidates:
        return []
    return [
        f"--trials {trials} cannot be used: the supernet ranks {candidates} candidates, and the best of them become "
        f"trials. Give at most {candidates}, or rank more in a new search: --candidates {trials}."
    ]
