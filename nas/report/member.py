"""One member of a baseline run: its network, its recipe, and every training of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.config.recipe import Metrics
from nas.report.documents import Document, trial_document
from nas.report.study import MemberRow, member_row
from nas.runs import Run, StudyRun, TrialRecord
from nas.runs.trial_record import seed_number
from search_spaces import Sample


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training of a member."""

    id: str
    status: str
    seed: int
    epochs: int
    seconds: float
    training_memory: int | None  # bytes at the peak; None: not known
    metrics: dict[str, Metrics]  # by split, empty unless it finished
    error: str | None
    weights: Path | None  # the file, if it was kept
    weights_bytes: int  # of the file, 0 without one


@dataclass(frozen=True, kw_only=True)
class MemberReport(MemberRow):
    """A member with all that is known of it; its fields are the keys of the JSON document."""

    run: str
    study: str
    space: str | None  # of its architecture; None: a fixed network
    sample: Sample
    objective: str
    size_bytes: int  # of the weights as tensors
    peak_memory: int  # bytes of activations
    planned_seeds: int
    trainings: tuple[Training, ...]  # that have started, by the number of their seed


def member_report(run: StudyRun, name: str) -> MemberReport:
    """The report of the member called ``name``, also while it is trained."""
    cost, config = run.facts.members[name].cost, run.config.member(name)
    trials = sorted((t for t in run.stage("study") if t.of == name), key=lambda trial: seed_number(trial.id))
    return MemberReport(
        **vars(member_row(run, name)),
        run=run.name,
        study=run.config.study,
        space=config.space,
        sample=config.sample,
        objective=run.config.objective,
        size_bytes=cost.size_bytes,
        peak_memory=cost.peak_memory,
        planned_seeds=run.config.seeds,
        trainings=tuple(_training(run, trial) for trial in trials),
    )


def _training(run: StudyRun, trial: TrialRecord) -> Training:
    weights = kept_weights(run, trial)
    return Training(
        id=trial.id,
        status=run.status(trial),
        seed=trial.seed,
        epochs=trial.epochs,
        seconds=trial.seconds,
        training_memory=trial.training_memory,
        metrics=trial.metrics,
        error=trial.error,
        weights=weights,
        weights_bytes=weights.stat().st_size if weights else 0,
    )


def kept_weights(run: Run, trial: TrialRecord) -> Path | None:
    """The file with the weights of a trial that ended, None if they were not kept."""
    weights = run.weights(trial.id)
    return weights if trial.status != "running" and weights.is_file() else None


def shown_document(run: Run, trial: TrialRecord) -> Document:
    """A trial as ``nasctl show --json`` prints it: with its recipe, epochs, and where its weights lie, if they do."""
    weights = kept_weights(run, trial)
    return {
        **trial_document(run, trial),
        "recipe": run.recipe(trial.id).model_dump(mode="json"),
        "epochs": trial.epochs,
        "weights": str(weights) if weights else None,
    }
