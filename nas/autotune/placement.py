"""Placement of trials on a machine and its measurements: plain data, as a run's log holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nas.config.run import Precision
from nas.executors import WorkerSlot
from nas.training.precision import Execution, asked_execution
from nas.trials import TrialSpec


@dataclass(frozen=True)
class Measurement:
    """Throughput of workers that trained at the same time on one device."""

    workers: int
    threads: int  # of each worker
    execution: Execution | None  # None: what is usual on the device
    images_per_second: float  # of all workers together
    free_bytes: int | None = None  # of a GPU's memory, beside them
    worker_bytes: int | None = None  # that the largest took of it for tensors; its CUDA context comes on top


@dataclass(frozen=True)
class Placement:
    """Fastest placement of trials on this machine, of what was measured.

    ``workers`` are the trials in parallel on each GPU, or on the CPU.
    """

    device: Literal["cpu", "cuda"]  # the kind that was measured
    workers: int
    threads: int  # of each worker
    execution: Execution | None  # None: not chosen by measuring, so what was asked for or is usual on the device
    images_per_second: float  # of all workers of one device together
    times_default: float | None  # times as fast as torch's defaults, if those were measured
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True)
class Workload:
    """Trials to place, and what of their placement is given."""

    spec: TrialSpec  # a typical trial, whose batch size is given
    slots: tuple[WorkerSlot, ...]  # where trials run if nothing is measured
    trials: int  # that there will be: no more can run in parallel
    workers: int | None  # trials in parallel, as the user said
    precision: Precision
    threads: int | None = None  # of each, as the user said

    @property
    def devices(self) -> list[str]:
        """Each device of the slots once."""
        return list(dict.fromkeys(slot.device for slot in self.slots))


def execution_of(precision: Precision, placement: Placement | None) -> Execution | None:
    """Execution of every trial of a run: what was measured when it began, else what was asked.

    None: what is usual on the worker's device.
    """
    measured = placement.execution if placement is not None else None
    return measured or asked_execution(precision)
