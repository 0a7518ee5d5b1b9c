"""Files of weights: safetensors, with the normalization that they were trained with."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nas.errors import RunError
from nas.files import write_atomically

_LARGEST, _LEAST = 1e6, 1e-9  # of a mean or standard deviation of pixels between 0 and 1; the least that is divided by
_SHOWN = 3


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
    """Load what ``save_weights`` wrote. RunError if the file is missing or damaged, or its normalization cannot be
    one."""
    try:
        state = tensors_in(path)
        with safe_open(path, framework="pt") as file:
            record = json.loads(file.metadata()["normalization"])
        normal = Normalization(tuple(record["mean"]), tuple(record["std"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise RunError(f"The weights {path} cannot be read ({error}).") from error
    if message := normalization_error(*normal):
        raise RunError(f"The weights {path} cannot be used: {message}.")
    return state, normal


def tensors_in(path: Path) -> dict[str, Tensor]:
    """The tensors of a file. OSError or SafetensorError if it cannot be read, or is no file: a pipe would be waited
    for."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path))
    return load_file(path)


def load_into(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Give a network its weights. ValueError, in one line, names the tensors that are missing, not its own, of another
    shape or not numbers of the same kind."""
    own = module.state_dict()
    errors = [f"{name} is missing" for name in own if name not in state]
    errors += [f"{name:.80} is not a tensor of this network" for name in state if name not in own]
    for name, tensor in state.items():
        wanted = own.get(name)
        if wanted is not None and tensor.shape != wanted.shape:
            errors.append(f"{name} is {tuple(tensor.shape)}, and should be {tuple(wanted.shape)}")
        elif wanted is not None and tensor.is_floating_point() != wanted.is_floating_point():
            errors.append(f"{name} is {tensor.dtype}, and should be {wanted.dtype}")
        elif not bool(tensor.isfinite().all()):
            errors.append(f"{name} holds NaN or infinity")
    if errors:
        more = f", and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise ValueError("; ".join(errors[:_SHOWN]) + more)
    module.load_state_dict(state)


def normalization_error(mean: Sequence[object], std: Sequence[object], channels: int | None = None) -> str | None:
    """Reason why these cannot be a mean and a standard deviation for each channel; None if they can."""
    if not 0 < len(mean) == len(std) == (channels or len(mean)):
        return f"its normalization is of {len(mean)} and {len(std)} channels" + f", not of {channels}" * bool(channels)
    for value in (*mean, *std):
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
            return f"its normalization has {value!r:.40}, which is not a mean or standard deviation of pixels"
    if not all(isinstance(value, int | float) and value >= _LEAST for value in std):
        return f"its normalization divides by {min(std, key=str)!r:.40}"  # NaN was refused above
    return None
