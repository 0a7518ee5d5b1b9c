"""One network's training as ``nasctl train`` is asked for it, and the presets it chooses from; what becomes of it is a
``StudyConfig`` of one member, and of two where a teacher is trained for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from nas.config.data import DataConfig
from nas.config.objectives import DEFAULT
from nas.config.recipe import Recipe
from nas.config.run import Device, Threads
from nas.config.settings import Setting
from nas.config.study_request import TrainingsRequest

STUDY = "train"  # what runs of ``nasctl train`` are called where studies have their name
TRAINED, TEACHER = "trained", "teacher"  # their members
AUTO_TEACHER = "auto"


@dataclass(frozen=True)
class Preset:
    """Preset of a long training. ``times``: of the epochs that a search's winner is trained for by default."""

    sentence: str
    times: int
    recipe: Mapping[str, object] = field(default_factory=dict)


# What was best on rank of all parts that were tried, on two data sets (benchmarks/RESULTS.md, "Long trainings"): long
# trainings learn small sets by heart, and softened labels keep them from it.
SOFTENED: Mapping[str, object] = {"label_smoothing": 0.1, "mixing": "mixup"}
PRESETS: Mapping[str, Preset] = {
    "quick": Preset("as long as a search trains its winner", 1),
    "standard": Preset("three times as long as a search trains its winner", 3, SOFTENED),
    "long": Preset("eight times as long as a search trains its winner", 8, SOFTENED),
}
PresetName = Literal["quick", "standard", "long"]


class OneNetwork(BaseModel):
    """Network, data and recipe of a training: what is not set is the run's that found it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    arch: Annotated[
        str | None,
        Setting(
            "Architecture, instead of [RUN]: RUN:TRIAL, or a JSON file from 'nasctl show RUN:TRIAL --json'.",
            "FILE|RUN:TRIAL",
        ),
    ] = None
    space: Annotated[
        str | None,
        Setting("Canonical network of a search space, instead of [RUN].", "NAME", short="s", offers="spaces"),
    ] = None
    network: Annotated[str | None, Setting("Network of the baselines, instead of [RUN]: resnet32...", "NAME")] = None
    data: Annotated[
        DataConfig,
        Setting("Data set: digits, a folder, labels.csv, or a name. [default: the run's]", "DATA", flag="data"),
    ] = DataConfig()
    recipe: Recipe = Recipe()
    objective: Annotated[
        str,
        Setting(
            "Metric that chooses the best epoch. [default: the run's, else balanced_accuracy]",
            "NAME",
            offers="objectives",
        ),
    ] = DEFAULT


class RateRequest(OneNetwork):
    """A learning-rate range test as ``nasctl lr-find`` is asked for it."""

    seed: Annotated[int, Setting("Base seed of initial weights and batches. [default: 0]", "N")] = Field(
        default=0, ge=0, lt=2**32
    )
    device: Device = None
    threads: Threads = Field(default=None, ge=1)


class TrainingRequest(OneNetwork, TrainingsRequest):
    """A long training as it is asked for: what is left out (None, or not set in ``data`` and ``recipe``) is the run's
    that found the architecture, then the preset's."""

    preset: Annotated[
        PresetName | None,
        Setting(
            "Length, as a multiple of a search's confirmation: quick (1), standard (3) or long (8), "
            "the last two with mixup and label smoothing, unless --recipe is given. [default: standard; for a run of "
            "'nasctl train', its own]",
            "NAME",
        ),
    ] = None
    seeds: Annotated[int, Setting("Number of trainings, each with its own seed. [default: 3]", "N")] = Field(
        default=3, ge=1
    )
    hold_out: Annotated[
        bool | None,
        Setting(
            "--train-on-all: train the final network on the validation images too; it is then scored on test "
            "alone. [default: "
            "--hold-out]",
            off="train_on_all",
        ),
    ] = None
    teacher: Annotated[
        str | None,
        Setting(
            "Distill from trained networks: RUN:TRIAL, several separated by commas, RUN for the ensemble of a "
            "search's best, or "
            "auto: a network four times as large, trained first. [default: none]",
            "RUN:TRIAL|auto",
        ),
    ] = None
    teacher_weight: Annotated[
        float, Setting("Weight of the distillation term in the loss, from 0 to 1. [default: 0.5]", "SHARE")
    ] = Field(default=0.5, gt=0, le=1)
    temperature: Annotated[float, Setting("Softmax temperature of the distillation term. [default: 2]", "T")] = Field(
        default=2.0, gt=0
    )
