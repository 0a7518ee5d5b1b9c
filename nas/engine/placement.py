"""How the trials of a plan are placed on this machine's devices: as told, as recorded, or as measured."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from budgets import cost_of, costs_of
from budgets.draw import draw_fitting
from nas.autotune import cpu, gpu
from nas.autotune.cpu import _digest, identity, measure_layouts, recall, remember
from nas.autotune.gpu import MEASURE, MOST_WORKERS, Remembered, _on, gpus, measure
from nas.config.recipe import default_batch_size
from nas.config.run import RunConfig
from nas.data.cache import cache_root
from nas.engine.plan import Plan
from nas.executors import WorkerSlot
from nas.executors.devices import count_cores, spread
from nas.training.precision import Execution, execution_of
from nas.trials.spec import TrialSpec

# Pixels that all trials together see, below which nothing is measured: such a search takes a minute or so.
LEAST_PIXELS = 50_000_000
MACS_OF_STEP = 2e9  # of a measured step, forward and backward: large networks are measured in smaller batches

WORTH_IMAGES = 10_000_000  # that a search trains on, a minute or more of a fast GPU: 24 trials of 10 epochs of CIFAR-10


def packed(plan: Plan) -> Plan:
    """``plan`` with as many slots on each GPU as were measured to pay; as it is if that is not to be measured."""
    config, devices = plan.config, list(dict.fromkeys(slot.device for slot in plan.slots))
    if is_told(config) or not devices[0].startswith("cuda") or planned_images(plan) < WORTH_IMAGES:
        return plan
    spec = typical(plan)
    most = max(1, min(MOST_WORKERS, 2 * count_cores() // len(devices), math.ceil(config.trials / len(devices))))
    remembered = Remembered(cache_root(config.data.cache_dir) / "packing.json")
    machine = [gpus(), version("torch"), count_cores()]
    network = [spec.space, spec.sample, spec.input_shape, spec.num_classes]
    key = json.dumps([*machine, most, *network, spec.recipe.batch_size, config.precision])
    loads = remembered.find(key)
    if loads is None and (loads := measure(_on(devices[0]), spec, most)):
        remembered.add(key, loads)
    if not loads:
        return plan
    packing = {"trials_per_gpu": gpu.choose(loads), "loads": [asdict(load) for load in loads]}
    plan = replace(plan, packing=packing)
    return replace(plan, slots=as_recorded(plan.slots, config, packing, None))


def as_recorded(
    slots: Sequence[WorkerSlot], config: RunConfig, packing: dict[str, Any] | None, training: dict[str, Any] | None
) -> list[WorkerSlot]:
    """As many slots on each GPU, or on the CPU, as were measured to pay, unless ``config`` tells it."""
    devices = list(dict.fromkeys(slot.device for slot in slots))
    if is_told(config):
        return list(slots)
    if devices[0].startswith("cuda"):
        return list(slots) if packing is None else spread(devices, len(devices) * int(packing["trials_per_gpu"]))
    return list(slots) if training is None else spread(devices, int(training["workers"]))


def is_told(config: RunConfig) -> bool:
    """Whether the user said how many trials run at once."""
    return config.workers is not None or config.trials_per_gpu is not None


def planned_images(plan: Plan) -> int:
    """That the search's trainings see, about: all of the training split in every epoch."""
    config = plan.config
    trainings = config.trials + config.confirm * config.confirm_seeds
    return trainings * config.recipe.epochs * sum(plan.counts["train"])


def typical(plan: Plan) -> TrialSpec:
    """The network in the middle of what fits the budget, by multiplications, and the batch size of its training."""
    rows = draw_fitting(plan.space, plan.task, plan.budget, np.random.default_rng(0))[0]
    macs = costs_of(plan.space, rows, plan.task).macs
    sample = plan.space.decode(rows[int(np.argsort(macs)[len(macs) // 2])])
    recipe = plan.config.recipe
    size = recipe.batch_size or default_batch_size(sum(plan.counts["train"]))
    recipe = recipe.model_copy(update={"batch_size": size, "oversampling": "none"})
    task, execution = plan.task, execution_of(plan.config.precision, None)
    return TrialSpec(
        MEASURE, plan.space.name, sample, task.input_shape, task.num_classes, plan.config.data, recipe, seed=0,
        execution=execution,
    )  # fmt: skip


def tuned(plan: Plan) -> Plan:
    """``plan`` with the fastest way to train found on this CPU, from memory if it was measured before.

    As it is on a GPU, for a search too short to pay for measuring, and if nothing could be measured. --workers and
    --precision are kept; what they leave open is measured.
    """
    if plan.slots[0].device != "cpu" or _pixels(plan) < LEAST_PIXELS:
        return plan
    layouts = [plan.slots]
    if plan.config.workers is None and len(plan.slots) > 1:
        layouts.append([WorkerSlot("cpu", count_cores())])
    spec = representative(plan)
    facts = identity(spec, plan.slots, plan.config.workers, plan.config.precision)
    place = Path(cache_root(plan.config.data.cache_dir), "tuning", f"{_digest(facts)}.json")
    rates = recall(place, facts)
    if rates is None:
        rates = measure_layouts(spec, layouts, plan.config)
        enough = len(rates) >= (3 if plan.config.precision == "auto" else 2)
        if enough and len({rate.workers for rate in rates}) == len(layouts):  # all that matter were in time
            remember(place, facts, rates)
    if len(rates) < 2:  # a machine too busy, or networks too large: nothing was compared
        return plan
    chosen = cpu.choose(rates)
    slots = [WorkerSlot("cpu", chosen.threads)] * chosen.workers
    training = {"workers": chosen.workers, "threads": chosen.threads, **asdict(chosen.execution)}
    training["images_per_second"] = round(chosen.images_per_second, 1)
    by_default = [r for r in rates if r.workers == 1 and r.execution == Execution()]  # torch's: one process, all cores
    if by_default:
        training["times_default"] = round(chosen.images_per_second / by_default[0].images_per_second, 2)
    return replace(plan, slots=slots, training=training)


def _pixels(plan: Plan) -> int:
    """That all trials see, at most."""
    config, (_, height, width) = plan.config, plan.task.input_shape
    trainings = config.trials + config.confirm * config.confirm_seeds
    return trainings * config.recipe.epochs * sum(plan.counts["train"]) * height * width


def representative(plan: Plan) -> TrialSpec:
    """A typical trial of the search, in batches that take no step long."""
    spec = typical(plan)
    macs = cost_of(plan.space, spec.sample, plan.task).macs
    assert spec.recipe.batch_size is not None
    size = min(spec.recipe.batch_size, max(32, int(MACS_OF_STEP / (3 * macs))))
    return replace(spec, recipe=spec.recipe.model_copy(update={"batch_size": size}))
