"""Learning from trained networks, against the formula worked out by hand in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from nas.config.recipe import Recipe
from nas.training.augmentation import normalize
from nas.training.class_counts import ClassCounts
from nas.training.loop import train
from nas.training.precision import Execution
from nas.training.teaching import Lesson, Teachers, TrainedNetwork
from nas.training.tensor_split import TensorSplit

pytestmark = pytest.mark.usefixtures("one_thread")

BUNCH = load_digits()
ORDER = np.random.default_rng(0).permutation(len(BUNCH.target))
IMAGES = np.rint(BUNCH.images[ORDER] / 16 * 255).astype(np.uint8)[:, None]
LABELS = BUNCH.target[ORDER].astype(np.int64)
LABELS[:150] = np.minimum(LABELS[:150], 3)  # uneven classes
TRAIN, SELECT = (TensorSplit.of(IMAGES[rows], LABELS[rows], "cpu") for rows in (slice(0, 400), slice(400, 700)))
COUNTS = ClassCounts.of(TRAIN.labels, TRAIN.labels, 10)
NORMAL = torch.tensor([0.3]), torch.tensor([0.35])
AS_IT_IS = Recipe(crop_padding=0, flip=False)
TEMPERATURE = 3.0


def linear(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def taught(network: nn.Module, *, even: bool, mean: float = 0.3, std: float = 0.35) -> TrainedNetwork:
    return TrainedNetwork(network, [mean], [std], even)


def lesson(*networks: TrainedNetwork, recipe: Recipe = AS_IT_IS, weight: float = 0.3) -> Lesson:
    teachers = Teachers(networks, weight, TEMPERATURE)
    return Lesson(teachers, TRAIN, recipe, COUNTS, NORMAL, Execution("contiguous", "float32"))


def by_hand(weights: Tensor, bias: Tensor, pixels: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Logits of a linear network on raw pixels, in float64."""
    normalized = (pixels.reshape(len(pixels), -1) / 255 - mean) / std
    return normalized @ weights.detach().double().numpy().T + bias.detach().double().numpy()


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("even", "recipe", "times_log_prior"),
    [
        (True, Recipe(crop_padding=0, flip=False, prior_tau=1), 0),
        (False, Recipe(crop_padding=0, flip=False, prior_tau=1), -1),  # the student's logits lack the prior
        (True, AS_IT_IS, 1),
        (False, AS_IT_IS, 0),
    ],
)
def test_the_loss_is_the_formulas(even: bool, recipe: Recipe, times_log_prior: int) -> None:
    first, second = linear(1), linear(2)
    index = torch.tensor([3, 70, 399, 12])
    pixels = IMAGES[:400][index.numpy()]
    log_prior = np.log(np.bincount(LABELS[:400], minlength=10) / 400)
    answers = []
    for network, mean, std in ((first, 0.3, 0.35), (second, 0.5, 0.2)):
        layer = network[1]  # type: ignore[index]
        logits = by_hand(layer.weight, layer.bias, pixels, mean, std)
        answers.append(softmax((logits + times_log_prior * log_prior) / TEMPERATURE))
    wanted = np.mean(answers, axis=0)
    logits = torch.randn(4, 10, generator=torch.Generator().manual_seed(0), requires_grad=True)
    own = softmax(logits.detach().double().numpy() / TEMPERATURE)
    apart = (wanted * (np.log(wanted) - np.log(own))).sum(1).mean()

    both = [taught(first, even=even), taught(second, even=even, mean=0.5, std=0.2)]
    loss = torch.tensor(2.0)
    found = lesson(*both, recipe=recipe).added_to(loss, logits, normalize(torch.from_numpy(pixels), *NORMAL), index)
    assert found.item() == pytest.approx(0.7 * 2.0 + 0.3 * TEMPERATURE**2 * apart, rel=1e-4)
    found.backward()
    gradient = 0.3 * TEMPERATURE * (own - wanted) / 4  # T^2 times the softmax's own 1 / T
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), gradient, atol=1e-5)


def test_teachers_are_asked_once_where_every_image_stays_as_it_is() -> None:
    network, index = linear(1), torch.tensor([3, 70, 399, 12])
    once, always = lesson(taught(network, even=True)), lesson(taught(network, even=True), recipe=Recipe(flip=False))
    assert once.is_kept and not always.is_kept
    logits, batch = torch.zeros(4, 10), normalize(TRAIN.batch(index)[0], *NORMAL)
    values = [each.added_to(torch.tensor(0.0), logits, batch, index).item() for each in (once, always)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    other = batch.flip(0)  # an augmented view is another image: only who is asked anew hears of it
    assert once.added_to(torch.tensor(0.0), logits, other, index).item() == values[0]
    assert always.answers(other).flip(0).allclose(always.answers(batch))


def test_a_student_comes_nearer_to_its_teacher() -> None:
    """And the teacher stays as it was."""

    def network(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))

    def trained(seed: int, teachers: Teachers | None = None, epochs: int = 6) -> nn.Module:
        model = network(seed)
        result = train(
            model, TRAIN, SELECT, Recipe(epochs=epochs, flip=False), num_classes=10, device="cpu", seed=seed,
            teachers=teachers,
        )  # fmt: skip
        model.load_state_dict(result.best_state)
        return model.eval()

    teacher = trained(1, epochs=12)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    mean, std = TRAIN.mean_and_std
    taught_by = Teachers([TrainedNetwork(teacher, mean, std, even=False)], 0.9, 2.0)
    alone, student = trained(2), trained(2, taught_by)
    assert all(tensor.equal(before[name]) for name, tensor in teacher.state_dict().items())
    images = normalize(SELECT[:300], torch.tensor(mean), torch.tensor(std))
    with torch.no_grad():
        target = teacher(images).softmax(1)
        apart = [
            (target * (target.log() - net(images).log_softmax(1))).sum(1).mean().item() for net in (alone, student)
        ]
    assert apart[1] < 0.8 * apart[0]
