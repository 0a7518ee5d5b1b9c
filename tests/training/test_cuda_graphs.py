"""Captured training steps against plain ones: on the CPU by a capture that does again what was done, and on a GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from captured_work import OperationCapture
from torch import Tensor, nn

from nas.config.recipe import Recipe
from nas.config.recipe_rules import METRIC_SETTINGS
from nas.training import step as training
from nas.training.cuda_graphs import CapturedStep, Step
from nas.training.loop import run_epoch, train
from nas.training.mixing import MIXINGS
from nas.training.regularizers import REGULARIZERS
from nas.training.step import Learning, class_counts, make_step, notes_on, take_step
from nas.training.tensor_split import JoinedSplit, TensorSplit
from search_spaces import Task, get_space, space_names

pytestmark = pytest.mark.usefixtures("one_thread")

TASK = Task((3, 8, 8), 4)
SIZES = [16, 16, 16, 10]  # of an epoch's batches


def split(device: str = "cpu", num_images: int = sum(SIZES)) -> TensorSplit:
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=num_images)
    images = rng.integers(256, size=(num_images, 3, 8, 8)) // 2 + 30 * labels.reshape(-1, 1, 1, 1)
    return TensorSplit.of(images.astype(np.uint8), labels.astype(np.int64), device)


def small(name: str) -> nn.Module:
    space = get_space(name)
    sample = {choice.label: choice.values[0] for choice in space.choices}
    torch.manual_seed(0)
    return space.build(sample, TASK.input_shape, TASK.num_classes)


def dropping() -> nn.Module:
    torch.manual_seed(0)
    body = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*body, nn.Dropout(), nn.Linear(288, 4))


def learning_of(recipe: Recipe, model: nn.Module, images: TensorSplit | JoinedSplit) -> Learning:
    torch.manual_seed(1)
    device = images.labels.device
    normal = tuple(torch.tensor(value, device=device) for value in split().mean_and_std)
    counts = class_counts(split(str(device)), images, recipe, 4)
    return Learning.of(model.to(device), images, recipe, counts, normal, torch.Generator(device).manual_seed(1))


def trained(
    recipe: Recipe,
    model: nn.Module,
    of: Callable[[Step, Learning], Step],
    images: TensorSplit | JoinedSplit | None = None,
) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of the epochs and all that is left, with the step that ``of`` makes of the plain one."""
    learning = learning_of(recipe, model, images or split())
    step = of(functools.partial(take_step, learning), learning)
    rates = np.linspace(0.01, 0.001, recipe.epochs * len(SIZES), dtype=np.float32)  # what a captured step is told
    plans = [list(zip(map(float, part), SIZES, strict=True)) for part in np.split(rates, recipe.epochs)]
    losses = [run_epoch(learning, epoch, plan, step) for epoch, plan in enumerate(plans, 1)]
    state = {f"weight {name}": tensor for name, tensor in model.state_dict().items()}
    for number, kept in enumerate(learning.optimizer.state.values()):
        state |= {f"optimizer {number} {name}": tensor for name, tensor in kept.items()}
    if learning.average is not None:
        state |= {f"average {number}": tensor for number, tensor in enumerate(learning.average.average)}
    return losses, state | {"generator": learning.generator.get_state(), "default": torch.get_rng_state()}


def compare(recipe: Recipe, make: Callable[[], nn.Module], num_captures: int) -> None:
    """Training from captured graphs gives the bits of plain training, and needs so many."""
    captures: list[OperationCapture] = []

    def captured(step: Step, learning: Learning) -> Step:
        captures.append(OperationCapture(learning.generator))
        return CapturedStep(step, captures[0], size=SIZES[0], device=torch.device("cpu"))

    losses, state = trained(recipe, make(), lambda step, _: step)
    again, other = trained(recipe, make(), captured)
    assert again == losses and len(set(losses)) == len(losses)
    assert state.keys() == other.keys()
    assert [name for name, tensor in state.items() if not torch.equal(tensor, other[name])] == []
    assert captures[0].num_captures == num_captures


@pytest.mark.parametrize("name", space_names())
def test_a_captured_step_trains_every_space_as_the_plain_one(name: str) -> None:
    compare(Recipe(epochs=3), functools.partial(small, name), 1)


