"""Name the class of pictures, with the network in this folder.

    python predict.py photo.jpg folder/ --csv out.csv --top 3

Needs numpy, Pillow and onnxruntime, and beside this file model.json and model.onnx. As a module:
``Classifier().predict(pictures)`` names classes, ``predict_proba(pictures)`` gives the scores of all.
"""

from __future__ import annotations

import argparse
import csv
import glob
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from nas.data.pixels import FORMATS, SUFFIXES, Levels, extent, is_clipped, prepared, scaled

BATCH = 64  # pictures in memory at once
Picture = Path | str | Image.Image | npt.NDArray[Any]
"""A file, or an image, or its pixels: (H, W) or (H, W, 3), 8 bits deep if they are uint8, else deeper."""
Prepared = npt.NDArray[np.float32]  # (C, H, W), normalized


class Classifier:
    """The network of a folder, on the CPU."""

    def __init__(self, folder: Path | str = Path(__file__).parent) -> None:
        self.card = json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
        self.classes: list[str] = self.card["classes"]
        _, *self.shape = self.card["input"]["shape"]  # channels, height, width
        normal = self.card["input"]["normalization"]
        self.mean, self.std = (np.reshape(normal[key], (-1, 1, 1)) for key in ("mean", "std"))
        self.session = onnxruntime.InferenceSession(Path(folder) / "model.onnx", providers=["CPUExecutionProvider"])

    @property
    def levels(self) -> Levels:
        """Black and white of pictures deeper than 8 bits."""
        black, white = self.card["input"]["preprocessing"]["levels"]
        return black, white

    def read(self, picture: Picture) -> Prepared:
        """A picture, prepared as those that the network was trained on; any exception if its file is broken."""
        channels, height, width = self.shape
        if isinstance(picture, np.ndarray):
            picture = Image.fromarray(picture if picture.dtype == np.uint8 else scaled(picture, self.levels))
        if not isinstance(picture, Image.Image):
            with Image.open(picture, formats=FORMATS) as image:
                return self.read(image)
        fit = self.card["input"]["preprocessing"]["fit"]
        pixels = prepared(picture, channels, height, width, fit, self.levels)
        return ((pixels / 255 - self.mean) / self.std).astype(np.float32)

    def scores(self, pictures: Sequence[Prepared]) -> npt.NDArray[np.float64]:
        """(N, classes) for up to ``BATCH`` pictures: the softmax of the network's answers, from 0 to 1."""
        (logits,) = self.session.run(["logits"], {"images": np.stack(pictures)})
        odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def predict_proba(self, pictures: Iterable[Picture]) -> npt.NDArray[np.float64]:
        """(N, classes), in the order of ``classes``: what the network makes of each picture, from 0 to 1."""
        pictures, found = iter(pictures), [np.zeros((0, len(self.classes)))]
        while batch := list(itertools.islice(pictures, BATCH)):
            found.append(self.scores([self.read(picture) for picture in batch]))
        return np.concatenate(found)

    def predict(self, pictures: Iterable[Picture]) -> list[str]:
        """The class of each picture."""
        return [self.classes[index] for index in self.predict_proba(pictures).argmax(axis=1)]


def pictures_in(paths: Iterable[str]) -> Iterator[str]:
    """Files as they are, the pictures in folders and theirs, and what a pattern such as "a/*.png" names, each by name.
    FileNotFoundError for what is not there."""
    for path in paths:
        if Path(path).is_dir():
            found = sorted(each for each in Path(path).rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
            yield from map(str, found)
        elif Path(path).exists():
            yield path
        elif matching := sorted(glob.glob(path, recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            yield from pictures_in(matching)
        else:
            raise FileNotFoundError(f"{path}: there is no such file or folder")


def pictures_of(paths: Sequence[str]) -> list[str]:
    """What ``pictures_in`` finds; FileNotFoundError too if that is nothing."""
    if found := list(pictures_in(paths)):
        return found
    raise FileNotFoundError(f"there is no picture in {', '.join(paths)}")


def predictions(
    classifier: Classifier, paths: Iterable[str], broken: list[str], clipped: list[str]
) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """(path, scores) of every picture, in this order; those that cannot be read, and why, go to ``broken``, those
    with values outside the levels to ``clipped``."""

    def read(path: str) -> Prepared | Exception:
        try:
            with Image.open(path, formats=FORMATS) as image:
                picture = classifier.read(image)
                if is_clipped(extent(image), classifier.levels):
                    clipped.append(path)
                return picture
        except Exception as error:  # Pillow raises nearly anything on damaged files
            return error

    paths = iter(paths)
    with ThreadPoolExecutor() as pool:
        while batch := list(itertools.islice(paths, BATCH)):
            read_or_not = list(zip(batch, pool.map(read, batch), strict=True))
            good = [(path, picture) for path, picture in read_or_not if not isinstance(picture, Exception)]
            broken += [f"{path}: {error}" for path, error in read_or_not if isinstance(error, Exception)]
            if good:
                scores = classifier.scores([picture for _, picture in good])
                yield from zip((path for path, _ in good), scores, strict=True)


def row(path: str, scores: npt.NDArray[np.float64], classes: Sequence[str], top: int) -> list[str]:
    """The path, and the ``top`` best classes with their scores."""
    best = np.argsort(-scores, kind="stable")[:top]
    return [path, *(word for index in best for word in (classes[index], f"{scores[index]:.6f}"))]


def head(top: int) -> list[str]:
    """The names of the columns: path, label, score, label2, score2, ..."""
    numbers = ["", *map(str, range(2, top + 1))]
    return ["path", *(f"{word}{number}" for number in numbers for word in ("label", "score"))]


def write_predictions(classifier: Classifier, paths: Sequence[str], output: TextIO, top: int, *, as_csv: bool) -> int:
    """A row a picture, as CSV with a head, or with tabs for people; what cannot be read is named on standard error.

    The exit code: 1 if some pictures could not be read.
    """
    top, broken, clipped = max(1, min(top, len(classifier.classes))), list[str](), list[str]()
    writer = csv.writer(output, delimiter="," if as_csv else "\t", lineterminator="\n")
    writer.writerows([head(top)] if as_csv else [])
    shown = output is not sys.stdout and sys.stderr.isatty()
    for number, (path, scores) in enumerate(predictions(classifier, paths, broken, clipped), start=1):
        writer.writerow(row(path, scores, classifier.classes, top))
        if shown and (number % BATCH == 0 or number == len(paths)):
            print(f"\r{number:,} of {len(paths):,} pictures", end="\n" * (number == len(paths)), file=sys.stderr)
    if clipped:
        black, white = classifier.levels
        print(
            f"{len(clipped)} of {len(paths)} pictures have values outside {black:g} to {white:g}, which were clipped",
            file=sys.stderr,
        )
    if broken:
        print(*broken, f"{len(broken)} of {len(paths)} pictures could not be read", sep="\n", file=sys.stderr)
    return 1 if broken else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 if some pictures could not be read, 2 if what was typed is wrong."""
    parser = argparse.ArgumentParser(description="Name the class of pictures.")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="pictures, folders of them, or patterns")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write path,label,score, a row a picture")
    parser.add_argument("--top", type=int, default=1, metavar="N", help="the N best classes [default: 1]")
    asked = parser.parse_args(arguments)
    try:
        paths = pictures_of(asked.paths)
        if asked.csv is None:
            return write_predictions(Classifier(), paths, sys.stdout, asked.top, as_csv=False)
        with asked.csv.open("w", newline="", encoding="utf-8") as output:
            return write_predictions(Classifier(), paths, output, asked.top, as_csv=True)
    except OSError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
