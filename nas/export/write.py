"""A trained network as files that others can load, written only if every check passes."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from nas.errors import ExportError, UsageError
from nas.export.check import check_budget, check_counts, check_files, random_batches
from nas.export.formats import EXPORTERS, TrainedModel
from nas.export.request import ExportRequest
from nas.files import new_folder
from search_spaces import get_space

__all__ = ["ExportRequest", "export"]


def export(request: ExportRequest) -> list[Path]:
    """Write ``request.out``, a new or empty folder; the files in it.

    The folder appears complete and checked, or not at all: every file is loaded again in a fresh process and
    must give the network's logits, and counts and budget must hold. UsageError if the folder cannot be
    written, ExportError if a check fails.
    """
    out = request.out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{request.out} exists and is not an empty folder; give --out another name.")
    model = trained_model(request)
    try:
        with new_folder(out) as work:
            write_files(request, model, work)
            check_counts(model, work / "weights.safetensors", request.input_shape, request.cost)
            check_budget(request.cost, request.budget)
            check_files(work, model, random_batches(request.input_shape, request.mean, request.std))
    except OSError as error:
        raise UsageError(f"{request.out} cannot be written: {error}. Give --out a folder that can.") from error
    return sorted(out.iterdir())


def trained_model(request: ExportRequest) -> nn.Module:
    """The network with its weights, in eval mode on the CPU; ExportError if the weights are not its own."""
    if len(request.classes) != request.num_classes:
        raise ExportError(f"{len(request.classes)} class names for {request.num_classes} classes.")
    model = get_space(request.space).build(request.sample, request.input_shape, request.num_classes)
    try:
        model.load_state_dict(load_file(request.weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ExportError(f"The weights in {request.weights} cannot be used: {error}") from error
    return model.eval()


def write_files(request: ExportRequest, model: nn.Module, folder: Path) -> None:
    """Every registered format, unchecked."""
    trained = TrainedModel(model, request.input_shape)
    for write in EXPORTERS.values():
        write(request, trained, folder)
