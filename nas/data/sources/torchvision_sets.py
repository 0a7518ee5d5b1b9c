"""Data sets that torchvision knows by name, downloaded into our cache folder; all of torchvision is here."""

from __future__ import annotations

import contextlib
import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data.cache import OUR_DISK, writing
from nas.data.sources.arrays import found_in_arrays
from nas.data.sources.base import TEST, TRAIN, Found, Progress
from nas.errors import DataError
from nas.files import locked, write_atomically

Part = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]  # images (N, H, W[, 3]), labels (N,)
_EMNIST = {  # its six sets, by what torchvision calls their split
    "byclass": "62 classes, digits and letters in both cases",
    "bymerge": "47, letters of one shape in both cases together",
    "balanced": "47, balanced",
    "letters": "26, without their case",
    "digits": "10",
    "mnist": "10, as many images as MNIST",
}

# Our name -> torchvision's class, and whether that takes split="test" instead of train=False.
NAMED: dict[str, tuple[str, bool]] = {
    "cifar10": ("CIFAR10", False),
    "cifar100": ("CIFAR100", False),
    "mnist": ("MNIST", False),
    "fashion-mnist": ("FashionMNIST", False),
    "kmnist": ("KMNIST", False),
    **{f"emnist-{split}": ("EMNIST", False) for split in _EMNIST},
    "svhn": ("SVHN", True),
    "stl10": ("STL10", True),
    "usps": ("USPS", False),
}


def which_emnist() -> str:
    """Message for somebody who asks for EMNIST without saying which."""
    ways = "".join(f"\n  --data emnist-{split:10}{what}" for split, what in _EMNIST.items())
    return f"EMNIST is six sets. Choose one:{ways}"


class Named:
    """One of ``NAMED``, with torchvision's own division into train and test."""

    remarks = ()

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder

    def fingerprint(self) -> str:
        """The name: these sets never change."""
        return f"torchvision:{self.name}"

    def look(self, progress: Progress | None) -> Found:
        """Download what is missing, load both parts. DataError without a network or with damaged files."""
        with writing(self.folder), locked(self.folder / f"{self.name}.lock"):
            train, test = self._part(train=True), self._part(train=False)
        labels = np.concatenate([train[1], test[1]])
        parts = np.repeat(np.array([TRAIN, TEST], dtype=np.uint8), [len(train[1]), len(test[1])])
        return found_in_arrays(
            np.concatenate([train[0], test[0]]),
            labels,
            parts=parts,
            classes=self._classes(int(labels.max()) + 1),
            origin="torchvision",
        )

    def _part(self, *, train: bool) -> Part:
        part = self._load(train)
        images = np.asarray(part.data)
        if images.ndim == 4 and images.shape[1] == 3:  # SVHN, STL10
            images = images.transpose(0, 2, 3, 1)
        if self.name.startswith("emnist-"):  # stored with rows and columns exchanged
            images = images.transpose(0, 2, 1)
        labels = part.targets if hasattr(part, "targets") else part.labels
        if len(images) != len(labels):
            raise DataError(self._unavailable(EOFError(f"{len(images)} images and {len(labels)} labels")))
        return np.ascontiguousarray(images, dtype=np.uint8), np.asarray(labels, dtype=np.int64)

    def _load(self, train: bool) -> Any:
        import torchvision

        class_name, takes_split = NAMED[self.name]
        build: Callable[..., Any] = getattr(torchvision.datasets, class_name)
        options: dict[str, str | bool] = {"split": "train" if train else "test"} if takes_split else {"train": train}
        if class_name == "EMNIST":
            options["split"] = self._emnist
        try:
            if class_name == "EMNIST":
                _unpack_beside(self.folder / "EMNIST" / "raw", self._emnist)
            with contextlib.redirect_stdout(sys.stderr):
                return build(root=str(self.folder), download=True, **options)
        except Exception as error:  # damaged files make torchvision raise nearly anything, assertions too
            if isinstance(error, OSError) and error.errno in OUR_DISK:
                raise
            raise DataError(self._unavailable(error)) from error

    def _unavailable(self, error: Exception) -> str:
        why = (str(error) or type(error).__name__).strip().splitlines()[-1]
        local = Path(self.name)
        instead = f"use your folder with --data ./{local}" if local.is_dir() else "use a folder of images"
        class_name, _ = NAMED[self.name]
        files = f"torchvision's files for {class_name} in {self.folder}"
        if class_name == "EMNIST":
            import torchvision

            files = (
                f"gzip.zip from {torchvision.datasets.EMNIST.url}, or the four files emnist-{self._emnist}-*-ubyte out "
                f"of it, compressed (.gz) or not, in {self.folder / 'EMNIST' / 'raw'}"
            )
        return (
            f"The data set {self.name!r} is not in the cache and could not be downloaded ({why}). Connect to "
            f"the network and try again, or put {files} "
            f"(remove damaged ones first), or {instead}, or --data digits, which needs no download."
        )

    @property
    def _emnist(self) -> str:
        return self.name.removeprefix("emnist-")

    def _classes(self, count: int) -> list[str]:
        import torchvision

        class_name, _ = NAMED[self.name]
        dataset = getattr(torchvision.datasets, class_name)
        if class_name == "EMNIST":
            return list(dataset.classes_split_dict[self._emnist])
        if class_name in ("CIFAR10", "CIFAR100"):
            return self._load(train=False).classes  # type: ignore[no-any-return]
        names = getattr(dataset, "classes", None)
        return list(names) if names and len(names) == count else [str(label) for label in range(count)]


def _unpack_beside(folder: Path, split: str) -> None:
    """Unpack the ``.gz`` files of an EMNIST set that somebody put there; torchvision itself unpacks the whole archive
    alone. Damaged ones raise what gzip says."""
    for packed in folder.glob(f"emnist-{split}-*-ubyte.gz"):
        if not packed.with_suffix("").exists():
            write_atomically(packed.with_suffix(""), gzip.decompress(packed.read_bytes()))
