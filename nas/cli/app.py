"""The command line: flags in, one call down. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from nas.cli import completion, declared
from nas.cli.baseline_app import baseline, report
from nas.cli.baseline_app import compare as compare_with_baselines
from nas.cli.flags import (
    ConfigFile,
    DryRun,
    Int8,
    Json,
    Misuse,
    Model,
    PluginFiles,
    Position,
    Prior,
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
from nas.cli.runs_app import analyze, cache, rm, show, status, trials
from nas.cli.verification_app import embed, verify

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Search for small image classifiers under hard budgets.\n\n"
    "A first search, on scikit-learn's bundled digits:  nasctl search --space densenet --max-params 150k",
)


def _tell_version(asked: bool) -> None:
    if asked:
        from nas import __version__

        print(f"nasctl {__version__}")
        raise typer.Exit


@app.callback()
def nasctl(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """Nothing to do before a command."""


@with_settings(app, declared.of_a_search, declared.ORDER_OF_SEARCH)
def search(
    context: typer.Context,
    run: Annotated[Text, option("Name of the new run. [default: SPACE-DATA-N]", "NAME", "--run", "-r")] = None,
    plugin: PluginFiles = None,
    config: ConfigFile = None,
    runs: Runs = "runs",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """Find the best network of a family within a budget, confirm it, and score it on the test split."""
    flags, file = all_flags(locals()), settings_file(context, config)
    from nas.cli.commands.search import search_command

    search_command({**flags, **file.values}, file)


@with_settings(app, declared.of_a_training, declared.ORDER_OF_TRAINING)
def train(
    context: typer.Context,
    name: Annotated[
        Text,
        typer.Argument(
            metavar="[RUN]",
            help="The network: RUN for its winner, RUN:TRIAL or STUDY:MEMBER.",
            autocompletion=completion.runs,
        ),
    ] = None,
    run: Annotated[Text, option("Name of the new run. [default: train-DATA-N]", "NAME", "--run", "-r")] = None,
    plugin: PluginFiles = None,
    trust_plugin: TrustPlugin = False,
    config: ConfigFile = None,
    runs: Runs = "runs",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """Train the network that a search found for longer, over several seeds; 'nasctl export' then takes the new run."""
    flags, file = all_flags(locals()), settings_file(context, config)
    from nas.cli.commands.train import train_command

    train_command({**flags, **file.values}, file)


@with_settings(app, declared.of_rates, declared.ORDER_OF_RATES, "lr-find")
@plugin_options
def lr_find(
    name: Annotated[
        Text,
        typer.Argument(
            metavar="[RUN]",
            help="The network: RUN for its winner, RUN:TRIAL or STUDY:MEMBER.",
            autocompletion=completion.runs,
        ),
    ] = None,
    out: Annotated[Text, option("Plot the curve to this PNG file.", "FILE")] = None,
    runs: Runs = "runs",
    json: Json = False,
    **settings: Any,
) -> None:
    """Run a learning rate range test: train one step at each of increasing learning rates, and record the loss."""
    flags = all_flags(locals())
    from nas.cli.commands.lr_find import lr_find_command

    lr_find_command(flags)


@with_settings(app, declared.of_changes, declared.ORDER_OF_RESUME)
@plugin_options
def resume(
    name: Position = None,
    run: RunName = None,
    runs: Runs = "runs",
    quiet: Quiet = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """Resume a run that was stopped, killed or failed. Finished trials are kept as they are."""
    flags = all_flags(locals())
    from nas.cli.commands.search import resume_command

    resume_command(flags)


@app.command()
@plugin_options
def config(name: Position = None, run: RunName = None, runs: Runs = "runs") -> None:
    """Print the settings of a run as TOML, to repeat it.

    nasctl config RUN > run.toml; nasctl search --config run.toml, or baseline run --config run.toml
    """
    from nas.cli.commands.config import config_command
    from nas.runs.named import one_name

    config_command(one_name(name, run), runs)


app.command()(plugin_options(status))
app.command()(plugin_options(trials))
app.command()(plugin_options(show))


@with_settings(app, declared.of_a_space, declared.ORDER_OF_SPACE)
@plugin_options
def space(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Name of a space. [default: list all spaces]", autocompletion=completion.spaces
        ),
    ] = None,
    arch: Annotated[
        Text,
        option(
            "One architecture instead of a space: of a search or a study's member, with its data, or from a "
            "JSON file of "
            "'nasctl show RUN:TRIAL --json'.",
            "FILE|RUN:TRIAL|STUDY:MEMBER",
            complete=completion.runs,
        ),
    ] = None,
    no_timing: Annotated[bool, typer.Option("--no-timing", help="Do not measure how long a trial takes.")] = False,
    runs: Runs = "runs",
    json: Json = False,
    **settings: Any,
) -> None:
    """Show a space and its feasible architectures under a budget, before anything is trained."""
    flags = all_flags(locals())
    from nas.cli.commands.space import space_command

    space_command(flags)


@with_settings(app, declared.of_data, declared.ORDER_OF_DATA)
@plugin_options
def data(
    path: Annotated[
        str, typer.Argument(metavar="DATA", help="Data set: digits, a folder, labels.csv, or a name.")
    ] = "digits",
    plot: Annotated[
        Text, option("Plot examples of each class, original and preprocessed, to this PNG file: sheet.png.", "FILE")
    ] = None,
    oversample: Annotated[
        Text,
        option(
            "With --write: oversample rare classes of train by random, smote, borderline-smote...",
            "NAME",
            complete=completion.oversamplers,
        ),
    ] = None,
    write: Annotated[
        Text, option("Write the splits as a new data set: a folder of images or an .npz file.", "FOLDER|FILE.npz")
    ] = None,
    json: Json = False,
    **settings: Any,
) -> None:
    """Describe a data set: classes, counts, image sizes, splits, and files that cannot be read."""
    flags = {**all_flags(locals()), "data": path}
    from nas.cli.commands.data import data_command

    data_command(flags)


@app.command()
@plugin_options
def export(
    out: Annotated[str, typer.Option(help="New folder for the files.", metavar="DIR")],
    name: Annotated[
        Text,
        typer.Argument(
            metavar="[RUN]",
            help="A run, RUN:TRIAL or STUDY:MEMBER. [default: the newest run]",
            autocompletion=completion.runs,
        ),
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Export the winner, or the best trial so far.")] = False,
    trial: Annotated[
        Text,
        option(
            "Export this trial, whose weights were kept, or this member of a study.", "ID", complete=completion.parts
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write model.int8.onnx, if it is accurate enough on rank.")
    ] = False,
    int8_max_drop: Annotated[
        Text, option("Largest allowed drop of the objective on rank from float32 to int8. [default: 0.01]", "SHARE")
    ] = None,
    static: Annotated[bool, typer.Option("--static", help="Also write model.batch1.onnx, with batch size 1.")] = False,
    with_preprocessing: Annotated[
        bool, typer.Option("--with-preprocessing", help="Also write model.uint8.onnx: pixels in, probabilities out.")
    ] = False,
    embedder: Annotated[
        bool,
        typer.Option("--embedder", help="Leave out the last layer, which gives the classes: images in, vectors out."),
    ] = False,
    run: RunName = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Export a network as weights, source, torch.export program and ONNX, each loaded again and checked."""
    from nas.api.exporting import extras_of
    from nas.cli.commands.export import export_command

    extras = extras_of(
        static=static, with_preprocessing=with_preprocessing, int8=int8, int8_max_drop=int8_max_drop, embedder=embedder
    )
    export_command(out, name, run, runs, extras, trial=trial, best=best, as_json=json)


