"""Real trainings of a small network on real digits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from baselines.metrics import EQUAL_TO_ACCURACY, METRICS
from nas.config.recipe import Recipe, default_batch_size
from nas.config.recipe_rules import check_together
from nas.errors import TrialError
from nas.testing.samplers import check_sampler
from nas.training.evaluation import evaluate_split
from nas.training.loop import Training, train
from nas.training.losses import LOSSES
from nas.training.metrics import evaluate
from nas.training.mixing import MIXINGS
from nas.training.regularizers import REGULARIZERS
from nas.training.sampling import SAMPLERS, batch_sizes, class_balanced_sampler, make_sampler
from nas.training.schedules import learning_rate, learning_rates
from nas.training.tensor_split import JoinedSplit, TensorSplit

BUNCH = load_digits()
ROWS = np.random.default_rng(0).permutation(len(BUNCH.target))  # the set is sorted by who wrote it
IMAGES = np.rint(BUNCH.images[ROWS] / 16 * 255).astype(np.uint8)[:, None]
LABELS = BUNCH.target[ROWS].astype(np.int64)
TRAIN, SELECT = (TensorSplit.of(IMAGES[rows], LABELS[rows], "cpu") for rows in (slice(0, 400), slice(400, 700)))
SHORT = Recipe(epochs=3)
DISTINCT = [name for name in METRICS if name not in EQUAL_TO_ACCURACY]  # what a history has


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


@pytest.mark.parametrize(
    "changes",
    [
        *({"loss": loss} for loss in LOSSES),
        *({"loss": loss, "optimizer": "sgd", "learning_rate": 0.05} for loss in ("ce", "custom-ce")),
        *({"schedule": schedule, "learning_rate": 0.003} for schedule in ("cosine", "step", "constant")),
        *({"regularizer": name} for name in REGULARIZERS if name != "none"),
        {"sampler": "class-balanced"},
        {"deferred_reweighting": 0.5},
        {"loss": "ce", "post_hoc_tau": 1.0},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_learns_digits(changes: dict[str, Any]) -> None:
    history = run(Recipe(**({"epochs": 6} | changes))).history
    assert max(record["select_balanced_accuracy"] for record in history) > 0.85
    assert history[-1]["train_loss"] < 0.6 * history[0]["train_loss"]


@pytest.mark.parametrize("mixing", [name for name in MIXINGS if name != "none"])
@pytest.mark.parametrize("loss", ["ce", "custom-ce", "ldam"])
def test_learns_digits_from_mixtures(mixing: str, loss: str) -> None:
    history = run(Recipe(loss=loss, mixing=mixing, deferred_reweighting=0.5, epochs=6)).history
    assert max(record["select_balanced_accuracy"] for record in history) > 0.85


def test_stops_when_the_loss_on_select_no_longer_falls() -> None:
    """With a learning rate near zero nothing falls for long; with patience None all epochs are trained."""
    recipe = Recipe(epochs=12, learning_rate=0.3, schedule="constant", patience=2)
    history = run(recipe).history
    losses = [record["select_loss"] for record in history]
    stale = 0
    for number, loss in enumerate(losses):
        assert stale < 2
        stale = 0 if not number or loss < min(losses[:number]) else stale + 1
    assert stale == 2 and len(history) < 12
    whole = run(recipe.model_copy(update={"patience": None})).history
    assert len(whole) == 12
    assert [{**r, "seconds": 0} for r in whole[: len(history)]] == [{**r, "seconds": 0} for r in history]


def test_can_keep_the_last_epoch() -> None:
    recipe = Recipe(epochs=6, learning_rate=0.3)
    best = run(recipe, objective="worst_recall")
    model = network()
    last = run(recipe.model_copy(update={"keep_epoch": "last"}), model, objective="worst_recall")
    assert best.best_epoch < 6 and last.best_epoch == 6
    assert all(torch.equal(tensor, last.best_state[name]) for name, tensor in model.state_dict().items())


def test_a_penalty_changes_the_weights_and_not_the_reported_loss() -> None:
    plain, heavy = network(), network()
    first = run(Recipe(epochs=1, learning_rate=1e-9), plain)
    other = run(Recipe(epochs=1, learning_rate=1e-9, regularizer="l2-norms", regularizer_weight=1e3), heavy)
    assert other.history[0]["train_loss"] == pytest.approx(first.history[0]["train_loss"], abs=1e-4)
    decayed = Recipe(epochs=3, regularizer="l2-norms", regularizer_weight=1.0)
    run(decayed, heavy)
    run(decayed.model_copy(update={"regularizer": "none"}), plain)
    assert heavy[-1].weight.norm() < plain[-1].weight.norm() / 2


def test_keeps_the_weights_of_the_best_epoch() -> None:
    """With a rate far too high at the end of the warm-up, the best epoch is not simply the last."""
    seen: list[dict[str, float]] = []
    training = run(Recipe(epochs=6, learning_rate=0.3), objective="worst_recall", on_epoch=seen.append)
    assert training.history == seen
    scores = [(record["select_worst_recall"], -record["select_loss"]) for record in seen]
    assert training.best_epoch == 1 + max(range(6), key=scores.__getitem__)
    model = network(seed=1)
    model.load_state_dict(training.best_state)
    metrics = evaluate(model, SELECT.images, SELECT.labels, (training.mean, training.std), num_classes=10, device="cpu")
    best = seen[training.best_epoch - 1]
    recorded = {name.removeprefix("select_"): value for name, value in best.items() if name.startswith("select_")}
    assert recorded == {name: metrics[name] for name in (*DISTINCT, "loss")}


def test_an_objective_that_equals_the_accuracy_is_in_the_history() -> None:
    history = run(Recipe(epochs=1), objective="micro_f1").history
    assert history[0]["select_micro_f1"] == history[0]["select_accuracy"] and "select_micro_recall" not in history[0]


def test_records_are_flat_numbers_with_every_metric() -> None:
    history = run().history
    names = {"epoch", "train_loss", "learning_rate", "seconds", "select_loss"}
    for number, record in enumerate(history, 1):
        assert set(record) == names | {f"select_{name}" for name in DISTINCT}
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
    assert learning_rate(0.0, Recipe(schedule="constant")) == learning_rate(0.999, Recipe(schedule="constant")) == 0.01
    step = Recipe(schedule="step", learning_rate=0.1)
    rates = [learning_rate(epoch / 200, step) for epoch in range(200)]  # those of the LDAM-DRW code
    expected = [0.02, 0.04, 0.06, 0.08] + [0.1] * 156 + [1e-3] * 20 + [1e-5] * 20
    assert rates == pytest.approx(expected)


def test_one_cycle_has_the_shape_that_it_is_given() -> None:
    """24 epochs of 97 steps, highest after 5 epochs, in lines: the interpolation of numpy."""
    recipe = Recipe(
        epochs=24, learning_rate=0.4, cycle_peak=5 / 24, cycle_start=0.2, cycle_end=0.1, cycle_shape="linear"
    )
    rates = np.concatenate([learning_rates(recipe, epoch, 97) for epoch in range(1, 25)])
    np.testing.assert_allclose(rates, np.interp(np.arange(24 * 97) / 97, [0, 5, 24], [0.08, 0.4, 0.04]))
    round_fall = learning_rates(recipe.model_copy(update={"cycle_shape": "cosine"}), 13, 2)
    assert round_fall == pytest.approx([0.04 + 0.36 * (1 + math.cos(math.pi * at / 19)) / 2 for at in (7, 7.5)])
    at_once = Recipe(cycle_peak=0, cycle_end=0.5)
    assert learning_rate(0, at_once) == 0.01 and learning_rate(1 - 1e-9, at_once) == pytest.approx(0.005)


def whole(recipe: Recipe, steps: int) -> list[float]:
    return [rate for epoch in range(1, recipe.epochs + 1) for rate in learning_rates(recipe, epoch, steps)]


def test_a_warm_up_rises_in_a_line() -> None:
    cosine = whole(Recipe(schedule="cosine", epochs=20, warmup=5, learning_rate=0.8), 10)
    assert cosine[:50] == pytest.approx([0.8 * step / 50 for step in range(1, 51)])
    assert cosine[50:] == pytest.approx([0.4 * (1 + math.cos(math.pi * step / 150)) for step in range(150)])
    constant = whole(Recipe(schedule="constant", epochs=4, warmup=1.5), 2)
    assert constant == pytest.approx([0.01 / 3, 0.02 / 3, *[0.01] * 6])
    step = whole(Recipe(schedule="step", epochs=10, warmup=1), 5)
    assert step == pytest.approx([0.002, 0.004, 0.006, 0.008, *[0.01] * 36, *[1e-4] * 5, *[1e-6] * 5])
    no_stairs, stairs = (Recipe(schedule="step", epochs=200, warmup=warmup) for warmup in (0, None))
    assert whole(no_stairs, 1)[:6] == [0.01] * 6
    assert whole(stairs, 1)[:6] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01, 0.01])
    short = whole(Recipe(schedule="cosine", epochs=4, warmup=5), 4)  # as in a search's short trials
    assert max(short) == short[7] == short[8] == 0.01


def test_scores_with_mirror_images_where_it_is_asked_for() -> None:
    recipe = Recipe(epochs=2, test_flip=True, keep_epoch="last")
    model = network()
    training, plain = run(recipe, model), run(recipe.model_copy(update={"test_flip": False}))
    assert all(torch.equal(tensor, plain.best_state[name]) for name, tensor in training.best_state.items())
    normal = training.mean, training.std
    pixels = (SELECT.images[:300].double() / 255 - normal[0][0]) / normal[1][0]
    model = model.double().eval()
    with torch.inference_mode():
        logits = (model(pixels) + model(pixels.flip(3))) / 2
    expected = nn.functional.cross_entropy(logits, SELECT.labels).item()
    assert training.history[-1]["select_loss"] == pytest.approx(expected, rel=1e-5)
    assert plain.history[-1]["select_loss"] != pytest.approx(expected, rel=1e-3)
    right = (logits.argmax(1) == SELECT.labels).double().mean().item()
    metrics = evaluate_split(model.float(), SELECT, normal, num_classes=10, device="cpu", test_flip=True)
    assert metrics["accuracy"] == pytest.approx(right) and metrics["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"prior_tau": 1.0, "label_smoothing": 0.1, "mixing": "class-aware-mixup", "schedule": "cosine", "warmup": 0.5},
        {"loss": "ldam", "deferred_reweighting": 0.5, "mixing": "mixup", "test_flip": True},
        {"loss": "ldam", "deferred_reweighting": 0.5, "mixing": "class-aware-mixup", "crop_border": "black"},
        {"label_smoothing": 0.1, "deferred_reweighting": 0.5, "mixing": "mixup", "cutout": 0.25, "cutout_fill": 0.4},
        {"loss": "ce", "prior_tau": 1.0, "label_smoothing": 0.1, "mixing": "mixup", "cycle_shape": "linear"},
        {"loss": "ce", "post_hoc_tau": 1.0, "label_smoothing": 0.1, "mixing": "class-aware-mixup"},
        {"loss": "focal", "prior_tau": 1.0, "sampler": "uniform", "mixing": "class-aware-mixup", "optimizer": "sgd"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_parts_of_a_long_training_go_together(changes: dict[str, Any]) -> None:
    """With TrivialAugment, erasing and averaged weights: allowed, and finite from the first epoch to the last."""
    recipe = Recipe(**({"epochs": 2, "ema": 0.99, "augmentation": "trivial", "erasing": 0.25} | changes))
    assert check_together(recipe, changes) == []
    training = run(recipe)
    assert all(math.isfinite(value) for record in training.history for value in record.values())
    assert training.history[1]["train_loss"] != training.history[0]["train_loss"]
    assert all(tensor.isfinite().all() for tensor in training.best_state.values())


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_keeps_its_promises(name: str) -> None:
    check_sampler(SAMPLERS[name])


def test_the_class_balanced_sampler_samples_every_class_and_every_image_of_it_equally_often() -> None:
    labels = torch.tensor([2] * 90 + [0] * 9 + [4] * 1)[torch.randperm(100)]
    sample = class_balanced_sampler(TensorSplit(torch.zeros(100, 1, 1, 1, dtype=torch.uint8), labels))
    sampled = sample(30_000, torch.Generator().manual_seed(0))
    assert torch.bincount(labels[sampled]).tolist() == pytest.approx([10_000, 0, 10_000, 0, 10_000], abs=300)
    images = torch.bincount(sampled, minlength=100)
    assert images[labels == 0].tolist() == pytest.approx([1111] * 9, abs=130)
    assert images[labels == 2].min() > 60 and images[labels == 2].max() < 160
    again = sample(30_000, torch.Generator().manual_seed(0))
    assert torch.equal(sampled, again)


def test_the_class_balanced_sampler_reads_an_oversampled_set_as_one() -> None:
    joined = JoinedSplit(TRAIN, SELECT)
    order = make_sampler(joined, Recipe(sampler="class-balanced"))(7_000, torch.Generator().manual_seed(0))
    assert (order >= 400).any() and torch.bincount(joined.labels[order]).min() > 600
    assert torch.equal(joined.labels, torch.cat([TRAIN.labels, SELECT.labels]))


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    "changes",
    [
        *({"loss": loss, "deferred_reweighting": 0.5} for loss in LOSSES),
        *({"regularizer": name} for name in REGULARIZERS),
        *({"mixing": name, "sampler": "class-balanced"} for name in MIXINGS),
        {"loss": "ce", "post_hoc_tau": 1.0},
    ],
)
def test_every_part_of_a_recipe_works_on_a_gpu(changes: dict[str, Any]) -> None:
    rows = [np.arange(start, 1400, 2) for start in (0, 1)]
    splits = [TensorSplit.of(IMAGES, LABELS[some], "cuda", rows=some) for some in rows]
    training = train(network(), *splits, Recipe(epochs=4, **changes), num_classes=10, device="cuda", seed=0)
    assert max(record["select_balanced_accuracy"] for record in training.history) > 0.8


def test_epochs_that_are_not_scored_change_nothing_but_which_epochs_can_be_kept() -> None:
    recipe = Recipe(epochs=5)
    every, second = run(recipe), run(recipe.model_copy(update={"select_every": 2}))
    scored = [record["epoch"] for record in second.history if "select_loss" in record]
    assert scored == [2, 4, 5] and second.best_epoch in scored
    for record, whole in zip(second.history, every.history, strict=True):
        assert record | {"seconds": 0} == {name: whole[name] for name in record} | {"seconds": 0}
    assert run(recipe.model_copy(update={"select_every": 9})).best_epoch == 5


def test_patience_counts_epochs_and_ends_where_one_is_scored() -> None:
    recipe = Recipe(epochs=20, learning_rate=1e-12, schedule="constant", patience=3, flip=False, crop_padding=0)
    frozen = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)
    frozen.append(nn.Linear(10, 10))
    nn.init.zeros_(frozen[2].weight)
    stopped = run(recipe.model_copy(update={"select_every": 2, "optimizer": "sgd", "momentum": 0}), frozen)
    assert stopped.stopped_by is not None and stopped.stopped_by.rule == "patience"
    assert len(stopped.history) in (
        6,
        8,
    )  # the loss falls by rounding or not; then the third epoch without, and a score
