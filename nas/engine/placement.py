"""Placement of a plan's trials on this machine's devices: as told, as recorded, or as measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from budgets import cost_of, costs_of
from budgets.sampling import sample_feasible
from nas.autotune import Placement, Workload, execution_of, fastest_placement
from nas.config.auto_recipe import images_per_epoch
from nas.config.recipe import default_batch_size
from nas.config.run import RunConfig, SearchConfig
from nas.data.cache import cache_root
from nas.engine.plan import Plan
from nas.executors import WorkerSlot
from nas.executors.devices import distribute
from nas.trials import TrialSpec
from search_spaces import Sample

# Pixels that all trials together see, below which nothing is measured on a CPU: such a search takes a minute or so.
LEAST_PIXELS = 10_000_000
MACS_OF_STEP = 2e9  # of a measured step, forward and backward: large networks are measured in smaller batches
WORTH_IMAGES = 10_000_000  # that a search trains on, a minute or more of a fast GPU: 24 trials of 10 epochs of CIFAR-10


def placed(plan: Plan) -> Plan:
    """``plan`` with the fastest placement found on this machine, from memory if it was measured before.

    As it is for a search too short to pay for measuring, on GPUs if the user said how many trials run in parallel, and
    if nothing could be measured. On a CPU --workers, --threads and --precision are kept; what they leave open is
    measured. But not for --workers 1 on a CPU, whose logs are equal whatever machine they come from: measurements are
    not.
    """
    if not is_worth_measuring(plan) or (plan.config.workers == 1 and _kind(plan.slots) == "cpu"):
        return plan
    config, spec = plan.config, representative(plan)
    workload = Workload(spec, tuple(plan.slots), config.trials, config.workers, config.precision, config.threads)
    placement = fastest_placement(workload, Path(cache_root(config.data.cache_dir), "autotune"))
    if placement is None:
        return plan
    return replace(plan, placement=placement, slots=slots_of(plan.slots, config, placement))


def slots_of(planned: Sequence[WorkerSlot], config: RunConfig, placement: Placement | None) -> list[WorkerSlot]:
    """As many slots on each GPU, or on the CPU, as ``placement`` says, there with its threads; those ``planned`` if
    ``config`` tells it.

    Those ``planned`` too where nothing was measured, or another kind of device: a run may continue elsewhere.
    """
    devices = list(dict.fromkeys(slot.device for slot in planned))
    on_cpu = _kind(planned) == "cpu"
    if placement is None or is_told(config) or placement.device != _kind(planned) or (on_cpu and config.threads):
        return list(planned)
    return distribute(devices, len(devices) * placement.workers, placement.threads if on_cpu else config.threads)


def is_told(config: RunConfig) -> bool:
    """True if the user said how many trials run in parallel."""
    return config.workers is not None or config.trials_per_gpu is not None


def is_worth_measuring(plan: Plan) -> bool:
    """True if the search is much longer than the measurement, which has something to find."""
    if _kind(plan.slots) == "cuda":
        return not is_told(plan.config) and planned_images(plan.config, plan.counts["train"]) >= WORTH_IMAGES
    _, height, width = plan.task.input_shape
    return planned_images(plan.config, plan.counts["train"]) * height * width >= LEAST_PIXELS


def _kind(slots: Sequence[WorkerSlot]) -> str:
    """Of the device: "cpu" or "cuda"."""
    return slots[0].device.partition(":")[0]


def planned_images(config: SearchConfig, train_counts: Sequence[int]) -> int:
    """That the search's trainings see if none stops early. ``train_counts``: training images of each class."""
    return config.total_epochs * images_per_epoch(config.recipe, train_counts)


def representative(plan: Plan) -> TrialSpec:
    """A typical trial of the search, to be measured."""
    return in_short_steps(plan, typical(plan))


def in_short_steps(plan: Plan, spec: TrialSpec) -> TrialSpec:
    """``spec``, on a CPU in batches that take no step long."""
    if _kind(plan.slots) == "cuda":
        return spec
    macs = cost_of(plan.space, spec.sample, plan.task).macs
    assert spec.recipe.batch_size is not None
    size = short_batch(spec.recipe.batch_size, macs)
    return replace(spec, recipe=spec.recipe.model_copy(update={"batch_size": size}))


def short_batch(batch_size: int, macs: int, least: int = 32) -> int:
    """As many images of a network's ``macs`` each as make no step on a CPU long, ``least`` at least."""
    return min(batch_size, max(least, int(MACS_OF_STEP / (3 * macs))))


def typical(plan: Plan) -> TrialSpec:
    """The network in the middle of what fits the budget, by multiplications, and the batch size of its training."""
    rows = sample_feasible(plan.space, plan.task, plan.budget, np.random.default_rng(0))[0]
    macs = costs_of(plan.space, rows, plan.task).macs
    return trial_of(plan, plan.space.decode(rows[int(np.argsort(macs)[len(macs) // 2])]))


def trial_of(plan: Plan, sample: Sample) -> TrialSpec:
    """A trial of ``sample`` as the search will train it, but without oversampling, which makes images first."""
    recipe = plan.config.recipe
    size = recipe.batch_size or default_batch_size(sum(plan.counts["train"]))
    recipe = recipe.model_copy(update={"batch_size": size, "oversampling": "none"})
    task, execution = plan.task, execution_of(plan.config.precision, plan.placement)
    return TrialSpec(
        "typical", plan.space.name, sample, task.input_shape, task.num_classes, plan.config.data, recipe, seed=0,
        execution=execution,
    )  # fmt: skip
