"""The command line of baselines: ``nasctl baseline`` and ``nasctl compare``. Flags in, one call down."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nas.cli import completion
from nas.cli.flags import (
    ConfigFile,
    Device,
    DryRun,
    Json,
    PluginFiles,
    Position,
    Profile,
    Quiet,
    RunName,
    Runs,
    Text,
    Threads,
    TrustPlugin,
    all_flags,
    data_options,
    option,
    plugin_options,
    settings_file,
)

baseline = typer.Typer(
    no_args_is_help=True, help="Fixed networks and studies for comparison: nasctl baseline run resnet18-settings"
)
StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="As 'nasctl baseline list' names it.", autocompletion=completion.studies)
]
HoldOut = Annotated[
    bool | None,
    typer.Option(
        "--hold-out/--train-on-all",
        help="Whether validation images are kept from training. [default: the study's; long-tail trains on all]",
        show_default=False,
    ),
]
Architecture = Annotated[
    Text,
    option(
        "An architecture instead: of a run, with its data and recipe, or of a JSON file, as "
        "'nasctl show RUN:TRIAL --json' writes it.",
        "FILE|RUN:TRIAL",
        "--arch",
    ),
]


@baseline.command("list")
@plugin_options
def list_studies(json: Json = False) -> None:
    """The studies with their members, and the networks they can be made with."""
    from nas.cli.commands.baseline import list_command

    list_command(as_json=json)


@baseline.command("run")
@data_options
def run_study(
    context: typer.Context,
    study: StudyName,
    members: Annotated[Text, option("Only these members: a,b,c, or 'model1-*'. [default: all]", "NAMES")] = None,
    network: Annotated[
        Text, option("resnet18, resnet32, or model1 to model4 of the origin study. [default: the study's]", "NAME")
    ] = None,
    arch: Architecture = None,
    weights: Annotated[Text, option("ImageNet weights of ResNet-18. [default: download them]", "FILE")] = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="ResNet-18 with random weights.")] = False,
    input_size: Annotated[
        Text, option("Side that ResNet-18 resizes to, on the device. [default: 224; 4 x sides below 28]", "N")
    ] = None,
    data: Annotated[
        Text, option("digits, a folder, labels.csv, or a name. [default: the study's]", "DATA", "--data")
    ] = None,
    imbalance: Annotated[
        Text, option("Make the training split long-tailed by this factor. [default: 20 for digits]", "F")
    ] = None,
    hold_out: HoldOut = None,
    as_published: Annotated[
        bool,
        typer.Option(
            "--as-published",
            help="Oversample before splitting off validation images, as the origin study did: their figures then "
            "flatter, which the report shows.",
        ),
    ] = False,
    seeds: Annotated[Text, option("Trainings of each member. [default: 3]", "N")] = None,
    keep: Annotated[
        Text, option("Seeds of each member whose weights stay on the disk: all, best, none, or N. [default: all]", "N")
    ] = None,
    epochs: Annotated[Text, option("Epochs of every member. [default: the recipe's]", "N")] = None,
    batch_size: Annotated[Text, option("Images of a training step. [default: the recipe's]", "N")] = None,
    search_images: Annotated[
        Text, option("Images that the searches of a study train and choose by, of its own. [default: 8000]", "N")
    ] = None,
    search_trials: Annotated[Text, option("Trials of each search that a study makes. [default: 12]", "N")] = None,
    objective: Annotated[Text, option("What keeps the best epoch. [default: balanced_accuracy]", "NAME")] = None,
    seed: Annotated[Text, option("That the others are derived from. [default: 0]", "N")] = None,
    workers: Annotated[Text, option("Trainings at once. [default: 4 a GPU, or one a CPU core]", "N")] = None,
    trials_per_gpu: Annotated[Text, option("Trainings at once on each GPU. [default: 4]", "N")] = None,
    device: Device = None,
    threads: Threads = None,
    time_limit: Annotated[Text, option("Start no new training after this time: 90s, 30m, 2h.", "TIME")] = None,
    trial_timeout: Annotated[Text, option("Stop a single training after this time; it fails.", "TIME")] = None,
    run: Annotated[Text, option("Name of the new run. [default: STUDY-DATA-N]", "NAME", "--run", "-r")] = None,
    plugin: PluginFiles = None,
    trust_plugin: TrustPlugin = False,
    config: ConfigFile = None,
    profile: Profile = None,
    runs: Runs = "runs",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
    **more_flags: Any,
) -> None:
    """Train every member of a study with every seed, and report. 'nasctl resume' goes on with one that stopped.

    The study 'classical' trains no network: it scores classical methods on pixels, in seconds to a minute.
    """
    flags, file = all_flags(locals()), settings_file(context, config)
    from nas.cli.commands.baseline import run_command

    run_command({**flags, **file.values}, file)


@baseline.command("report")
@plugin_options
def report(
    name: Position = None,
    run: RunName = None,
    filters: Annotated[Text, option("So many filters of each layer are drawn. [default: 16]", "N")] = None,
    layers: Annotated[
        Text,
        option("Filters of these layers: names, or numbers as the pictures have them. [default: all above 1x1]", "A,B"),
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """The table of a baseline run; pictures go to its folder report/."""
    flags = all_flags(locals())
    from nas.cli.commands.baseline import report_command

    report_command(flags)


def compare(
    name: Annotated[
        Text, typer.Argument(metavar="RUN", help="A finished search, or STUDY:MEMBER of a baseline run.")
    ] = None,
    others: Annotated[
        list[str] | None,
        typer.Argument(metavar="OTHER...", help="Baseline runs, STUDY:MEMBER for one of their members, searches."),
    ] = None,
    run: Annotated[Text, option("In place of the first RUN.", "NAME", "--run", "-r")] = None,
    plot: Annotated[Text, option("Draw parameters against the test figure into this PNG.", "FILE")] = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """A search's winner, or a study's member, against baselines and other searches on the same splits."""
    from nas.cli.commands.baseline import compare_command

    compare_command(name, others or [], run, runs, plot, as_json=json)
