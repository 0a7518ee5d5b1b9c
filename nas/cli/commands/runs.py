"""The commands that show runs, their trials, and one trial or member of a study."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from nas.api.settings import positive
from nas.cli.commands.output import console, print_json, show_outcome
from nas.cli.plugin_flags import tell_plugin_errors
from nas.cli.streams import complain, data_out
from nas.config import raise_all
from nas.config.objectives import DEFAULT
from nas.errors import attempt
from nas.report import run_document, trial_document
from nas.report.trials_csv import write_trials
from nas.runs import SearchRun, StudyRun
from nas.runs.folders import read_run, run_folders
from nas.runs.named import best_trial, find_member, load_part, load_whole

MOST_ROWS = 1000  # of a table that nobody asked to be longer


def trials_command(
    name: str | None,
    runs: str,
    top: str | None,
    columns: str | None = None,
    *,
    as_csv: bool = False,
    as_json: bool,
) -> None:
    """The trials of a run, all in their order or the best N; of many, the newest in the table."""
    from nas.report.tables.search import metric_columns, trials_table

    errors: list[str] = []
    most = attempt(lambda: positive("top", top), errors)
    if as_csv and as_json:
        errors.append("--csv and --json are two ways to print the same: give one of them.")
    if columns and (as_csv or as_json):
        errors.append("--columns says what the table shows; --csv and --json have every metric: leave it out.")
    run = attempt(lambda: load_whole(name, "trials", Path(runs)), errors)
    objective = run.config.objective if run else DEFAULT
    metrics = attempt(lambda: metric_columns(columns, objective), errors) or {}
    raise_all(errors)
    assert run is not None
    tell_plugin_errors(run)
    chosen = run.best(most) if most else list(run.trials.values())
    if as_json:
        print_json_list(trial_document(run, trial) for trial in chosen)
        return
    if as_csv:
        with data_out():
            write_trials(run, chosen, sys.stdout)
        return
    earlier = 0 if top else max(0, len(chosen) - MOST_ROWS)
    console.print(trials_table(run, chosen[earlier:], metrics, console.width))
    if earlier:
        console.print(
            f"Earlier trials, not shown: {earlier:,}. For the N best trials: --top N. For all: --json.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


def print_json_list(documents: Iterable[Any]) -> None:
    """One list on standard output, a line for each of its documents, each forgotten once it is printed."""
    between = "[\n"
    for document in documents:
        print(between + json.dumps(document), end="")
        between = ",\n"
    print("[]" if between == "[\n" else "\n]")


def status_command(name: str | None, runs: str, *, as_json: bool) -> None:
    """All runs in a table, or one run."""
    from nas.engine.advice import resume_command
    from nas.report.live import standing
    from nas.report.tables.search import print_run

    if name is None:
        _all_runs(Path(runs), as_json=as_json)
        return
    run = load_whole(name, "status", Path(runs))
    tell_plugin_errors(run)
    if as_json:
        print_json(run_document(run))
        return
    print_run(console, run)
    active = run.state == "running"
    console.print(f"State   {run.state}: {standing(run, active=active)}", highlight=False, soft_wrap=True)
    if run.state == "stopped":
        why = f"Stopped: {run.stopped or 'probably killed'}. To resume: {resume_command(run)}"
        console.print(why, highlight=False, soft_wrap=True)
    if isinstance(run, StudyRun):
        from nas.report.grid import grid_report
        from nas.report.study import study_report
        from nas.report.tables.grid import print_grid
        from nas.report.tables.profile import print_profile
        from nas.report.tables.study import study_table

        report = study_report(run)
        if grid := grid_report(run, report.members):
            print_grid(console, run, grid)
        else:
            console.print(study_table(report, console.width))
        print_profile(console, run)
    else:
        show_outcome(run)


def _all_runs(runs: Path, *, as_json: bool) -> None:
    """Every run in a table, and those that cannot be read by name."""
    from nas.report.tables.search import runs_table

    errors: list[str] = []
    folders = run_folders(runs)
    loaded = [run for f in folders if (run := attempt(partial(read_run, f), errors)) is not None]
    if as_json:
        print_json([run_document(run) for run in loaded])
    elif loaded:
        console.print(runs_table(loaded, console.width))
        console.print(
            "score: the metric that ranks trials, on the rank split; with ±: the winner's mean and standard "
            "deviation over seeds; otherwise that of the best trial"
            ,
            style="dim", highlight=False,
        )  # fmt: skip
    elif not folders:
        console.print(f"There is no run in {runs}/ yet. Start one: nasctl search --space densenet --max-params 150k")
    complain(*(f"Unreadable: {error}" for error in errors))


def show_command(part: str | None, name: str | None, runs: str, *, layers: bool, as_json: bool) -> None:
    """One trial's network, layer by layer; or a member of a baseline run, or one training of it, with its metrics."""
    from nas.report.documents import document
    from nas.report.guide import proposal_words
    from nas.report.member import member_report, shown_document
    from nas.report.tables.fixed_layers import print_fixed_layers
    from nas.report.tables.member import print_member, print_training
    from nas.report.tables.search import layers_table

    named = load_part(part, name, Path(runs))
    run = named.run
    if as_json or isinstance(run, StudyRun):  # the layers of a search's trial cannot be shown without them
        tell_plugin_errors(run)
    if isinstance(run, SearchRun):
        trial = best_trial(run) if named.part is None else run.trial(named.part)
        if as_json:
            print_json(shown_document(run, trial))
        else:
            console.print(layers_table(run.space, trial.sample, run.task, f"Trial {trial.id}: "))
            if why := proposal_words(run, trial):
                console.print(why, highlight=False, soft_wrap=True)
        return
    member, training = find_member(run, named.part)
    if layers:
        print_fixed_layers(console, run, member, as_json=as_json)
        return
    report = member_report(run, member.name)
    if as_json:
        print_json(document(report) if training is None else shown_document(run, training))
    elif training is None:
        print_member(console, run, report)
    else:
        print_training(console, run, report, next(one for one in report.trainings if one.id == training.id))
