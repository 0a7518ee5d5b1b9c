"""A trained network as files that others can load, written only if every check passes."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from nas.errors import ExportError, UsageError
from nas.export.check import check_budget, check_counts, check_files, random_batches
from nas.export.model_card import description, model_card
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
    """All five files, unchecked."""
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    # Not by save_file, which lets only the owner read what it writes.
    (folder / "weights.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    facts = description(request)
    (folder / "model.json").write_text(json.dumps(facts, indent=2, default=str) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(model_card(request), encoding="utf-8")
    try:
        write_programs(model, request.input_shape, folder)
    except Exception as error:
        # The exporters raise many kinds, for many causes; none of them may leave half an export behind.
        raise ExportError(f"The network cannot be exported: {type(error).__name__}: {error}") from error


def write_programs(model: nn.Module, input_shape: tuple[int, int, int], folder: Path) -> None:
    """``model.pt2`` and ``model.onnx``, for any batch size."""
    images = torch.zeros(2, *input_shape)  # two: the exporter would take a batch of one for a constant
    shapes = ({0: torch.export.Dim("batch")},)
    with quiet(), torch.no_grad():
        program = torch.export.export(model, (images,), dynamic_shapes=shapes)
        torch.export.save(program, folder / "model.pt2")
        torch.onnx.export(
            program,
            (),
            folder / "model.onnx",
            input_names=["images"],
            output_names=["logits"],
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporters print, warn and log to themselves; they raise what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
