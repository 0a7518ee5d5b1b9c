"""The memory of a supernet's training, known before it starts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from small_spaces import trimmed
from small_supernets import BUDGET, TASK, config

from budgets import Budget
from nas.config.recipe import Recipe
from nas.errors import UsageError
from nas.strategies.oneshot import checks as planning
from nas.strategies.oneshot import memory
from nas.strategies.oneshot.checks import check_plan, planned_batch_size
from nas.strategies.oneshot.memory import Need, check_memory, free_memory, kept_for_backward, memory_need
from nas.training.sampling import epoch_plan
from nas.trials.datasets import split_on_device, synthetic_on_device
from search_spaces import Task, space_names
from search_spaces.errors import NotRepresentable
from search_spaces.supernet import Supernet


@pytest.mark.parametrize("name", space_names())
def test_the_meta_device_counts_what_real_tensors_keep(name: str) -> None:
    space, sums = trimmed(name, 2), []
    for device in ("meta", "cpu"):
        with torch.device(device):
            supernet = Supernet(space, TASK, lambda: {})
        choices: dict[str, Any] = {
            c.label: torch.full((len(c.values),), 1 / len(c.values), device=device) for c in space.choices
        }
        sums.append(
            [
                kept_for_backward(supernet, choices, batch, learn=part)
                for part in ("weights", "alphas")
                for batch in (2, 6)
            ]
        )
    assert sums[0] == sums[1]
    of_weights, of_alphas = sums[0][:2], sums[0][2:]
    assert 0 < of_weights[0] < of_weights[1] and 0 < of_alphas[0] < of_alphas[1]
    assert of_weights != of_alphas


def test_the_need_is_in_proportion_to_the_batch_and_the_weights() -> None:
    space = trimmed("vgg", 3)
    wide = Budget(max_params=10**9)  # leaves nothing out of the supernet
    adam = memory_need(config(), space, TASK, wide, device="cpu")
    sgd = memory_need(config(recipe=Recipe(optimizer="sgd")), space, TASK, wide, device="cpu")
    assert adam.fixed - sgd.fixed == 4 * adam.num_params
    assert adam.per_image == sgd.per_image > 0
    with torch.device("meta"):
        supernet = Supernet(space, TASK, lambda: {})
    assert adam.num_params == sum(weight.numel() for weight in supernet.parameters())
    choices = {c.label: torch.full((len(c.values),), 1 / len(c.values), device="meta") for c in space.choices}
    kept = max(kept_for_backward(supernet, choices, 64, learn=learn) for learn in ("weights", "alphas"))
    assert adam.peak(64) == pytest.approx(16 * adam.num_params + memory.HEAP["cpu"] * kept, rel=0.02)


@pytest.mark.parametrize("name", ["vgg", "cell"])
def test_a_path_needs_less_than_a_mixture(name: str) -> None:
    space, budget = trimmed(name, 2), Budget(max_params=10**9)
    mixture = memory_need(config(), space, TASK, budget, device="cpu")
    path = memory_need(config(strategy="random-oneshot"), space, TASK, budget, device="cpu")
    assert path.per_image < mixture.per_image
    assert path.num_params == mixture.num_params


def test_what_does_not_fit_is_told_with_settings_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    space, task = trimmed("vgg", 4), Task((3, 32, 32), 10)
    need = memory_need(config(), space, task, BUDGET, device="cpu")
    monkeypatch.setattr(memory, "free_memory", lambda device: need.peak(48))
    assert check_memory(config(), space, task, BUDGET, device="cpu", batch_size=48) == need
    with pytest.raises(UsageError) as caught:
        check_memory(config(), space, task, BUDGET, device="cpu", batch_size=128)
    text = str(caught.value)
    assert re.search(r"The supernet of vgg needs about \d+ MB of memory for batches of 128 images \(3x32x32\)", text)
    assert "--batch-size 48, the largest that fits" in text
    assert "a smaller --image-size" in text and "--strategy random-oneshot, which needs about" in text
    monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
    with pytest.raises(UsageError) as caught:
        check_memory(config(strategy="random-oneshot"), space, TASK, BUDGET, device="cpu", batch_size=128)
    for useless in ("--batch-size", "--image-size", "--strategy random-oneshot"):
        assert useless not in str(caught.value)
    assert "--strategy evolution, which trains no supernet" in str(caught.value)


def test_the_largest_batch_fits_and_one_more_does_not() -> None:
    need = Need(num_params=10, fixed=1_000, per_image=300)
    assert need.peak(need.largest_batch(2_900)) <= 2_900 < need.peak(need.largest_batch(2_900) + 1)
    assert need.largest_batch(500) < 0


@pytest.mark.parametrize("oversampling", ["none", "borderline-smote"])
@pytest.mark.parametrize("batch_size", [None, 48])
def test_the_planned_batch_is_that_of_the_training(oversampling: str, batch_size: int | None) -> None:
    chosen = config(recipe=Recipe(oversampling=oversampling, batch_size=batch_size))
    train = split_on_device(chosen.data, "cpu", "train")
    synthetic, _ = synthetic_on_device(chosen.data, "cpu", oversampling)
    _, sizes = epoch_plan(train, synthetic, chosen.recipe)
    counts = torch.bincount(train.labels).tolist()
    assert planned_batch_size(chosen, counts) == max(sizes)


def test_a_space_without_a_supernet_names_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(chosen: Any, *rest: Any, **options: Any) -> Need:
        if chosen.strategy != "random-oneshot":
            raise NotRepresentable("a width depends on too much")
        return Need(1, 1, 1)

    monkeypatch.setattr(planning, "check_memory", refuse)
    monkeypatch.setattr(planning, "memory_need", refuse)
    with pytest.raises(UsageError, match="a width depends on too much") as caught:
        check_plan(config(), trimmed("vgg", 2), TASK, BUDGET, device="cpu", train_counts=[50] * 10)
    assert str(caught.value).startswith("--strategy darts cannot search vgg: ")
    assert "It can be searched with: evolution, random, random-oneshot." in str(caught.value)


def test_free_memory_is_the_least_of_machine_and_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 << 20 < free_memory("cpu") < 1 << 45
    assert memory._left_in_container(tmp_path) == []
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._left_in_container(tmp_path) == []
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory._left_in_container(tmp_path) == [450]
    monkeypatch.setattr(memory, "_left_in_container", lambda root: [5])
    assert free_memory("cpu") == 5
