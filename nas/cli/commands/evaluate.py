"""``nasctl evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.api.settings import Flags, data_config
from nas.cli.commands.output import console, print_json
from nas.cli.declared import of_labels
from nas.config import DataConfig, raise_all
from nas.data.dataset import SPLIT_NAMES, SplitName
from nas.errors import UsageError, nearest, reason
from nas.report.live import decoding
from nas.runs.named import one_name

if TYPE_CHECKING:
    from nas.export.evaluate import Evaluation


def evaluate_command(flags: Flags) -> int:
    """Score a network on labelled images; the exit code, 1 if some could not be read."""
    from nas.export.evaluate import evaluate, other_data, own_split, preprocessing_of
    from nas.export.fingerprints import known_images, trained_on
    from nas.export.predict import is_exported, load_model, model_of_run, request_of_run, typed_prior
    from nas.report.documents import document
    from nas.report.tables.evaluation import print_evaluation

    model, picture, int8 = one_name(flags["model"], flags["run"]), flags["picture"], flags["int8"]
    if model is None:
        raise UsageError(
            "Name a network: nasctl evaluate MODEL, where MODEL is an exported folder, or a run ('nasctl status' "
            "lists them)."
        )
    data, chosen = other_images(flags), _split(flags["split"], flags["data"])
    wanted = typed_prior(flags["prior"])
    if is_exported(model):
        if data is None:
            raise UsageError(f"{model} is an exported folder: give the images to evaluate it on: --data FOLDER.")
        dataset, classifier = None, load_model(model, prior=wanted, int8=int8)
        known = known_images(Path(model))
    else:
        request = request_of_run(model, Path(flags["runs"]))
        dataset = request.dataset
        if data is None and dataset is None:
            raise UsageError(f"{request.no_dataset}. To evaluate it on other data: --data FOLDER.")
        classifier = model_of_run(request, prior=wanted, int8=int8)
        known = trained_on(dataset) if dataset else None
    if picture is not None:
        _check_drawn(len(classifier.classes))
    with decoding(console, flags["json"]) as progress:
        if data is None:
            assert dataset is not None
            labelled = own_split(dataset, chosen)
        else:
            labelled = other_data(data, classifier.classes, preprocessing_of(classifier), progress)
        found = evaluate(classifier, labelled, known)
    if flags["json"]:
        print_json(document(found, metrics="figures"))
    else:
        print_evaluation(console, found)
    if picture is not None:
        _draw(Path(picture), model, found)
    return 1 if found.broken else 0


def other_images(flags: Flags) -> DataConfig | None:
    """Other data to score the network on; None: the run's own. UsageError with every error found in the flags."""
    errors = [
        f"--{name.replace('_', '-')} is about other data than the run's own: add --data, or leave it out."
        for name in of_labels()
        if flags["data"] is None and flags[name] is not None
    ]
    config = data_config(flags, errors)
    raise_all(errors)
    return None if flags["data"] is None else config


def _split(split: str | None, data: str | None) -> SplitName:
    if split is None:
        return "test"
    if data is not None:
        raise UsageError("--split names a split of the run's own data: leave out --data, or --split.")
    found = next((name for name in SPLIT_NAMES if name == split), None)
    if found is None:
        raise UsageError(f"There is no split {split!r}.{nearest(split, SPLIT_NAMES)} Splits: {', '.join(SPLIT_NAMES)}.")
    return found


def _check_drawn(num_classes: int) -> None:
    from nas.export.evaluate import MOST_CLASSES

    if num_classes > MOST_CLASSES:
        raise UsageError(
            f"The confusion matrix of {num_classes:,} classes is too large to draw (up to {MOST_CLASSES} are drawn): "
            "leave out --picture; --json gives its cells that are not zero."
        )


def _draw(path: Path, model: str, found: Evaluation) -> None:
    from nas.report.plots import confusion_plot

    names = [one.name for one in found.by_class]
    title = f"{Path(model).name} on {found.data}, {found.part}: {found.images:,} images"
    try:
        confusion_plot(path, title, names, np.array(found.confusion))
    except (OSError, ValueError) as error:  # a name without an ending that pictures have
        raise UsageError(
            f"{path} cannot be written: {reason(error)}. Give --picture a file such as confusion.png."
        ) from error
