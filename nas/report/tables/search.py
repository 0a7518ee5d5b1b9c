"""Results as people read them in a terminal: tables, and the words around them."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from baselines.metrics import METRICS
from baselines.verification import METRICS as VERIFICATION
from budgets import cost_of
from nas.autotune import Placement
from nas.config import SearchConfig
from nas.config.rates import rates_in_words
from nas.config.views import views_in_words
from nas.engine.duration import search_seconds
from nas.errors import UsageError, nearest
from nas.executors import WorkerSlot
from nas.report.architecture import layer_words, shape_words
from nas.report.cautions import cautions
from nas.report.floor import advice, floor_words
from nas.report.guide import foresight_words, plan_words
from nas.report.metric_text import decimal
from nas.report.screen import Screen
from nas.report.study import validation_note
from nas.report.tables.format import WIDE, compact, fitting, in_lines, make_table
from nas.report.verification import verification_words
from nas.runs import SearchRun, StudyRun, TrialRecord
from nas.runs.hints import typed
from nas.runs.standings import confirmed, seed_scores
from nas.training.precision import Execution
from nas.units import clock, counted
from search_spaces import Sample, SearchSpace, Task
from search_spaces.structure import leaves

SPLITS = ("rank", "select", "test")
LEAST_TEXT = 40  # characters for a column of long text, before others go
_EXPENDABLE = ("data", "seed", "failed", "strategy", "parameters", "time")  # columns of the table of runs
NO_COLUMNS: Mapping[str, tuple[str, str]] = {}


def print_plan(console: Screen, run: SearchRun, slots: Sequence[WorkerSlot]) -> None:
    """Print the plan of a search, before the first trial."""
    devices = ", ".join(sorted({slot.device for slot in slots}))
    threads = f", {slots[0].num_threads} threads each" if run.facts.threads and slots[0].num_threads > 1 else ""
    lines = [_settings(run, f", {len(slots)} in parallel on {devices}{threads}")]
    if run.facts.trial_seconds is not None:
        lines.append(f"Takes   {_duration(run, run.facts.trial_seconds, len(slots))}")
    console.print(in_lines(console, lines), title=run.name, highlight=False, soft_wrap=True)


def print_run(console: Screen, run: SearchRun | StudyRun) -> None:
    """The settings of a recorded run, the versions that recorded it, and what it noted."""
    versions = ", ".join(f"{name} {number}" for name, number in run.versions.items())
    if isinstance(run, StudyRun):
        note = validation_note(run.config)
        text = f"{run.name}  {run.description}"
        text += f"\nSplits  {note}" if note else ""
    else:
        text = _settings(run, f", seed {run.config.seed}")
    console.print(in_lines(console, [text, f"By      {versions}"]), title=run.name, highlight=False, soft_wrap=True)
    for note in run.notes:
        console.print(in_lines(console, [f"Note    {note}"]), highlight=False, soft_wrap=True)


def _duration(run: SearchRun, trial_seconds: float, num_slots: int) -> str:
    config = run.config
    total = clock(search_seconds(config, trial_seconds, num_slots))
    trainings = f"{counted(config.trials, 'trial')} of {trial_seconds:.1f} s on average"
    if config.confirm:
        seconds = trial_seconds * config.confirm_ratio
        trainings += f", {counted(config.num_confirmations, 'confirmation')} of {seconds:.1f} s"
    after = " after the supernet" if config.one_shot else ""
    longer = "; more if the best trials gain from longer training" if config.lengthen else ""
    return f"about {total}{after}: {trainings}{longer}"


def _settings(run: SearchRun, places: str) -> str:
    config, facts = run.config, run.facts
    before = "a supernet, then " if config.one_shot else ""
    lines = [
        f"{run.name}  {config.strategy_words} over {config.space}: {before}{counted(config.trials, 'trial')}{places}",
        *([f"Guide   {plan_words(config)}"] if config.guide == "on" else []),
        *([f"Plugins {', '.join(one.source for one in config.plugins)}"] if config.plugins else []),
        *([f"Within  {words}"] if (words := run.within) else []),
        f"Budget  {facts.budget}" + (f"\n        {facts.note}" if facts.note else ""),
        *(_training_lines(run) if facts.counts else ["Trains  in your own Python program (nas.Searcher)"]),
    ]
    if config.one_shot:
        weight = f"{config.supernet.penalty:g}" if config.supernet.penalty else "none"
        budget = "" if config.strategy == "random-oneshot" else f"; penalty for the budget: {weight}"
        trials = "becomes a trial" if config.trials == 1 else f"{config.trials} become trials"
        lines.append(
            f"First   a supernet of {counted(config.supernet_epochs, 'epoch')}{budget}; it ranks "
            f"{config.supernet.candidates} candidates that fit the budget, and the best {trials}"
        )
    return "\n".join(lines)


def _training_lines(run: SearchRun) -> list[str]:
    """The data, and how every trial is trained on them."""
    config, facts = run.config, run.facts
    train, test = facts.counts["train"], sum(facts.counts["test"])
    shape = "x".join(map(str, facts.input_shape))
    lines = [
        f"Data    {facts.data_name}: {shape}, {run.task.num_classes} classes; {sum(train):,} training images "
        f"({min(train):,} to {max(train):,} per class), {test:,} test images",
        f"        pixels are {run.preprocessing.words}",
        *(f"        {remark}" for remark in facts.data_remarks),
        f"Recipe  {config.recipe.name}, {_epochs(config)} in batches of {config.recipe.batch_size}; ranked by "
        + config.objective.replace("_", " ")
        + ("; weak trials are pruned" if config.prune else ""),
        f"        {views_in_words(config.recipe, facts.input_shape, facts.mirroring)}",
        *([f"        {rates}"] if (rates := rates_in_words(config.recipe)) else []),
        *([f"        {facts.recipe_note}"] if facts.recipe_note else []),
        *(f"Caution {words}" for words in cautions(config.recipe, sum(train))),
    ]
    if facts.placement is not None and facts.placement.execution is not None:
        lines.append(f"Trains  {described(facts.placement, facts.placement.execution)}")
    elif config.precision != "auto":
        lines.append(f"Trains  in {config.precision}")
    return lines


def _epochs(config: SearchConfig) -> str:
    """Epochs of trials, and of what is trained again."""
    longer = config.final_epochs != config.recipe.epochs
    return counted(config.recipe.epochs, "epoch") + (f", {config.final_epochs} to confirm," if longer else "")


def metric_columns(text: str | None, objective: str) -> dict[str, tuple[str, str]]:
    """Split and metric by heading, from names with commas between them, each of ``rank`` unless it names its split.
    ``objective``, the run's, is a metric too, with commas between its options.

    UsageError for each that there is not, with the nearest.
    """
    found, errors = dict[str, tuple[str, str]](), list[str]()
    known = list(dict.fromkeys((*METRICS, *VERIFICATION, objective)))
    for name in [part.strip() for part in re.split(r",(?![^:,.]+=)", text or "") if part.strip()]:
        first, dot, rest = name.partition(".")
        split, metric = (first, rest) if dot and ":" not in first else ("", name)
        if metric not in known:
            errors.append(f"--columns: there is no metric {metric!r}.{nearest(metric, known)}")
        if split not in ("", *SPLITS):
            errors.append(f"--columns {name}: there is no split {split!r}.{nearest(split, SPLITS)}")
        found[name.replace("_", " ")] = split or "rank", metric
    if errors:
        raise UsageError(*errors, f"Metrics: {', '.join(known)}, of {', '.join(SPLITS)}.")
    return found


def trials_table(
    run: SearchRun | StudyRun,
    trials: Sequence[TrialRecord],
    columns: Mapping[str, tuple[str, str]] = NO_COLUMNS,
    width: int = WIDE,
) -> Table:
    """A row a trial: identity, size, metrics, time, or why it failed; in a narrow terminal without MACs and time.
    ``columns``: of ``metric_columns``."""
    objective = run.config.objective
    what = f"{run.config.space} architecture" if isinstance(run, SearchRun) else "what is trained"
    cells: dict[str, list[str]] = {
        "trial": [trial.id for trial in trials],
        "status": [run.status(trial) for trial in trials],
        "score": [decimal(trial.score_so_far(objective, run.judged_on)) for trial in trials],
        **{name: [decimal(_metric(run, trial, *metric)) for trial in trials] for name, metric in columns.items()},
        "parameters": [f"{trial.cost.params:,}" for trial in trials],
        "MACs": [compact(trial.cost.macs) for trial in trials],
        "seconds": [f"{trial.seconds:.1f}" for trial in trials],
    }
    kept = fitting(cells, width, ("MACs", "seconds"), text=LEAST_TEXT)
    title = f"Trials of {run.name}; score: {objective.replace('_', ' ')} on {run.judged_on}"
    numbers = [name for name in kept if name not in ("trial", "status")]
    table = make_table(title, ("trial", "status"), numbers, f"{what}, or why it failed")
    for trial, *row in zip(trials, *kept.values(), strict=True):
        table.add_row(*row, (trial.status == "failed" and trial.error) or _text(run, trial))
    return table


def _metric(run: SearchRun | StudyRun, trial: TrialRecord, split: str, name: str) -> float | None:
    """None where it was not scored on the split, or before the metric was recorded."""
    tested = run.winner.test if isinstance(run, SearchRun) and run.winner else {}
    metric = {"test": tested.get(trial.id, {}), **trial.metrics}.get(split, {}).get(name)
    return metric if isinstance(metric, float) else None


def _text(run: SearchRun | StudyRun, trial: TrialRecord) -> str:
    """Text of what a trial trains, in one line: an architecture, or the network and recipe of a study's member."""
    if isinstance(run, StudyRun):
        return f"{run.config.member(trial.of).label}: {run.facts.members[trial.of].text}"
    return run.line(trial.sample)


