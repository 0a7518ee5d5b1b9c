"""A search's settings: checked once, every fault reported together, frozen afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nas.data.config import DataConfig
from nas.errors import UsageError
from nas.execution import Precision
from nas.recipe import Objective, Recipe

Settings = TypeVar("Settings", bound=BaseModel)
Strategy = Literal["evolution", "random", "darts", "gumbel-darts", "random-oneshot"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
ONE_SHOT = ("darts", "gumbel-darts", "random-oneshot")  # the strategies that train one supernet first


class BudgetConfig(BaseModel):
    """Limits on every architecture, as ``budgets.Budget`` holds them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_params: int | None = None
    max_macs: int | None = None
    max_bytes: int | None = None
    max_peak_memory: int | None = None
    min_params: int | None = None


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
    time_limit: float | None = Field(None, gt=0)  # seconds
    trial_timeout: float | None = Field(None, gt=0)  # seconds
    workers: int | None = Field(None, ge=1)
    trials_per_gpu: int | None = Field(None, ge=1)
    device: str | None = None
    precision: Precision = "auto"
    seed: int = Field(0, ge=0, lt=2**32)  # what numpy's generators take
    objective: Objective = "balanced_accuracy"
    profile: bool = False  # measure where the time goes


class MemberConfig(BaseModel):
    """A row of a study, settled: one network (fixed, or of a space), one recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    label: str
    recipe: Recipe
    network: str | None = None  # a fixed network, with ``settings``; None: the architecture ``sample`` of ``space``
    settings: dict[str, Any] = {}
    space: str | None = None
    sample: dict[str, int | str] = {}
    published: float | None = None  # test accuracy in per cent, on the same data at the same imbalance


class StudyConfig(RunConfig):
    """Everything that decides a baseline run: a study's members, each trained once with each seed."""

    study: str
    sentence: str
    members: tuple[MemberConfig, ...]
    seeds: int = Field(3, ge=1)

    def member(self, name: str) -> MemberConfig:
        """The member called ``name``."""
        return next(member for member in self.members if member.name == name)


class SearchConfig(RunConfig):
    """Everything that decides a search."""

    space: str
    budget: BudgetConfig
    recipe: Recipe
    strategy: Strategy = "evolution"
    supernet: SupernetConfig = SupernetConfig()
    trials: int = Field(12, ge=1)
    keep: int = Field(3, ge=1)  # trials whose weights stay on disk
    confirm: int = Field(3, ge=0)
    confirm_seeds: int = Field(3, ge=1)

    @property
    def one_shot(self) -> bool:
        """Whether one supernet is trained before any trial."""
        return self.strategy in ONE_SHOT

    @property
    def supernet_epochs(self) -> int:
        return self.supernet.epochs or math.ceil(self.recipe.epochs / 2)

    @property
    def population(self) -> int:
        """Individuals of the evolution: a third of the trials, 4 to 50."""
        return max(4, min(50, self.trials // 3))


def checked(
    kind: type[Settings], values: dict[str, Any], faults: list[str], flags: Mapping[str, str] = MappingProxyType({})
) -> Settings | None:
    """``kind`` made from ``values``; what is wrong goes into ``faults``, a sentence each with its cure.

    ``flags`` names the flags of settings that are not called as their flag is.
    """
    try:
        return kind.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors():
            setting = str(fault["loc"][-1])
            name = "--" + flags.get(setting, setting).replace("_", "-")
            faults.append(f"{name} {fault.get('input')!r} cannot be used: {_cure(dict(fault))}.")
        return None


def raise_all(faults: list[str]) -> None:
    """UsageError with every fault, if there is any."""
    if faults:
        raise UsageError(*dict.fromkeys(faults))


def _cure(fault: dict[str, Any]) -> str:
    context = fault.get("ctx", {})
    if "ge" in context:
        return f"give a number of at least {context['ge']}"
    if "gt" in context:
        return f"give a number above {context['gt']}"
    if "le" in context:
        return f"give a number of at most {context['le']}"
    if "lt" in context:
        return f"give a number below {context['lt']}"
    if fault["type"].startswith("int"):
        return "give a whole number"
    if fault["type"].startswith("float"):
        return "give a number"
    if fault["type"] == "literal_error":
        return f"choose {context['expected']}"
    return str(fault["msg"])
