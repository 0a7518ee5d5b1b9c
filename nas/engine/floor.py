"""The floor under a search: what the best of some classical methods reaches on the same splits.

It is computed once for a data set and kept in the data cache, beside the first search and in a process of its own, on
one thread at low priority. A thread of this process would not do: while the system lets it wait, as it does with what
has low priority, it may hold the interpreter's lock, and the search would wait with it.
"""

from __future__ import annotations

import hashlib
import inspect
import multiprocessing
import os
import secrets
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, TypeAdapter

from baselines.classical import VERSION, ClassicalScores, Images, classical_scores
from baselines.metrics import METRICS
from baselines.pixel_verification import pixel_verification
from nas.autotune.cache import Cache
from nas.config import DataConfig, raise_all
from nas.config.objectives import DEFAULT, OBJECTIVES, is_verification, lacking, measure
from nas.config.options import base_name
from nas.data import Dataset, open_data
from nas.data.cache import cache_root
from nas.data.dataset import IDENTITY_SPLITS, Split, SplitName
from nas.engine.verification import verification_errors
from nas.errors import MachineError, ObjectiveError, UsageError, machine_error, out_of_memory
from nas.executors import WorkerSlot
from nas.executors.devices import worker_environment
from nas.executors.fork_server import inherited
from nas.executors.messages import Hindered
from nas.executors.worker_process import live_with_parent
from nas.plugins.loading import Carried, carried, take_over
from nas.runs import Journal, SearchRun
from nas.runs.events import FloorMeasured, Noted

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Floor = Callable[[], FloorMeasured | Noted]
"""Waits for the floor; the event that records it, or a note why these data have none. MachineError if the machine did
not give it: it may give it when it is asked again."""

NICENESS = 10  # beside workers that take all of a core it gets a tenth of it
LONGEST = 600.0  # seconds that a search waits when its trials are done; large sets take half a minute
SHARE = 0.1  # of a time limit, which it waits at most
NONE = "The classical baseline was not measured: "  # begins the note that there is none


def record_floor(journal: Journal[SearchRun], floor: Floor, *, last: bool = False) -> None:
    """Record the floor unless that was done: before the confirmation, or, where a machine error came between, at the
    ``last``, after it. A second machine error is noted, and no reason not to try when the run is resumed.

    Without a trial that finished there is nothing to set beside it, and it is not waited for.
    """
    run = journal.run
    if not _is_due(run) or not run.num_ranked or (run.stage("confirm") and not last):
        return
    try:
        event = floor()
    except MachineError as error:
        why = str(error).rstrip(".")
        if last:
            journal.note(
                f"There is no classical baseline: {why}. The data are not the cause, and the next search tries again."
            )
        else:
            journal.tell(
                Noted(f"There is no classical baseline yet: {why}. It is tried again before the winner is chosen.")
            )
        return
    match event:
        case Noted(text):
            journal.note(text)
        case measured:
            journal.append(measured)


class ClassicalRequest(BaseModel):
    """On which data classical methods are to be scored, and by what the best is chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DataConfig = DataConfig()
    objective: str = DEFAULT


@contextmanager
def floor_beside(run: SearchRun) -> Iterator[Floor | None]:
    """Source of the floor of ``run``, which is computed from now on if no search did so before; None if ``run`` wants
    none any more. At the end of the block nothing runs."""
    config = run.config
    if not config.floor or not _is_due(run):
        yield None
        return
    if why := _lacking(config.objective):
        without = Noted(f"{NONE}{why}.")
        yield lambda: without
        return
    known = recall(config.data, run.facts.data_key, config.objective)
    if known is not None:
        event = measured(known)
        yield lambda: event
        return
    seconds = LONGEST if config.time_limit is None else min(LONGEST, SHARE * config.time_limit)
    beside = _Beside(config.data, run.facts.data_key, config.objective, seconds)
    try:
        yield beside
    finally:
        beside.end()


def classical_floor(dataset: Dataset, data: DataConfig, objective: str) -> ClassicalScores:
    """The scores of classical methods on the splits of ``dataset``, which ``data`` describes; kept once computed.

    Of verification, those of similarities of pixels. UsageError for an objective that they cannot be chosen by, since
    it needs logits, say."""
    if why := _lacking(objective):
        raise UsageError(f"{why[0].upper()}{why[1:]}: choose another --objective.")
    raise_all(verification_errors(objective, dataset))
    known = recall(data, dataset.key, objective)
    if known is not None:
        return known
    splits: tuple[SplitName, ...] = ("train", "rank", "test")
    splits = ("train", *IDENTITY_SPLITS) if is_verification(objective) else splits
    train, rank, test = (_images(dataset.split(name)) for name in splits)
    from threadpoolctl import threadpool_limits  # after numpy

    # Threads that wait by spinning would cost others four times this.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, about methods that nobody chose
        own = None if objective in METRICS else partial(measure, objective)
        if is_verification(objective):
            scores = pixel_verification(train, rank, test)
        else:
            scores = classical_scores(train, rank, test, len(dataset.classes), objective=objective, measure=own)
    _cache(data).add(_facts(dataset.key, objective), asdict(scores))
    return scores


def _lacking(objective: str) -> str | None:
    return None if is_verification(objective) else lacking(objective)


def recall(data: DataConfig, data_key: str, objective: str) -> ClassicalScores | None:
    """Scores that ``classical_floor`` kept for equal data; None if there is nothing, or nothing that can be read."""
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
    return run.floor is None and not run.is_done and not any(note.startswith(NONE) for note in run.notes)


def _cache(data: DataConfig) -> Cache:
    return Cache(cache_root(data.cache_dir) / "floors")


def _facts(data_key: str, objective: str) -> dict[str, object]:
    facts: dict[str, object] = {"data": data_key, "objective": objective, "version": VERSION}
    return facts if objective in METRICS else facts | {"file": _file_of(objective)}


def _file_of(objective: str) -> str:
    """A hash of the file that an author's own objective is written in: other lines may mean other scores."""
    try:
        path = inspect.getsourcefile(inspect.unwrap(OBJECTIVES.find(base_name(objective)).compute))
        return hashlib.sha256(Path(path or "").read_bytes()).hexdigest()
    except (OSError, TypeError):  # it was typed, say: nothing is kept that is found again
        return secrets.token_hex()


