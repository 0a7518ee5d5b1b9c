"""The network in 8-bit integers, judged on rank before it is handed over.

Quantization after training, by onnxruntime: weights by output channel, activations by tensor in the ranges that they
take on some images to train on (Jacob et al. 2018; QDQ is onnxruntime's form, in which other tools read it too).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from baselines.evaluation import Evaluation, NotGiven
from nas.config.objectives import measure
from nas.data import Dataset
from nas.data.dataset import SplitName
from nas.errors import ExportError, UsageError
from nas.export.formats import exporting, finish_one_image
from nas.export.request import ExportRequest, Quantized

FILE = "model.int8.onnx"
METHOD = "min-max"  # over all images, the range of values; see the table in benchmarks/RESULTS.md
IMAGES = 256  # to train on, by which ranges are chosen
CHUNK = 256  # images in memory at once
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


def quantize(
    source: Path,
    target: Path,
    images: Images,
    ranges: CalibrationMethod = CalibrationMethod.MinMax,
    **options: float,
) -> None:
    """Write the float network ``source``, for a batch of one, in int8; ``images`` (N, C, H, W) are normalized.

    Equal files from equal input. ``ranges`` and ``options`` are onnxruntime's, for those of activations. ExportError if
    it cannot.
    """
    before = tempfile.tempdir
    try:
        with exporting("quantized"), tempfile.TemporaryDirectory(dir=target.parent) as folder:
            tempfile.tempdir = folder  # onnxruntime's own files too
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
                calibrate_method=ranges,
                extra_options=options,
            )
    finally:
        tempfile.tempdir = before


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

    def logits(self, images: Images) -> Images:
        """(N, classes)."""
        return np.concatenate([self._logits(image) for image in images])

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


def quantized_file(request: ExportRequest, static: Path, target: Path) -> npt.NDArray[np.uint8]:
    """Write ``target`` from the float file for a batch of one, not judged; the images that chose its ranges.

    UsageError if the data is not at hand.
    """
    if request.dataset is None:
        raise UsageError(f"--int8 needs the images that the network was trained on. {request.no_dataset}.")
    images = calibration_images(request.dataset)
    quantize(static, target, request.normalized(images))
    finish_one_image(request, target)
    return images


def write_int8(request: ExportRequest, static: Path, target: Path) -> tuple[Quantized, tuple[float, float]]:
    """Write ``target`` from the float file for a batch of one; how it does, and what an image takes in milliseconds, in
    float and in int8.

    UsageError if the data is not at hand, ExportError if it loses more than allowed: test was then not looked at.
    """
    images, allowed = quantized_file(request, static, target), request.extras.int8_max_drop
    both = OneByOne(static), OneByOne(target)
    rank = compare(request, "rank", *both)
    if rank.first - rank.second > allowed:
        words, lost = request.objective.replace("_", " "), rank.first - rank.second
        raise ExportError(
            f"In int8 the network has a {words} of {rank.second:.4f} on rank, in float {rank.first:.4f}: it loses "
            f"{lost:.4f}, more than the {allowed:g} that are allowed, although {rank.agreement:.1%} of the images get "
            f"the same label. Nothing was exported. To export it anyway: --int8-max-drop {lost + 0.0005:.3f}; to "
            "go without: leave out --int8."
        )
    test = compare(request, "test", *both)
    found = Quantized(
        METHOD, len(images), request.objective, rank.first, rank.second, test.first, test.second, rank.agreement,
        target.stat().st_size, static.stat().st_size,
    )  # fmt: skip
    some = request.normalized(images[:TIMED])
    return found, (both[0].milliseconds(some), both[1].milliseconds(some))


@dataclass(frozen=True)
class Compared:
    """Two files on one split: the objective of each, a share of 1, and how near their answers are."""

    first: float
    second: float
    agreement: float  # share of the images that get the same label
    error: float  # of the second's logits: the root of their mean squared difference, by that of the first's


def compare(request: ExportRequest, name: SplitName, first: OneByOne, second: OneByOne) -> Compared:
    """Compare ``second`` with ``first``, the reference, on a split of the request's data, which must be there."""
    assert request.dataset is not None
    split = request.dataset.split(name)
    batches = (request.normalized(pixels) for pixels, _ in split.batches(CHUNK))
    answers = [[file.logits(images) for file in (first, second)] for images in batches]
    one, two = (np.concatenate(logits) for logits in zip(*answers, strict=True))
    try:
        scores = [measure(request.objective, Evaluation(split.labels, logits)) for logits in (one, two)]
    except NotGiven as lack:
        raise UsageError(
            f"--int8 judges the network by the objective of its search, {request.objective}, which needs {lack.array}: "
            "an ONNX file gives logits alone. Leave out --int8."
        ) from lack
    error = float(np.sqrt(np.mean((two - one) ** 2) / np.mean(one**2)))
    return Compared(scores[0], scores[1], float((one.argmax(axis=1) == two.argmax(axis=1)).mean()), error)
