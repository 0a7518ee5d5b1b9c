"""The files of an export, each written by a function of its own: weights, programs, and what describes them.

A new format is one decorated function here. If it can answer images, its name goes into ``nas.export.check.FILES`` and
its answer into ``nas.export.loader_script``, so that it is checked in a fresh process as the others are. One that is
written only when it is asked for returns immediately when it is not.
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
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import save
from torch import nn

from nas.data import pixels as pixels_module
from nas.errors import ExportError
from nas.export.fingerprints import FILE as TRAINED_ON
from nas.export.fingerprints import trained_on
from nas.export.model_card import description, model_card
from nas.export.model_source import model_source
from nas.export.request import ExportRequest
from nas.training.augmentation import normalize
from search_spaces.registry import Registry


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights, in eval mode on the CPU; ``output`` is the name of what it answers with."""

    module: nn.Module
    input_shape: tuple[int, int, int]
    output: str = "logits"

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """Its trace, for any batch size: made once for all formats that need one. Says nothing of this machine."""
        return traced(self.module, torch.zeros(2, *self.input_shape))

    @cached_property
    def one_image(self) -> onnx.ModelProto:
        """As ONNX for a batch of one: made once for the file itself and for int8."""
        return _onnx(traced(self.module, torch.zeros(1, *self.input_shape)), [self.output])


def traced(module: nn.Module, images: torch.Tensor) -> torch.export.ExportedProgram:
    """The trace of ``module``: for any batch size, or for one image if ``images`` is one."""
    axes = {0: torch.export.Dim("batch")} if len(images) > 1 else None
    program = torch.export.export(module, (images,), dynamic_shapes=(axes,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # absolute paths of the files that built the network
    return program


class WithPreprocessing(nn.Module):
    """A network behind its normalization, with probabilities after it."""

    def __init__(self, request: ExportRequest, module: nn.Module) -> None:
        super().__init__()
        self.network = module
        self.mean, self.std = torch.tensor(request.mean), torch.tensor(request.std)
        self.temperature = request.calibration.temperature if request.calibration else 1.0

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 (N, C, H, W) to logits and probabilities, both (N, classes)."""
        logits = self.network(normalize(pixels, self.mean, self.std))
        return logits, torch.softmax(logits / self.temperature, dim=1)


IR_VERSION = 10  # at most: what onnxruntime 1.20 of November 2024 reads


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


@register_exporter("source")
def write_source(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``model.py``: the network in plain torch, to train on."""
    (folder / "model.py").write_text(model_source(request), encoding="utf-8")


@register_exporter("pt2")
def write_pt2(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``model.pt2``: torch's program, for any batch size."""
    with exporting():
        torch.export.save(model.program, folder / "model.pt2")


@register_exporter("onnx")
def write_onnx(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``model.onnx``: from ``images`` to ``logits``, or to ``embedding``, for any batch size."""
    with exporting():
        write_proto(request, _onnx(model.program, [model.output]), folder / "model.onnx")


@register_exporter("static")
def write_static(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``model.batch1.onnx``: the same for one image at a time, for tools that take no axis of unknown size."""
    if request.extras.static:
        write_one_image(request, model, folder / "model.batch1.onnx")


@register_exporter("with-preprocessing")
def write_with_preprocessing(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``model.uint8.onnx``: from ``images``, uint8, to ``logits`` and ``probabilities``, for any batch size."""
    if request.extras.with_preprocessing:
        pixels = torch.zeros(2, *model.input_shape, dtype=torch.uint8)
        with exporting():
            program = traced(WithPreprocessing(request, model.module).eval(), pixels)
            proto = _onnx(program, ["logits", "probabilities"])
            write_proto(request, proto, folder / "model.uint8.onnx", dtype="uint8", normalization=None)


def write_one_image(request: ExportRequest, model: TrainedModel, path: Path) -> None:
    """The network as ONNX for a batch of one."""
    with exporting():
        write_proto(request, model.one_image, path, shape=[1, *model.input_shape])


def _onnx(program: torch.export.ExportedProgram, outputs: list[str]) -> onnx.ModelProto:
    """The ONNX form of a trace, in the operator set that torch writes."""
    converted = torch.onnx.export(program, (), input_names=["images"], output_names=outputs, dynamo=True, verbose=False)
    assert converted is not None
    proto = converted.model_proto
    graph = proto.graph
    for value in (*graph.input, *graph.value_info, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:  # torch's own name for the one size that is not known, another at every version
                axis.dim_param = "batch"
    return proto


def write_proto(request: ExportRequest, proto: onnx.ModelProto, path: Path, **differs: Any) -> None:
    """Write an ONNX file that says which classes it names and how pictures are prepared, and nothing of this machine.
    ``differs`` is what of "input" is not as ``model.json`` says. Changes ``proto``."""
    proto = without_origins(proto)
    proto.ir_version = min(proto.ir_version, IR_VERSION)
    card = description(request)
    facts = {name: card[name] for name in ("classes", "input", "output")}
    facts["input"] |= differs
    onnx.helper.set_model_props(proto, {name: json.dumps(fact) for name, fact in facts.items()})
    path.write_bytes(proto.SerializeToString(deterministic=True))


@register_exporter("trained-on")
def write_trained_on(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``trained_on.npy``: a number for each image to train on, by which ``nasctl evaluate`` knows it again."""
    if request.dataset is not None:
        np.save(folder / TRAINED_ON, trained_on(request.dataset))


@register_exporter("json")
def write_description(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``model.json``: all that is known of the network, for programs."""
    text = json.dumps(description(request), indent=2)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")


@register_exporter("card")
def write_card(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``README.md``: the same for people. Looks at ``model.onnx``, if it is there."""
    versions = None
    if (path := folder / "model.onnx").exists():
        proto = onnx.load(path)
        versions = (proto.opset_import[0].version, proto.ir_version)
    (folder / "README.md").write_text(model_card(request, versions), encoding="utf-8")


@register_exporter("predict")
def write_predict(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
    """``predict.py``: names the class of pictures, prepared by the very code of training."""
    if request.has_head:
        (folder / "predict.py").write_text(predict_script(), encoding="utf-8")


def predict_script() -> str:
    """``nas.export.predict_script`` with the text of ``nas.data.pixels`` in the place of its import."""
    script = Path(__file__).with_name("predict_script.py").read_text(encoding="utf-8")
    text = Path(pixels_module.__file__).read_text(encoding="utf-8")
    _, imports, pixels = text.partition("from PIL import Image, ImageOps\n")  # all others the script has itself
    before, *after = re.split(r"from PIL import Image\n\nfrom nas\.data\.pixels import (?:\([^)]*\)|.+)\n", script)
    assert imports and len(after) == 1, "predict_script.py or pixels.py no longer imports what is expected here"
    return before + imports + pixels.rstrip() + "\n\n" + after[0]


def finish_one_image(request: ExportRequest, path: Path) -> None:
    """Give an ONNX file for a batch of one, which somebody else wrote, what ``write_proto`` gives ours."""
    write_proto(request, onnx.load(path), path, shape=[1, *request.input_shape])


def without_origins(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` without what the exporter notes of where each node came from, up to half of the file: only what is
    computed is left. Changes ``model``."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    return model


@contextlib.contextmanager
def exporting(what: str = "exported") -> Iterator[None]:
    """Keep what exporters print, warn and log to themselves; they raise what matters, as an ExportError that says the
    network cannot be ``what``."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        # The exporters raise many kinds, for many causes; none of them may leave half an export behind.
        raise ExportError(f"The network cannot be {what}: {type(error).__name__}: {error}") from error
    finally:
        logging.disable(before)
