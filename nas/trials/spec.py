"""``TrialSpec`` and ``TrialResult``, which cross processes: plain frozen data, nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from baselines.registry import FixedNetwork
from nas.config import DataConfig, Recipe
from nas.config.objectives import DEFAULT
from nas.config.recipe import Metrics
from nas.config.teaching import Teaching
from nas.training.precision import Execution
from search_spaces import Sample

Status = Literal["finished", "failed", "pruned"]
Probe = Literal["wake", "prepare", "measure", "time"]  # see ``nas.autotune.probe``


@dataclass(frozen=True)
class TrialSpec:
    """One training: which architecture, on which data, how, and where its files go.

    The network is the architecture ``sample`` of ``space``, unless a fixed ``network`` is named.
    """

    id: str
    space: str
    sample: Sample
    input_shape: tuple[int, int, int]  # channels, height, width
    num_classes: int
    data: DataConfig
    recipe: Recipe
    seed: int
    data_key: str = ""  # of the data that the search began with; other data fail the trial; "": not checked
    objective: str = DEFAULT
    weights_path: str | None = None  # safetensors file, written only if the trial finishes
    log_path: str | None = None  # text log of this trial, appended to
    test: bool = False  # do not train: load the weights and score the test split alone
    network: FixedNetwork | None = None
    execution: Execution | None = None  # None: what is usual on the device
    test_after: bool = False  # score the test split after training: only where nothing is chosen by it
    score_train: bool = False  # score the images that it trained on, as they are, after training
    score_before: bool = False  # score the test split before training too: where nothing is chosen by it
    # Oversample before splitting, as the origin study did (``nas.data.published``): only where nothing is chosen by it.
    split_after_oversampling: bool = False
    profile: bool = False  # measure what the time goes to
    probe: Probe | None = None  # what a worker of ``nas.autotune`` is asked for; None: a trial
    # What it must reach after each epoch, or it is pruned (``strategies.base.StopRule``); empty: nothing.
    threshold: tuple[float, ...] = ()
    teaching: Teaching | None = None  # trained networks that it learns from


@dataclass(frozen=True)
class TrialResult:
    """Result of a trial. ``metrics`` is empty and ``error`` is set when it failed.

    A pruned trial was stopped since others were clearly better by then: ``error`` says so, ``metrics`` are those
    of its best epoch.

    ``metrics`` maps split name ("select", "rank", "test", "train") to metrics (see ``nas.training.metrics``), or
    "probe" to those of ``nas.autotune.probe``; ``history`` holds one flat dictionary an epoch.
    """

    id: str
    status: Status
    metrics: dict[str, Metrics] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None
    profile: dict[str, float] = field(default_factory=dict)  # seconds by ``nas.stopwatch.TRIAL_PARTS``, if measured
    training_memory: int | None = None  # bytes at the peak, see ``nas.trials.peak_memory``; None: not known


def derived_seed(seed: int, name: str) -> int:
    """The seed, below 2**31, of one part of a search: of a trial by its id, say. Other names, other randomness."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big") % 2**31
