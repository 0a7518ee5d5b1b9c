"""A search's settings: checked once, every error reported together, frozen afterwards."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from budgets import Budget, parse_limit
from nas.config.data import DataConfig
from nas.config.objectives import DEFAULT
from nas.config.recipe import Recipe, named_recipe
from nas.config.settings import Setting, duration
from nas.config.teaching import Teaching
from nas.plugins.record import Plugin

Precision = Literal["auto", "float32", "bfloat16"]

Workers = Annotated[
    int | None,
    Setting("Trials in parallel. [default: 4 per GPU or 1 per CPU core; measured before a long search]", "N"),
]
TrialsPerGpu = Annotated[
    int | None, Setting("Trials in parallel on each GPU. [default: 4; measured before a long search]", "N")
]
Device = Annotated[str | None, Setting("Device: cpu, cuda or cuda:N. [default: every GPU, else cpu]", "NAME")]
Threads = Annotated[  # None: see ``nas.executors.devices.distribute``
    int | None, Setting("CPU threads of each trial. [default: 1 for one worker on a CPU, else the cores divided]", "N")
]
PROFILE = Setting(
    "Profile: measure where the time goes; 'nasctl status' shows it. Slows GPU trials a little. [default: off]",
    off="no_profile",
)

REPORT = Setting("Do not write report.html at the end.", flag="no_report", means=False)

MOST_WORKERS = 1024  # of one machine
LARGE_WEIGHT = 1e6  # more than any term of a loss needs
GUIDED = ("evolution", "random")  # the strategies whose proposals a predictor may choose among
EXPLORED = 6  # proposals of a guided search before its predictor is asked
ONE_SHOT = ("darts", "gumbel-darts", "random-oneshot")  # the strategies that train one supernet first


class SupernetConfig(BaseModel):
    """Supernet training of a one-shot strategy; loss, sampling, augmentation and optimizer are the recipe's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: Annotated[
        int | None, Setting("Epochs of the supernet. [default: half of --epochs]", "N", flag="supernet_epochs")
    ] = Field(default=None, ge=1)
    learning_rate: float = Field(default=0.3, gt=0, le=1)  # of the weights, as a share of the recipe's
    warm_up: float = Field(default=0.25, ge=0, lt=1)  # share of the epochs in which only weights learn
    alpha_learning_rate: Annotated[
        float,
        Setting("Learning rate of the architecture parameters (alphas) of darts and gumbel-darts. [default: 0.1]", "X"),
    ] = Field(default=0.1, gt=0, le=LARGE_WEIGHT)
    penalty: Annotated[
        float, Setting("Weight of the budget penalty in the loss of darts and gumbel-darts. [default: 1; 0: none]", "X")
    ] = Field(default=1.0, ge=0, le=LARGE_WEIGHT)
    candidates: Annotated[
        int, Setting("Architectures to rank with the supernet; the best become trials. [default: 32]", "K")
    ] = Field(default=32, ge=1)


class RunConfig(BaseModel):
    """Settings of any run. Recorded in its log; a resumed run reads them from there."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: DataConfig
    time_limit: Annotated[float | None, duration("Start no new trial after this time: 90s, 30m, 2h.")] = Field(
        default=None, gt=0
    )
    trial_timeout: Annotated[float | None, duration("Stop a single trial after this time; it counts as failed.")] = (
        Field(default=None, gt=0)
    )
    workers: Workers = Field(default=None, ge=1, le=MOST_WORKERS)
    trials_per_gpu: TrialsPerGpu = Field(default=None, ge=1, le=MOST_WORKERS)
    device: Device = None
    threads: Threads = Field(default=None, ge=1, le=MOST_WORKERS)
    precision: Annotated[
        Precision,
        Setting(
            "Arithmetic: float32, bfloat16, or auto: bfloat16 on GPUs that have it; on a CPU, before a long search, "
            "the one measured to be faster. [default: auto]",
            "NAME",
        ),
    ] = "auto"
    seed: Annotated[
        int, Setting("Random seed of strategy and trainings; splits do not depend on it. [default: 0]", "N")
    ] = Field(default=0, ge=0, lt=2**32)  # what numpy's generators take
    objective: Annotated[  # of ``nas.config.objectives``, with options: plans check it
        str, Setting("Metric that ranks trials. [default: balanced_accuracy]", "NAME", offers="objectives")
    ] = DEFAULT
    profile: Annotated[bool, PROFILE] = False
    report: Annotated[bool, REPORT] = True
    plugins: tuple[Plugin, ...] = ()  # files and modules that registered what the settings name


class MemberConfig(BaseModel):
    """A row of a study, resolved: one network (fixed, or of a space), one recipe."""

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
    teaching: Teaching | None = None  # what it learns from, beside labels
    published: float | None = None  # test accuracy in per cent, on the same data at the same imbalance
    reported: dict[str, float] = {}  # the origin study's metrics on its own data, shares of 1 by name


class StudySearch(BaseModel):
    """A search that a study makes: for the best network of a space within the parameters of a fixed one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # the fixed network's; of a size that is given, the space's with it
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
    score_train: bool = False  # score trained networks on their training images too
    score_before: bool = False  # score networks on test before they are trained too
    as_published: bool = False  # oversample before splitting, as the origin study did, to show what that does

    def oversamples_first(self, name: str) -> bool:
        """True if the images of the member called ``name`` are oversampled before they are split: its metrics on select
        and rank are then not honest, for it was trained on images made from theirs."""
        return self.as_published and self.member(name).recipe.oversampling != "none"

    @property
    def teachers(self) -> set[str]:
        """Members that others learn from: they are trained first."""
        return {member.teaching.member for member in self.members if member.teaching and member.teaching.member}

    def member(self, name: str) -> MemberConfig:
        """The member called ``name``."""
        return next(member for member in self.members if member.name == name)


