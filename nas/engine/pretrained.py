"""ImageNet weights of a study's fixed networks: which are needed, and the files they come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from baselines import get_network
from baselines.studies import Member
from nas.config import StudyRequest
from nas.errors import UsageError
from nas.files import at_home

Weights = dict[str, int | str]  # settings of a network: the path of a file, its SHA-256 where it is there


def without_weights(members: Sequence[Member], request: StudyRequest) -> tuple[Member, ...]:
    """``members`` as they are asked for: with --from-scratch none that is pretrained. UsageError if none is left."""
    if not request.from_scratch:
        return tuple(members)
    left = tuple(replace(member, pretrained=False) for member in members if not member.pretrained)
    if not left:
        raise UsageError("--from-scratch leaves out pretrained members, and so every one here: choose other --members.")
    return left


def needed_weights(members: Iterable[Member], network: str) -> set[str]:
    """torchvision's names of the networks whose weights ``members`` begin with; ``network`` is that of those that name
    none."""
    kinds = ((member, get_network(member.network or network)) for member in members)
    return {kind.weights for member, kind in kinds if kind.weights and member.pretrained is not False}


def weights_of(
    request: StudyRequest, members: Sequence[Member], network: str, *, may_download: bool
) -> dict[str, Weights]:
    """By torchvision's names the weights that ``members`` need; a file is checked here. Nothing is downloaded for a
    command that is refused anyway, or that only plans.

    UsageError if a file is missing or does not fit, or cannot be downloaded.
    """
    if request.from_scratch and request.weights:
        raise UsageError("--weights and --from-scratch exclude each other: give one of them.")
    needed = sorted(needed_weights(members, network))
    if request.from_scratch or not needed:
        return {}
    if request.weights and len(needed) > 1:
        raise UsageError(
            f"--weights is one file, and {' and '.join(needed)} are trained here: choose --members of one of them."
        )
    return {name: _weights(request, name, may_download=may_download) for name in needed}


def _weights(request: StudyRequest, name: str, *, may_download: bool) -> Weights:
    from baselines.imagenet import FILES, check_weights, downloaded_weights, have_weights, place_of_weights, sha256

    _, address, digest = FILES[name]
    if not (request.weights or may_download or have_weights(address, digest)):
        return {"weights": str(place_of_weights(address))}
    if request.weights and not at_home(request.weights).is_file():
        raise UsageError(f"--weights {request.weights}: there is no such file.")
    path = at_home(request.weights).resolve() if request.weights else downloaded_weights(address, digest)
    check_weights(path, name)
    return {"weights": str(path), "weights_sha256": sha256(path)}