def confirmed_table(run: SearchRun) -> Table:
    """The confirmed architectures: mean and std over seeds, the probability that each is the best of them, size."""
    objective = run.config.objective
    epochs = counted(run.confirm_epochs, "epoch")
    title = f"Confirmed over seeds, {epochs} each; score: {objective.replace('_', ' ')} on rank; * the winner"
    ranked = confirmed(run)
    chance = ("best?",) if len(ranked) > 1 else ()
    numbers = ("seeds", "mean", "std", *chance, "parameters", "MACs")
    table = make_table(title, ("trial",), numbers, f"{run.config.space} architecture")
    for trial_id in sorted(ranked, key=lambda of: -ranked[of].mean):
        trial, scores = run.trials[trial_id], seed_scores(run, trial_id)
        mark = "* " if run.winner and run.winner.trial == trial.id else ""
        std = statistics.stdev(scores) if len(scores) > 1 else None
        table.add_row(
            mark + trial.id, str(len(scores)), decimal(statistics.fmean(scores)), decimal(std),
            *([f"{ranked[trial_id].probability:.2f}"] * len(chance)), f"{trial.cost.params:,}",
            compact(trial.cost.macs), run.line(trial.sample),
        )  # fmt: skip
    return table


def print_outcome(console: Screen, run: SearchRun) -> None:
    """The end of a search: confirmations, the winner's test score, and what to type next."""
    if run.winner is None:
        best = run.best(1)
        console.print("No trial finished." if not best else f"Best so far: trial {best[0].id}.")
        print_floor(console, run)
        return
    if run.stage("confirm"):
        console.print(confirmed_table(run))
    winner = run.trials[run.winner.trial]
    console.print(f"Winner: trial {winner.id}, {winner.cost.params:,} parameters, {winner.cost.macs:,} MACs")
    ranked = confirmed(run)
    if len(ranked) > 1 and winner.id in ranked:
        console.print(
            f"Probability that it is the best of the {len(ranked)} confirmed: {ranked[winner.id].probability:.2f}"
        )
    words = run.config.objective.replace("_", " ")
    scores = run.test_scores
    exported = run.winner.score(run.winner.weights, run.config.objective)
    if len(scores) > 1:
        console.print(
            f"Test {words}: {statistics.fmean(scores):.3f} ± {statistics.stdev(scores):.3f} over {len(scores)} seeds; "
            f"the weights to export (best seed on rank): {exported:.3f}"
        )
    else:
        console.print(f"Test {words}: {exported:.3f} (one training; its standard deviation over seeds is not known)")
    if pairs := verification_words(run.winner.test[run.winner.weights]):
        console.print(f"Verification, weights to export: {pairs}", highlight=False, soft_wrap=True)
    print_floor(console, run)
    if words_of_guide := foresight_words(run):
        console.print(words_of_guide, highlight=False, soft_wrap=True)
    console.print(f"\nTo get the network:  {typed('export --best --out model/ --run', run.folder)}", soft_wrap=True)
    page = run.folder / "report.html"
    if page.is_file():
        console.print(f"To see the report:   {page}", highlight=False, soft_wrap=True)
    more = "   (and the supernet: tab Custom Scalars)" if run.supernet else ""
    console.print(f"To compare trials:   tensorboard --logdir {run.folder.parent}{more}", soft_wrap=True)


