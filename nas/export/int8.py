"""The network in 8-bit integers, judged on rank before it is handed over.

Quantization after training, by onnxruntime: weights by output channel, activations by tensor in the ranges that they
take on some images to train on (Jacob et al. 2018; QDQ is onnxruntime's form, in which other tools read it too).
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from nas.data import Dataset
from nas.data.dataset import SplitName
from nas.errors import ExportError, UsageError
from nas.export.formats import finish
from nas.export.request import ExportRequest, Quantized
from nas.training.metrics import classification_figures

FILE = "model.int8.onnx"
METHODS = {
    "min-max": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
METHOD = "min-max"  # RESULTS.md: no worse than the others on any of five networks, and the quickest
IMAGES = 256  # to train on, by which ranges are chosen
TIMED = 100  # pictures, one at a time

Images = npt.NDArray[np.float32]


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Normalized images, one at a time."""

    def __init__(self, images: Images) -> None:
        self.images: Iterator[Images] = iter(images)

    def get_next(self) -> dict[str, Images] | None:
        """The next input, None at the end."""
        image = next(self.images, None)
        return None if image is None else {"images": image[None]}


def quantize(source: Path, target: Path, images: Images, method: str = METHOD) -> None:
    """Write the float network ``source``, for a batch of one, in int8; ``images`` (N, C, H, W) are normalized.

    Equal files from equal input. ExportError if onnxruntime cannot.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # it advises to do what is done here
    try:
        with tempfile.TemporaryDirectory(prefix="nasctl-int8-") as folder:
            prepared = Path(folder, "prepared.onnx")
            quant_pre_process(source, prepared, skip_symbolic_shape=True)  # the symbolic one is for transformers
            quantize_static(
                prepared,
                target,
                _Reader(images),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=METHODS[method],
            )
    except Exception as error:  # many kinds, for many causes
        raise ExportError(f"The network cannot be quantized: {type(error).__name__}: {error}") from error
    finally:
        logging.disable(before)


def calibration_images(dataset: Dataset, count: int = IMAGES) -> npt.NDArray[np.uint8]:
    """Images to train on, about as many of each class, the same at every call."""
    split = dataset.split("train")
    rng = np.random.default_rng(0)
    by_class = [rng.permutation(np.flatnonzero(split.labels == c)) for c in range(len(dataset.classes))]
    turns = [index for turn in range(max(map(len, by_class))) for rows in by_class for index in rows[turn : turn + 1]]
    chosen = np.sort(turns[:count])
    return np.asarray(split.stored[split.rows[chosen]])


class OneByOne:
    """An ONNX file that takes one image at a time, on one thread."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def labels(self, images: Images) -> npt.NDArray[np.int64]:
        """(N,): the class of each."""
        return np.array([self._logits(image).argmax() for image in images])

    def milliseconds(self, images: Images) -> float:
        """For an image, the median of some."""
        times = []
        for image in np.resize(images, (TIMED, *images.shape[1:])):
            start = time.perf_counter()
            self._logits(image)
            times.append(time.perf_counter() - start)
        return 1000 * statistics.median(times)

    def _logits(self, image: Images) -> npt.NDArray[np.float32]:
        (logits,) = self.session.run(["logits"], {"images": image[None]})
        return np.asarray(logits)


def write_int8(request: ExportRequest, static: Path, target: Path) -> tuple[Quantized, tuple[float, float]]:
    """Write ``target`` from the float file for a batch of one; how it does, and what an image takes in milliseconds, in
    float and in int8.

    UsageError if the data is not at hand, ExportError if it loses more than allowed: test was then not looked at.
    """
    dataset, allowed = request.dataset, request.extras.int8_max_drop
    if dataset is None:
        raise UsageError(f"--int8 needs the images that the network was trained on: {request.no_dataset}.")
    images = calibration_images(dataset)
    quantize(static, target, request.normalized(images))
    finish(request, target)
    both = OneByOne(static), OneByOne(target)
    float_rank, int8_rank, agreement = _compare(request, dataset, "rank", *both)
    if float_rank - int8_rank > allowed:
        words = request.objective.replace("_", " ")
        raise ExportError(
            f"In int8 the network has a {words} of {int8_rank:.4f} on rank, in float {float_rank:.4f}: it loses "
            f"{float_rank - int8_rank:.4f}, more than the {allowed:g} that are allowed. Nothing was exported. To take "
            f"it all the same: --int8-max-drop {float_rank - int8_rank + 0.0005:.3f}; to go without: leave out --int8."
        )
    float_test, int8_test, _ = _compare(request, dataset, "test", *both)
    found = Quantized(
        METHOD, len(images), request.objective, float_rank, int8_rank, float_test, int8_test, agreement,
        target.stat().st_size, static.stat().st_size,
    )  # fmt: skip
    some = request.normalized(images[:TIMED])
    return found, (both[0].milliseconds(some), both[1].milliseconds(some))


def _compare(request: ExportRequest, dataset: Dataset, name: SplitName, *files: OneByOne) -> tuple[float, float, float]:
    """The objective of two files on a split, and the share of images to which they give the same label."""
    split = dataset.split(name)
    images = request.normalized(split.images)
    first, second = (file.labels(images) for file in files)
    return _score(request, first, split.labels), _score(request, second, split.labels), float((first == second).mean())


def _score(request: ExportRequest, labels: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> float:
    figures: dict[str, Any] = classification_figures(
        torch.from_numpy(labels), torch.from_numpy(right), request.num_classes
    )
    return float(figures[request.objective])
