"""The command line of what runs left: looking at runs, their trials and networks, removing runs, the data cache. Flags
in, one call down."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nas.cli import completion
from nas.cli.flags import Json, Model, Position, RunName, Runs, Text, all_flags, option


def status(name: Position = None, run: RunName = None, runs: Runs = "runs", json: Json = False) -> None:
    """List all runs, or show the progress of one."""
    from nas.cli.commands.runs import status_command
    from nas.runs.named import one_name

    status_command(one_name(name, run), runs, as_json=json)


def trials(
    name: Position = None,
    run: RunName = None,
    top: Annotated[Text, option("Show only the best N finished trials.", "N")] = None,
    columns: Annotated[
        Text,
        option(
            "Metrics to show besides the score, on rank: macro_f1,micro_recall; or on another split: "
            "select.accuracy. --csv and --json have all.",
            "NAMES",
            complete=completion.metrics,
        ),
    ] = None,
    runs: Runs = "runs",
    csv: Annotated[bool, typer.Option("--csv", help="Print all metrics as CSV, one row per trial.")] = False,
    json: Json = False,
) -> None:
    """List the trials of a run with their metrics, sizes and reasons for failure."""
    from nas.cli.commands.runs import trials_command
    from nas.runs.named import one_name

    trials_command(one_name(name, run), runs, top, columns, as_csv=csv, as_json=json)


def show(
    trial: Annotated[
        Text,
        typer.Argument(
            metavar="[TRIAL]",
            help="TRIAL, or MEMBER or MEMBER.SEED of a baseline run; or with the name of its run, RUN:TRIAL. "
            "[default: the best]",
            autocompletion=completion.runs,
        ),
    ] = None,
    run: RunName = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Show the layers of a study's fixed network, and the memory of each.")
    ] = False,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Show the layers of a trial's network: output shapes, parameters, multiply-accumulates.

    Of a member of a baseline run: its network, recipe, and the metrics, time and weights of every seed.
    """
    from nas.cli.commands.runs import show_command

    show_command(trial, run, runs, layers=layers, as_json=json)


def analyze(
    model: Model = None,
    run: Annotated[Text, option("A run instead of MODEL.", "NAME", "--run", "-r", complete=completion.runs)] = None,
    data: Annotated[
        Text,
        option("Another data set; its test split, if it has one, is used. [default: the run's]", "DATA", "--data"),
    ] = None,
    split: Annotated[
        Text, option("Split of the run's data: rank or test. [default: rank]", "NAME", complete=completion.judging)
    ] = None,
    tsne: Annotated[
        bool, typer.Option("--tsne", help="Also project embeddings by t-SNE, which takes seconds.")
    ] = False,
    layers: Annotated[
        Text,
        option("Layers whose filters are plotted, by name or number. [default: all larger than 1x1]", "NAMES"),
    ] = None,
    out: Annotated[
        Text,
        option("New folder to write. [default: RUN/analysis/TRIAL; with --data: analysis-NAME here]", "DIR", "--out"),
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
    **settings: Any,
) -> None:
    """Analyze a network: misclassified images with Grad-CAM, filters, confusion matrix, recall, curves, calibration.

    Writes PNG files and analysis.json. Without TRIAL it is the winner, or the best so far.
    """
    flags = all_flags(locals())
    from nas.cli.commands.analyze import analyze_command

    raise typer.Exit(analyze_command(flags))


def rm(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="RUN...", help="Names or folders.", autocompletion=completion.runs)
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Remove runs that are not active, with their weights, without confirmation, and print the space freed.

    Only what a run wrote goes: a folder that is no run is never touched, nor are other files in a run's folder.
    """
    from nas.cli.commands.removal import rm_command

    rm_command(names or [], runs, as_json=json)


def cache(
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove decoded images and measurements that no process uses.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the cache of decoded images, downloads and measurements: its location and size."""
    from nas.cli.commands.removal import cache_command

    cache_command(clean=clean, as_json=json)
