"""The moving average of weights against numpy in float64, and that it is what a training scores and keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.config.recipe import Recipe
from nas.training.averaging import WeightAverage
from nas.training.loop import train
from nas.training.metrics import evaluate
from nas.training.tensor_split import TensorSplit

pytestmark = pytest.mark.usefixtures("one_thread")


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    body = (nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*body, nn.Linear(8 * 36, 4))


def images(seed: int, number: int = 96) -> TensorSplit:
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=number)
    pixels = rng.integers(256, size=(number, 1, 8, 8)) // 2 + 30 * labels.reshape(-1, 1, 1, 1)
    return TensorSplit.of(pixels.astype(np.uint8), labels.astype(np.int64), "cpu")


def float_state(model: nn.Module) -> dict[str, np.ndarray]:
    return {
        name: tensor.double().numpy().copy()
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point()
    }


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_what_is_kept_is_the_average_over_all_steps(decay: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Averages from the weights after every step: d = min(decay, (1 + t) / (10 + t)), with the running statistics."""
    states: list[dict[str, np.ndarray]] = []
    plain_update = WeightAverage.update

    def watched(average: WeightAverage) -> None:
        states.append(float_state(model))
        plain_update(average)

    monkeypatch.setattr(WeightAverage, "update", watched)
    model = network()
    expected = float_state(model)
    recipe = Recipe(epochs=3, batch_size=16, ema=decay, keep_epoch="last")
    kept = train(model, images(0), images(1), recipe, num_classes=4, device="cpu", seed=0).best_state
    assert len(states) == 18
    for t, state in enumerate(states):
        d = min(decay, (1 + t) / (10 + t))
        expected = {name: d * expected[name] + (1 - d) * state[name] for name in expected}
    assert {"1.running_mean", "1.running_var", "4.bias"} < expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(kept[name].double().numpy(), values, rtol=1e-5, atol=1e-6, err_msg=name)
    assert not torch.equal(kept["4.weight"], model[4].weight)  # the network trains on with its own


def test_select_is_scored_with_the_average_and_training_does_not_notice() -> None:
    select, recipe = images(1), Recipe(epochs=3, batch_size=16, ema=0.9, keep_epoch="last")
    model, plain = network(), network()
    averaged = train(model, images(0), select, recipe, num_classes=4, device="cpu", seed=0)
    without = train(plain, images(0), select, recipe.model_copy(update={"ema": 0}), num_classes=4, device="cpu", seed=0)
    assert [each["train_loss"] for each in averaged.history] == [each["train_loss"] for each in without.history]
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), plain.parameters(), strict=True))
    model.load_state_dict(averaged.best_state)
    metrics = evaluate(model, select.images, select.labels, (averaged.mean, averaged.std), num_classes=4, device="cpu")
    assert metrics["loss"] == averaged.history[-1]["select_loss"] != without.history[-1]["select_loss"]


def test_weights_that_do_not_learn_stay_exactly_as_they_are() -> None:
    model = network()
    model[0].weight.requires_grad_(False)
    before: Tensor = model[0].weight.clone()
    recipe = Recipe(epochs=1, ema=0.9)
    learned = train(model, images(0), images(1), recipe, num_classes=4, device="cpu", seed=0).best_state
    assert torch.equal(learned["0.weight"], before)
