"""Files of weights: safetensors, with the normalization that they were trained with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from nas.errors import RunError
from nas.files import write_atomically


class Normalization(NamedTuple):
    """Mean and standard deviation per channel, of pixels scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def save_weights(state: dict[str, Tensor], normalization: Normalization, path: Path) -> None:
    """Write weights, whole or not at all. OSError or SafetensorError if it fails.

    Of the folders above, only the last is made: a run folder that was removed stays removed. The file gets the usual
    mode: safetensors' own writing makes it the owner's alone.
    """
    write_atomically(path, save(state, {"normalization": json.dumps(normalization._asdict())}))


def load_weights(path: Path) -> tuple[dict[str, Tensor], Normalization]:
    """What ``save_weights`` wrote. RunError if the file is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads(file.metadata()["normalization"])
        return load_file(path), Normalization(tuple(record["mean"]), tuple(record["std"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"The weights {path} cannot be read ({error}).") from error
