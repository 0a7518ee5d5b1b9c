"""A baseline run as it is asked for; what becomes of it is a ``StudyConfig``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from nas.config.data import DataConfig
from nas.config.objectives import DEFAULT
from nas.config.run import PROFILE, REPORT, Device, Threads
from nas.config.settings import Setting, duration

_KEPT = {"all": None, "best": 1, "none": 0}


def kept_trainings(text: str) -> int | None:
    """Number of trainings of each member that keep their weights, None for all; ValueError says what is accepted."""
    if text not in _KEPT and not (text.isascii() and text.isdigit()):
        raise ValueError(
            f"{text!r} is not known: write all, best (of each member the seed that is best on rank), none, or how many "
            "seeds of each"
        )
    return _KEPT[text] if text in _KEPT else int(text)


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


def _shard(text: str) -> tuple[int, int]:
    """One of so many parts: "3/40"; ValueError says what is accepted."""
    number, _, total = text.partition("/")
    if not (number.isascii() and number.isdigit() and total.isascii() and total.isdigit()) or not (
        0 < int(number) <= int(total)
    ):
        raise ValueError(f"{text!r} is not a part: write I/N, such as 3/40 for the third of 40")
    return int(number), int(total)


class TrainingsRequest(BaseModel):
    """Request for trainings that are planned beforehand, of a study and of ``nasctl train``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: DataConfig = DataConfig()
    keep: Annotated[  # None: all
        int | None,
        Setting(
            "Seeds of each member whose weights are kept: all, best, none, or N. [default: all]",
            "N",
            read=kept_trainings,
        ),
    ] = Field(default=None, ge=0)
    objective: Annotated[  # of ``nas.config.objectives``, with options
        str, Setting("Metric that chooses the best epoch. [default: balanced_accuracy]", "NAME", offers="objectives")
    ] = DEFAULT
    seed: Annotated[int, Setting("Base seed, from which the seeds of the trainings are derived. [default: 0]", "N")] = (
        Field(default=0, ge=0, lt=2**32)
    )
    workers: Annotated[int | None, Setting("Trainings in parallel. [default: 4 per GPU or 1 per CPU core]", "N")] = (
        Field(default=None, ge=1)
    )
    trials_per_gpu: Annotated[int | None, Setting("Trainings in parallel on each GPU. [default: 4]", "N")] = Field(
        default=None, ge=1
    )
    device: Device = None
    threads: Threads = Field(default=None, ge=1)
    time_limit: Annotated[float | None, duration("Start no new training after this time: 90s, 30m, 2h.")] = Field(
        default=None, gt=0
    )
    trial_timeout: Annotated[float | None, duration("Stop a single training after this time; it counts as failed.")] = (
        Field(default=None, gt=0)
    )
    profile: Annotated[bool, PROFILE] = False
    report: Annotated[bool, REPORT] = True


class StudyRequest(TrainingsRequest):
    """A baseline run as it is asked for: what is left out (None, or not set in ``data``) is the study's."""

    study: str
    members: Annotated[  # all if empty
        tuple[str, ...],
        Setting(
            "Train only these members: a,b,c, or 'model1-*'. [default: all]", "NAMES", read=_names, offers="members"
        ),
    ] = ()
    sample: Annotated[
        int | None, Setting("Train only N of the members, drawn by --seed: of a grid. [default: all]", "N")
    ] = Field(default=None, ge=1)
    shard: Annotated[
        tuple[int, int] | None,
        Setting(
            "Train only the I-th of N parts of the members, as on a machine of several; 'nasctl baseline merge' "
            "joins the runs. [default: all]",
            "I/N",
            read=_shard,
        ),
    ] = None
    network: Annotated[  # of members that name none
        str | None,
        Setting(
            "Network: resnet18, resnet32, densenet121, model1 to model4 of the origin study... [default: the study's]",
            "NAME",
            offers="networks",
        ),
    ] = None
    arch: Annotated[  # instead of a network
        str | None,
        Setting(
            "Architecture to train instead: of a search or a study's member, with its data and recipe, or from "
            "a JSON file of"
            " 'nasctl show RUN:TRIAL --json'.",
            "FILE|RUN:TRIAL|STUDY:MEMBER",
        ),
    ] = None
    weights: Annotated[
        str | None,
        Setting(
            "ImageNet weights of ResNet-18 or another of torchvision's networks, or weights trained here; for several "
            "networks NAME=FILE,NAME=FILE. [default: download them; metric-losses is from scratch]",
            "FILE",
        ),
    ] = None
    from_scratch: Annotated[
        bool, Setting("Train torchvision's networks from random weights; of a grid only what does so.")
    ] = False
    input_size: Annotated[
        int | None,
        Setting(
            "Input size of torchvision's networks; images are resized on the device. [default: 224; 4 times the side "
            "of images below 28 pixels]",
            "N",
        ),
    ] = Field(default=None, ge=8, le=512)
    data: Annotated[
        DataConfig,
        Setting("Data set: digits, a folder, labels.csv, or a name. [default: the study's]", "DATA", flag="data"),
        Setting("Make the training split long-tailed by this factor. [default: 20 for digits]", "F", flag="imbalance"),
    ] = DataConfig()
    hold_out: Annotated[
        bool | None,
        Setting(
            "Hold validation images out of training, or train on all. [default: the study's; long-tail trains on all]",
            off="train_on_all",
        ),
    ] = None
    as_published: Annotated[
        bool,
        Setting(
            "Oversample before splitting off validation images, as the origin study did: metrics on them are "
            "then too optimistic, as the report notes."
        ),
    ] = False
    seeds: Annotated[int | None, Setting("Trainings (seeds) of each member. [default: 3]", "N")] = Field(
        default=None, ge=1
    )
    epochs: Annotated[int | None, Setting("Epochs of every member. [default: the recipe's]", "N")] = Field(
        default=None, ge=1
    )
    batch_size: Annotated[int | None, Setting("Images per training step. [default: the recipe's]", "N")] = Field(
        default=None, ge=1
    )
    select_every: Annotated[
        int | None,
        Setting("Score trainings on select after every Nth epoch and the last. [default: the recipe's]", "N"),
    ] = Field(default=None, ge=1)
    search_images: Annotated[
        int | None,
        Setting("Images of the study's data, not counting test, that its searches use. [default: 8000]", "N"),
    ] = Field(default=None, ge=10)
    search_trials: Annotated[int | None, Setting("Trials of each search that a study makes. [default: 12]", "N")] = (
        Field(default=None, ge=1)
    )
