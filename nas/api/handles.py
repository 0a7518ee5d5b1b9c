"""Handles on runs: what a run found, resuming it, handing its networks over. ``nas.runs`` has the record below.

A handle reads a run as it was when it was made, or as far as it went through this handle; ``refresh`` reads it anew.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nas import api
from nas.api.exporting import exported, extras_of
from nas.api.frames import as_frame
from nas.api.keywords import Setting, as_flags
from nas.api.settings import resolve_changes
from nas.api.trials import Member, Trial
from nas.api.wording import in_python
from nas.arguments import checked_types
from nas.config import SearchConfig, StudyConfig
from nas.config.run import Changes
from nas.errors import UsageError, attempt
from nas.report.live import decoding, open_display, standing
from nas.report.screen import Screen
from nas.report.trials_csv import cells
from nas.runs import Listener, SearchRun, StudyRun, as_search, as_study
from nas.runs import Run as AnyRun
from nas.runs.events import Event
from nas.runs.folders import read_run
from nas.runs.listeners import Guest

if TYPE_CHECKING:
    import pandas


class Run(ABC):
    """Base of ``Search`` and ``Study``."""

    record: SearchRun | StudyRun  # what the log says, as ``nas.runs`` has it

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.record.folder

    @property
    def name(self) -> str:
        """Of the run; that of its folder."""
        return self.record.name

    @property
    def state(self) -> str:
        """ "running", "done", or "stopped" and to be resumed."""
        return self.record.state

    @property
    def config(self) -> SearchConfig | StudyConfig:
        """Everything that decides it, resolved and frozen."""
        return self.record.config

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the logits."""
        return self.record.facts.classes

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        return self.record.facts.input_shape

    @property
    def notes(self) -> list[str]:
        """Notes on the run, a sentence each."""
        return list(self.record.notes)

    @property
    def trials(self) -> list[Trial]:
        """Every training so far, in the order in which they were begun."""
        return [Trial(self.record, trial) for trial in self.record.trials.values()]

    @checked_types
    def trial(self, id: str | int) -> Trial:
        """The training called ``id``. RunError names the nearest."""
        with in_python({"id": str(id)}):
            return Trial(self.record, self.record.trial(str(id)))

    def to_pandas(self) -> pandas.DataFrame:
        """A row a trial and a column a metric, as ``nasctl trials --csv`` prints them: "sample.CHOICE",
        "SPLIT.FIGURE". UsageError without pandas.

        >>> frame = nas.load_run("vgg-digits-1").to_pandas()
        >>> frame[["id", "stage", "status"]].values.tolist()
        [['1', 'search', 'finished'], ['2', 'search', 'finished']]
        """
        return as_frame([dict(cells(self.record, trial)) for trial in self.record.trials.values()])

    def refresh(self) -> Self:
        """Read the run anew, which another process may work on; the handle itself."""
        with in_python():
            self._take(read_run(self.folder))
        return self

    @checked_types
    def resume(
        self, *, callbacks: Callback | Sequence[Callback] = (), progress: bool = False, **changes: Setting
    ) -> Self:
        """Resume the run if it is not done; the handle itself, as the run then stands.

        ``changes`` are the flags of ``nasctl resume``: trials, time_limit, trial_timeout, workers, trials_per_gpu,
        device, threads, profile. ``callbacks`` and ``progress``: see ``nas.search``. What was recorded is not trained
        again. UsageError with every error, RunError if another process works on the run.

        >>> nas.load_run("vgg-digits-1").resume().state  # it is done already
        'done'
        """
        with in_python(changes):
            errors: list[str] = []
            flags = as_flags(changes, Changes, errors)
            attempt(lambda: listeners_of(callbacks), errors)
            record = read_run(self.folder)
            asked = resolve_changes(record, flags, errors)
            self._take(record)
            if not api.stays_as_it_is(record, asked):
                with decoding(Screen(), quiet=not progress) as told:
                    opened = api.reopen(record, asked, progress=told)
                carried_out(opened, callbacks, progress=progress)
        return self

    @in_python()
    @checked_types
    def report(self, out: str | Path | None = None) -> Path:
        """Write the run's report, one HTML page that needs no other file and no network, to ``out``, else to
        report.html in the run's folder; the file. UsageError if it cannot be written there.

        >>> nas.load_run("vgg-digits-1").report().name
        'report.html'
        """
        from nas.report.html.write import write_report

        return write_report(self.record, None if out is None else Path(out))

    @abstractmethod
    def _take(self, record: SearchRun | StudyRun) -> None:
        """Stand for ``record`` from now on. RunError if it is of the other kind."""

    def __repr__(self) -> str:
        kind, record = type(self).__name__, self.record
        return f"<{kind} {self.name}: {self.state}, {standing(record, active=self.state == 'running')}, {self.folder}>"


