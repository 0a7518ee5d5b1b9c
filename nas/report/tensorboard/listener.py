"""Listeners that keep TensorBoard files and the weights of the best. Derived, never needed to resume: what a kill left
out is written when the run is resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nas.errors import RunError
from nas.report.tensorboard.columns import columns, metrics, of_split, settings, totals
from nas.runs import Run, SearchRun, StudyRun, TrialRecord, as_search
from nas.runs.events import (
    ArchitectureFound,
    Event,
    StudyEnded,
    SupernetEpoch,
    SupernetStarted,
    TrialEnded,
    WinnerChosen,
)
from nas.runs.hints import typed
from nas.runs.retention import drop_weights
from nas.trials import TrialResult


def keep_files(event: Event, run: Run) -> None:
    """A listener: after a result or an epoch of the supernet, write TensorBoard files and drop weights that are
    not needed. RunError if the disk refuses."""
    with _told(run):
        match event:
            case TrialEnded(result):
                write_tensorboard(run, run.trials[result.id], result)
                if result.status == "failed":
                    note_failure(run, run.trials[result.id])
            case ArchitectureFound():
                declare_columns(run)
            case WinnerChosen():
                write_test_metrics(as_search(run))
            case SupernetStarted() | SupernetEpoch():
                write_supernet_curves(as_search(run))
        if isinstance(event, TrialEnded | WinnerChosen | StudyEnded):
            drop_weights(run)


def bring_up_to_date(run: Run) -> None:
    """Write TensorBoard files and drop weights that a kill left out. RunError if the disk refuses."""
    with _told(run):
        for trial in left_out(run):
            if (result := run.result(trial)) is not None:
                write_tensorboard(run, trial, result)
        if run.trials:
            declare_columns(run)
        if isinstance(run, SearchRun):
            write_test_metrics(run)
            if run.supernet:
                write_supernet_curves(run)
        drop_weights(run)


@contextmanager
def _told(run: Run) -> Iterator[None]:
    """A disk that is full, say, in one message: the log has everything already, and resuming completes the files."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"A file of run {run.name!r} could not be written ({error.strerror}). Everything recorded is kept: make "
            f"room on the disk of {run.folder}, then: {typed('resume', run.folder)}"
        ) from error


def note_failure(run: Run, trial: TrialRecord) -> None:
    """The reason in the trial's own log, where its worker could not write it any more."""
    path = run.folder / "logs" / f"{trial.id}.txt"
    line = f"failed: {trial.error}\n"
    if not path.is_file() or not path.read_text(errors="replace").endswith(line):
        with path.open("a") as file:
            file.write(line)


def left_out(run: Run) -> list[TrialRecord]:
    """The trials that ended and may lack their TensorBoard file; found by one listing of the folder of them all.

    What a kill interrupted shows by its partial file there. The newest is looked at in any case.
    """
    from nas.report.tensorboard.trial import PARTIAL

    folder = run.folder / "tensorboard"
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    newest = max((trial.result_number or 0 for trial in run.trials.values()), default=0)
    return [
        trial
        for trial in run.trials.values()
        if trial.result_number
        and (trial.id not in there or PARTIAL + trial.id in there or trial.result_number == newest)
    ]


def write_tensorboard(run: Run, trial: TrialRecord, result: TrialResult) -> None:
    """The curves of a trial that ended and its row in the HParams tab; nothing if they exist."""
    from nas.report.tensorboard.trial import COLUMNS, write_trial

    folder = run.folder / "tensorboard"
    if not (folder / COLUMNS).is_file():
        declare_columns(run)
    assert trial.result_number
    write_trial(
        folder / trial.id, number=trial.result_number, name=f"{run.name}:{trial.id}",
        settings=settings(run, trial), totals=totals(run, trial), result=result,
    )  # fmt: skip


def declare_columns(run: Run) -> None:
    """Declare the columns of the HParams tab."""
    from nas.report.tensorboard.trial import write_columns

    write_columns(run.folder / "tensorboard", columns(run), metrics(run), started=run.started)


def write_test_metrics(run: SearchRun) -> None:
    """Write the metrics of the winner's trainings on the test split, which is read once, at the end."""
    from nas.report.tensorboard.trial import write_later

    for trial_id, values in (run.winner.test if run.winner else {}).items():
        folder, trial = run.folder / "tensorboard" / trial_id, run.trials[trial_id]
        write_later(folder, of_split(run, "test", values), step=trial.epochs, now=run.started + run.elapsed)


def write_member_pictures(run: StudyRun, member: str, pictures: Mapping[str, Path]) -> None:
    """PNG files about a study's member, by what they show, under its name; in place of those before."""
    from nas.report.tensorboard.trial import write_images

    images = {tag: path.read_bytes() for tag, path in pictures.items()}
    with _told(run):
        write_images(run.folder / "tensorboard" / member, images, now=run.started + run.elapsed)


def write_supernet_curves(run: SearchRun) -> None:
    """The curves of the supernet up to its last epoch; what is there already stays."""
    from nas.report.tensorboard.supernet import write_supernet

    limits = {name: limit for name, limit in run.budget.limits.items() if name in ("max_params", "min_params")}
    write_supernet(
        run.folder / "tensorboard" / "supernet", run.learned_choices, run.supernet_epochs,
        started=run.started, objective=run.config.objective, limits=limits,
    )  # fmt: skip
