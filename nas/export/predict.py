"""Answers of exported networks, by onnxruntime alone: of a folder, or of a run, which is exported for it first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.arguments import checked_types
from nas.errors import RunError, UsageError
from nas.export.card import is_embedder, read_card
from nas.export.predict_script import Classifier, Prior, prior_of
from nas.files import scratch_folder

if TYPE_CHECKING:
    from nas.export.request import ExportRequest
    from nas.runs.named import Named

__all__ = [
    "Classifier",
    "is_exported",
    "load_model",
    "model_of_run",
    "named_or_folder",
    "request_of_run",
    "typed_prior",
]


@checked_types
def load_model(folder: Path | str, *, prior: Prior = None, int8: bool = False) -> Classifier:
    """Load the network that ``nasctl export`` wrote to ``folder``; needs no torch.

    Args:
        folder: Exported folder, with ``model.json``.
        prior: Class frequencies where it is used, if not as it was trained for: numbers by class, "train" or "uniform".
        int8: Let the quantized file answer.

    Returns:
        A classifier of pictures: paths, arrays (H, W) or (H, W, 3) of uint8, or Pillow's.

    Raises:
        UsageError: If ``folder`` holds no exported network, or ``prior`` is none.

    >>> model = nas.load_model("model/")
    >>> picture = numpy.zeros((8, 8), numpy.uint8)  # or a path, or a picture of Pillow
    >>> model.predict_proba([picture, picture]).shape, model.predict([picture])[0] in model.classes
    ((2, 10), True)
    """
    folder = Path(folder)
    for name in ("model.json", "model.onnx"):
        if not (folder / name).is_file():
            raise _about_folder(
                f"{folder} is not an exported network: it has no {name}. Make one: nasctl export --best --out model/"
            )
    if int8 and not (folder / "model.int8.onnx").is_file():
        raise _about_folder(f"{folder} has no file in int8: export it again, with --int8.")
    if is_embedder(read_card(folder)):
        raise _about_folder(
            f"{folder} holds an embedder, which has no layer that gives classes: 'nasctl verify' compares images by "
            "it, 'nasctl embed' gives their vectors. To predict classes, name the run itself, or export the network of "
            "a run without --budget-without-head."
        )
    try:
        return Classifier(folder, prior=prior, int8=int8)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    except Exception as error:  # of onnxruntime, which has many kinds
        raise _about_folder(f"{folder} is damaged, or not an exported network: {error}") from error


def _about_folder(message: str) -> UsageError:
    return UsageError(message, errors=(("folder", message),))


def typed_prior(asked: str | None) -> Prior:
    """Prior that --prior names, UsageError if it is none."""
    try:
        return prior_of(asked)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error


def is_exported(name: str) -> bool:
    """True if ``name`` is an exported folder; else it should name a run, or a part of one (``nas.runs.named``)."""
    return (Path(name) / "model.json").exists()


def named_or_folder(name: str, runs: Path) -> Named:
    """The run, or the part of one, called ``name``. RunError if there is none such, and for a folder that is neither
    that nor exported."""
    from nas.runs.named import load_named

    try:
        return load_named(name, runs)
    except RunError as error:
        if Path(name).is_dir() or name.endswith("/"):
            raise RunError(
                f"{name} is neither an exported folder, with a model.json, nor a run: 'nasctl status' lists the runs."
            ) from error
        raise


def request_of_run(name: str, runs: Path) -> ExportRequest:
    """All that is known of ``RUN`` (its winner, or its best trial so far) or a part of it. RunError if there is none
    such."""
    from nas.export.from_run import request_of

    named = named_or_folder(name, runs)
    return request_of(named.run, named.part, Path(), whole=True)


def model_of_run(request: ExportRequest, *, prior: Prior = None, int8: bool = False) -> Classifier:
    """The network of ``request_of_run``. UsageError or ExportError if it cannot be had."""
    from nas.export.write import write_for_prediction

    with scratch_folder("nasctl-predict") as folder:
        write_for_prediction(request, folder, int8=int8)
        return load_model(folder, prior=prior, int8=int8)