@dataclass(frozen=True)
class _Stored:
    """The images of a split, read from the data cache by their rows in the split."""

    split: Split

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        return np.asarray(self.split.stored[self.split.rows[rows]])


def _images(split: Split) -> Images:
    return _Stored(split), split.labels


class _Beside:
    """A process that computes; asked for the floor, at most ``seconds`` are waited for it, all askings together."""

    def __init__(self, data: DataConfig, data_key: str, objective: str, seconds: float) -> None:
        self._asked = (data, data_key, objective)
        self._seconds = self._left = seconds
        self._process: Any = None
        self._channel: Connection[Any, ClassicalScores | Hindered | str] | None = None
        self._begin()

    def __call__(self) -> FloorMeasured | Noted:
        """See ``Floor``. A machine error begins the work again."""
        found = self._received()
        if isinstance(found, Hindered):
            raise MachineError(found.reason)
        if isinstance(found, ClassicalScores):
            return measured(found)
        return Noted(f"{NONE}{found}. To see what is wrong: nasctl baseline run classical")

    def _received(self) -> ClassicalScores | Hindered | str:
        """Message from the process."""
        if self._channel is None and (refused := self._begin()):
            return refused
        assert self._channel is not None
        began = time.monotonic()
        try:
            if not self._channel.poll(max(0.0, self._left)):  # it still runs
                return Hindered(f"it took too long, {self._seconds:.0f} s after the last trial")
            found = self._channel.recv()
        except (EOFError, OSError):
            found = Hindered("its process was killed, probably because the system ran out of memory")
        finally:
            self._left -= time.monotonic() - began
        if isinstance(found, Hindered):
            self.end()
            self._begin()
        return found

    def _begin(self) -> Hindered | None:
        """Start the process; why it could not be."""
        try:
            self._process, self._channel = _start(*self._asked)
        except OSError as error:
            return Hindered(machine_error(error) or str(error))
        return None

    def end(self) -> None:
        """Nothing runs after this."""
        if self._channel is not None:
            self._process.kill()
            self._process.join()
            self._channel.close()
            self._channel = None


def _start(
    data: DataConfig, data_key: str, objective: str
) -> tuple[Any, Connection[Any, ClassicalScores | Hindered | str]]:
    """The process that computes, and where it sends the scores, or why there are none."""
    context = multiprocessing.get_context("spawn")  # the server that workers are forked from imports torch first
    channel, theirs = context.Pipe(duplex=False)
    with inherited(worker_environment(WorkerSlot("cpu", 1), os.environ)):
        process = context.Process(
            target=_compute, args=(theirs, data, data_key, objective, carried()), name="nasctl floor"
        )
        process.start()
    theirs.close()  # the process's copy is then the only one, and its death closes the channel
    return process, channel


def _compute(
    channel: Connection[ClassicalScores | Hindered | str, Any], data: DataConfig, data_key: str, objective: str,
    plugins: tuple[Carried, ...],
) -> None:  # fmt: skip
    """Inside the process: send the scores, or why there are none."""
    live_with_parent()
    os.nice(NICENESS)
    try:
        take_over(plugins)
        dataset = open_data(data)
        changed = "the data changed since the search began"
        channel.send(classical_floor(dataset, data, objective) if dataset.key == data_key else changed)
    except Exception as error:  # whatever it is, the search continues without a floor
        message = "its process ran out of memory" if out_of_memory(error) else machine_error(error)
        why = str(error) if isinstance(error, ObjectiveError) else f"{type(error).__name__}: {error}"
        channel.send(Hindered(message) if message else why.rstrip("."))
