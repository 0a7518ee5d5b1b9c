"""ImageNet weights that a study's networks begin with: files that are given, downloaded, or none."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from baselines.registry import NETWORKS
from baselines.studies import Study
from baselines.weights_files import ImageNetWeights
from nas.config import StudyRequest
from nas.errors import UsageError, nearest
from nas.files import at_home

Settings = dict[str, int | str]


def with_weights() -> dict[str, ImageNetWeights]:
    """Networks that may begin with ImageNet weights, by their names."""
    return {name: weights for name in NETWORKS if (weights := NETWORKS[name].weights)}


def misplaced(request: StudyRequest, networks: Collection[str], *, of_grid: bool) -> Iterator[str]:
    """Errors of settings that are about other networks than those that are trained."""
    able = with_weights()
    resized = [name for name, weights in able.items() if weights.resized]
    for setting, owners in (("input_size", resized), ("weights", list(able)), ("from_scratch", list(able))):
        if setting == "from_scratch" and of_grid:  # it chooses among cells
            continue
        if getattr(request, setting) and not set(owners) & set(networks):
            yield (
                f"--{setting.replace('_', '-')} belongs to {', '.join(owners)}, none of which is trained here: leave "
                "it out."
            )


def imagenet_settings(
    request: StudyRequest, study: Study, networks: Mapping[str, bool], *, fetch: bool
) -> dict[str, Settings]:
    """Path of the weights of each of ``networks``, by whether any of them is to begin with some, and the size of its
    input; files are checked. UsageError if one does not fit. Nothing is downloaded without ``fetch``: for a command
    that is refused anyway, or that only plans."""
    typed: Settings = {"input_size": request.input_size} if request.input_size else {}
    if request.from_scratch and request.weights:
        raise UsageError("--weights and --from-scratch exclude each other: give one of them.")
    files = _files(request.weights, [*networks]) if request.weights and networks else {}
    scratch = request.from_scratch or bool(files) or study.from_scratch
    found = dict[str, Settings]()
    for name, begins in networks.items():
        weights = NETWORKS[name].weights
        assert weights is not None
        size = typed if weights.resized else {}
        if request.input_size and request.input_size < weights.least_side:
            raise UsageError(
                f"--input-size {request.input_size} is too small for {name}, which halves images five times: give "
                f"{weights.least_side} or more."
            )
        if name in files:
            found[name] = {**size, **_checked(files[name], weights)}
        else:
            found[name] = {**size, **({} if scratch or not begins else _downloaded(weights, fetch=fetch))}
    return found


def _files(text: str, networks: Sequence[str]) -> dict[str, Path]:
    """The file of each network that ``--weights`` names one for: one file, or NAME=FILE with commas between them."""
    builders = {weights.builder for name in networks if (weights := NETWORKS[name].weights)}
    if "=" not in text or at_home(text).is_file():
        if len(builders) > 1:
            names = ",".join(f"{name}=FILE" for name in networks)
            raise UsageError(
                f"--weights {text} is of one network, and {len(builders)} are trained: name them, --weights {names}; "
                "those that are left out are trained from scratch."
            )
        return {name: _existing(text) for name in networks}
    files = {}
    for part in text.split(","):
        name, _, file = (word.strip() for word in part.partition("="))
        if name not in networks:
            raise UsageError(
                f"--weights {part}: {name!r} is not trained here.{nearest(name, networks)} Networks: "
                f"{', '.join(networks)}."
            )
        files[name] = _existing(file)
    return files


def _existing(text: str) -> Path:
    if not at_home(text).is_file():
        raise UsageError(f"--weights {text}: there is no such file.")
    return at_home(text).resolve()


def _checked(path: Path, weights: ImageNetWeights) -> Settings:
    from baselines.imagenet import check_weights, sha256  # and torch with it

    check_weights(path, weights)
    return {"weights": str(path), "weights_sha256": sha256(path)}


def _downloaded(weights: ImageNetWeights, *, fetch: bool) -> Settings:
    from baselines.imagenet import downloaded_weights, have_weights, place_of_weights

    place = weights.address, weights.digest
    if not (fetch or have_weights(*place)):
        return {"weights": str(place_of_weights(weights.address))}
    return _checked(downloaded_weights(*place), weights)
