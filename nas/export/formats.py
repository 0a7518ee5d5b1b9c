"""The files of an export, each written by a function of its own: weights, programs, and what describes them.

A new format is one decorated function here. If it can answer images, its name goes into ``nas.export.check.FILES`` and
its answer into ``nas.export.loader_script``, so that it is checked in a fresh process as the others are.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnx
import torch
from safetensors.torch import save
from torch import nn

from nas.data import pixels as pixels_module
from nas.errors import ExportError
from nas.export.model_card import description, model_card
from nas.export.request import ExportRequest
from search_spaces.registry import Registry


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights, in eval mode on the CPU."""

    module: nn.Module
    input_shape: tuple[int, int, int]

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """Its trace, for any batch size: made once for all formats that need one. Says nothing of this machine."""
        images = torch.zeros(2, *self.input_shape)  # two: the exporter would take a batch of one for a constant
        program = torch.export.export(self.module, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # absolute paths of the files that built the network
        return program


Exporter = Callable[[ExportRequest, TrainedModel, Path], None]
"""Writes its file into a folder, which exists and is its own. ExportError if the network cannot be had in this format,
OSError if the folder cannot be written."""

EXPORTERS: Registry[Exporter] = Registry("export format", "Formats")


def register_exporter(name: str) -> Callable[[Exporter], Exporter]:
    """Make an exporter known as ``name``; ValueError if the name is taken. Exporters run in the order of this file."""

    def register(exporter: Exporter) -> Exporter:
        EXPORTERS.add(name, exporter)
        return exporter

    return register


@register_exporter("weights")
def write_weights(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``weights.safetensors``: the state dict."""
    tensors = {name: tensor.contiguous() for name, tensor in model.module.state_dict().items()}
    # Not by save_file, which lets only the owner read what it writes.
    (folder / "weights.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))


@register_exporter("json")
def write_description(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``model.json``: all that is known of the network, for programs."""
    text = json.dumps(description(request), indent=2, default=str)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")


@register_exporter("card")
def write_card(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``README.md``: the same for people."""
    (folder / "README.md").write_text(model_card(request), encoding="utf-8")


@register_exporter("pt2")
def write_pt2(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``model.pt2``: torch's program, for any batch size."""
    with _exporting():
        torch.export.save(model.program, folder / "model.pt2")


@register_exporter("onnx")
def write_onnx(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``model.onnx``: from ``images`` to ``logits``, for any batch size."""
    with _exporting():
        program = torch.onnx.export(
            model.program, (), input_names=["images"], output_names=["logits"], dynamo=True, verbose=False
        )
        assert program is not None
        proto = without_origins(program.model_proto)
        facts = {"classes": list(request.classes), "input": description(request)["input"]}
        onnx.helper.set_model_props(proto, {name: json.dumps(fact) for name, fact in facts.items()})
        (folder / "model.onnx").write_bytes(proto.SerializeToString(deterministic=True))


@register_exporter("predict")
def write_predict(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``predict.py``: names the class of pictures, prepared by the very code of training."""
    (folder / "predict.py").write_text(predict_script(), encoding="utf-8")


def predict_script() -> str:
    """``nas.export.predict_script`` with the text of ``nas.data.pixels`` in the place of its import."""
    script = Path(__file__).with_name("predict_script.py").read_text(encoding="utf-8")
    text = Path(pixels_module.__file__).read_text(encoding="utf-8")
    _, imports, pixels = text.partition("from PIL import Image, ImageOps\n")  # all others the script has itself
    before, *after = re.split(r"from PIL import Image\n\nfrom nas\.data\.pixels import .+\n", script)
    assert imports and len(after) == 1, "predict_script.py or pixels.py no longer imports what is expected here"
    return before + imports + pixels.rstrip() + "\n\n" + after[0]


def without_origins(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` without what the exporter notes of where each node came from, up to half of the file: only what is
    computed is left. Changes ``model``."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    return model


@contextlib.contextmanager
def _exporting() -> Iterator[None]:
    """Keep what torch's exporters print, warn and log to themselves; they raise what matters, as an ExportError."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        # The exporters raise many kinds, for many causes; none of them may leave half an export behind.
        raise ExportError(f"The network cannot be exported: {type(error).__name__}: {error}") from error
    finally:
        logging.disable(before)