@pytest.mark.parametrize(
    ("changes", "num_captures"),
    [
        ({}, 1),
        ({"optimizer": "sgd", "weight_decay": 0.01, "cutout": 0.3}, 1),
        ({"deferred_reweighting": 0.5, "loss": "ldam"}, 2),
        ({"ema": 0.99}, 1),
        ({"augmentation": "trivial", "erasing": 0.5, "crop_border": "black", "label_smoothing": 0.1}, 1),
        ({"sampler": "class-balanced", "loss": "focal"}, 1),
        *(({"metric_loss": name, "sampler": "class-groups"}, 1) for name in METRIC_SETTINGS if name != "none"),
        ({"metric_loss": "triplet", "classification_weight": 0.0}, 1),
        ({"erasing": 0.5, "erasing_area": 0.1, "grey": 0.5}, 1),
        *(({"mixing": mixing, "deferred_reweighting": 0.5}, 2) for mixing in MIXINGS if mixing != "none"),
        *(({"regularizer": name}, 3 if name == "srip" else 1) for name in REGULARIZERS if name != "none"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_captured_step_follows_every_recipe(changes: dict[str, Any], num_captures: int) -> None:
    """With dropout. A new capture where what an epoch's steps share changes, if that lasts longer than a warm-up."""
    compare(Recipe(**({"epochs": 10} | changes)), dropping, num_captures)


def test_after_a_failed_recording_steps_run_as_they_are() -> None:
    """On a CPU two splits are read as one by waiting for positions, which no capture can hold."""
    recipe, images = Recipe(epochs=3), JoinedSplit(split(), split(num_images=7))
    made: list[CapturedStep] = []

    def captured(step: Step, learning: Learning) -> Step:
        made.append(CapturedStep(step, OperationCapture(learning.generator), size=16, device=torch.device("cpu")))
        return made[0]

    losses, state = trained(recipe, dropping(), lambda step, _: step, images)
    again, other = trained(recipe, dropping(), captured, images)
    assert again == losses and all(torch.equal(tensor, other[name]) for name, tensor in state.items())
    (note,) = notes_on(made[0])
    assert "could not be captured as a CUDA graph: aten.nonzero.default waits for the device" in note


def test_nothing_is_captured_on_a_cpu() -> None:
    learning = learning_of(Recipe(epochs=500), dropping(), split())
    step = make_step(learning, SIZES)
    assert not isinstance(step, CapturedStep) and notes_on(step) == ()


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
RECIPES: list[dict[str, Any]] = [
    {"deferred_reweighting": 0.5},
    {"optimizer": "sgd", "sampler": "class-balanced"},
    {"ema": 0.99},
    *({"metric_loss": name, "sampler": "class-groups"} for name in METRIC_SETTINGS if name != "none"),
    {"augmentation": "trivial", "erasing": 0.5, "crop_border": "black", "cutout": 0.3, "cutout_fill": 0.4},
    {"rotate": 40.0, "shift": 0.2, "vertical_flip": 0.8, "jitter": 0.5, "blur": 0.5},
    *({"mixing": mixing} for mixing in MIXINGS if mixing != "none"),
    *({"regularizer": name} for name in REGULARIZERS if name != "none"),
]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", space_names())
def test_a_gpu_trains_every_space_alike_from_graphs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare_on_gpu(Recipe(epochs=4), functools.partial(small, name), monkeypatch)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("changes", RECIPES)
def test_a_gpu_follows_every_recipe_from_graphs(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    compare_on_gpu(Recipe(**({"epochs": 6} | changes)), dropping, monkeypatch)


def compare_on_gpu(recipe: Recipe, make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal to the rounding of bfloat16, which grows with the steps: losses early on, and that it went on to learn."""
    images, losses = split("cuda", 4 * sum(SIZES)), []
    for least in (10**9, 1):
        monkeypatch.setattr(training, "LEAST_STEPS", least)
        done = train(make(), images, images, recipe, num_classes=4, device="cuda", seed=0)
        assert done.notes == ()
        losses.append([record["train_loss"] for record in done.history])
    assert losses[1][:2] == pytest.approx(losses[0][:2], rel=0.02)
    assert losses[1] == pytest.approx(losses[0], rel=0.3)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("changes", RECIPES)
@pytest.mark.parametrize("oversampled", [False, True])
def test_a_step_waits_for_nothing_on_a_gpu(changes: dict[str, Any], oversampled: bool) -> None:
    images = split("cuda")
    recipe = Recipe(**({"epochs": 6} | changes))
    learning = learning_of(recipe, dropping(), JoinedSplit(images, images) if oversampled else images)
    phases = [training.Phase.of(learning, epoch) for epoch in (1, 6)]
    index = torch.arange(16, device="cuda")
    for phase in phases:
        take_step(learning, phase, index, 0.01)  # the first of all may: it makes what later ones find
    torch.cuda.set_sync_debug_mode("error")
    try:
        learning.sample(16, learning.generator)
        for phase in phases:
            take_step(learning, phase, index, 0.01)
    finally:
        torch.cuda.set_sync_debug_mode("default")
