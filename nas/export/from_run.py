"""From a run to an exported network: which trial, which weights, and everything known of them."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from nas import __version__
from nas.config.auto_recipe import meets_imbalance
from nas.config.recipe import Figures
from nas.config.recipe_rules import active_settings
from nas.data import Dataset, open_data
from nas.errors import NasctlError, RunError
from nas.export.request import Confirmation, ExportRequest, Extras, Floor, Provenance
from nas.runs import Run, SearchRun, TrialRecord, as_search
from nas.runs.hints import typed

if TYPE_CHECKING:
    from nas.export.write import Exported

NOTHING_ELSE = Extras()


def export_trial(run: Run, trial_id: str | None, out: Path, extras: Extras = NOTHING_ELSE) -> Exported:
    """Export a trial, or for None the winner (the best so far if there is none yet).

    UsageError if the folder is taken, RunError if there is nothing to export or ``run`` is no search, ExportError if a
    check fails.
    """
    from nas.export.write import export

    return export(request_of(run, trial_id, out, extras))


def request_of(run: Run, trial_id: str | None, out: Path, extras: Extras = NOTHING_ELSE) -> ExportRequest:
    """All that is known of a trial, as ``export_trial`` chooses it, and the same errors."""
    from nas.trials.weights import load_weights

    run = as_search(run)  # a baseline run keeps no weights, and says so
    trial = run.trial(trial_id) if trial_id else _best(run)
    weights = run.weights(trial.id)
    if not weights.is_file():
        kept = sorted(path.stem for path in weights.parent.glob("*.safetensors"))
        raise RunError(
            f"The weights of trial {trial.id} of run {run.name!r} were not kept"
            + (f" ({trial.status})" if trial.status != "finished" else "")
            + f". Kept: {', '.join(kept) or 'none'}. A search with a larger --keep keeps more."
        )
    space = run.space
    _, (mean, std) = load_weights(weights)
    dataset, no_dataset = _dataset(run)
    return ExportRequest(
        out=out,
        space=space.name,
        sample=trial.sample,
        text=space.text(trial.sample),
        preprocessing=run.preprocessing,
        num_classes=len(run.facts.classes),
        classes=run.facts.classes,
        mean=list(mean),
        std=list(std),
        weights=weights,
        metrics=_metrics(run, trial),
        params=trial.cost.params,
        macs=trial.cost.macs,
        size_bytes=trial.cost.size_bytes,
        peak_memory=trial.cost.peak_memory,
        prior="uniform" if meets_imbalance(run.recipe(trial.id)) else "train",
        budget={n: v for n, v in run.budget.limits.items() if n.startswith("max")},
        train_counts=tuple(run.facts.counts["train"]),
        provenance=_provenance(run, trial),
        floor=_floor(run),
        extras=extras,
        objective=run.config.objective,
        dataset=dataset,
        no_dataset=no_dataset,
    )


def _dataset(run: SearchRun) -> tuple[Dataset | None, str]:
    """What the run was trained on, or why it cannot be had."""
    try:
        dataset = open_data(run.config.data)
    except NasctlError as error:
        return None, str(error).splitlines()[0].rstrip(".")
    if dataset.key != run.facts.data_key:
        return None, "the data, or how nasctl prepares it, has changed since the search"
    if not run.config.data.hold_out:
        return None, "no image was held out of training"
    return dataset, ""


def _best(run: SearchRun) -> TrialRecord:
    if run.winner:
        return run.trials[run.winner.weights]
    ranked = run.ranked()
    if not ranked:
        raise RunError(f"Run {run.name!r} has no finished trial to export yet: '{typed('status --run', run.folder)}'.")
    return ranked[0]


def _metrics(run: SearchRun, trial: TrialRecord) -> dict[str, Figures]:
    metrics = dict(trial.metrics)
    if run.winner and trial.id in run.winner.test:
        metrics["test"] = run.winner.test[trial.id]
    return metrics


def _floor(run: SearchRun) -> Floor | None:
    found, objective = run.floor, run.config.objective
    if found is None:
        return None
    return Floor(found.method, objective, found.test[objective], found.images, found.of_images)


def _provenance(run: SearchRun, trial: TrialRecord) -> Provenance:
    config = run.config
    return Provenance(
        run=run.name,
        trial=trial.id,
        data=run.facts.data_name,
        imbalance=config.data.imbalance_factor,
        recipe=config.recipe.name,
        training=active_settings(run.recipe(trial.id)),
        strategy=config.strategy,
        seed=config.seed,
        trials=len(run.stage("search")),
        nasctl=__version__,
        confirm=_confirmation(run, trial),
    )


def _confirmation(run: SearchRun, trial: TrialRecord) -> Confirmation | None:
    objective = run.config.objective
    scores = [s for t in run.confirmations(trial.of) if (s := t.score(objective)) is not None]
    if len(scores) < 2:
        return None
    return Confirmation("rank", objective, statistics.fmean(scores), statistics.stdev(scores), len(scores))