def _limit(name: str, help_text: str) -> Setting:
    """A limit of the budget."""
    return Setting(help_text, "SIZE", flag=name, read=partial(parse_limit, name))


class SearchConfig(RunConfig):
    """Everything that decides a search."""

    space: Annotated[
        str, Setting("Search space: vgg, resnet, densenet, mobilenet or cell.", "NAME", short="s", offers="spaces")
    ]
    restrict: Annotated[  # by label, the values that are left of some of its choices
        dict[str, tuple[int | str, ...]],
        Setting(
            "Fix a choice, or all that match, to one value: 'kernel*=3'. Repeatable.",
            "LABEL=VALUE",
            flag="fix",
            is_repeatable=True,
            write=lambda restrict: None,  # all of it is one of the choices
        ),
        Setting(
            "Restrict a choice to some values: width3=16,24,32. Repeatable; 'nasctl space NAME' lists all.",
            "LABEL=V1,V2",
            flag="choices",
            is_repeatable=True,
            write=lambda restrict: (
                tuple(f"{label}={','.join(map(str, left))}" for label, left in restrict.items()) or None
            ),
        ),
    ] = {}
    budget: Annotated[
        Budget,
        _limit("max_params", "Maximum number of parameters: 150k, 150000, 1.5M; none: no limit."),
        _limit("max_macs", "Maximum number of multiply-accumulates (MACs) per image: 10M."),
        _limit("max_bytes", "Maximum bytes of float32 weights: 600k, 512KiB."),
        _limit("max_peak_memory", "Maximum bytes of activations alive at one time, for one float32 image."),
        _limit("min_params", "Minimum number of parameters; 1: no minimum. [default: half of --max-params]"),
        Setting(
            "Limit embedders: count no network's last layer, which gives the classes and is not exported.",
            flag="budget_without_head",
        ),
    ]
    recipe: Recipe
    strategy: Annotated[  # of ``nas.strategies.registry``
        str,
        Setting(
            "evolution or random; or darts, gumbel-darts, random-oneshot, which train one supernet that shares "
            "weights between all architectures, and then the best architectures found in it as trials."
            " [default: evolution "
            "with --guide on, the best at few trials in benchmarks/RESULTS.md]",
            "NAME",
            offers="strategies",
        ),
    ] = "evolution"
    guide: Annotated[  # what is not said otherwise: the command line guides where no strategy is named
        Literal["on", "off"],
        Setting(
            "on: of many proposals of evolution or random, train the one with the best predicted score; the "
            "predictor learns from the trials so far."
            " [default: on; off if --strategy is given]",
            "on|off",
        ),
    ] = "off"
    first: Annotated[  # samples, which a file or a run held
        tuple[dict[str, int | str], ...],
        Setting(
            "Architectures to train first: RUN:TRIAL, or a JSON file with an architecture or a list of them. "
            "Repeatable.",
            "ARCH",
            is_repeatable=True,
            offers="parts",
            write=lambda first: tuple(map(json.dumps, first)) or None,
        ),
    ] = ()
    learn_from: Annotated[
        str | None,
        Setting(
            "Warm-start the predictor with another search of the same space, even one on other data.",
            "RUN",
            offers="runs",
        ),
    ] = None
    supernet: SupernetConfig = SupernetConfig()
    trials: Annotated[int, Setting("Number of trials. [default: 12; 4 after a supernet]", "N")] = Field(
        default=12, ge=1
    )
    stop_when: Annotated[float | None, Setting("Start no new trials once one reaches this score: 0.97.", "SCORE")] = (
        None
    )
    search_patience: Annotated[
        int | None, Setting("Start no new trials after N in a row without improvement.", "N")
    ] = Field(default=None, ge=1)
    keep: Annotated[int, Setting("Number of trials whose weights are kept. [default: 3]", "K")] = Field(default=3, ge=1)
    confirm: Annotated[
        int,
        Setting(
            "Confirm the best K trials over seeds, with about 3 K trainings in all: more than K trials start "
            "with one seed each, and the leaders get more seeds."
            " [default: 2; 0: no confirmation]",
            "K",
        ),
    ] = Field(default=2, ge=0)
    confirm_seeds: int = Field(default=3, ge=1)
    confirm_epochs: Annotated[  # None: as many as a trial
        int | None, Setting("Epochs of confirmations. [default: --epochs, else twice a trial's]", "N")
    ] = Field(default=None, ge=1)
    lengthen: bool = False  # double the length of the confirmations while that gains
    floor: Annotated[
        bool,
        Setting("Do not compare the winner with classical methods (SVM and others).", flag="no_floor", means=False),
    ] = True
    train: Annotated[
        bool, Setting("Then give the winner a long training, as 'nasctl train RUN' does, in the run RUN-train.")
    ] = False
    prune: Annotated[  # what is not said otherwise: the command line prunes
        bool, Setting("Prune: stop trials early that others clearly beat. [default: --prune]", off="no_prune")
    ] = False

    @property
    def strategy_words(self) -> str:
        """The strategy as people read it, with its guide."""
        return f"guided {self.strategy}" if self.guide == "on" else self.strategy

    @property
    def one_shot(self) -> bool:
        """True if one supernet is trained before any trial."""
        return self.strategy in ONE_SHOT

    @property
    def num_confirmations(self) -> int:
        """Trainings that confirm the best, if as many trials finish and the winner is not clear before."""
        return min(self.confirm, self.trials) * self.confirm_seeds

    @property
    def confirm_recipe(self) -> Recipe:
        """Recipe of confirmations."""
        return self.recipe.model_copy(update={"epochs": self.confirm_epochs or self.recipe.epochs})

    @property
    def final_epochs(self) -> int:
        """Epochs of the trainings that the winner comes from, if it is not lengthened: confirmations, else trials."""
        return self.confirm_recipe.epochs if self.confirm else self.recipe.epochs

    @property
    def confirm_ratio(self) -> float:
        """Epochs of a confirmation by those of a trial."""
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
    shared = study.model_dump(include=RunConfig.model_fields.keys() - {"data", "profile", "report", "time_limit"})
    return SearchConfig(
        **shared,
        data=study.data.model_copy(update={"max_images": images, "hold_out": True}),  # it chooses between networks
        space=search.space,
        budget=Budget(max_params=search.max_params),
        recipe=named_recipe("auto"),
        guide="on",
        trials=study.search_trials,
        confirm=2 if study.search_trials > 1 else 0,  # of a single trial there is nothing to confirm
        prune=True,
        floor=False,
        report=False,
    )


