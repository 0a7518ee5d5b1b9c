"""Display of a running search: a live line in a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from nas.config.objectives import lengthens_by
from nas.report.screen import Screen
from nas.report.supernet_lines import begin_line, candidates_line, epoch_line, learning, progress_line, sizes
from nas.runs import Run, SearchRun, StudyRun, TrialRecord, as_search, as_study
from nas.runs.events import (
    ArchitectureFound,
    CandidatesRanked,
    ConfirmationLengthened,
    EpochEnded,
    Event,
    Noted,
    Stage,
    StudySearchBegins,
    SupernetEpoch,
    SupernetProgress,
    SupernetStarted,
    TrialEnded,
    TrialSubmitted,
)
from nas.runs.folders import SEARCHES
from nas.units import clock, counted

TELL_FIRST, TELL_EVERY = 5.0, 20.0  # seconds, how far an epoch of a supernet is, where there is no bar


class Display(Protocol):
    """Told of events by the process that searches."""

    def on_event(self, event: Event, run: Run) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silent:
    """Shows nothing."""

    def on_event(self, event: Event, run: Run) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Plain(Silent):
    """One line for each trial that ends, and for each epoch of a supernet, for logs and pipes."""

    def __init__(self, console: Screen, num_slots: int) -> None:
        self.console, self.num_slots = console, num_slots
        self._tell_at = TELL_FIRST  # how old an epoch of the supernet will be when the next line tells of it

    def on_event(self, event: Event, run: Run) -> None:
        """Print a finished or failed trial, or what became of a supernet, and how far the search is."""
        match event:
            case TrialEnded(result):
                line = trial_line(run, run.trials[result.id])
                self.say(f"{line}  [{standing(run)}; {eta(run, self.num_slots)}]")
            case SupernetEpoch():
                search = as_search(run)
                self.say(f"{epoch_line(search, event)}  [{supernet_eta(search)}]")
                self._tell_at = TELL_EVERY
            case SupernetProgress(epoch=epoch, seconds=seconds):
                if not epoch or seconds >= self._tell_at:
                    self.say(progress_line(as_search(run), event))
                    self._tell_at = seconds + TELL_EVERY if epoch else TELL_FIRST
            case _:
                self.say(*rare_lines(event, run))

    def say(self, *lines: str, style: str = "default") -> None:
        """Print lines as they are, above the bars if there are any."""
        for line in lines:
            self.console.print(line, style=style, soft_wrap=True, highlight=False)


class Live(Plain):
    """Bars that stay at the bottom, one for the search or its supernet and one for each trial; what ended above."""

    def __init__(self, console: Screen, num_slots: int) -> None:
        super().__init__(console, num_slots)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=12), MofNCompleteColumn(),
            TextColumn("{task.fields[standing]}", markup=False), console=console,
        )  # fmt: skip
        self._search = self._progress.add_task("search", total=None, standing="starting workers")
        self._supernet: TaskID | None = None
        self._trials: dict[str, TaskID] = {}

    def on_event(self, event: Event, run: Run) -> None:
        """Print a trial that ended, and bring the bars up to date."""
        self.say(*rare_lines(event, run))
        match event:
            case SupernetProgress():
                bar = self._search if self._supernet is None else self._supernet
                self._progress.update(bar, standing=progress_line(as_search(run), event))
                return
            case EpochEnded(id=trial_id, row=row):
                if trial_id in self._trials:
                    words = f"epochs, loss {row['train_loss']:.3f}"
                    self._progress.update(self._trials[trial_id], completed=row["epoch"], standing=words)
                return
            case SupernetStarted() | SupernetEpoch() | CandidatesRanked():
                self._on_supernet(event, as_search(run))
            case TrialSubmitted(id=trial_id):
                task = self._progress.add_task(
                    f"  trial {trial_id}", total=run.recipe(trial_id).epochs, standing="epochs"
                )
                self._trials[trial_id] = task
            case TrialEnded(result):
                if result.id in self._trials:
                    self._progress.remove_task(self._trials.pop(result.id))
                color = {"failed": "red", "pruned": "dim"}.get(result.status, "default")
                self.say(trial_line(run, run.trials[result.id]), style=color)
        confirming = run.tally.count(stage="confirm") > 0
        stage: Stage = "confirm" if confirming else run.main_stage
        self._progress.update(
            self._search, description=stage,
            total=planned_confirmations(run) if confirming else run.planned_trials,
            completed=run.tally.count(stage=stage) - run.tally.count("running", stage=stage),
            standing=f"{standing(run)}; {eta(run, self.num_slots)}",
        )  # fmt: skip

    def _on_supernet(self, event: SupernetStarted | SupernetEpoch | CandidatesRanked, run: SearchRun) -> None:
        """A bar in place of the search's while a supernet trains."""
        if self._supernet is None:
            assert run.supernet is not None
            self._supernet = self._progress.add_task("supernet", total=run.supernet.epochs, standing="epochs")
        if isinstance(event, SupernetEpoch):
            first = f"{', '.join(learning(run, event))}; {supernet_eta(run)}"
            self._progress.update(
                self._supernet, completed=event.epoch, standing=f"{first}\n{', '.join(sizes(run, event))}"
            )
        ended = isinstance(event, CandidatesRanked)
        self._progress.update(self._supernet, visible=not ended)
        self._progress.update(self._search, visible=ended)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def trial_line(run: Run, trial: TrialRecord) -> str:
    """One trial that ended, in one line."""
    name = f"trial {trial.id:>4}" if trial.stage != "confirm" else f"seed {trial.id.split('.')[-1]} of trial {trial.of}"
    score = trial.score(run.config.objective, run.judged_on)
    if trial.status == "pruned":
        return f"{name}  pruned {trial.error}  {trial.cost.params:>9,} parameters  {trial.seconds:5.1f} s"
    if score is None:
        return f"{name} {trial.status}: {trial.error}"
    metric = f"{run.config.objective.replace('_', ' ')} {score:.3f}" + (
        "" if isinstance(run, SearchRun) else f" on {run.judged_on}"
    )
    return f"{name}  {metric}  {trial.cost.params:>9,} parameters  {trial.seconds:5.1f} s"


