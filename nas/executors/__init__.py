"""Executors: processes, devices and time limits of trials. What a trial does or means does not belong here."""

from nas.executors.base import EpochListener, EpochReport, Executor, RunTrial, WorkerSlot, each_result
from nas.executors.devices import TRIALS_PER_GPU, plan_slots
from nas.executors.fork_server import check_may_start, start_server
from nas.executors.inline import InlineExecutor
from nas.executors.local import LocalExecutor

__all__ = [
    "TRIALS_PER_GPU",
    "EpochListener",
    "EpochReport",
    "Executor",
    "InlineExecutor",
    "LocalExecutor",
    "RunTrial",
    "WorkerSlot",
    "check_may_start",
    "each_result",
    "plan_slots",
    "start_server",
]
