"""Name the class of pictures, with the network in this folder.

    python predict.py photo.jpg folder/ --csv out.csv --top 3

Needs numpy, Pillow and onnxruntime, and beside this file model.json and model.onnx. As a module:
``Classifier().predict(pictures)`` names classes, ``predict_proba(pictures)`` gives the scores of all.

A score is the softmax of the network's answers divided by a temperature, fitted so that of the answers with a score of
0.9 about nine in ten are right. It takes the classes to come as often as model.json says ("prior" of "output"); for a
place where they come otherwise, --prior corrects scores and labels.
"""

from __future__ import annotations

import argparse
import csv
import glob
import io
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from nas.data.pixels import (
    DEEPEST,
    FORMATS,
    SUFFIXES,
    Levels,
    extent,
    extent_of,
    is_clipped,
    levels_of,
    prepared,
    scaled,
)

BATCH = 64  # pictures in memory at once
Picture = Path | str | Image.Image | npt.NDArray[Any]
"""A file, or an image, or its pixels: (H, W) or (H, W, 3), 8 bits deep if they are uint8, else deeper."""
Prepared = npt.NDArray[np.float32]  # (C, H, W), normalized
Prior = Mapping[str, float] | str | None
"""How often classes come: numbers by class, of any sum; "train": as in training; "uniform": all alike."""


def _file(picture: Any) -> Any:
    """It, if that can be opened; ValueError if it cannot."""
    if isinstance(picture, str | os.PathLike) or hasattr(picture, "read"):
        return picture
    raise ValueError(f"an image must be a path, an array or a Pillow image, and is of type {type(picture).__name__}")