def print_floor(console: Screen, run: SearchRun) -> None:
    """Print the score of classical methods on the same splits; under it, that a winner is below."""
    if run.floor is None:
        return
    console.print(
        f"Classical baseline: {floor_words(run.floor, run.config.objective)}", highlight=False, soft_wrap=True
    )
    if run.is_below_floor:
        console.print(advice(run), highlight=False, soft_wrap=True)


def layers_table(space: SearchSpace, sample: Sample, task: Task, what: str = "") -> Table:
    """The layers of one network with their shapes and costs; ``what`` it is stands before its text."""
    numbers, cost = ("output", "parameters", "MACs"), cost_of(space, sample, task)
    table = make_table(what + space.text(sample, task), ("layer", "what"), numbers)
    for name, layer in leaves(space.structure(sample, task)):
        table.add_row(name, layer_words(layer), shape_words(layer.out_shape), f"{layer.params:,}", f"{layer.macs:,}")
    table.add_section()
    table.add_row("total", "", "", f"{cost.params:,}", f"{cost.macs:,}")
    table.add_row("peak", f"{cost.peak_memory:,} bytes of activations alive at one time, for one image")
    return table


def runs_table(runs: Sequence[SearchRun | StudyRun], width: int = WIDE) -> Table:
    """A row a run, the newest first; in less than a hundred characters or so without some columns."""
    rows = [_run_row(run) for run in runs]
    columns = fitting({name: [row[name] for row in rows] for name in rows[0]}, width, _EXPENDABLE) if rows else {}
    words = ("run", "state", "space or study", "data", "strategy")
    table = make_table("Runs", [name for name in columns if name in words], [n for n in columns if n not in words])
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    return table


