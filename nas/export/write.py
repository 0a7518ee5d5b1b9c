"""A trained network as files that others can load, written only if every check passes."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from nas.data import Dataset
from nas.data.dataset import SplitName
from nas.errors import UsageError, reason
from nas.export.calibration import Answers, calibrate
from nas.export.check import check_budget, check_counts, check_files, random_pixels
from nas.export.formats import EXPORTERS, TrainedModel, write_description, write_one_image, write_onnx
from nas.export.request import ExportRequest
from nas.export.trained import trained_model
from nas.files import new_folder, remove_leftovers
from nas.training.augmentation import logits_of

__all__ = ["ExportRequest", "Exported", "export", "trained_model"]

MOST_IMAGES = 5000  # of a split, to fit the temperature and to measure what it does
CHUNK = 256  # images that the network answers at once


class Exported(NamedTuple):
    """Written files of an export, and what was measured for it."""

    files: list[Path]
    request: ExportRequest  # with what was measured
    milliseconds: tuple[float, float] | None  # an image in float and in int8; in no file, since it differs each time


def export(request: ExportRequest) -> Exported:
    """Write ``request.out``, a new or empty folder.

    The folder appears complete and checked, or not at all: every file that answers images is loaded again in a fresh
    process and must give the network's logits, and counts and budget must hold. UsageError if the folder cannot be
    written, ExportError if a check fails.
    """
    out = request.out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{request.out} exists and is not an empty folder; give --out another name.")
    if not request.has_head and (request.extras.int8 or request.extras.with_preprocessing):
        raise UsageError(
            "--int8 and --with-preprocessing are for classifiers: they judge classes and give their probabilities, and "
            "an embedder has none. Leave them out."
        )
    model = trained_model(request)
    remove_leftovers(out.parent)  # of exports that were killed, whatever they were to be called
    try:
        with new_folder(out) as work:
            request = calibrated(request, model)
            trained = TrainedModel(model, request.input_shape, request.output)
            request, milliseconds = quantized(request, trained, work)
            write_files(request, trained, work)
            check_counts(model, work / "weights.safetensors", request.input_shape, request.cost)
            check_budget(request.cost, request.budget)
            check_files(work, request, model, random_pixels(request.input_shape))
    except OSError as error:
        raise UsageError(f"{request.out} cannot be written: {reason(error)}. Give --out another folder.") from error
    return Exported(sorted(out.iterdir()), request, milliseconds)


def calibrated(request: ExportRequest, model: nn.Module) -> ExportRequest:
    """The request with its temperature, if the data is at hand."""
    if request.dataset is None or not request.has_head:
        return request
    select, rank = (_answers(request, model, request.dataset, name) for name in ("select", "rank"))
    return dataclasses.replace(request, calibration=calibrate(select, rank, request.frequencies))


def _answers(request: ExportRequest, model: nn.Module, dataset: Dataset, name: SplitName) -> Answers:
    split = dataset.split(name)
    chosen = np.sort(np.random.default_rng(0).permutation(len(split.rows))[:MOST_IMAGES])
    split = dataclasses.replace(split, rows=split.rows[chosen], labels=split.labels[chosen])
    logits = []
    with torch.inference_mode():
        for pixels, _ in split.batches(CHUNK):
            images = torch.from_numpy(request.normalized(pixels))
            logits.append(logits_of(model, images, test_flip=request.test_flip).numpy())
    return Answers(np.concatenate(logits), split.labels)


def quantized(
    request: ExportRequest, model: TrainedModel, folder: Path
) -> tuple[ExportRequest, tuple[float, float] | None]:
    """The request with what became of the network in int8, and milliseconds an image, if that was asked for."""
    if not request.extras.int8:
        return request, None
    from nas.export.int8 import FILE, write_int8

    with tempfile.TemporaryDirectory(dir=folder) as elsewhere:
        static = Path(elsewhere, "float.onnx")
        write_one_image(request, model, static)
        found, milliseconds = write_int8(request, static, folder / FILE)
    return dataclasses.replace(request, quantized=found), milliseconds


def write_for_prediction(request: ExportRequest, folder: Path, *, int8: bool) -> None:
    """Write what ``nas.export.predict_script`` reads, unchecked. UsageError if int8 needs data that is not at hand."""
    model = trained_model(request)
    trained, request = TrainedModel(model, request.input_shape, request.output), calibrated(request, model)
    write_description(request, trained, folder)
    write_onnx(request, trained, folder)
    if int8:
        from nas.export.int8 import FILE, quantized_file

        static = folder / "float.onnx"
        write_one_image(request, trained, static)
        quantized_file(request, static, folder / FILE)


def write_files(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """Every registered format, unchecked."""
    for write in EXPORTERS.values():
        write(request, model, folder)
