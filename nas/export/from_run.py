"""Export request from a run: which trial, which weights, and everything known of them."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from baselines import FixedNetwork
from budgets import Cost, cost_of
from nas import __version__
from nas.config.auto_recipe import meets_imbalance
from nas.config.recipe import Metrics
from nas.config.recipe_rules import Setting, active_settings
from nas.data import Dataset, open_data
from nas.errors import NasctlError, RunError, UsageError
from nas.export.request import Confirmation, ExportRequest, Extras, Floor, Provenance
from nas.runs import Run, SearchRun, TrialRecord, as_study
from nas.runs.hints import typed
from nas.runs.named import best_first, find_member
from nas.runs.standings import confirmed
from search_spaces import Task, get_space

if TYPE_CHECKING:
    from nas.export.write import Exported

NOTHING_ELSE = Extras()


def export_trial(run: Run, trial_id: str | None, out: Path, extras: Extras = NOTHING_ELSE) -> Exported:
    """Export a trial of a search, or for None its winner (the best so far if there is none yet); or a training of a
    baseline run, or the best seed of a member.

    UsageError if the folder is taken, RunError if there is nothing to export, ExportError if a check fails.
    """
    from nas.export.write import export

    return export(request_of(run, trial_id, out, extras))


def request_of(
    run: Run, trial_id: str | None, out: Path, extras: Extras = NOTHING_ELSE, *, whole: bool = False
) -> ExportRequest:
    """All that is known of a trial, as ``export_trial`` chooses it, and the same errors. ``whole``: with the last layer
    also where the budget did not count that, to answer with classes."""
    from nas.trials.weights import load_weights

    trial = chosen(run, trial_id)
    has_head = whole or (run.facts.has_head and not extras.embedder)
    cost = _cost(run, trial, has_head=has_head)
    weights = kept_weights(run, trial)
    _, (mean, std) = load_weights(weights)
    leaked = not isinstance(run, SearchRun) and as_study(run).config.oversamples_first(trial.of)
    dataset, no_dataset = _dataset(run)
    if leaked:
        dataset, no_dataset = None, _leak(run, trial)
    space, network, text = _network(run, trial)
    return ExportRequest(
        out=out,
        space=space,
        sample=trial.sample,
        network=network,
        text=text,
        preprocessing=run.preprocessing,
        num_classes=len(run.facts.classes),
        classes=run.facts.classes,
        mean=list(mean),
        std=list(std),
        weights=weights,
        metrics=_of_present(run, metrics_of(run, trial)),
        **asdict(cost),
        has_head=has_head,
        test_flip=run.recipe(trial.id).test_flip,
        prior="uniform" if meets_imbalance(run.recipe(trial.id)) else "train",
        budget=_budget(run) if isinstance(run, SearchRun) and has_head <= run.facts.has_head else {},
        train_counts=tuple(run.facts.counts["train"]),
        provenance=_provenance(run, trial),
        floor=_floor(run) if isinstance(run, SearchRun) else None,
        extras=extras,
        objective=run.config.objective,
        dataset=dataset,
        no_dataset=no_dataset,
        leaked=leaked,
        trained_on_all=not run.config.data.hold_out,
    )


def chosen(run: Run, part: str | None) -> TrialRecord:
    """The training that ``export_trial`` exports. UsageError or RunError: there is none, or one has to be named."""
    return _chosen_of_search(run, part) if isinstance(run, SearchRun) else _chosen_of_study(run, part)


def kept_weights(run: Run, trial: TrialRecord) -> Path:
    """Path of a trial's weights. RunError, with those that there are, if they were not kept."""
    weights = run.weights(trial.id)
    if not weights.is_file():
        raise RunError(_not_kept(run, trial))
    return weights


def _cost(run: Run, trial: TrialRecord, *, has_head: bool) -> Cost:
    """Cost of a trial's network with its last layer, or without it. UsageError for fixed networks, which are whole."""
    if has_head == run.facts.has_head:
        return trial.cost
    space, network, _ = _network(run, trial)
    if network:
        raise UsageError(
            f"{trial.of} is a fixed network, {network.name}: only networks of a search space are exported as "
            "embedders. Leave out --embedder: 'nasctl embed' takes the whole network too."
        )
    task = Task(run.facts.input_shape, len(run.facts.classes), has_head)
    return cost_of(get_space(str(space)), trial.sample, task)


def _network(run: Run, trial: TrialRecord) -> tuple[str | None, FixedNetwork | None, str]:
    """The space of a trial's architecture or the fixed network, and what it is in a line."""
    if isinstance(run, SearchRun):
        return run.space.name, None, run.text(trial.sample)
    study = as_study(run)
    member, facts = study.config.member(trial.of), study.facts.members[trial.of]
    run.use_plugins()
    if member.network:
        return None, FixedNetwork(member.network, member.settings), facts.text
    return member.space, None, facts.text


def _dataset(run: Run) -> tuple[Dataset | None, str]:
    """Data set that the run was trained on, or why it cannot be had or used, a sentence without its full stop."""
    try:
        run.use_plugins()
        dataset = open_data(run.config.data)
    except NasctlError as error:
        return None, f"The data of run {run.name} are not available: {str(error).splitlines()[0].rstrip('.')}"
    if not run.was_made_with(dataset):
        return None, f"The data of run {run.name}, or how nasctl prepares them, have changed since it began"
    if not run.config.data.hold_out:
        return None, f"Run {run.name} held out no images, so it has none to evaluate its networks on"
    return dataset, ""