class Search(Run):
    """A search: its trials, the best network, and the metrics on the test split once it is done.

    >>> run = nas.load_run("vgg-digits-1")
    >>> run.state, len(run.trials), run.best.params <= 20_000
    ('done', 2, True)
    >>> len(run.test_scores)  # one for each training that the winner was confirmed by
    1
    """

    record: SearchRun

    @checked_types
    def __init__(self, record: SearchRun) -> None:
        self.record = record

    @property
    def config(self) -> SearchConfig:
        """Everything that decides it, resolved and frozen."""
        return self.record.config

    @property
    @in_python()
    def best(self) -> Trial:
        """The training whose weights are exported: the best of those that confirmed the winner (``of`` names the
        trial that they repeat); before there is a winner, the best trial so far. RunError before one finished."""
        from nas.export.from_run import chosen

        return Trial(self.record, chosen(self.record, None))

    @property
    def test_scores(self) -> list[float]:
        """The objective on the test split, from 0 to 1, of each training of the winner; empty before it is done."""
        return self.record.test_scores

    @in_python()
    @checked_types
    def export(
        self,
        out: str | Path,
        *,
        static: bool = False,
        with_preprocessing: bool = False,
        int8: bool = False,
        int8_max_drop: float | None = None,
        embedder: bool = False,
    ) -> list[Path]:
        """Write the best network to the new folder ``out``: weights, source in plain torch, a torch.export program,
        ONNX, a model card and predict.py; the files. ``run.trial(3).export`` writes another.

        ``static``: also ONNX for one image at a time. ``with_preprocessing``: also ONNX that takes uint8 pixels and
        gives probabilities. ``int8``: also ONNX in 8-bit integers, if it loses no more than ``int8_max_drop`` (a share
        of 1, 0.01 unless told) of the objective on rank. ``embedder``: without the last layer. UsageError if the
        folder is taken, RunError if there is nothing to export, ExportError if a check fails.
        """
        extras = extras_of(
            static=static, with_preprocessing=with_preprocessing, int8=int8, int8_max_drop=int8_max_drop,
            embedder=embedder,
        )  # fmt: skip
        return exported(self.record, None, out, extras)

    def _take(self, record: SearchRun | StudyRun) -> None:
        self.record = as_search(record)


class Study(Run):
    """A baseline run: fixed networks, each trained with every seed, nothing chosen between them.

    >>> run = nas.load_run("hand-nets-digits-1")
    >>> [member.name for member in run.members]
    ['model2-setting2']
    >>> run.member("model2-setting2").model().training
    False
    """

    record: StudyRun

    @checked_types
    def __init__(self, record: StudyRun) -> None:
        self.record = record

    @property
    def config(self) -> StudyConfig:
        """Everything that decides it, resolved and frozen."""
        return self.record.config

    @property
    def members(self) -> list[Member]:
        """Members of the study; those that its searches find join them."""
        return [Member(self.record, member.name) for member in self.record.config.members]

    @checked_types
    def member(self, name: str) -> Member:
        """The member called ``name``. RunError names the nearest."""
        with in_python({"name": name}):
            return Member(self.record, name)

    def _take(self, record: SearchRun | StudyRun) -> None:
        self.record = as_study(record)


Callback = Callable[[Event, Search | Study], None]
"""``fn(event, run)``, told of every event of ``nas.runs.events`` right after it happened."""


def handle_of(record: AnyRun) -> Search | Study:
    """The handle on a run."""
    if isinstance(record, SearchRun):
        return Search(record)
    return Study(as_study(record))


def carried_out(
    opened: api.OpenRun, callbacks: Callback | Sequence[Callback], *, progress: bool
) -> SearchRun | StudyRun:
    """``opened``, to its end, while ``callbacks`` are told, and with ``progress`` a bar or lines are printed."""
    console = Screen()
    display = open_display(console, len(opened.slots), quiet=not progress)
    return api.carry_out(opened, display, listeners_of(callbacks))


def listeners_of(callbacks: Callback | Sequence[Callback]) -> list[Listener]:
    """Listener that tells ``callbacks`` of events, with handles on runs. UsageError for what cannot be called."""
    several = list(callbacks) if isinstance(callbacks, Iterable) and not callable(callbacks) else [callbacks]
    if not all(map(callable, several)):
        raise UsageError("--callbacks takes functions: def tell(event, run): ...")
    return [Guest(getattr(one, "__name__", type(one).__name__), _listener(one), author=one) for one in several]


def _listener(callback: Callback) -> Listener:
    return lambda event, record: callback(event, handle_of(record))
