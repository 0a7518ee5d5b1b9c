"""Real trainings of a small network on real digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from nas.errors import TrialError
from nas.losses import LOSSES
from nas.metrics import evaluate
from nas.recipe import OBJECTIVES, Recipe
from nas.training import JoinedSplit, TensorSplit, Training, batch_sizes, default_batch_size, learning_rate, train

BUNCH = load_digits()
ROWS = np.random.default_rng(0).permutation(len(BUNCH.target))  # the set is sorted by who wrote it
IMAGES = np.rint(BUNCH.images[ROWS] / 16 * 255).astype(np.uint8)[:, None]
LABELS = BUNCH.target[ROWS].astype(np.int64)
TRAIN, SELECT = (TensorSplit.of(IMAGES[rows], LABELS[rows], "cpu") for rows in (slice(0, 400), slice(400, 700)))
SHORT = Recipe(epochs=3)


pytestmark = pytest.mark.usefixtures("one_thread")


def network(seed: int = 0, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(32 * 16, 10),
    )


def run(recipe: Recipe = SHORT, model: nn.Module | None = None, **options: object) -> Training:
    settings = {"num_classes": 10, "device": "cpu", "seed": 0, **options}
    return train(model or network(), TRAIN, SELECT, recipe, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 0.01), ("sgd", 0.05)])
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_learns_digits(loss: str, optimizer: str, rate: float, schedule: str) -> None:
    recipe = Recipe(loss=loss, optimizer=optimizer, learning_rate=rate, schedule=schedule, epochs=6)
    history = run(recipe).history
    assert max(record["select_balanced_accuracy"] for record in history) > 0.85
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 2


def test_keeps_the_weights_of_the_best_epoch() -> None:
    """With a rate far too high at the end of the warm-up, the best epoch is not simply the last."""
    seen: list[dict[str, float]] = []
    training = run(Recipe(epochs=6, learning_rate=0.3), objective="worst_recall", on_epoch=seen.append)
    assert training.history == seen
    scores = [(record["select_worst_recall"], -record["select_loss"]) for record in seen]
    assert training.best_epoch == 1 + max(range(6), key=scores.__getitem__)
    model = network(seed=1)
    model.load_state_dict(training.best_state)
    figures = evaluate(model, SELECT.images, SELECT.labels, (training.mean, training.std), num_classes=10, device="cpu")
    best = seen[training.best_epoch - 1]
    assert {name: figures[name] for name in (*OBJECTIVES, "loss")} == {
        name: best[f"select_{name}"] for name in (*OBJECTIVES, "loss")
    }


def test_records_are_flat_numbers_with_every_figure() -> None:
    history = run().history
    names = {"epoch", "train_loss", "learning_rate", "seconds", "select_loss"}
    for number, record in enumerate(history, 1):
        assert set(record) == names | {f"select_{name}" for name in OBJECTIVES}
        assert all(isinstance(value, int | float) and math.isfinite(value) for value in record.values())
        assert record["epoch"] == number


@pytest.mark.parametrize("oversampled", [False, True])
def test_equal_seeds_give_equal_bits(oversampled: bool) -> None:
    synthetic = TensorSplit.of(IMAGES[700:800], LABELS[700:800], "cpu") if oversampled else None
    first, second, other = (run(model=network(dropout=0.3), seed=seed, synthetic=synthetic) for seed in (5, 5, 6))
    for name, tensor in first.best_state.items():
        assert torch.equal(tensor, second.best_state[name]), name
    without_time = [[{**r, "seconds": 0.0} for r in one.history] for one in (first, second, other)]
    assert without_time[0] == without_time[1] != without_time[2]


def test_normalization_is_of_the_training_split_without_synthetic_images() -> None:
    white = TensorSplit(torch.full((500, 1, 8, 8), 255, dtype=torch.uint8), torch.zeros(500, dtype=torch.int64))
    training = run(Recipe(epochs=1), synthetic=white)
    pixels = IMAGES[:400].astype(np.float64) / 255
    assert training.mean == pytest.approx((pixels.mean(),), abs=1e-12)
    assert training.std == pytest.approx((pixels.std(),), abs=1e-12)


def test_normalization_by_channel_and_of_a_constant_one() -> None:
    images = np.stack([IMAGES[:50, 0], np.full((50, 8, 8), 51, np.uint8)], axis=1)
    mean, std = TensorSplit.of(images, LABELS[:50], "cpu").mean_and_std
    assert mean == pytest.approx((images[:, 0].mean() / 255, 0.2))
    assert std == pytest.approx((images[:, 0].std() / 255, 1.0))


class Counting(nn.Module):
    """Counts the training images it sees; normalized white (255) marks a synthetic one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.batches = network(), list[torch.Tensor]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.batches.append(x.amin(dim=(1, 2, 3)) > 0)
        result: torch.Tensor = self.inner(x)
        return result


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_an_epoch_sees_a_random_share_of_the_oversampled_set(share: float) -> None:
    white = TensorSplit(torch.full((200, 1, 8, 8), 255, dtype=torch.uint8), torch.zeros(200, dtype=torch.int64))
    model = Counting()
    run(Recipe(epochs=2, oversampled_share=share, batch_size=50), model, synthetic=white)
    steps = round(600 * share / 50)
    assert len(model.batches) == 2 * steps
    synthetic = [int(torch.cat(model.batches[start : start + steps]).sum()) for start in (0, steps)]
    expected = 200 * share
    assert all(abs(number - expected) <= (0 if share == 1 else 35) for number in synthetic)