def rare_lines(event: Event, run: Run) -> list[str]:
    """Lines on rare events: a supernet begins, its candidates are ranked, something to know."""
    match event:
        case SupernetStarted():
            return [begin_line(as_search(run))]
        case CandidatesRanked():
            return [candidates_line(as_search(run))]
        case StudySearchBegins(search):
            return [search_line(as_study(run), search)]
        case ArchitectureFound():
            return [f"found     within {event.search}: {event.text}, {event.cost.params:,} parameters"]
        case ConfirmationLengthened():
            return [lengthened_line(as_search(run), event)]
        case Noted(text):
            return [f"note: {text}"]
    return []


def search_line(run: StudyRun, name: str) -> str:
    """Line on the one of a study's searches that runs now."""
    searches = run.config.searches
    place, search = next((n, s) for n, s in enumerate(searches, start=1) if s.name == name)
    words = f"{search.space} within the {search.max_params:,} parameters of {name}"
    return f"search    {words} ({place} of {len(searches)}), {run.folder / SEARCHES / name}"


def lengthened_line(run: SearchRun, event: ConfirmationLengthened) -> str:
    """Line on why confirmations train longer than was said."""
    scored = ", ".join(f"{score:.3f} after {counted(epochs, 'epoch')}" for epochs, score in event.scored)
    words = lengthens_by(run.config.objective).replace("_", " ")
    return f"longer    {words} of the best on select: {scored}; so confirmations train for {event.epochs}"


def standing(run: Run, *, active: bool = True) -> str:
    """Done, pruned, failed, running (or interrupted, if nobody works on the run), and the best with its size."""
    counts = {status: run.tally.count(status) for status in ("finished", "pruned", "failed", "running")}
    best = run.best(1)
    if isinstance(run, SearchRun) and run.supernet and not run.candidates:
        return f"supernet {len(run.supernet_epochs)} of {counted(run.supernet.epochs, 'epoch')}"
    pruned = f", {counts['pruned']} pruned" if counts["pruned"] else ""
    words = f"{counts['finished']} done{pruned}, {counts['failed']} failed"
    if active or counts["running"]:
        words += f", {counts['running']} {'running' if active else 'interrupted'}"
    if best and isinstance(run, SearchRun):
        words += f"; best {best[0].score(run.config.objective):.3f} at {best[0].cost.params:,} (trial {best[0].id})"
    return words


def planned_confirmations(run: Run) -> int:
    """Trainings of the confirmation: as many as the trials that finished allow, once the search is over."""
    if not isinstance(run, SearchRun):
        return 0
    seeds = run.config.confirm_seeds + len(run.lengthened)
    return min(run.config.confirm, run.num_ranked or run.planned_trials) * seeds


def eta(run: Run, num_slots: int) -> str:
    """Remaining time, confirmations included, if trials take as long as before."""
    whole = run.tally.mean_seconds(stage=run.main_stage)
    if whole is None:
        return "time left unknown"
    each = run.tally.mean_seconds("finished", "pruned", stage=run.main_stage) or whole
    searching = max(0, run.planned_trials - run.num_ended(run.main_stage)) * each
    left = max(0, planned_confirmations(run) - run.num_ended("confirm"))
    return _left(run, (searching + left * _seconds_of_confirmation(run, whole)) / num_slots)


def _seconds_of_confirmation(run: Run, trial_seconds: float) -> float:
    """As those that ended took, else from the time of a trial."""
    if not isinstance(run, SearchRun):
        return 0.0
    longer = run.confirm_epochs / run.config.recipe.epochs
    return run.tally.mean_seconds(stage="confirm") or trial_seconds * longer


def supernet_eta(run: SearchRun) -> str:
    """Remaining time of the supernet's other epochs. Epochs with alphas take longer than those of the warm-up, so from
    the first of these on they alone are counted."""
    assert run.supernet is not None
    rows = run.supernet_epochs
    later = [row for row in rows if row.epoch > run.supernet.warm_up_epochs] or rows
    mean = sum(row.seconds for row in later) / len(later)
    return _left(run, max(0, run.supernet.epochs - rows[-1].epoch) * mean)


def _left(run: Run, seconds: float) -> str:
    if run.config.time_limit:
        seconds = min(seconds, max(0.0, run.config.time_limit - run.elapsed))
    return f"{clock(seconds)} left"


def open_display(console: Screen, num_slots: int, *, quiet: bool) -> Display:
    """The display that fits: none if ``quiet``, live in a terminal or a notebook that has widgets, else plain lines."""
    if quiet:
        return Silent()
    return Live(console, num_slots) if _moves(console) else Plain(console, num_slots)


@contextmanager
def decoding(
    console: Screen, quiet: bool, what: str = "decoding images"
) -> Iterator[Callable[[int, int], None] | None]:
    """A bar that moves until the block ends, so that a terminal never looks dead; it counts images, if there are many
    of which to do ``what``. Nothing where bars do not move."""
    if quiet or not _moves(console):
        yield None
        return
    with Progress(console=console, transient=True) as bar:
        bar.add_task("preparing", total=None)
        task = bar.add_task(what, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _moves(console: Screen) -> bool:
    """True if it is a terminal, or a notebook that has the widgets by which rich moves its bars."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