def _run_row(run: SearchRun | StudyRun) -> dict[str, str]:
    """The cells of a run by heading: the score and size of the winner, before there is one of the best trial."""
    best, score = run.best(1), None
    shown = best[0] if best else None
    if isinstance(run, SearchRun):
        what, strategy, score = run.config.space, run.config.strategy_words, confirmed_score(run)
        shown = run.trials[run.winner.trial] if run.winner else shown
    else:
        what, strategy = "training" if run.trains_one else f"study {run.config.study}", "-"
        learners = [trial for trial in run.ranked() if trial.of not in run.config.teachers]
        shown = learners[0] if learners else None
    running, failed, every = (run.tally.count(s, stage=run.main_stage) for s in ("running", "failed", None))
    return {
        "run": run.name,
        "state": run.state,
        "space or study": what,
        "data": Path(run.config.data.source).name,
        "strategy": strategy,
        "seed": str(run.config.seed),
        "trials": f"{every - running}/{run.planned_trials}",
        "failed": str(failed),
        "score": score or decimal(shown.score(run.config.objective, run.judged_on) if shown else None),
        "parameters": f"{shown.cost.params:,}" if shown else "-",
        "time": clock(run.seconds_so_far),
    }


def confirmed_score(run: SearchRun) -> str | None:
    """Mean and standard deviation over the winner's seeds, None without a winner that was confirmed."""
    if run.winner is None:
        return None
    scores = [s for t in run.confirmations(run.winner.trial) if (s := t.score(run.config.objective)) is not None]
    if not scores:
        return None
    return decimal(statistics.fmean(scores)) + (f" ±{statistics.stdev(scores):.3f}" if len(scores) > 1 else "")


def described(placement: Placement, execution: Execution) -> str:
    """Placement that was chosen by measuring, in words."""
    threads = f"{placement.threads} thread{'s' * (placement.threads > 1)} each"
    gain = f", {placement.times_default:g} times as fast as torch's defaults" if placement.times_default else ""
    how = f"{execution.memory_format.replace('_', ' ')}, {execution.precision}"
    return f"{placement.workers} in parallel, {threads}, {how}: measured{gain}"
