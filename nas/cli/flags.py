"""The flags of commands: their types, and a line about each in --help.

Values are checked all together by ``nas.cli.parsing``, not one by one here; nothing heavy may be imported.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from nas.cli import completion

if TYPE_CHECKING:
    from nas.cli.settings_file import SettingsFile

Text = str | None
# typer's own exception for all that it cannot read; where it is defined depends on the version of typer.
Misuse: type[Any] = typer.BadParameter.__mro__[1]


def option(
    help_text: str, metavar: str, *names: str, complete: Callable[..., list[str]] | None = None
) -> typer.models.OptionInfo:
    """``complete`` gives what a shell offers for a value."""
    return typer.Option(  # type: ignore[no-any-return]
        *names, help=help_text, metavar=metavar, show_default=False, autocompletion=complete
    )


Space = Annotated[
    Text, option("vgg, resnet, densenet, mobilenet or cell.", "NAME", "--space", "-s", complete=completion.spaces)
]
Fix = Annotated[
    list[str] | None,
    option("Leave one value of a choice, or of all that match: 'kernel*=3'. Repeatable.", "LABEL=VALUE", "--fix"),
]
SomeChoices = Annotated[
    list[str] | None,
    option("Leave several: width3=16,24,32. Repeatable; 'nasctl space NAME' lists both.", "LABEL=V1,V2", "--choices"),
]
MaxParams = Annotated[Text, option("Most parameters: 150k, 150000, 1.5M; none: no limit.", "SIZE")]
MaxMacs = Annotated[Text, option("Most multiply-accumulates for one image.", "SIZE")]
MaxBytes = Annotated[Text, option("Most bytes of float32 weights: 600k, 512KiB.", "SIZE")]
MaxPeakMemory = Annotated[Text, option("Most bytes of activations alive at once, one float32 image.", "SIZE")]
MinParams = Annotated[Text, option("Fewest parameters. [default: half of --max-params; 1 for no least]", "SIZE")]
Data = Annotated[
    Text,
    option("digits, a folder, labels.csv, an .npz file, or cifar10... [default: digits]", "DATA", "--data"),
]
Columns = Annotated[
    Text,
    option("What columns of a label file hold: path=FILE,label=KIND,split=,group=PATIENT. [default: by name]", "PAIRS"),
]
Group = Annotated[
    Text,
    option(
        "Keep groups of images in one split: a column of a label file, or a pattern on file names: '(patient\\d+)_'.",
        "COLUMN|REGEX",
    ),
]
Imbalance = Annotated[
    Text, option("Make the training split long-tailed by this factor. [default: 20 for digits, else 1]", "F")
]
ImageSize = Annotated[
    Text, option("Pixels that images are brought to: 32, or width x height: 96x64. [default: their own]", "SIZE")
]
Fit = Annotated[Text, option("resize or pad, to reach --image-size. [default: resize]", "HOW")]
Grey = Annotated[bool, typer.Option("--grey", help="Bring images to one channel. [default: if all are grey]")]
Colour = Annotated[
    bool, typer.Option("--colour", help="Bring images to three channels. [default: unless all are grey]")
]
Prior = Annotated[
    Text, option("How often classes come in use: train, uniform, or a JSON file of numbers by class.", "HOW")
]
Int8 = Annotated[bool, typer.Option("--int8", help="Answer by the network in 8-bit integers.")]
SkipBroken = Annotated[bool, typer.Option("--skip-broken", help="Go on without images that cannot be read.")]
AllowDuplicates = Annotated[
    bool,
    typer.Option("--allow-duplicates", help="Go on with identical images in train and test, or in two classes."),
]
Match = Annotated[Text, option("Only files whose name or path matches: '*.jpg', or several with commas.", "PATTERN")]
Ignore = Annotated[Text, option("No files or folders whose name or path matches: '*_mask*'.", "PATTERN")]
ClassLevel = Annotated[
    Text,
    option(
        "How many folders below the data folder, or a split's, those of the classes are; or leaf: those that hold the "
        "images. [default: found out, or asked]",
        "N",
    ),
]
Classes = Annotated[Text, option("Only these classes: a,b,c. [default: all]", "NAMES")]
IgnoreVal = Annotated[
    bool, typer.Option("--ignore-val", help="Do without the set's own validation images: hold some of train out.")
]
DropSmallClasses = Annotated[
    bool, typer.Option("--drop-small-classes", help="Leave out classes with too few images for every split.")
]
MinPerClass = Annotated[Text, option("Leave out classes with fewer training images.", "N")]
MaxPerClass = Annotated[Text, option("At most N training images a class, chosen at random.", "N")]
MaxImages = Annotated[Text, option("At most N images but for test, each class by its share.", "N")]
# What every command that opens data takes, by the parameter's name; see ``data_options``.
DATA_OPTIONS: Mapping[str, Any] = {
    "columns": Columns,
    "group": Group,
    "imbalance": Imbalance,
    "image_size": ImageSize,
    "fit": Fit,
    "grey": Grey,
    "colour": Colour,
    "skip_broken": SkipBroken,
    "allow_duplicates": AllowDuplicates,
    "match": Match,
    "ignore": Ignore,
    "class_level": ClassLevel,
    "classes": Classes,
    "min_per_class": MinPerClass,
    "max_per_class": MaxPerClass,
    "max_images": MaxImages,
    "drop_small_classes": DropSmallClasses,
    "ignore_val": IgnoreVal,
}
# Of these, what is about which images there are and which class they have: what other data to score a network on takes.
LABEL_OPTIONS = {name: DATA_OPTIONS[name] for name in ("columns", "match", "ignore", "class_level", "classes")}
Strategy = Annotated[
    Text,
    option(
        "evolution, random; or darts, gumbel-darts, random-oneshot: train one supernet that holds every "
        "architecture with shared weights, then the best found in it as trials. [default: evolution]",
        "NAME",
        complete=completion.strategies,
    ),
]
Penalty = Annotated[
    Text, option("Weight of the budget in the loss of darts and gumbel-darts. [default: 1; 0: none]", "X")
]
AlphaLearningRate = Annotated[
    Text, option("Learning rate of what darts and gumbel-darts learn of the choices. [default: 0.1]", "X")
]
Candidates = Annotated[
    Text, option("Architectures that the supernet ranks; the best become trials. [default: 32]", "K")
]
Recipe = Annotated[
    Text,
    option(
        "How to train: custom-ce, ce, focal, ce+l2-norms, custom-ce+srip, custom-ce+borderline-smote, "
        "balanced-softmax, ldam-drw... A wrong name lists all. [default: auto: custom-ce, with the class prior added "
        "to the logits in training where classes are uneven and the objective counts them alike]",
        "NAME",
        complete=completion.recipes,
    ),
]
Epochs = Annotated[
    Text, option("Epochs of every training. [default: 24 to 240, fewer for more images; trials half as many]", "N")
]
BatchSize = Annotated[Text, option("Images of a training step. [default: 64, or 128 from 20,000 images on]", "N")]
LearningRate = Annotated[Text, option("Highest learning rate of the schedule.", "X")]
Optimizer = Annotated[Text, option("adam or sgd. [default: adam]", "NAME")]
Schedule = Annotated[Text, option("one-cycle, cosine, step or constant. [default: one-cycle]", "NAME")]
WeightDecay = Annotated[Text, option("Weight decay of the optimizer. [default: 0]", "X")]
Patience = Annotated[Text, option("Stop a trial after N epochs without a lower loss on select. [default: never]", "N")]
Loss = Annotated[
    Text,
    option(
        "ce, weighted-ce, custom-ce, focal, cb-ce, cb-focal, ldam, balanced-softmax or logit-adjustment; this and "
        "what follows change the recipe.",
        "NAME",
    ),
]
LabelSmoothing = Annotated[Text, option("Of ce, weighted-ce and cb-ce. [default: 0]", "X")]
Gamma = Annotated[Text, option("Exponent of focal and cb-focal. [default: 2]", "X")]
DeferredReweighting = Annotated[
    Text, option("Weigh rare classes more after this share of the epochs: 0.8. [default: never]", "SHARE")
]
Regularizer = Annotated[
    Text,
    option(
        "none, l2-norms, soft-orthogonality, srip or orthogonal-convolution, added to the loss. [default: none]", "NAME"
    ),
]
RegularizerWeight = Annotated[Text, option("Its weight. [default: 0.01; 1e-4 of soft-orthogonality]", "X")]
Oversample = Annotated[
    Text, option("Fill up rare classes: none, random, smote, borderline-smote... [default: none]", "NAME")
]
OversampledShare = Annotated[Text, option("Share of the filled-up images that an epoch sees. [default: 0.5]", "X")]
Sampler = Annotated[
    Text, option("uniform, or class-balanced: draw every class equally often. [default: uniform]", "NAME")
]
Mixup = Annotated[Text, option("Mix pairs of images: none, mixup or class-aware-mixup. [default: none]", "NAME")]
Flip = Annotated[
    bool | None,
    typer.Option(
        "--flip/--no-flip",
        help="Mirror images in training. [default: in colour, unless they are digits or letters, or classes are each "
        "other's mirror image]",
        show_default=False,
    ),
]
Cutout = Annotated[Text, option("Side of a square erased from each image in training, as a share. [default: 0]", "X")]
# How trials train, by the parameter's name; see ``recipe_options``. Each is called like its field in
# ``nas.config.recipe.Recipe``, but for those of ``nas.config.recipe_rules.METHOD_FLAGS``.
RECIPE_OPTIONS: Mapping[str, Any] = {
    "recipe": Recipe,
    "epochs": Epochs,
    "batch_size": BatchSize,
    "learning_rate": LearningRate,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "weight_decay": WeightDecay,
    "patience": Patience,
    "loss": Loss,
    "label_smoothing": LabelSmoothing,
    "gamma": Gamma,
    "deferred_reweighting": DeferredReweighting,
    "regularizer": Regularizer,
    "regularizer_weight": RegularizerWeight,
    "oversample": Oversample,
    "oversampled_share": OversampledShare,
    "sampler": Sampler,
    "mixup": Mixup,
    "flip": Flip,
    "cutout": Cutout,
}
Prune = Annotated[
    bool | None,
    typer.Option(
        "--prune/--no-prune", help="Stop trials early that others clearly beat. [default: --prune]", show_default=False
    ),
]
NoFloor = Annotated[
    bool, typer.Option("--no-floor", help="Do not set the winner beside classical methods (SVM and others).")
]
Workers = Annotated[
    Text, option("Trials at once. [default: 4 a GPU, one a CPU core; measured before a long search]", "N")
]
TrialsPerGpu = Annotated[Text, option("Trials at once on each GPU. [default: 4; measured before a long search]", "N")]
Device = Annotated[Text, option("cpu, cuda or cuda:N. [default: every GPU, else cpu]", "NAME")]
Threads = Annotated[
    Text, option("Threads of each trial. [default: 1 for one worker on a CPU, else the cores divided]", "N")
]
Precision = Annotated[
    Text,
    option(
        "What is multiplied: float32, bfloat16, or auto: bfloat16 on GPUs that have it; on a CPU, before a long "
        "search, the faster by measurement. [default: auto]",
        "NAME",
    ),
]
Profile = Annotated[
    bool | None,
    typer.Option(
        "--profile/--no-profile",
        help="Measure where the time goes; 'nasctl status' shows it. Slows trials on a GPU a little. "
        "[default: --no-profile]",
        show_default=False,
    ),
]
PluginFiles = Annotated[
    list[str] | None,
    option(
        "Load a plug-in with a space, a loss, a strategy...: a Python file, which is executed, or a module. "
        "Repeatable. [default: those of the run]",
        "FILE.py|MODULE",
        "--plugin",
    ),
]
TrustPlugin = Annotated[
    bool,
    typer.Option("--trust-plugin", help="Execute the plug-in files that the run names, though you never gave them."),
]
ConfigFile = Annotated[
    Text,
    option("Settings from a TOML file, by the names of these flags; a flag that is given wins.", "FILE", "--config"),
]
RunName = Annotated[
    Text, option("The run's name. [default: the newest run]", "NAME", "--run", "-r", complete=completion.runs)
]
Position = Annotated[
    Text, typer.Argument(metavar="[RUN]", help="The run: its name or folder, as --run.", autocompletion=completion.runs)
]
Model = Annotated[
    Text,
    typer.Argument(
        metavar="MODEL", help="An exported folder, RUN, RUN:TRIAL or STUDY:MEMBER.", autocompletion=completion.models
    ),
]
Runs = Annotated[str, typer.Option(help="Folder that holds the runs.", metavar="DIR")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, print the plan, and stop: no run is made.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def with_options(
    command: Callable[..., None], options: Mapping[str, Any], after: Collection[str]
) -> Callable[..., None]:
    """Give a command those of ``options`` that it does not declare itself, after its parameter that ``after`` names.

    It takes them as ``**more_flags``; ``all_flags`` puts them beside the others.
    """
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    names = [p.name for p in own]
    more = [
        inspect.Parameter(
            name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind,
            default=False if get_args(kind)[0] is bool else None,
        )
        for name, kind in options.items()
        if name not in names
    ]  # fmt: skip
    place = 1 + max(names.index(name) for name in after if name in names)

    @functools.wraps(command)
    def whole(**typed: Any) -> None:
        command(**typed)

    parameters = [*own[:place], *more, *own[place:]]
    whole.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    whole.__annotations__ = {p.name: p.annotation for p in parameters}
    return whole


def plugin_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--plugin`` and ``--trust-plugin`` at the end, obeyed before the command begins."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())
    kinds = {"plugin": (PluginFiles, None), "trust_plugin": (TrustPlugin, False)}
    more = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=default)
        for name, (kind, default) in kinds.items()
    ]

    @functools.wraps(command)
    def whole(*, plugin: list[str] | None, trust_plugin: bool, **typed: Any) -> None:
        from nas.cli.plugin_flags import use_plugins

        use_plugins(plugin, trusting=trust_plugin)
        command(**typed)

    parameters = [*own, *more]
    whole.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    whole.__annotations__ = {p.name: p.annotation for p in parameters}
    return whole


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """``DATA_OPTIONS`` after the data."""
    return with_options(command, DATA_OPTIONS, ("data", "path"))


def label_options(command: Callable[..., None]) -> Callable[..., None]:
    """``LABEL_OPTIONS`` after the data."""
    return with_options(command, LABEL_OPTIONS, ("data", "path"))


def recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """``RECIPE_OPTIONS`` after what chooses and confirms trials."""
    return with_options(command, RECIPE_OPTIONS, ("no_floor",))


def all_flags(local: Mapping[str, Any]) -> dict[str, Any]:
    """What a command was given, its ``more_flags`` among the rest."""
    own = {name: value for name, value in local.items() if name not in ("more_flags", "context", "config")}
    return {**own, **local.get("more_flags", {})}


def settings_file(context: typer.Context, path: str | None) -> SettingsFile:
    """What the file given with ``--config`` says of the command's options that were not typed. UsageError if it cannot
    be read; what is wrong in it is among its faults."""
    from nas.cli.settings_file import NO_FILE, Setting, read_settings

    if path is None:
        return NO_FILE
    settings = {
        parameter.name: Setting(
            parameter.metavar or "DIR",
            is_switch=getattr(parameter, "is_flag", False),
            is_repeatable=getattr(parameter, "multiple", False),
        )
        for parameter in context.command.params
        if parameter.param_type_name == "option" and parameter.name not in ("config", "trust_plugin", "help", None)
    }
    sources = {name: context.get_parameter_source(name) for name in settings}
    typed = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    return read_settings(path, settings, typed)
