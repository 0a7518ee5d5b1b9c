"""Runs and trials as JSON documents."""

from __future__ import annotations

from typing import Any

from nas.runs.run import Run, Trial


def run_document(run: Run) -> dict[str, Any]:
    """A run as JSON."""
    epochs = run.supernet_epochs
    trained = {"trained_epochs": len(epochs), "last_epoch": epochs[-1] if epochs else None}
    return {
        "run": run.name,
        "state": run.state,
        "config": run.config.model_dump(mode="json"),
        "budget": run.facts["budget"],
        "versions": run.versions,
        "trials": {s: run.tally.count(s) for s in ("finished", "failed", "pruned", "running")},
        "supernet": {**run.supernet, **trained} if run.supernet else None,
        "candidates": run.candidates,
        "best": [trial_document(run, trial) for trial in run.best(3)],
        "winner": run.winner,
        "notes": run.notes,
        "seconds": run.elapsed,
        "profile": run.profile.document(),
    }


def trial_document(run: Run, trial: Trial) -> dict[str, Any]:
    """A trial as JSON."""
    return {
        "id": trial.id, "stage": trial.stage, "of": trial.of, "status": trial.status,
        "architecture": trial.architecture, "sample": trial.sample, "params": trial.cost.params,
        "macs": trial.cost.macs, "size_bytes": trial.cost.size_bytes, "peak_memory": trial.cost.peak_memory,
        "metrics": trial.metrics, "score": trial.score(run.config.objective), "seconds": trial.seconds,
        "error": trial.error, "seed": trial.seed,
    }  # fmt: skip
