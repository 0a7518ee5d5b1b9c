"""The training of a supernet on the real digits, in small versions of the real spaces."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from simulated_search import timeless
from small_spaces import trimmed
from small_supernets import BUDGET, TASK, config, made
from torch import Tensor, nn

from budgets import cost_of
from nas.config.recipe import RECIPES, Recipe
from nas.data import DataConfig, open_data
from nas.errors import TrialError
from nas.strategies.oneshot.batches import Images, calibrate
from nas.strategies.oneshot.candidate_pool import Pool
from nas.strategies.oneshot.training import SupernetTraining, warm_up_epochs, without_scale
from nas.training.tensor_split import TensorSplit

STRATEGIES = ["darts", "gumbel-darts", "random-oneshot"]


pytestmark = pytest.mark.usefixtures("one_thread")


def alphas(training: SupernetTraining) -> dict[str, list[float]]:
    return {label: alpha.tolist() for label, alpha in training.choices.alphas.items()}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_epoch_has_the_record_that_the_log_promises(strategy: str) -> None:
    training = made(strategy=strategy)
    first, second = training.run_epoch(1), training.run_epoch(2)
    assert first.select_loss is None  # the warm-up
    assert (second.select_loss is None) == (strategy == "random-oneshot")
    assert (first.penalty is None) == (strategy == "random-oneshot")
    assert (first.temperature, second.temperature) == ((1.0, 0.33) if strategy == "gumbel-darts" else (None,) * 2)
    assert first.skip_share is None  # a VGG has no skips
    assert {label: len(p) for label, p in second.probabilities.items()} == {
        choice.label: len(choice.values) for choice in training.space.choices
    }
    assert 0 <= second.score <= 1 and 0 <= second.entropy <= 1
    if strategy == "random-oneshot":
        assert second.within_budget == 1 and 2_000 <= second.expected_params <= 4_000
        assert second.entropy == pytest.approx(1)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_seeds_give_equal_weights_alphas_and_records(strategy: str) -> None:
    runs = []
    for seed, disturbance in ((1, 0), (1, 5), (2, 0)):
        training = made(strategy=strategy, seed=seed)
        records = []
        for epoch in (1, 2):
            torch.rand(disturbance)  # what others sample from torch's own generator does not matter
            records.append(timeless(training.run_epoch(epoch)))
        state = {name: tensor.clone() for name, tensor in training.supernet.state_dict().items()}
        runs.append((records, alphas(training), state))
    (records, learned, state), again, other = runs
    assert (records, learned) == again[:2]
    assert all(torch.equal(tensor, again[2][name]) for name, tensor in state.items())
    assert records != other[0]
    if strategy != "random-oneshot":
        assert learned != other[1]


def test_alphas_learn_only_after_the_warm_up_and_each_step_changes_its_own() -> None:
    training = made()
    before, state = alphas(training), [weight.clone() for weight in training.weights]
    training.run_epoch(1)
    assert alphas(training) == before
    assert not all(torch.equal(a, b) for a, b in zip(state, training.weights, strict=True))
    state, batch = [weight.clone() for weight in training.weights], next(iter(batches(training)))
    training._alpha_step(batch, np.random.default_rng(0))
    assert alphas(training) != before
    assert all(torch.equal(a, b) for a, b in zip(state, training.weights, strict=True))
    before = alphas(training)
    training._weight_step(batch, 0.01)
    assert alphas(training) == before
    assert all(parameter.grad is None for parameter in [*training.weights, *training.alphas])  # memory is free


def batches(training: SupernetTraining) -> Iterator[tuple[Tensor, Tensor]]:
    return training.images.batches(training.images.train, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("warm_up", "epochs", "expected"), [(0.25, 24, 6), (0.0, 5, 0), (0.99, 10, 9), (0.5, 1, 0)])
def test_the_warm_up_leaves_an_epoch_for_the_alphas(warm_up: float, epochs: int, expected: int) -> None:
    assert warm_up_epochs(config(supernet={"warm_up": warm_up, "epochs": epochs})) == expected


def test_the_penalty_has_the_weight_that_was_asked_for() -> None:
    learned = {}
    for weight in (0.0, 1.0, 1000.0):
        training = made(supernet={"penalty": weight, "warm_up": 0.0, "epochs": 1, "alpha_learning_rate": 0.2})
        learned[weight] = training.run_epoch(1).penalty
    assert learned[1.0] < learned[0.0]
    assert learned[1000.0] < learned[0.0]


def test_random_one_shot_trains_only_what_fits() -> None:
    training = made(strategy="random-oneshot")
    taken = []
    original = training.choices.take

    def watched(sample: dict[str, Any]) -> None:
        taken.append(sample)
        original(sample)

    training.choices.take = watched  # type: ignore[method-assign]
    training.run_epoch(1)
    assert len(taken) == len(training.images.sizes)
    params = [cost_of(training.space, sample, TASK).params for sample in taken]
    assert all(2_000 <= count <= 4_000 for count in params)


def test_a_pool_is_distributed_over_sizes() -> None:
    pool = Pool(trimmed("vgg", 4), TASK, BUDGET, seed=0)
    assert len(pool.rows) > 100
    assert ((pool.params >= 2_000) & (pool.params <= 4_000)).all()
    picked = pool.sample_over_sizes(np.random.default_rng(0), 400)
    sizes = np.histogram(pool_params(pool, picked), bins=4, range=(2_000, 4_000))[0]
    assert sizes.min() > 60


def pool_params(pool: Pool, rows: Any) -> Any:
    by_row = {tuple(row): count for row, count in zip(pool.rows.tolist(), pool.params, strict=True)}
    return [by_row[tuple(row)] for row in rows.tolist()]


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_trains_a_supernet(name: str) -> None:
    recipe = RECIPES[name].model_copy(update={"epochs": 1, "batch_size": 64})
    training = made(recipe=recipe, supernet={"epochs": 1, "warm_up": 0.0})
    record = training.run_epoch(1)
    assert math.isfinite(record.train_loss) and math.isfinite(record.select_loss)


@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 0.01), ("sgd", 0.05)])
def test_a_supernet_learns_to_tell_digits_apart(optimizer: str, rate: float) -> None:
    recipe = Recipe(epochs=5, batch_size=32, optimizer=optimizer, learning_rate=rate)
    supernet = {"epochs": 5, "warm_up": 0.2, "learning_rate": 1.0}
    training = made(recipe=recipe, data=DataConfig(imbalance=1), supernet=supernet)
    records = [training.run_epoch(epoch) for epoch in range(1, 6)]
    assert records[-1].train_loss < 0.9 * records[0].train_loss
    assert records[-1].score > 0.2  # guessing scores 0.1; these are far smaller than the real spaces


@pytest.mark.parametrize("kind", ["train_loss", "select_loss"])
def test_a_loss_that_is_not_finite_is_named_with_epoch_and_rate(kind: str) -> None:
    training = made(supernet={"warm_up": 0.0})
    with torch.no_grad():
        if kind == "train_loss":
            training.weights[0].fill_(math.nan)
        else:
            step = training._alpha_step
            training._alpha_step = lambda batch, rng: step(batch, rng) * math.inf  # type: ignore[method-assign]
    with pytest.raises(TrialError, match=rf"{kind} is (nan|inf) in epoch 1, where the learning rate reached 0\.0"):
        training.run_epoch(1)


def test_batches_cycle_through_a_smaller_split_without_leaving_an_image_out() -> None:
    images = made().images
    positions = torch.arange(len(images.select))
    marked = Images(
        images.train, blank(positions), images.rank, images.sizes, ((0.0,), (1 / 255,)), 10,
        images.device, Recipe(crop_padding=0),
    )  # fmt: skip
    labels = torch.cat([label for _, label in marked.batches(marked.select, torch.Generator().manual_seed(0))])
    assert len(labels) == sum(images.sizes) > len(images.select)
    assert torch.equal(labels[: len(positions)].sort().values, positions)
    assert len(labels[len(positions) :].unique()) == len(labels) - len(positions)


def blank(labels: Tensor) -> TensorSplit:
    return TensorSplit(torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), labels)


def test_calibration_gives_the_mean_statistics_of_the_batches_and_keeps_the_momentum() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3, momentum=0.3))
    images = [torch.randn(8, 1, 8, 8) * scale for scale in (1.0, 2.0, 3.0)]
    for _ in range(2):  # whatever they were before
        calibrate(model, images)
        outputs = [model[0](batch).detach().transpose(0, 1).flatten(1) for batch in images]
        mean = torch.stack([output.mean(1) for output in outputs]).mean(0)
        var = torch.stack([output.var(1) for output in outputs]).mean(0)
        assert torch.allclose(model[1].running_mean, mean, atol=1e-6)
        assert torch.allclose(model[1].running_var, var, atol=1e-5)
    assert model[1].momentum == 0.3


def test_splits_are_those_of_the_trials() -> None:
    images, data = made().images, open_data(DataConfig())
    for name in ("select", "rank"):
        split = data.split(name)  # type: ignore[arg-type]
        assert np.array_equal(getattr(images, name)[0 : len(split.labels)].numpy(), split.images)
    assert sum(images.sizes) == len(data.split("train").labels) or len(data.split("train").labels) % 64 == 1


def test_alphas_learn_nothing_from_the_size_of_the_logits() -> None:
    torch.manual_seed(0)
    logits, labels = 5 * torch.randn(6, 4), torch.randint(4, (6,))
    size = torch.ones(6, 1, requires_grad=True)  # of each image's logits
    direction = torch.randn(6, 4, requires_grad=True)
    plain = nn.functional.cross_entropy(size * logits + direction, labels)
    (by_size,) = torch.autograd.grad(plain, size)
    assert by_size.abs().max() > 0.1  # as it is without

    loss = nn.functional.cross_entropy(without_scale(size * logits), labels)
    assert loss.item() == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    (by_size,) = torch.autograd.grad(loss, size)
    assert by_size.abs().max() < 1e-5
    (by_direction,) = torch.autograd.grad(
        nn.functional.cross_entropy(without_scale(logits + direction), labels), direction
    )
    assert by_direction.abs().max() > 1e-2  # which class is likelier still counts

    same = torch.zeros(2, 4, requires_grad=True)  # nothing to divide by
    without_scale(same).sum().backward()
    assert torch.isfinite(same.grad).all()