def test_without_oversampling_every_image_is_seen_once_an_epoch() -> None:
    model = Counting()
    run(Recipe(epochs=1, batch_size=64), model)
    assert sum(len(batch) for batch in model.batches) == len(TRAIN)


def test_a_diverging_training_fails_with_its_epoch_and_rate() -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=1e30, epochs=5)
    with pytest.raises(TrialError, match=r"(train|select)_loss is (nan|inf) in epoch \d.*reached \d"):
        run(recipe)


def test_batches_leave_out_a_single_last_image() -> None:
    assert batch_sizes(10, 4) == [4, 4, 2]
    assert batch_sizes(9, 4) == [4, 4]
    assert batch_sizes(8, 4) == [4, 4]
    assert batch_sizes(3, 4) == [3]


@pytest.mark.parametrize(
    ("num_images", "size"), [(1, 16), (341, 16), (700, 32), (1999, 64), (12_406, 128), (10**6, 128)]
)
def test_default_batch_size(num_images: int, size: int) -> None:
    assert default_batch_size(num_images) == size


def test_schedules() -> None:
    cycle, cosine = (Recipe(schedule=name, learning_rate=0.2) for name in ("one-cycle", "cosine"))
    points = [i / 1000 for i in range(1000)]
    rates = [learning_rate(point, cycle) for point in points]
    peak = max(range(1000), key=rates.__getitem__)
    assert rates[0] == pytest.approx(0.02) and rates[peak] == pytest.approx(0.2) and peak == 250
    assert rates[:251] == sorted(rates[:251]) and rates[250:] == sorted(rates[250:], reverse=True)
    rates = [learning_rate(point, cosine) for point in points]
    assert rates[0] == 0.2 and rates[500] == pytest.approx(0.1) and rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-5


def test_rows_of_stored_images_train_like_a_copy() -> None:
    rows = np.random.default_rng(1).permutation(len(IMAGES))[:1200]
    copy = TensorSplit.of(IMAGES[rows], LABELS[rows], "cpu")
    split = TensorSplit.of(IMAGES, LABELS[rows], "cpu", rows=rows)
    assert len(split) == 1200 and split.images.data_ptr() == torch.from_numpy(IMAGES).data_ptr()
    assert split.mean_and_std == copy.mean_and_std
    index = torch.tensor([7, 0, 1199, 7])
    for one, other in zip(split.batch(index), copy.batch(index), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(torch.cat(list(split.chunks(500))), copy.images)
    one, other = (
        train(network(), whole, whole, Recipe(epochs=1), num_classes=10, device="cpu", seed=0)
        for whole in (split, copy)
    )
    assert all(torch.equal(tensor, other.best_state[name]) for name, tensor in one.best_state.items())
    without_time = [{**training.history[0], "seconds": 0.0} for training in (one, other)]
    assert without_time[0] == without_time[1]


def test_joined_splits_are_read_as_one() -> None:
    joined = JoinedSplit(TRAIN, SELECT)
    index = torch.randperm(700)
    assert len(joined) == 700
    images, labels = joined.batch(index)
    assert torch.equal(images, torch.cat([TRAIN.images, SELECT.images])[index])
    assert torch.equal(labels, torch.cat([TRAIN.labels, SELECT.labels])[index])


def test_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    run(Recipe(epochs=1))
    assert capfd.readouterr() == ("", "")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_trains_on_a_gpu() -> None:
    rows = [np.arange(0, 1400, 2), np.arange(1, 600, 2)]
    on_gpu = [TensorSplit.of(IMAGES, LABELS[some], "cuda", rows=some) for some in rows]
    for split, some in zip(on_gpu, rows, strict=True):
        assert split.rows is None and np.array_equal(split.images.cpu().numpy(), IMAGES[some])
    training = train(network(), *on_gpu, Recipe(epochs=4), num_classes=10, device="cuda", seed=0)
    assert training.history[-1]["select_balanced_accuracy"] > 0.85
    assert all(tensor.device.type == "cpu" for tensor in training.best_state.values())
