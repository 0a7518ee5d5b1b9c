"""Accuracy of searches' winners in int8: ways to choose the ranges of activations, side by side.

.venv/bin/python benchmarks/int8.py runs/vgg-digits-1 runs/cell-digits-1
.venv/bin/python benchmarks/int8.py runs/* --images 64 256

A row a run and way: balanced accuracy on rank and on test in float and in int8, the share of the images of rank that
get the same label, the relative error of the logits, bytes, milliseconds for an image on one thread, and seconds to
choose the ranges. Ways are compared on rank; test is shown for the record and chooses nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from hardware import hardware
from onnxruntime.quantization import CalibrationMethod

from nas.data import open_data
from nas.export.formats import TrainedModel, write_one_image
from nas.export.from_run import request_of
from nas.export.int8 import Compared, OneByOne, calibration_images, compare, quantize
from nas.export.write import trained_model
from nas.runs import as_search, load_run

RANGES: dict[str, tuple[CalibrationMethod, dict[str, float]]] = {
    "min-max": (CalibrationMethod.MinMax, {}),
    "entropy": (CalibrationMethod.Entropy, {}),  # with onnxruntime's 128 bins nearly always min-max again
    "percentile 99.999": (CalibrationMethod.Percentile, {"CalibPercentile": 99.999}),
    "percentile 99.99": (CalibrationMethod.Percentile, {"CalibPercentile": 99.99}),
    "percentile 99.9": (CalibrationMethod.Percentile, {"CalibPercentile": 99.9}),
}


def rows(folder: Path, counts: list[int]) -> list[Compared]:
    """Print the rows of a run; how each way compares on rank."""
    run = as_search(load_run(folder.name, folder.parent))
    request = replace(request_of(run, None, Path()), dataset=open_data(run.config.data))
    assert request.dataset is not None
    found = []
    with tempfile.TemporaryDirectory() as name:
        static, target = Path(name, "float.onnx"), Path(name, "int8.onnx")
        write_one_image(request, TrainedModel(trained_model(request), request.input_shape), static)
        for count in counts:
            for method, (ranges, options) in RANGES.items():
                images = request.normalized(calibration_images(request.dataset, count))
                start = time.perf_counter()
                quantize(static, target, images, ranges, **options)
                seconds = time.perf_counter() - start
                both = OneByOne(static), OneByOne(target)
                rank, test = (compare(request, split, *both) for split in ("rank", "test"))
                found.append(rank)
                scores = f"{rank.first:>7.4f} {rank.second:>7.4f} {test.first:>7.4f} {test.second:>7.4f}"
                near = f"{rank.agreement:>6.1%} {rank.error:>6.3f}"
                sizes = f"{static.stat().st_size:>9,} {target.stat().st_size:>8,}"
                times = f"{both[0].milliseconds(images):>6.2f} {both[1].milliseconds(images):>6.2f} {seconds:>6.1f}"
                print(f"{folder.name[:32]:<32} {method:<17} {count:>6} {scores} {near} {sizes} {times}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of searches")
    parser.add_argument("--images", nargs="+", type=int, default=[256], help="to train on, that choose the ranges")
    asked = parser.parse_args()
    print(hardware())
    scores = f"{'rank':>7} {'int8':>7} {'test':>7} {'int8':>7} {'same':>6} {'error':>6}"
    rest = f"{'bytes':>9} {'int8':>8} {'ms':>6} {'int8':>6} {'s':>6}"
    print(f"{'run':<32} {'ranges':<17} {'images':>6} {scores} {rest}")
    found = [rows(folder, asked.images) for folder in asked.runs]
    ways = [f"{method}, {count} images" for count in asked.images for method in RANGES]
    for place, way in enumerate(ways):
        own = [row[place] for row in found]
        lost = [one.first - one.second for one in own]
        mean = f"loses {statistics.fmean(lost):.4f} on rank, at most {max(lost):.4f}"
        same, error = (statistics.fmean(getattr(one, name) for one in own) for name in ("agreement", "error"))
        print(f"{way}: {mean}; {same:.2%} get the same label; error of logits {error:.4f}")


if __name__ == "__main__":
    main()
