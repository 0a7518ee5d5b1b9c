"""The command line of baselines, comparisons and reports: ``nasctl baseline``, ``nasctl compare``, ``nasctl report``.
Flags in, one call down."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nas.cli import completion, declared
from nas.cli.flags import (
    ConfigFile,
    DryRun,
    Json,
    PluginFiles,
    Quiet,
    RunName,
    Runs,
    Text,
    TrustPlugin,
    all_flags,
    option,
    plugin_options,
    settings_file,
    with_settings,
)

baseline = typer.Typer(
    no_args_is_help=True, help="Fixed networks and studies for comparison: nasctl baseline run resnet18-settings"
)
StudyName = Annotated[
    Text,
    typer.Argument(
        metavar="STUDY", help="Name of a study: 'nasctl baseline list' has them all.", autocompletion=completion.studies
    ),
]


@baseline.command("list")
@plugin_options
def list_studies(json: Json = False) -> None:
    """List the studies with their members, and the networks they can train."""
    from nas.cli.commands.baseline import list_command

    list_command(as_json=json)


@with_settings(baseline, declared.of_a_study, declared.ORDER_OF_STUDY, "run")
def run_study(
    context: typer.Context,
    study: StudyName = None,
    run: Annotated[Text, option("Name of the new run. [default: STUDY-DATA-N]", "NAME", "--run", "-r")] = None,
    plugin: PluginFiles = None,
    trust_plugin: TrustPlugin = False,
    config: ConfigFile = None,
    runs: Runs = "runs",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """Train every member of a study with every seed, and report. 'nasctl resume' resumes one that stopped.

    The study 'classical' trains no network: it scores classical methods on pixels, in seconds to a minute.
    """
    flags, file = all_flags(locals()), settings_file(context, config)
    from nas.cli.commands.baseline import run_command

    run_command({**flags, **file.values}, file)


@baseline.command("merge")
def merge_runs(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Runs of one study, such as its shards.", autocompletion=completion.runs),
    ],
    run: Annotated[Text, option("Name of the new run. [default: STUDY-DATA-N]", "NAME", "--run", "-r")] = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Merge runs of one study, such as its shards, into a new one with the table of all. They stay as they are."""
    from nas.cli.commands.baseline import merge_command

    merge_command(names, run, runs, as_json=json)


def compare(
    name: Annotated[
        Text,
        typer.Argument(
            metavar="RUN", help="A finished search, or STUDY:MEMBER of a baseline run.", autocompletion=completion.runs
        ),
    ] = None,
    others: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OTHER...",
            help="Baseline runs, STUDY:MEMBER for one of their members, searches.",
            autocompletion=completion.runs,
        ),
    ] = None,
    run: Annotated[
        Text, option("A run instead of the first RUN.", "NAME", "--run", "-r", complete=completion.runs)
    ] = None,
    plot: Annotated[Text, option("Plot parameters against the test metric to this PNG file.", "FILE")] = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Compare a search's winner, or a study's member, with baselines and other searches on the same splits."""
    from nas.cli.commands.baseline import compare_command

    compare_command(name, others or [], run, runs, plot, as_json=json)


def report(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...", help="Runs; several on the same data are compared.", autocompletion=completion.runs
        ),
    ] = None,
    run: RunName = None,
    out: Annotated[Text, option("File to write. [default: report.html in the run's folder]", "FILE")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep rewriting the report until the run ends; an open page reloads itself.")
    ] = False,
    filters: Annotated[
        Text, option("Number of filters to plot of each layer of a baseline run. [default: 16]", "N")
    ] = None,
    layers: Annotated[
        Text,
        option(
            "Layers whose filters are plotted, by name or by number in the plot. [default: all larger than 1x1]", "A,B"
        ),
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Write one self-contained HTML file: what a run found, how certain that is, and how to repeat it.

    Of a search it is written at its end anyway (--no-report). Of a baseline run its table is printed and its pictures
    are drawn, too. Several runs on the same images are compared: --out says where.
    """
    flags = all_flags(locals())
    from nas.cli.commands.report import report_command

    report_command(flags)