class Changes(BaseModel):
    """Changes to a run when it is resumed; None: as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trials: Annotated[  # of a search
        int | None, Setting("New total number of trials.", "N")
    ] = Field(default=None, ge=1)
    stop_when: Annotated[  # of a search
        float | None, Setting("New score at which no new trials start.", "SCORE")
    ] = None
    search_patience: Annotated[  # of a search
        int | None, Setting("New number of trials without improvement after which no new ones start.", "N")
    ] = Field(default=None, ge=1)
    time_limit: Annotated[float | None, duration("New time limit, over all sessions: 90s, 30m, 2h.")] = Field(
        default=None, gt=0
    )
    trial_timeout: Annotated[
        float | None, duration("New time limit of a trial; trials that a shorter one stopped run again.")
    ] = Field(default=None, gt=0)
    workers: Workers = Field(default=None, ge=1, le=MOST_WORKERS)
    trials_per_gpu: TrialsPerGpu = Field(default=None, ge=1, le=MOST_WORKERS)
    device: Device = None
    threads: Threads = Field(default=None, ge=1, le=MOST_WORKERS)
    profile: Annotated[bool | None, PROFILE] = None

    def of(self, config: RunConfig) -> dict[str, int | float | str | bool]:
        """The settings that were given, by name; ``profile`` only if it differs from that of ``config``."""
        given = self.model_dump(exclude_none=True)
        return {name: value for name, value in given.items() if not (name == "profile" and value == config.profile)}
