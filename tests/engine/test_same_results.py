"""Optimizations of trials must not change what they compute: losses stay as they were, to rounding.

Three guards. A plain training loop, written here from the formulas, an image and a tensor at a time, gives the losses
of ``nas.training.train``. Losses that were recorded before any of it was made faster, in ``same_results.json``, come
out again. And a trial gives equal bits wherever it runs: here, in a worker process, or profiled.

To record the losses anew, after a change that is meant to change them: ``python tests/engine/test_same_results.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_samples import SMALL
from torch import Tensor, nn

from nas.config.recipe import Recipe
from nas.data import DataConfig, open_data
from nas.data.dataset import SplitName
from nas.executors import LocalExecutor, WorkerSlot
from nas.training.loop import train
from nas.training.tensor_split import TensorSplit
from nas.trials.run_trial import run_trial
from nas.trials.spec import TrialResult, TrialSpec
from search_spaces import get_space, space_names

GOLDEN = Path(__file__).with_name("same_results.json")
RECIPE = Recipe(epochs=2)
PICTURES = Recipe(
    epochs=2, loss="ce", mixing="mixup", flip=True, cutout=0.25, optimizer="sgd", weight_decay=1e-3, schedule="cosine"
)
# Of what was recorded. Adam divides by gradients near zero, so that rounding, which differs between CPUs and versions
# of torch, grows with the learning rate: at 0.01 to 1 % in two epochs, at 0.001 to 0.1 %.
RECORDED = Recipe(epochs=2, learning_rate=0.001)
TOLERANCE = 3e-3

pytestmark = pytest.mark.usefixtures("one_thread")


class Double(nn.Module):
    """A network in float64, where rounding stays too small to grow."""

    def __init__(self, space: str, shape: tuple[int, int, int]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = get_space(space).build(SMALL[space], shape, 10).double()

    def forward(self, images_NCHW: Tensor) -> Tensor:
        logits_NC: Tensor = self.inner(images_NCHW.double())
        return logits_NC


class Reference:
    """A training by hand in 2 epochs of batches of 16, a random number at a time from the generator of ``train``."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        self.model, self.images, self.labels = model, images, labels
        self.weights = list(model.parameters())
        self.moments = [(torch.zeros_like(weight), torch.zeros_like(weight)) for weight in self.weights]
        self.generator = torch.Generator().manual_seed(0)
        share = images.double().transpose(0, 1).flatten(1) / 255
        self.mean, self.std = (f.view(-1, 1, 1) for f in (share.mean(dim=1), share.std(dim=1, correction=0)))
        self.step, self.num_steps = 0, 2 * math.ceil(len(labels) / 16)

    def losses(self, select_images: Tensor, select_labels: Tensor) -> list[tuple[float, float]]:
        """On the training and the select split, of each epoch."""
        return [(self.epoch(), self.evaluate(select_images, select_labels)) for _ in range(2)]

    def epoch(self) -> float:
        self.model.train()
        loss_sum = 0.0
        for index in torch.randperm(len(self.labels), generator=self.generator).split(16):
            loss = self.loss(torch.stack(list(self.views(self.seen(self.images[index])))), self.labels[index])
            loss_sum += loss.item() * len(index)
            done, self.step = self.step / self.num_steps, self.step + 1
            for place, gradient in enumerate(torch.autograd.grad(loss, self.weights)):
                self.weights[place].data -= self.change(place, gradient, done)
        return loss_sum / len(self.labels)

    def evaluate(self, images: Tensor, labels: Tensor) -> float:
        self.model.eval()
        with torch.no_grad():
            return F.cross_entropy(self.model(self.seen(images)), labels).item()

    def seen(self, images: Tensor) -> Tensor:
        return (images.double() / 255 - self.mean) / self.std

    def sampled(self, count: int, end: int) -> list[int]:
        return torch.randint(end, (count, 1), generator=self.generator).flatten().tolist()

    def views(self, images: Tensor) -> Iterator[Tensor]:
        """A crop of each image (C, 8, 8), one pixel off at most."""
        down, right = self.sampled(len(images), 3), self.sampled(len(images), 3)
        for image, y, x in zip(F.pad(images, (1, 1, 1, 1), mode="replicate"), down, right, strict=True):
            yield image[:, y : y + 8, x : x + 8]

    def loss(self, batch: Tensor, labels: Tensor) -> Tensor:
        """The custom cross-entropy."""
        p, is_label = self.model(batch).softmax(dim=1), F.one_hot(labels, 10).bool()
        return -(p[is_label].log().sum() + 0.1 * (1 - p[~is_label]).log().sum()) / len(labels)

    def change(self, place: int, gradient: Tensor, done: float) -> Tensor:
        """By Adam in one cycle; ``done``: share of the training before this step."""
        rate = 0.1 + 0.9 * done / 0.25 if done < 0.25 else (1 + math.cos(math.pi * (done - 0.25) / 0.75)) / 2
        first, second = self.moments[place]
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        self.moments[place] = first, second
        first, second = first / (1 - 0.9**self.step), second / (1 - 0.999**self.step)
        return 0.01 * rate * first / (second.sqrt() + 1e-8)