class Reader:
    """Preparation of pictures for the network of a folder, as those that it was trained on."""

    def __init__(self, folder: Path | str) -> None:
        """OSError or ValueError if ``folder`` has no description that can be read."""
        self.card = json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
        _, *self.shape = self.card["input"]["shape"]  # channels, height, width
        normal = self.card["input"]["normalization"]
        self.mean, self.std = (np.reshape(normal[key], (-1, 1, 1)) for key in ("mean", "std"))
        self.test_flip = bool(self.card["output"].get("test_flip"))

    @property
    def levels(self) -> Levels | None:
        """Black and white of pictures deeper than 8 bits; None if the network was trained on none."""
        levels = self.card["input"]["preprocessing"]["levels"]
        return levels and (levels[0], levels[1])

    def read(self, picture: Picture) -> Prepared:
        """A picture, prepared as those that the network was trained on; any exception if its file is broken."""
        channels, height, width = self.shape
        if isinstance(picture, np.ndarray):
            picture = Image.fromarray(picture if picture.dtype == np.uint8 else self._shallow(picture))
        if not isinstance(picture, Image.Image):
            with Image.open(_file(picture), formats=FORMATS) as image:
                return self.read(image)
        fit = self.card["input"]["preprocessing"]["fit"]
        return self.normalized(prepared(picture, channels, height, width, fit, self.levels or DEEPEST))

    def _shallow(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Deeper pixels in 8 bits, by the levels of training, or by their own scale where there are none."""
        own = extent_of(pixels)
        return scaled(pixels, self.levels or levels_of([own] if own else []))

    def normalized(self, pixels: npt.NDArray[np.uint8]) -> Prepared:
        """Input of the network, for pixels (C, H, W) or (N, C, H, W)."""
        return ((pixels / 255 - self.mean) / self.std).astype(np.float32)


class Classifier(Reader):
    """The network of a folder, on the CPU."""

    def __init__(self, folder: Path | str = Path(__file__).parent, *, prior: Prior = None, int8: bool = False) -> None:
        """ValueError if ``prior`` does not suit the classes, OSError if a file is missing or cannot be read.

        ``prior``: how often the classes come where the network is used. None: as it was trained for. With ``int8`` the
        quantized file answers, one picture at a time.
        """
        super().__init__(folder)
        self.classes: list[str] = self.card["classes"]
        self.temperature: float = (self.card["output"]["calibration"] or {"temperature": 1.0})["temperature"]
        self.shift = self._shift(prior)
        self.batch = 1 if int8 else BATCH  # pictures that the network takes at once
        file = Path(folder) / ("model.int8.onnx" if int8 else "model.onnx")
        if not file.is_file():
            raise FileNotFoundError(f"{file}: there is no such file")
        self.session = session_of(file)
        shapes = [each.shape[1:] for each in (self.session.get_inputs()[0], self.session.get_outputs()[0])]
        if shapes != [self.shape, [len(self.classes)]]:
            raise ValueError(f"{file} has other input or output shapes than model.json says: {shapes}")

    def _shift(self, prior: Prior) -> npt.NDArray[np.float64]:
        """(classes,): what is added to the logits, the logarithm of how often classes come by how often they came."""
        if isinstance(prior, Mapping):
            wanted = frequencies_of(prior, self.classes)
        else:
            wanted = self._known_prior(prior or self.card["output"]["prior"])
        with np.errstate(divide="ignore"):  # a class that never comes has a score of 0
            return np.asarray(np.log(wanted) - np.log(self._known_prior(self.card["output"]["prior"])))

    def _known_prior(self, name: str) -> npt.NDArray[np.float64]:
        if name == "uniform":
            return np.full(len(self.classes), 1 / len(self.classes))
        if name != "train":
            raise ValueError(f'a prior is "train", "uniform" or numbers by class, and not {name!r}')
        return np.array(self.card["output"]["train_frequencies"])

    def logits(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(N, classes) for prepared pictures (N, C, H, W): what the network answers; with test-time flip the mean of
        that and what it answers for their mirror images."""
        logits = self._run(pictures)
        return (logits + self._run(pictures[..., ::-1])) / 2 if self.test_flip else logits

    def _run(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        parts = [pictures[start : start + self.batch] for start in range(0, len(pictures), self.batch)]
        return np.concatenate([self.session.run(["logits"], {"images": part})[0] for part in parts]).astype(np.float64)

    def scores(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(N, classes), from 0 to 1: the softmax of logits, with the temperature and for the prior."""
        logits = logits / self.temperature + self.shift
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def predict_proba(self, pictures: Iterable[Picture]) -> npt.NDArray[np.float64]:
        """(N, classes), in the order of ``classes``: what the network makes of each picture, from 0 to 1."""
        if isinstance(pictures, str | Path | Image.Image) or not isinstance(pictures, Iterable):
            raise ValueError(f"images must be a list, and is of type {type(pictures).__name__}: give [image]")
        pictures, found = iter(pictures), [np.zeros((0, len(self.classes)))]
        while batch := list(itertools.islice(pictures, BATCH)):
            found.append(self.scores(self.logits(np.stack([self.read(picture) for picture in batch]))))
        return np.concatenate(found)

    def predict(self, pictures: Iterable[Picture]) -> list[str]:
        """The class of each picture."""
        return [self.classes[index] for index in self.predict_proba(pictures).argmax(axis=1)]


def session_of(network: Path | bytes) -> Any:
    """A session of onnxruntime on the CPU, of a file or its content."""
    return onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])


def frequencies_of(prior: Mapping[str, float], classes: Sequence[str]) -> npt.NDArray[np.float64]:
    """(classes,), with a sum of 1; ValueError if numbers are missing, surplus, negative or all 0."""
    if wrong := sorted(map(str, set(classes) ^ set(prior))):
        raise ValueError(f"the prior must have a number for each class and no other; check: {', '.join(wrong)}")
    numbers = np.array([float(prior[name]) for name in classes])
    if not np.isfinite(numbers).all() or (numbers < 0).any() or not numbers.any():
        raise ValueError("the prior must be numbers of at least 0, and not all 0")
    return np.asarray(numbers / numbers.sum())


def prior_of(asked: str | None) -> Prior:
    """Prior that --prior names: a name as it is, or what is in a JSON file. ValueError or OSError if it cannot be
    read."""
    if asked in (None, "train", "uniform"):
        return asked
    if not Path(asked).is_file():
        raise FileNotFoundError(f"{asked}: there is no such file; a prior is train, uniform, or a JSON file")
    try:
        prior = json.loads(Path(asked).read_text(encoding="utf-8"))
        return {str(name): float(number) for name, number in prior.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f'{asked} is not a prior: write the numbers of all classes, {{"cat": 30, "dog": 2}}'
        ) from error


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
    """Pictures that ``pictures_in`` finds; FileNotFoundError too if there are none."""
    if found := list(pictures_in(paths)):
        return found
    raise FileNotFoundError(f"there is no image in {', '.join(paths)}")


def predictions(
    classifier: Classifier, paths: Iterable[str], broken: list[str], clipped: list[str]
) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """(path, scores) of every picture, in this order; those that cannot be read, and why, go to ``broken``, those
    with values outside the levels to ``clipped``."""

    def read(path: str) -> Prepared | Exception:
        try:
            with Image.open(path, formats=FORMATS) as image:
                picture = classifier.read(image)
                if classifier.levels and is_clipped(extent(image), classifier.levels):
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
                scores = classifier.scores(classifier.logits(np.stack([picture for _, picture in good])))
                yield from zip((path for path, _ in good), scores, strict=True)


class Layout:
    """The rows of predictions: (path, label, score, label2, score2 ...), or the (id, label) that competitions take."""

    def __init__(self, classes: Sequence[str], top: int, form: str = "full") -> None:
        self.classes, self.top, self.is_full = classes, max(1, min(top, len(classes))), form == "full"

    def head(self) -> list[str]:
        """The names of the columns."""
        numbers = ["", *map(str, range(2, self.top + 1))]
        pairs = [f"{word}{number}" for number in numbers for word in ("label", "score")]
        return ["path", *pairs] if self.is_full else ["id", "label"]

    def row(self, path: str, scores: npt.NDArray[np.float64]) -> list[str]:
        """The row of a picture. Its id is the name of its file without the ending."""
        best = np.argsort(-scores, kind="stable")[: self.top]
        pairs = [word for index in best for word in (self.classes[index], f"{scores[index]:.6f}")]
        return [path, *pairs] if self.is_full else [Path(path).stem, self.classes[best[0]]]


def write_predictions(
    classifier: Classifier, paths: Sequence[str], output: TextIO, layout: Layout, *, as_csv: bool
) -> int:
    """A row a picture, as CSV with a head, or with tabs for people; what cannot be read is named on standard error.

    The exit code: 1 if some pictures could not be read.
    """
    broken, clipped = list[str](), list[str]()
    writer = csv.writer(output, delimiter="," if as_csv else "\t", lineterminator="\n")
    writer.writerows([layout.head()] if as_csv else [])
    shown = output is not sys.stdout and sys.stderr.isatty()
    for number, (path, scores) in enumerate(predictions(classifier, paths, broken, clipped), start=1):
        writer.writerow(layout.row(path, scores))
        if shown and number % BATCH == 0:
            print(f"\r{number:,} of {len(paths):,} images", end="", file=sys.stderr)
    if shown:
        print(f"\r{len(paths):,} of {len(paths):,} images", file=sys.stderr)
    if clipped and classifier.levels:
        black, white = classifier.levels
        print(
            f"{len(clipped)} of {len(paths)} images had values outside {black:g} to {white:g}, which were clipped",
            file=sys.stderr,
        )
    if broken:
        print(*broken, f"{len(broken)} of {len(paths)} images could not be read", sep="\n", file=sys.stderr)
    return 1 if broken else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 if some pictures could not be read, 2 if what was typed is wrong."""
    parser = argparse.ArgumentParser(description="Predict the class of images.")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="images, folders of them, or patterns")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write path,label,score, one row per image")
    parser.add_argument("--csv-format", choices=["full", "id-label"], default="full", help="id-label: id,label")
    parser.add_argument(
        "--top", type=int, default=1, metavar="N", help="show the N most probable classes of each image [default: 1]"
    )
    parser.add_argument("--prior", metavar="HOW", help="class prior in deployment: train, uniform, or a JSON file")
    parser.add_argument("--int8", action="store_true", help="use model.int8.onnx")
    asked = parser.parse_args(arguments)
    try:
        paths = pictures_of(asked.paths)
        classifier = Classifier(prior=prior_of(asked.prior), int8=asked.int8)
        layout = Layout(classifier.classes, asked.top, asked.csv_format)
        if asked.csv is None:
            if asked.csv_format != "full":
                parser.error("--csv-format says how --csv writes: give --csv FILE too")
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(errors="surrogateescape")  # names of files may be no text
            return write_predictions(classifier, paths, sys.stdout, layout, as_csv=False)
        with asked.csv.open("w", newline="", encoding="utf-8", errors="surrogateescape") as output:
            return write_predictions(classifier, paths, output, layout, as_csv=True)
    except BrokenPipeError:  # its reader went away: | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