@app.command()
@plugin_options
def predict(
    model: Model = None,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH...", help="Image files, folders or patterns.")
    ] = None,
    run: Annotated[Text, option("A run instead of MODEL.", "NAME", "--run", "-r", complete=completion.runs)] = None,
    csv: Annotated[Text, option("Write path,label,score to this CSV file, one row per image.", "FILE")] = None,
    csv_format: Annotated[
        Text, option("Columns: full, or id-label, as competitions expect. [default: full]", "FORM")
    ] = None,
    top: Annotated[Text, option("Show the N most probable classes of each image. [default: 1]", "N")] = None,
    prior: Prior = None,
    int8: Int8 = False,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Predict the class of images, preprocessed as in training."""
    from nas.cli.commands.predict import predict_command

    code = predict_command(
        model, paths or [], run, runs, csv=csv, csv_format=csv_format, top=top, prior=prior, int8=int8, as_json=json
    )
    raise typer.Exit(code)


app.command()(plugin_options(verify))
app.command()(plugin_options(embed))


@with_settings(app, declared.of_labels, declared.ORDER_OF_EVALUATE)
@plugin_options
def evaluate(
    model: Model = None,
    run: Annotated[Text, option("A run instead of MODEL.", "NAME", "--run", "-r", complete=completion.runs)] = None,
    data: Annotated[
        Text,
        option(
            "Another data set; its test split, if it has one, is used. [default: the run's test split]",
            "DATA",
            "--data",
        ),
    ] = None,
    split: Annotated[
        Text,
        option(
            "Split of the run's data: train, select, rank or test. [default: test]", "NAME", complete=completion.splits
        ),
    ] = None,
    picture: Annotated[Text, option("Plot the confusion matrix to this PNG file: confusion.png.", "FILE")] = None,
    prior: Prior = None,
    int8: Int8 = False,
    runs: Runs = "runs",
    json: Json = False,
    **settings: Any,
) -> None:
    """Evaluate a network on labelled images: accuracy, precision, recall and F1 by class, confusion matrix."""
    flags = all_flags(locals())
    from nas.cli.commands.evaluate import evaluate_command

    raise typer.Exit(evaluate_command(flags))


with_settings(app, declared.of_labels, declared.ORDER_OF_ANALYZE)(plugin_options(analyze))
app.add_typer(baseline, name="baseline")
app.command()(plugin_options(report))
app.command(name="compare")(plugin_options(compare_with_baselines))
app.command()(rm)
app.command()(cache)


def main() -> None:
    """Entry point of the script: every foreseen error is one message and an exit code."""
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # threads that wait by spinning crawl on a busy machine
    from nas.cli.streams import complain, open_streams, silence_output

    before, output = sys.stdout, open_streams()
    try:
        code = app(standalone_mode=False) or 0
        output.flush()
        sys.exit(code or int(output.lost is not None))
    except Misuse as error:
        if "NoArgs" in type(error).__name__:  # the help, in place of a message
            error.show()
            sys.exit(error.exit_code)
        from nas.cli.misuse import in_our_words

        complain(f"nasctl: {in_our_words(error, sys.argv[1:])}")
        sys.exit(2)
    except KeyboardInterrupt:
        complain("Stopped.")
        sys.exit(130)
    except BrokenPipeError:
        silence_output()
        sys.exit(141)  # as a program ended by SIGPIPE: 'nasctl trials --json | head'
    except Exception as error:
        from nas.cli.misuse import foreseen

        if (known := foreseen(error)) is None:
            raise
        message, code = known
        complain(f"nasctl: {message}")
        sys.exit(code)
    finally:
        sys.stdout = before or sys.stdout


if __name__ == "__main__":
    main()
