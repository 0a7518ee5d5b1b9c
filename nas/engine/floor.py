"""The floor under a search: what the best of some classical methods reaches on the same splits.

It is computed once for a data set and kept in the data cache, beside the first search and in a process of its own, on
one thread at low priority. A thread of this process would not do: while the system lets it wait, as it does with what
has low priority, it may hold the interpreter's lock, and the search would wait with it.
"""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, TypeAdapter

from baselines.classical import VERSION, ClassicalScores, Images, classical_scores
from nas.autotune.cache import Cache
from nas.config import DataConfig
from nas.config.recipe import Objective
from nas.data import Dataset, open_data
from nas.data.cache import cache_root
from nas.data.dataset import Split, SplitName
from nas.executors import WorkerSlot
from nas.executors.devices import worker_environment
from nas.executors.fork_server import inherited
from nas.executors.worker_process import live_with_parent
from nas.runs import Journal, SearchRun
from nas.runs.events import FloorMeasured, Noted

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Floor = Callable[[], FloorMeasured | Noted]
"""Waits for the floor; the event that records it, or a note why there is none."""

NICENESS = 10  # beside workers that take all of a core it gets a tenth of it
LONGEST = 600.0  # seconds that a search waits when its trials are done; large sets take half a minute
SHARE = 0.1  # of a time limit, which it waits at most


def record_floor(journal: Journal[SearchRun], floor: Floor) -> None:
    """Record the floor unless that was done, or confirmation began without: a log has it in one place or not at all.

    Without a trial that finished there is nothing to set beside it, and it is not waited for.
    """
    if _is_due(journal.run) and journal.run.num_ranked:
        match floor():
            case Noted(text):
                journal.note(text)
            case measured:
                journal.append(measured)


class ClassicalRequest(BaseModel):
    """On which data classical methods are to be scored, and by what the best is chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DataConfig = DataConfig()
    objective: Objective = "balanced_accuracy"


@contextmanager
def floor_beside(run: SearchRun) -> Iterator[Floor | None]:
    """What gives the floor of ``run``, which is computed from now on if no search did so before; None if ``run`` wants
    none any more. At the end of the block nothing goes on."""
    config = run.config
    if not config.floor or not _is_due(run):
        yield None
        return
    known = recall(config.data, run.facts.data_key, config.objective)
    if known is not None:
        event = measured(known)
        yield lambda: event
        return
    process, channel = _start(config.data, run.facts.data_key, config.objective)
    seconds = LONGEST if config.time_limit is None else min(LONGEST, SHARE * config.time_limit)
    try:
        yield lambda: _received(channel, seconds)
    finally:
        process.kill()
        process.join()
        channel.close()


def classical_floor(dataset: Dataset, data: DataConfig, objective: str) -> ClassicalScores:
    """The scores of classical methods on the splits of ``dataset``, which ``data`` describes; kept once computed."""
    known = recall(data, dataset.key, objective)
    if known is not None:
        return known
    splits: tuple[SplitName, ...] = ("train", "rank", "test")
    train, rank, test = (_images(dataset.split(name)) for name in splits)
    from threadpoolctl import threadpool_limits  # after numpy

    # Threads that wait by spinning would cost others four times this.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, about methods that nobody chose
        scores = classical_scores(train, rank, test, len(dataset.classes), objective=objective)
    _cache(data).add(_facts(dataset.key, objective), asdict(scores))
    return scores


def recall(data: DataConfig, data_key: str, objective: str) -> ClassicalScores | None:
    """What ``classical_floor`` kept for equal data; None if there is nothing, or nothing that can be read."""
    return _cache(data).find_as(TypeAdapter(ClassicalScores), _facts(data_key, objective))


def measured(scores: ClassicalScores) -> FloorMeasured:
    """The event that records ``scores``."""
    best = scores.best
    return FloorMeasured(
        method=f"{best.label} on pixels",
        settings=best.settings,
        rank=best.rank,
        test=scores.test,
        images=scores.images,
        of_images=scores.of_images,
        components=scores.components,
    )


def _is_due(run: SearchRun) -> bool:
    return run.floor is None and not run.stage("confirm") and not run.is_done


def _cache(data: DataConfig) -> Cache:
    return Cache(cache_root(data.cache_dir) / "floors")


def _facts(data_key: str, objective: str) -> dict[str, object]:
    return {"data": data_key, "objective": objective, "version": VERSION}


@dataclass(frozen=True)
class _Stored:
    """The images of a split, read from the data cache by their rows in the split."""

    split: Split

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        return np.asarray(self.split.stored[self.split.rows[rows]])


def _images(split: Split) -> Images:
    return _Stored(split), split.labels


def _start(data: DataConfig, data_key: str, objective: str) -> tuple[Any, Connection[Any, ClassicalScores | str]]:
    """The process that computes, and where it sends the scores, or why there are none."""
    context = multiprocessing.get_context("spawn")  # the server that workers are forked from imports torch first
    channel, theirs = context.Pipe(duplex=False)
    with inherited(worker_environment(WorkerSlot("cpu", 1), os.environ)):
        process = context.Process(target=_compute, args=(theirs, data, data_key, objective), name="nasctl floor")
        process.start()
    theirs.close()  # the process's copy is then the only one, and its death closes the channel
    return process, channel


def _compute(channel: Connection[ClassicalScores | str, Any], data: DataConfig, data_key: str, objective: str) -> None:
    """Inside the process: send the scores, or why there are none."""
    live_with_parent()
    os.nice(NICENESS)
    try:
        dataset = open_data(data)
        changed = "the data changed since the search began"
        channel.send(classical_floor(dataset, data, objective) if dataset.key == data_key else changed)
    except Exception as error:  # whatever it is, the search goes on without a floor
        channel.send(f"{type(error).__name__}: {error}")


def _received(channel: Connection[Any, ClassicalScores | str], seconds: float) -> FloorMeasured | Noted:
    """What the process sends within so many seconds, as an event."""
    try:
        found = channel.recv() if channel.poll(seconds) else f"it took too long, {seconds:.0f} s after the last trial"
    except (EOFError, OSError):
        found = "its process was killed; often the system ran out of memory"
    if isinstance(found, ClassicalScores):
        return measured(found)
    return Noted(f"The floor was not measured: {found}. To see what is wrong: nasctl baseline run classical")