def _leak(run: Run, trial: TrialRecord) -> str:
    """Reason why the training data of a member of a study as published are no set to calibrate or score it by."""
    return (
        f"The splits of {run.name} were made after oversampling, as published: {trial.of} was trained on images made "
        "from those of select and rank, which therefore cannot score it (its metrics on test: "
        f"{typed('show', run.folder, trial.of)}; for a network to export, train it without --as-published)"
    )


def _chosen_of_search(run: SearchRun, trial_id: str | None) -> TrialRecord:
    """The trial called ``trial_id``; for None the winner, or the best so far. RunError: there is none."""
    if trial_id:
        return run.trial(trial_id)
    if run.winner:
        return run.trials[run.winner.weights]
    if not run.num_ranked:
        raise RunError(_nothing_finished(run, "trial"))
    return run.best(1)[0]


def _chosen_of_study(run: Run, part: str | None) -> TrialRecord:
    """The training called ``part``, or of the member called so the best on rank; the same for None and the only
    member. UsageError or RunError: there is none."""
    study = as_study(run)
    member, training = find_member(study, part)
    finished = best_first(study, member.name)
    if training is None and not finished:
        raise RunError(_nothing_finished(run, f"training of {member.name}"))
    return training or finished[0]


def _nothing_finished(run: Run, what: str) -> str:
    return f"Run {run.name!r} has no finished {what} to export yet: '{typed('status --run', run.folder)}'."


def _not_kept(run: Run, trial: TrialRecord) -> str:
    """Reason why there are no weights of a trial, and those that there are; of a study, of the same member."""
    if run.is_foreign:
        return (
            f"Run {run.name!r} has no weights: a Python program (nas.Searcher) trains its trials, and keeps "
            "their weights. To train one "
            f"here: {typed('train', run.folder, trial.id)} --data IMAGES"
        )
    kept = sorted(path.stem for path in run.weights("").parent.glob("*.safetensors"))
    state = f" ({trial.status})" if trial.status != "finished" else ""
    if isinstance(run, SearchRun):
        return (
            f"The weights of trial {trial.id} of run {run.name!r} were not kept{state}. "
            f"Kept: {', '.join(kept) or 'none'}. A run with a larger --keep keeps more."
        )
    of_member = [name for name in kept if name in run.trials and run.trials[name].of == trial.of]
    return (
        f"The weights of {trial.id} of run {run.name!r} were not kept{state}. Kept of {trial.of}: "
        f"{', '.join(of_member) or 'none'}. A baseline run keeps all unless --keep says otherwise."
    )


def metrics_of(run: Run, trial: TrialRecord) -> dict[str, Metrics]:
    """By split; of the trainings of a search's winner also those on test."""
    metrics = run.honest_metrics(trial)
    if isinstance(run, SearchRun) and run.winner and trial.id in run.winner.test:
        metrics["test"] = run.winner.test[trial.id]
    return metrics


def _of_present(run: Run, metrics: dict[str, Metrics]) -> dict[str, Metrics]:
    """The same, where the recall of a class without images in a split is no number instead of 0."""
    found = dict(metrics)
    for split, values in metrics.items():
        recalls, counts = values.get("recall_by_class"), run.facts.counts.get(split)
        if isinstance(recalls, list) and counts and 0 in counts:
            of_all = [r if count else math.nan for r, count in zip(recalls, counts, strict=True)]
            found[split] = {**values, "recall_by_class": of_all}  # type: ignore[dict-item]
    return found


def _budget(run: SearchRun) -> dict[str, int]:
    return {name: limit for name, limit in run.budget.limits.items() if name.startswith("max")}


def _floor(run: SearchRun) -> Floor | None:
    found, objective = run.floor, run.config.objective
    if found is None:
        return None
    return Floor(found.method, objective, found.test[objective], found.images, found.of_images)


def _provenance(run: Run, trial: TrialRecord) -> Provenance:
    recipe = run.recipe(trial.id)
    made: dict[str, Setting] = {"seed": run.config.seed}
    if isinstance(run, SearchRun):
        words = run.within
        within: dict[str, Setting] = {"searched within": words} if words else {}
        made = {"strategy": run.config.strategy_words, **within, **made, "trials": len(run.stage("search"))}
    else:
        study = as_study(run)
        made = {"study": study.config.study, "member": study.config.member(trial.of).label, **made}
    return Provenance(
        run=run.name,
        trial=trial.id,
        data=run.facts.data_name,
        imbalance=run.config.data.imbalance_factor,
        recipe=recipe.name,
        training=active_settings(recipe),
        made=made,
        nasctl=__version__,
        confirm=_confirmation(run, trial),
    )


def _confirmation(run: Run, trial: TrialRecord) -> Confirmation | None:
    """Scores of the network over seeds: confirmations of a search, all trainings of a study's member."""
    objective = run.config.objective
    others = run.confirmations(trial.of) if isinstance(run, SearchRun) else run.ranked()
    every = [other.score(objective, run.judged_on) for other in others if other.of == trial.of]
    scores = [score for score in every if score is not None]
    if len(scores) < 2:
        return None
    ranked = confirmed(run) if isinstance(run, SearchRun) else {}
    chance = ranked[trial.of].probability if len(ranked) > 1 else None
    metrics = statistics.fmean(scores), statistics.stdev(scores)
    return Confirmation(run.judged_on, objective, *metrics, len(scores), chance, max(0, len(ranked) - 1))
