"""ImageNet weights of torchvision's networks: from a file, from torchvision's cache, or from its server."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.request
from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.weights_files import ImageNetWeights
from search_spaces.errors import UsageError

TIMEOUT = 30  # seconds without an answer
OURS = "net."  # what names of tensors begin with in the weights of a training here
OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")  # of DenseNet's files: norm.1.weight is norm1.weight
ELSE = "Give the file with --weights FILE, or train without: --from-scratch."


def place_of_weights(address: str) -> Path:
    """Path at which torchvision keeps the file, present or not."""
    return Path(torch.hub.get_dir()) / "checkpoints" / address.rsplit("/", 1)[-1]


def have_weights(address: str, digest: str) -> bool:
    """True if the file was downloaded before."""
    path = place_of_weights(address)
    return path.is_file() and sha256(path).startswith(digest)


def downloaded_weights(address: str, digest: str) -> Path:
    """The file as torchvision keeps it, downloaded if it is not there. UsageError if that fails."""
    path = place_of_weights(address)
    if have_weights(address, digest):
        return path
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            partial.write_bytes(answer.read())
        if not sha256(partial).startswith(digest):
            raise UsageError(f"What {address} sent is not the weights file (its SHA-256 differs). {ELSE}")
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"ImageNet weights could not be downloaded from {address}: {error}. {ELSE}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a state dict, as torch.save or safetensors wrote it, under torchvision's names; those of a
    training of such a network by nasctl are such a file. UsageError if the file holds none."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return _named_as_now(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged file, a pickle of something else, or no file: torch raises many kinds.
        raise UsageError(
            f"--weights {path} cannot be read as a weights file: give one written by torch.save or safetensors."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError(
            f"--weights {path} holds no state dict (a mapping of names to tensors): give a file that does."
        )
    return _named_as_now(state)


def _named_as_now(state: dict[str, Tensor]) -> dict[str, Tensor]:
    own = state and all(name.startswith(OURS) for name in state)
    return {OLD_NAME.sub(r"\1\2", name.removeprefix(OURS) if own else name): each for name, each in state.items()}


def check_weights(path: Path, of: ImageNetWeights) -> None:
    """UsageError, one message with the first differences, unless the file has every tensor of torchvision's network
    but those of its last layer, each in its shape."""
    from torchvision import models

    with torch.device("meta"):
        wanted = models.get_model(of.builder, weights=None).state_dict()
    _check(read_weights(path), wanted, path, of)


def load_into(module: nn.Module, path: Path, digest: str | None, of: ImageNetWeights) -> None:
    """Put the file's tensors into ``module.net``, or ``module.features`` if there is no such, all but the last layer's.
    UsageError if the file changed since it was checked (``digest``, its SHA-256) or does not fit."""
    if digest is not None and (not path.is_file() or sha256(path) != digest):
        raise UsageError(
            f"The weights {path} are missing or have changed since this run began: put the original file back."
        )
    state = read_weights(path)
    net = getattr(module, "net", None)
    if net is None:
        assert isinstance(module.features, nn.Module)
        net = nn.ModuleDict({"features": module.features})
    assert isinstance(net, nn.Module)
    _check(state, net.state_dict(), path, of)
    net.load_state_dict({name: state[name] for name in net.state_dict() if name in state and not _own(name, of)}, False)


def _own(name: str, of: ImageNetWeights) -> bool:
    """True if a tensor is not ImageNet's: the last layer, and counters that old files lack."""
    return name.startswith(f"{of.head}.") or name.endswith("num_batches_tracked")


def _check(state: dict[str, Tensor], wanted: dict[str, Tensor], path: Path, of: ImageNetWeights) -> None:
    errors = []
    for name, tensor in wanted.items():
        if _own(name, of):
            continue
        if name not in state:
            errors.append(f"{name} is missing")
        elif state[name].shape != tensor.shape:
            errors.append(f"{name} is {_shape(state[name])}, not {_shape(tensor)}")
    if errors:
        more = f" and {len(errors) - 3} more" if len(errors) > 3 else ""
        raise UsageError(
            f"--weights {path} does not fit torchvision's {of.builder}: {'; '.join(errors[:3])}{more}. Give its "
            f"ImageNet file ({of.address.rsplit('/', 1)[-1]}), or train without: --from-scratch."
        )


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
