"""A trained network on labelled images, a batch at a time: what it answers, and the images that are shown of them.

Of the images no more than a batch is in memory as numbers of the network's own kind, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nas.analysis.heat_maps import Maps, evaluating, grad_cam_maps, map_layer
from nas.analysis.measure import Answers
from nas.analysis.projections import sampled_evenly
from nas.analysis.record import MOST_EMBEDDED, MOST_SHOWN
from nas.errors import TrialError, UsageError
from nas.training.augmentation import logits_of, normalize
from nas.training.classifier_head import last_linear
from nas.training.tensor_split import CPU_CHUNK

MOST_NUMBERS = 16_000_000  # probabilities that are kept for curves: 64 MB
MOST_EACH = 4  # right examples of a class that are shown

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Batches = Iterable[tuple[Pixels, Labels]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network, and how pixels become what it takes. ``mean`` and ``std``, by channel, are of pixels scaled to
    0..1. With ``flip`` its answer is the mean of those to an image and its mirror image, as its recipe has it."""

    module: nn.Module
    mean: Sequence[float]
    std: Sequence[float]
    num_classes: int
    flip: bool = False

    def prepared(self, pixels: Pixels) -> Tensor:
        """Input of the network, for pixels (N, C, H, W)."""
        return normalize(
            torch.from_numpy(np.ascontiguousarray(pixels)), torch.tensor(self.mean), torch.tensor(self.std)
        )

    def maps(self, pixels: Pixels, classes: Labels) -> Maps | None:
        """Grad-CAM for ``classes`` (N,): (N, H, W), None where no layer has a map."""
        if self.map_layer(pixels) is None:
            return None
        return grad_cam_maps(self.module, self.prepared(pixels), classes)

    def map_layer(self, pixels: Pixels) -> str | None:
        """Whose maps Grad-CAM weighs."""
        return map_layer(self.module, self.prepared(pixels[:1]))


@dataclass(frozen=True, eq=False)
class Picked:
    """An image that is shown: its place, its pixels, its classes and the confidence of the prediction."""

    index: int
    pixels: Pixels  # (C, H, W)
    true: int
    predicted: int
    confidence: float


@dataclass(eq=False)
class Gallery:
    """Picks images as they pass: the most confident mistakes, and the first right ones of ``classes``, ``each``."""

    classes: Sequence[int]
    each: int
    wrong: list[Picked] = field(default_factory=list)
    right: dict[int, list[Picked]] = field(default_factory=dict)

    @classmethod
    def of(cls, order: Sequence[int]) -> Gallery:
        """For classes in this ``order``: where there are too many to show each, those of both ends."""
        half = MOST_SHOWN // 2
        shown = list(order) if len(order) <= MOST_SHOWN else [*order[:half], *order[-half:]]
        return cls(shown, max(1, min(MOST_EACH, MOST_SHOWN // len(shown))))

    def look(self, start: int, pixels: Pixels, labels: Labels, predicted: Labels, confidence: Any) -> None:
        """At a batch whose first image is number ``start``."""

        def pick(at: int) -> Picked:
            classes = int(labels[at]), int(predicted[at])
            return Picked(start + int(at), pixels[at].copy(), *classes, float(confidence[at]))

        wrong = np.flatnonzero(labels != predicted)
        if len(self.wrong) == MOST_SHOWN:
            wrong = wrong[confidence[wrong] > self.wrong[-1].confidence]
        self.wrong += [pick(at) for at in wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_SHOWN]]
        self.wrong = sorted(self.wrong, key=lambda one: (-one.confidence, one.index))[:MOST_SHOWN]
        for label in self.classes:
            kept = self.right.setdefault(label, [])
            if len(kept) < self.each:
                found = np.flatnonzero((labels == label) & (predicted == label))
                kept += [pick(at) for at in found[: self.each - len(kept)]]

    @property
    def examples(self) -> list[Picked]:
        """The right ones, class by class."""
        return [one for label in self.classes for one in self.right.get(label, [])]


def answers_to(
    network: Network, batches: Batches, count: int, gallery: Gallery | None = None, progress: Progress | None = None
) -> Answers:
    """Answers of ``network`` to ``batches`` of pixels (N, C, H, W) and labels (N,), ``count`` images at most."""
    sample = sampled_evenly(count, max(1, MOST_NUMBERS // network.num_classes))
    embedded = sampled_evenly(count, MOST_EMBEDDED)
    labels, predicted, confidence = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    probabilities, features = [np.zeros((0, network.num_classes), np.float32)], list[npt.NDArray[np.float32]]()
    start = 0
    with _entering(network) as taken, torch.inference_mode(), evaluating(network.module):
        for pixels, truth in _in_size(batches, getattr(network.module, "most_at_once", CPU_CHUNK)):
            shares = _logits(network, network.prepared(pixels)).softmax(1)
            sure, given = (each.numpy() for each in shares.max(1))
            labels.append(truth)
            predicted.append(given)
            confidence.append(sure.astype(np.float64))
            probabilities.append(shares.numpy()[_within(sample, start, len(pixels))])
            if taken:
                features.append(np.mean(taken, axis=0)[_within(embedded, start, len(pixels))])
                taken.clear()
            if gallery is not None:
                gallery.look(start, pixels, truth, given, sure)
            start += len(pixels)
            if progress is not None:
                progress(start, count)
    return Answers(
        np.concatenate(labels),
        np.concatenate(predicted),
        np.concatenate(confidence),
        sample[sample < start],
        np.concatenate(probabilities),
        embedded[embedded < start],
        np.concatenate(features) if features else None,
    )


def _logits(network: Network, images: Tensor) -> Tensor:
    logits = logits_of(network.module, images, test_flip=network.flip)
    if not bool(logits.isfinite().all()):
        raise UsageError(
            "The network's logits are not finite (NaN or infinity): its weights are damaged. Export or copy "
            "the network again."
        )
    return logits


@contextmanager
def _entering(network: Network) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Capture the input of the last linear layer, once for each pass; nothing where the logits come from elsewhere."""
    taken: list[npt.NDArray[np.float32]] = []
    try:
        _, layer = last_linear(network.module, network.num_classes)
    except TrialError:
        yield taken
        return
    handle = layer.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0].flatten(1).float().numpy()))
    try:
        yield taken
    finally:
        handle.remove()


def _within(places: Labels, start: int, count: int) -> Labels:
    """Those of ``places``, sorted, that lie in a batch, counted from its beginning."""
    low, high = np.searchsorted(places, (start, start + count))
    return places[low:high] - start


def _in_size(batches: Batches, size: int) -> Iterator[tuple[Pixels, Labels]]:
    """The same images in batches of at most ``size``."""
    for pixels, labels in batches:
        for start in range(0, len(pixels), size):
            yield pixels[start : start + size], labels[start : start + size]
