"""The contract tests as an author of plug-ins uses them: own things pass, and what is broken is caught by name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nas.testing
from baselines.evaluation import Evaluation
from baselines.metrics import METRICS, accuracy
from nas.config.recipe import Recipe
from nas.data import Split
from nas.data.oversampling import Synthetic
from nas.executors import EpochListener, InlineExecutor, RunTrial
from nas.testing import (
    check_executor,
    check_loss,
    check_mixing,
    check_objective,
    check_oversampler,
    check_regularizer,
    check_sampler,
    check_space,
    check_supernet,
)
from nas.trials.spec import TrialResult
from search_spaces import Sample, SearchSpace, Task
from search_spaces.space import Choices
from search_spaces.vocabulary import Choice, Conv, GlobalPool, Linear, Node, conv_norm_act, repeat, sequence

pytestmark = pytest.mark.usefixtures("one_thread")

# A small space of an author's own: a stem, some layers, one more.


def define(choices: Choices, task: Task) -> Node:
    return sequence(
        conv_norm_act(choices["width"], stride=2),
        repeat(lambda _: conv_norm_act(choices["width"], kernel=choices["kernel"]), choices["depth"]),
        Conv(8, 1),
        GlobalPool(),
        Linear(task.num_classes),
    )


OWN = SearchSpace(
    "own",
    "for this test",
    (Choice("width", (4, 6, 10)), Choice("depth", (1, 2)), Choice("kernel", (3, 5))),
    define,
    lambda sample: f"{sample['depth']}x{sample['width']} k{sample['kernel']}",
    {"width": 6, "depth": 1, "kernel": 3},
)


class Extra(SearchSpace):
    """Builds a weight that its definition does not have."""

    def build(self, sample: Sample, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        model = super().build(sample, input_shape, num_classes)
        model.register_parameter("extra", nn.Parameter(torch.zeros(1)))
        return model


class Deaf(SearchSpace):
    """Builds the canonical network whatever is chosen."""

    def build(self, sample: Sample, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        return super().build(self.canonical, input_shape, num_classes)


def as_kind(kind: type[SearchSpace]) -> SearchSpace:
    return kind(OWN.name, OWN.summary, OWN.choices, OWN.define, OWN.line, OWN.canonical)


def test_an_own_space_keeps_every_promise() -> None:
    check_space(OWN, seeds=[0])
    check_supernet(OWN)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (replace(OWN, line=lambda sample: f"{sample['width']}"), "is the text of"),
        (replace(OWN, line=lambda sample: f"{sample}\n"), "more than one line"),
        (as_kind(Extra), r"weights that never learn: \['extra'\]"),
        (as_kind(Deaf), "as built, but costs"),
    ],
    ids=["text", "two lines", "an extra weight", "deaf"],
)
def test_a_broken_space_is_caught(space: SearchSpace, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_space(space, seeds=[0])


class Linearized(SearchSpace):
    """Builds networks without the activations that the supernet has."""

    def build(self, sample: Sample, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        model = super().build(sample, input_shape, num_classes)
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                module.forward = nn.Identity().forward  # type: ignore[method-assign]
        return model


def test_a_space_whose_networks_are_not_those_of_its_supernet_is_caught() -> None:
    with pytest.raises(AssertionError, match=r"supernet of own, told own .* differs from that network"):
        check_supernet(as_kind(Linearized))


Loss = Callable[[Tensor, Tensor], Tensor]


def generalized(recipe: Recipe, counts: object) -> Loss:
    """``(1 - p_y^q) / q - log p_y`` with q = 0.7: the generalized cross-entropy of Zhang and Sabuncu (2018) and the
    plain one, since the gradient of the first vanishes where an image is surely wrong."""

    def per_image(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        log_p_N = logits_NC.log_softmax(1).gather(1, labels_N.unsqueeze(1)).squeeze(1)
        return (1 - (0.7 * log_p_N).exp()) / 0.7 - log_p_N

    return per_image


def one_number(recipe: Recipe, counts: object) -> Loss:
    return lambda logits_NC, labels_N: nn.functional.cross_entropy(logits_NC, labels_N)


def by_probability(recipe: Recipe, counts: object) -> Loss:
    """Takes the logarithm of a softmax, which is 0 in float32 where the image is surely wrong."""
    return lambda logits_NC, labels_N: -logits_NC.softmax(1).gather(1, labels_N.unsqueeze(1)).squeeze(1).log()


def of_the_batch(recipe: Recipe, counts: object) -> Loss:
    return lambda logits_NC, labels_N: nn.functional.cross_entropy(
        logits_NC - logits_NC.mean(0), labels_N, reduction="none"
    )


def without_gradient(recipe: Recipe, counts: object) -> Loss:
    plain = generalized(recipe, counts)
    return lambda logits_NC, labels_N: plain(logits_NC, labels_N).detach() + 0 * logits_NC.sum(1)


def test_an_own_loss_keeps_every_promise() -> None:
    check_loss(generalized)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (one_number, r"losses of shape \(\), not \(16,\)"),
        (by_probability, "logits of 1000 give a loss of inf"),
        (of_the_batch, "depends on the other images"),
        (without_gradient, "not the derivative"),
    ],
)
def test_a_broken_loss_is_caught(make: Callable[[Recipe, object], Loss], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_loss(make)


def squares(model: nn.Module) -> Callable[[], Tensor]:
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return lambda: sum((p.square().sum() for p in learning), torch.zeros(()))


def of_everything(model: nn.Module) -> Callable[[], Tensor]:
    return lambda: sum((p.square().sum() for p in model.parameters()), torch.zeros(()))


def rising(model: nn.Module) -> Callable[[], Tensor]:
    plain = squares(model)
    return lambda: 2 * plain().detach() - plain()  # right in value, wrong in sign of the gradient


def test_regularizers() -> None:
    check_regularizer(squares)
    with pytest.raises(AssertionError, match="weights that do not learn"):
        check_regularizer(of_everything)
    with pytest.raises(AssertionError, match="it is not the gradient"):
        check_regularizer(rising)


def test_mixings() -> None:
    check_mixing(lambda first, second, share, counts: share.square())
    with pytest.raises(AssertionError, match="below 0 or above 1"):
        check_mixing(lambda first, second, share, counts: 2 * share)
    with pytest.raises(AssertionError, match="are sampled"):
        check_mixing(lambda first, second, share, counts: torch.rand(len(share)))
    with pytest.raises(AssertionError, match="in place"):
        check_mixing(lambda first, second, share, counts: share.clamp_(max=0.5))


def verification(evaluation: Evaluation) -> float:
    """The share of images whose nearest other, by embeddings, is of their class."""
    distances = np.linalg.norm(evaluation.embeddings[:, None] - evaluation.embeddings, axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((evaluation.labels[distances.argmin(axis=1)] == evaluation.labels).mean())


def test_objectives() -> None:
    check_objective(verification)
    for metric in METRICS.values():
        check_objective(metric)
    for broken, message in (
        (lambda e: -verification(e), "more must be better: -"),
        (lambda e: np.log(accuracy(e)), "gave|is -inf"),
        (lambda e: verification(e) + np.random.default_rng().random() / 9, "equal answers gave"),
        (lambda e: accuracy(e) + 0 * np.random.random(), "samples from a global generator"),
        (lambda e: accuracy(e) + 1e-3 * (e.labels[0] == 0), "the order of images"),
        (lambda e: e.recall_C, "not one number"),
        (lambda e: (e.right_C / e.true_C).mean(), "where a class has no images it is nan"),
    ):
        with pytest.raises(AssertionError, match=message), np.errstate(all="ignore"):
            check_objective(broken)


def test_samplers() -> None:
    check_sampler(lambda images: lambda count, g: torch.randint(len(images), (count,), generator=g))
    with pytest.raises(AssertionError, match="the same seed gave other positions"):
        check_sampler(lambda images: lambda count, g: torch.randint(len(images), (count,)))
    with pytest.raises(AssertionError, match="is not one of 100 images"):
        check_sampler(lambda images: lambda count, g: torch.full((count,), 100))


def copies_of_the_first(split: Split, lacking: int = 0) -> Synthetic:
    counts = np.bincount(split.labels)
    images, labels = [split.stored[:0]], [split.labels[:0]]
    for label in np.flatnonzero(counts):
        missing = max(0, int(counts.max() - counts[label]) - lacking)
        first = split.stored[split.rows[np.flatnonzero(split.labels == label)[0]]]
        images.append(np.repeat(first[None], missing, axis=0))
        labels.append(np.full(missing, label))
    return Synthetic(np.concatenate(images), np.concatenate(labels))


def in_pieces(split: Split) -> Iterator[Synthetic]:
    whole = copies_of_the_first(split)
    for start in range(0, len(whole.labels), 7):
        yield Synthetic(whole.images[start : start + 7], whole.labels[start : start + 7])


def sampling(split: Split) -> Synthetic:
    made = copies_of_the_first(split)
    return replace(made, images=made.images ^ np.random.default_rng().integers(0, 255, made.images.shape, np.uint8))


def darkening(split: Split) -> Synthetic:
    split.stored[:] //= 2
    return copies_of_the_first(split)


def test_oversamplers() -> None:
    check_oversampler(copies_of_the_first)
    check_oversampler(in_pieces)
    for broken, message in (
        (lambda split: copies_of_the_first(split, lacking=1), r"became .* not \[100"),
        (sampling, "a second call made other images"),
        (darkening, "changed in place"),
    ):
        with pytest.raises(AssertionError, match=message):
            check_oversampler(broken)


class Forgetful(InlineExecutor):
    """Loses the trials that fail."""

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        return [result for result in super().wait(timeout) if result.status == "finished"]


class Crowded(InlineExecutor):
    def submit(self, spec: object) -> None:
        self._spec = spec  # type: ignore[assignment]


@pytest.mark.parametrize(("kind", "message"), [(Forgetful, r"and \[\] came back"), (Crowded, "while every slot was")])
def test_a_broken_executor_is_caught(kind: type[InlineExecutor], message: str) -> None:
    def make(run: RunTrial, *, on_epoch: EpochListener | None = None) -> InlineExecutor:
        return kind(run, on_epoch=on_epoch)

    with pytest.raises(AssertionError, match=message):
        check_executor(make)


def test_every_public_name_is_there() -> None:
    for name in nas.testing.__all__:
        assert callable(getattr(nas.testing, name)), name
    with pytest.raises(AttributeError, match="has no attribute 'check_spaces'"):
        nas.testing.check_spaces  # noqa: B018


def test_neither_pytest_nor_hypothesis_is_needed() -> None:
    """They come with the tests of this repository, not with the wheel."""
    code = """
import sys, nas.testing
for name in nas.testing.__all__:
    getattr(nas.testing, name)
print({"pytest", "hypothesis", "nni"} & sys.modules.keys())
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "set()"
