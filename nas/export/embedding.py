"""Embeddings of exported networks, by onnxruntime: what enters the last linear layer, as vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.verification import threshold_at, unit
from nas.errors import UsageError
from nas.export.card import is_embedder, read_card
from nas.export.predict import load_model
from nas.export.predict_script import BATCH, Picture, Prepared, Reader, session_of

Vectors = npt.NDArray[np.float32]
VECTOR = "embedding"  # the output that is added to the graph


@dataclass(frozen=True)
class Threshold:
    """Least similarity of two images that are said to show the same identity; ``far`` is the false accept rate that it
    had on the pairs of rank, and ``tar`` the true accept rate; None: it was typed."""

    value: float
    far: float | None = None
    tar: float | None = None


class Embedder:
    """The network of an exported folder, up to its last linear layer; with test-time flip the mean of an image and its
    mirror image, as in the run."""

    def __init__(self, folder: Path) -> None:
        """UsageError if ``folder`` holds no exported network, or one that does not end in a linear layer."""
        self.folder = folder
        self.reader, content = _of_folder(folder)
        self._session: Any = session_of(content)

    def vectors(self, prepared: npt.NDArray[np.float32]) -> Vectors:
        """Unit vectors (N, D) of prepared images (N, C, H, W)."""
        views = [prepared, prepared[..., ::-1]] if self.reader.test_flip else [prepared]
        return unit(np.mean([self._run(view) for view in views], axis=0))

    def of_files(self, paths: Sequence[str], broken: list[str]) -> tuple[list[str], Vectors]:
        """Paths of the images that can be read, and their unit vectors; of the others why not, in ``broken``."""
        names, found, left = list[str](), [self.vectors(self._none())], iter(paths)
        while batch := list(islice(left, BATCH)):
            read = {path: image for path in batch if (image := self._read(path, broken)) is not None}
            names += read
            found += [self.vectors(np.stack(list(read.values())))] if read else []
        return names, np.concatenate(found)

    def threshold(self, far: float) -> Threshold:
        """The threshold for a false accept rate of at most ``far``. UsageError if the run had no pairs to know it by,
        or too few."""
        known = self.reader.card.get("verification")
        if not known:
            raise UsageError(
                f"{self.folder} has no thresholds: its run held out no identities (--verify-identities 0.2). Give one: "
                "--threshold 0.5."
            )
        found = threshold_at(known["fars"], known["thresholds"], far)
        if found is None:
            raise UsageError(
                f"--far {far:g} is less than the {known['different']:,} pairs of two identities of its run can tell: "
                f"give at least {min(known['fars']):g}."
            )
        tar = dict(zip(known["fars"], known["tars"], strict=True))[found[0]]
        return Threshold(found[1], found[0], tar)

    def _read(self, path: Picture, broken: list[str]) -> Prepared | None:
        try:
            return self.reader.read(path)
        except Exception as error:  # Pillow raises nearly anything on damaged files
            broken.append(f"{path}: {error}")
            return None

    def _run(self, prepared: npt.NDArray[np.float32]) -> Vectors:
        images = np.ascontiguousarray(prepared, np.float32)
        return np.asarray(self._session.run([VECTOR], {"images": images})[0], np.float32)

    def _none(self) -> npt.NDArray[np.float32]:
        return np.zeros((0, *self.reader.shape), np.float32)


def _of_folder(folder: Path) -> tuple[Reader, bytes]:
    """Reader of images, and the graph that gives their embeddings: ``model.onnx`` as it is where that was exported
    without its last layer."""
    if not (folder / "model.json").is_file() or not is_embedder(read_card(folder)):
        return load_model(folder), _up_to_last_linear(folder)
    path = folder / "model.onnx"
    try:
        return Reader(folder), path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}. Export the network again.") from error


def _up_to_last_linear(folder: Path) -> bytes:
    """The graph of ``model.onnx`` with what enters its last linear layer as its output. UsageError if it has none."""
    import onnx

    model = onnx.load(folder / "model.onnx")
    maker = {name: node for node in model.graph.node for name in node.output}
    weights = {tensor.name for tensor in model.graph.initializer}
    node = maker.get("logits")
    while node is not None and node.op_type in ("Add", "Identity", "Cast"):  # of a bias that stands apart
        node = next((maker[name] for name in node.input if name in maker), None)
    if node is None or node.op_type not in ("Gemm", "MatMul") or node.input[1] not in {*weights, *maker}:
        raise UsageError(f"{folder} does not end in a linear layer, so that it gives no embeddings.")
    entering = node.input[0]
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=VECTOR))
    model.graph.node.append(onnx.helper.make_node("Identity", [entering], [VECTOR]))
    return bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())