class ReferenceOfPictures(Reference):
    """With what images in colour may get: mirrors, holes, mixtures; and SGD with momentum."""

    def views(self, images: Tensor) -> Iterator[Tensor]:
        down, right, mirrored = (self.sampled(len(images), end) for end in (3, 3, 2))
        top, left = self.sampled(len(images), 7), self.sampled(len(images), 7)
        for n, image in enumerate(F.pad(images, (1, 1, 1, 1), mode="replicate")):
            # What is mirrored is the choice of columns.
            view = image[:, down[n] : down[n] + 8, right[n] : right[n] + 8].clone()
            view = view.flip(2) if mirrored[n] else view
            view[:, top[n] : top[n] + 2, left[n] : left[n] + 2] = 0
            yield view

    def loss(self, batch: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of mixtures, the first label's share from Beta(1, 1)."""
        other = torch.randperm(len(labels), generator=self.generator)
        gammas = torch._standard_gamma(torch.ones(2, len(labels)).double(), generator=self.generator)
        share = gammas[0] / (gammas[0] + gammas[1])
        mixed = share.view(-1, 1, 1, 1) * batch + (1 - share).view(-1, 1, 1, 1) * batch[other]
        log_p = self.model(mixed).log_softmax(dim=1)
        pairs = zip(log_p, labels.tolist(), labels[other].tolist(), share, strict=True)
        return -torch.stack([s * row[one] + (1 - s) * row[two] for row, one, two, s in pairs]).mean()

    def change(self, place: int, gradient: Tensor, done: float) -> Tensor:
        gradient = gradient + 1e-3 * self.weights[place].data
        velocity = 0.9 * self.moments[place][0] + gradient
        self.moments[place] = velocity, velocity
        return 0.01 * (1 + math.cos(math.pi * done)) / 2 * (gradient + 0.9 * velocity)


def half(name: SplitName, *, colour: bool = False) -> TensorSplit:
    """Every second digit of a split, in one channel or in three that differ."""
    split = open_data(DataConfig()).split(name)
    grey, labels = torch.from_numpy(split.images[::2]), torch.from_numpy(split.labels[::2])
    return TensorSplit(torch.cat([grey, 255 - grey, grey.flip(2)], dim=1) if colour else grey, labels)


def check(kind: type[Reference], space: str, recipe: Recipe, *, colour: bool = False) -> None:
    first, second = (Double(space, (3 if colour else 1, 8, 8)) for _ in range(2))
    images, select = half("train", colour=colour), half("select", colour=colour)
    trained = train(first, images, select, recipe, num_classes=10, device="cpu", seed=0)
    expected = kind(second, images.images, images.labels).losses(select.images, select.labels)
    for record, losses in zip(trained.history, expected, strict=True):
        assert (record["train_loss"], record["select_loss"]) == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("space", space_names())
def test_a_plain_loop_gives_the_same_losses(space: str) -> None:
    check(Reference, space, RECIPE)


def test_a_plain_loop_gives_the_same_losses_on_pictures() -> None:
    check(ReferenceOfPictures, "vgg", PICTURES, colour=True)


def specification(space: str) -> TrialSpec:
    return TrialSpec(
        id="1", space=space, sample=SMALL[space], input_shape=(1, 8, 8), num_classes=10, data=DataConfig(),
        recipe=RECORDED, seed=0,
    )  # fmt: skip


def losses(result: TrialResult) -> list[list[float]]:
    assert result.status == "finished", result.error
    return [[record["train_loss"], record["select_loss"]] for record in result.history]


@pytest.mark.parametrize("space", space_names())
def test_losses_are_what_they_were(space: str) -> None:
    recorded = json.loads(GOLDEN.read_text())
    for now, then in zip(losses(run_trial(specification(space), "cpu")), recorded[space], strict=True):
        assert now == pytest.approx(then, rel=TOLERANCE)


def test_a_trial_gives_equal_bits_wherever_it_runs() -> None:
    spec = specification("vgg")
    here = run_trial(spec, "cpu")
    with LocalExecutor([WorkerSlot("cpu", num_threads=1)]) as executor:
        executor.submit(spec)
        (there,) = executor.wait(60)
    profiled = run_trial(replace(spec, profile=True), "cpu")
    assert losses(here) == losses(there) == losses(profiled)
    assert here.metrics == there.metrics == profiled.metrics
    assert profiled.profile and not here.profile


if __name__ == "__main__":
    torch.set_num_threads(1)
    lines = [f'  "{name}": {json.dumps(losses(run_trial(specification(name), "cpu")))}' for name in space_names()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
