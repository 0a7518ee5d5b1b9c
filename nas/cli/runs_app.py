"""The command line of what runs left: looking at runs, their trials and networks, removing runs, the data cache. Flags
in, one call down."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nas.cli import completion
from nas.cli.flags import Json, Model, Position, RunName, Runs, Text, all_flags, option


def status(name: Position = None, run: RunName = None, runs: Runs = "runs", json: Json = False) -> None:
    """All runs, or how far one run is."""
    from nas.cli.commands.runs import status_command
    from nas.runs.named import one_name

    status_command(one_name(name, run), runs, as_json=json)


def trials(
    name: Position = None,
    run: RunName = None,
    top: Annotated[Text, option("Only the best N that finished.", "N")] = None,
    columns: Annotated[
        Text,
        option(
            "Metrics beside the score: macro_f1,micro_recall on rank, or of a split: select.accuracy. --csv, --json: "
            "all.",
            "NAMES",
            complete=completion.metrics,
        ),
    ] = None,
    runs: Runs = "runs",
    csv: Annotated[bool, typer.Option("--csv", help="Print a row a trial with all metrics, commas between.")] = False,
    json: Json = False,
) -> None:
    """The trials of a run with their metrics, sizes and reasons of failure."""
    from nas.cli.commands.runs import trials_command
    from nas.runs.named import one_name

    trials_command(one_name(name, run), runs, top, columns, as_csv=csv, as_json=json)


def show(
    trial: Annotated[
        Text,
        typer.Argument(
            metavar="[TRIAL]",
            help="A trial, or of a baseline run MEMBER or MEMBER.SEED; or with its run, RUN:TRIAL. [default: the best]",
            autocompletion=completion.runs,
        ),
    ] = None,
    run: RunName = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """The layers of a trial's network: output shapes, parameters, multiply-accumulates.

    Of a member of a baseline run: its network, recipe, and the metrics, time and weights of every seed.
    """
    from nas.cli.commands.runs import show_command

    show_command(trial, run, runs, as_json=json)


def analyze(
    model: Model = None,
    run: Annotated[Text, option("A run in place of MODEL.", "NAME", "--run", "-r", complete=completion.runs)] = None,
    data: Annotated[
        Text,
        option("Other images, of their test part if they have one. [default: the run's own]", "DATA", "--data"),
    ] = None,
    split: Annotated[
        Text, option("Of the run's own: rank or test. [default: rank]", "NAME", complete=completion.judging)
    ] = None,
    tsne: Annotated[bool, typer.Option("--tsne", help="Embeddings by t-SNE too, which takes seconds.")] = False,
    layers: Annotated[
        Text,
        option("Draw the filters of these layers, by name or number. [default: all larger than 1x1]", "NAMES"),
    ] = None,
    out: Annotated[
        Text,
        option("New folder. [default: RUN/analysis/TRIAL; with --data analysis-NAME here]", "DIR", "--out"),
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
    **settings: Any,
) -> None:
    """Show what a network does: mistakes with Grad-CAM, filters, confusion, recall by class, curves, calibration.

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
    """Remove runs that nobody works on, with their weights, without asking; what they freed is said.

    Only what a run wrote goes: a folder that is no run is never touched, nor are other files in a run's folder.
    """
    from nas.cli.commands.removal import rm_command

    rm_command(names or [], runs, as_json=json)


def cache(
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove decoded images and measurements that nobody uses now.")
    ] = False,
    json: Json = False,
) -> None:
    """Show where decoded images, downloads and measurements are kept, and their sizes."""
    from nas.cli.commands.removal import cache_command

    cache_command(clean=clean, as_json=json)
