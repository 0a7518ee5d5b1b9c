"""ImageNet weights of torchvision's networks: from a file, from torchvision's cache, or from its server."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path

import torch
from torch import Tensor, nn

from search_spaces.errors import UsageError

DIGEST = "f37072fd"  # how the SHA-256 of that file begins
ADDRESS = f"https://download.pytorch.org/models/resnet18-{DIGEST}.pth"
FILES = {  # by torchvision's name: the network in words, the address of its file, how the SHA-256 of that begins
    "resnet18": ("ResNet-18", ADDRESS, DIGEST),
    "vgg19": ("VGG-19", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d"),
}
TIMEOUT = 30  # seconds without an answer
ELSE = "Give the file with --weights FILE, or train without: --from-scratch."


def place_of_weights(address: str = ADDRESS) -> Path:
    """Path at which torchvision keeps the file, present or not."""
    return Path(torch.hub.get_dir()) / "checkpoints" / address.rsplit("/", 1)[-1]


def have_weights(address: str = ADDRESS, digest: str = DIGEST) -> bool:
    """True if the file was downloaded before."""
    path = place_of_weights(address)
    return path.is_file() and sha256(path).startswith(digest)


def downloaded_weights(address: str = ADDRESS, digest: str = DIGEST) -> Path:
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
    """The tensors in a state dict, as torch.save or safetensors wrote it. UsageError if the file holds none."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
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
    return state


def check_weights(path: Path, network: str = "resnet18") -> None:
    """UsageError, one message with the first differences, unless the file has every tensor of torchvision's ``network``
    but the classifier's, each in its shape."""
    from torchvision import models

    with torch.device("meta"):
        wanted = models.get_model(network, weights=None).state_dict()
    _check(read_weights(path), wanted, path, network)


def load_into(module: nn.Module, path: Path, digest: str | None, network: str = "resnet18") -> None:
    """Put the file's tensors into ``module.net``, or ``module.features`` if there is no such, all but the classifier's.
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
    _check(state, net.state_dict(), path, network)
    net.load_state_dict({name: state[name] for name in net.state_dict() if name in state and not _own(name)}, False)


def _own(name: str) -> bool:
    """True if a tensor is not ImageNet's: the classifier, and counters that old files lack."""
    return name.startswith(("fc.", "classifier.")) or name.endswith("num_batches_tracked")


def _check(state: dict[str, Tensor], wanted: dict[str, Tensor], path: Path, network: str) -> None:
    errors = []
    for name, tensor in wanted.items():
        if _own(name):
            continue
        if name not in state:
            errors.append(f"{name} is missing")
        elif state[name].shape != tensor.shape:
            errors.append(f"{name} is {_shape(state[name])}, not {_shape(tensor)}")
    if errors:
        more = f" and {len(errors) - 3} more" if len(errors) > 3 else ""
        words, address, _ = FILES[network]
        raise UsageError(
            f"--weights {path} does not fit torchvision's {words}: {'; '.join(errors[:3])}{more}. Give its ImageNet "
            f"file ({address.rsplit('/', 1)[-1]}), or train without: --from-scratch."
        )


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
