"""A trained network in memory: what it is, its weights, its answers. It needs neither its run nor any file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from budgets import Cost
from nas.export.from_run import request_of
from nas.runs import SearchRun
from search_spaces import Sample, get_space

if TYPE_CHECKING:
    from torch import nn

CHUNK = 64  # images that are answered at once
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The winner of a search. ``mean`` and ``std``, by channel, are of pixels scaled to 0..1; logits divided by
    ``temperature`` make scores that can be believed."""

    space: str
    sample: Sample
    text: str
    cost: Cost
    input_shape: tuple[int, int, int]  # (C, H, W)
    num_classes: int
    mean: list[float]
    std: list[float]
    weights: dict[str, npt.NDArray[Any]]
    temperature: float = 1.0
    test_flip: bool = False  # logits are the mean of an image and its mirror image

    @classmethod
    def of(cls, run: SearchRun) -> TrainedNetwork:
        """The winner of ``run``, read from its folder, its temperature fitted on the split select."""
        from nas.export.calibration import Answers, temperature_of
        from nas.trials.weights import load_weights

        request = request_of(run, None, Path(), whole=True)
        state, _ = load_weights(request.weights)
        found = cls(
            str(request.space), request.sample, request.text, request.cost, request.input_shape, request.num_classes,
            request.mean, request.std, {name: tensor.numpy() for name, tensor in state.items()},
            test_flip=request.test_flip,
        )  # fmt: skip
        if request.dataset is None:
            return found
        select = request.dataset.split("select")
        answers = Answers(found.logits(select.images), select.labels)
        return replace(found, temperature=temperature_of(answers, request.frequencies))

    def module(self) -> nn.Module:
        """The network with its weights, in evaluation mode: float (N, C, H, W), pixels as ``mean`` and ``std`` make
        them, to logits (N, classes)."""
        import torch

        with torch.random.fork_rng([]):  # its initial weights are random, and are not wanted
            network = get_space(self.space).build(self.sample, self.input_shape, self.num_classes)
        network.load_state_dict({name: torch.tensor(array) for name, array in self.weights.items()})
        return network.eval()

    def logits(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """(N, classes) of pixels (N, C, H, W). As many images are always answered at once, the last ones with black
        beside them: sums are rounded otherwise in other batches, and an answer should depend on no other image."""
        import torch

        from nas.training.augmentation import logits_of, normalize

        network, answers = self.module(), [np.empty((0, self.num_classes))]
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        with torch.inference_mode():
            for start in range(0, len(pixels), CHUNK):
                some = pixels[start : start + CHUNK]
                images = torch.zeros((CHUNK, *self.input_shape), dtype=torch.uint8)
                images[: len(some)] = torch.tensor(some)
                logits = logits_of(network, normalize(images, mean, std), test_flip=self.test_flip)
                answers.append(logits[: len(some)].double().numpy())
        return np.concatenate(answers)
