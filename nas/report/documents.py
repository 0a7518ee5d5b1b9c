"""Runs, trials and reports as JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from nas.executors import WorkerSlot
from nas.report.guide import foresight
from nas.runs import Run, SearchRun, TrialRecord, as_study
from nas.runs.standings import confirmed, seed_scores

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# JSON on its way to standard output: it is printed, and nothing in this program reads it by name.
Document = dict[str, Any]


def document(report: DataclassInstance, **keys: str) -> Document:
    """A report as JSON: its fields by name and in order, settings by theirs, paths as text. ``keys``: keys of
    fields that are not called as the field is."""
    found = asdict(report, dict_factory=lambda pairs: {name: _plain(value) for name, value in pairs})
    return {keys.get(name, name): value for name, value in found.items()}


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value) if isinstance(value, Path) else value


def run_document(run: Run) -> Document:
    """A run as JSON."""
    return {
        "run": run.name,
        "state": run.state,
        "config": run.config.model_dump(mode="json"),
        **_search_part(run),
        "versions": run.versions,
        "trials": _counts(run),
        "best": [trial_document(run, trial) for trial in run.best(3)],
        "notes": run.notes,
        "seconds": run.seconds_so_far,
        "profile": run.profile.document(),
    }


def _counts(run: Run) -> dict[str, int]:
    """Of trials by status."""
    unended = run.tally.count("running")
    running = unended if run.state == "running" else 0
    ended = {status: run.tally.count(status) for status in ("finished", "failed", "pruned")}
    return {**ended, "running": running, "interrupted": unended - running}


def plan_document(run: Run, slots: Sequence[WorkerSlot]) -> Document:
    """A run that has not begun as JSON: its settings, what was found about data and budget, where trials would run."""
    return {
        "run": run.name,
        "config": run.config.model_dump(mode="json"),
        "facts": document(run.facts),
        "versions": run.versions,
        "slots": [{"device": slot.device, "threads": slot.num_threads} for slot in slots],
    }


def _search_part(run: Run) -> Document:
    """Part of the document that a search has; of a baseline run the same names, empty."""
    if not isinstance(run, SearchRun):
        nothing = dict.fromkeys(("supernet", "candidates", "floor", "winner", "guide"))
        return {"budget": {}, "confirmed": [], **nothing}
    epochs = run.supernet_epochs
    trained = {"trained_epochs": len(epochs), "last_epoch": asdict(epochs[-1]) if epochs else None}
    return {
        "budget": asdict(run.budget),
        "supernet": {**asdict(run.supernet), **trained} if run.supernet else None,
        "candidates": asdict(run.candidates) if run.candidates else None,
        "floor": floor_document(run),
        "confirmed": confirmed_document(run),
        "winner": asdict(run.winner) if run.winner else None,
        "guide": asdict(foresight(run)) if run.config.guide == "on" else None,
    }


def confirmed_document(run: SearchRun) -> list[Document]:
    """The trials that were trained again, the best first: ``expected`` of another seed, and the ``probability`` that it
    is the best of them."""
    ranked = confirmed(run)
    return [
        {
            "trial": trial_id, "scores": seed_scores(run, trial_id), "expected": ranked[trial_id].mean,
            "probability": ranked[trial_id].probability,
        }
        for trial_id in sorted(ranked, key=lambda of: -ranked[of].mean)
    ]  # fmt: skip


def floor_document(run: SearchRun) -> Document | None:
    """Scores of classical methods, None where they were not measured. ``winner_is_below`` is null before there is
    one."""
    if run.floor is None:
        return None
    return {**asdict(run.floor), "winner_is_below": run.is_below_floor if run.is_done else None}


def trial_document(run: Run, trial: TrialRecord) -> Document:
    """A trial as JSON: ``params`` and ``macs`` are counts, ``size_bytes`` and ``peak_memory`` bytes."""
    return {
        "id": trial.id, "stage": trial.stage, "of": trial.of, "status": run.status(trial),
        "architecture": trial.architecture, "space": _space(run, trial), "sample": trial.sample,
        "params": trial.cost.params, "macs": trial.cost.macs, "size_bytes": trial.cost.size_bytes,
        "peak_memory": trial.cost.peak_memory, "metrics": run.honest_metrics(trial),
        "score": trial.score(run.config.objective, run.judged_on), "seconds": trial.seconds,
        "training_memory": trial.training_memory, "error": trial.error, "seed": trial.seed, "note": trial.note,
        "predicted": trial.predicted,
    }  # fmt: skip


def _space(run: Run, trial: TrialRecord) -> str | None:
    """The space of a trial's architecture; None: it is a fixed network."""
    return run.config.space if isinstance(run, SearchRun) else as_study(run).config.member(trial.of).space
