"""Mirroring of images is decided once, in the plan, and recorded with its reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from budgets import Budget
from nas.config import DataConfig, Recipe, SearchConfig, StudyRequest
from nas.data.dataset import Split
from nas.data.oversampling import oversample
from nas.data.oversampling.transforms import transformed
from nas.engine.plan import plan_search, start
from nas.engine.study_plan import plan_study
from nas.runs.fold import fold


@pytest.fixture
def signs(tmp_path: Path) -> DataConfig:
    """Bars at the left, at the right."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (60, 12, 12, 3), dtype=np.uint8)
    images[::2, 2:10, 1:4] += 150
    images[1::2, 2:10, 8:11] += 150
    np.savez(tmp_path / "signs.npz", images=images, labels=np.array(["left", "right"] * 30))
    return DataConfig(source=str(tmp_path / "signs.npz"), cache_dir=str(tmp_path / "cache"))


def config(data: DataConfig, **recipe: object) -> SearchConfig:
    return SearchConfig(
        data=data, space="vgg", budget=Budget(max_params=20_000), recipe=Recipe.model_validate({"epochs": 1, **recipe}),
        workers=1, device="cpu",
    )  # fmt: skip


def test_a_search_records_what_the_data_decided_and_why(signs: DataConfig, tmp_path: Path) -> None:
    plan = plan_search(config(signs))
    assert plan.config.recipe.flip is False
    log = start(plan, tmp_path / "run")
    run = fold(log.folder, log.entries())
    log.close()
    assert run.config.recipe.flip is False
    assert run.facts.mirroring == "these look like each other's mirror image: left and right"


@pytest.mark.parametrize("flip", [True, False])
def test_what_was_asked_for_stays(signs: DataConfig, flip: bool) -> None:
    plan = plan_search(config(signs, flip=flip))
    assert plan.config.recipe.flip is flip and plan.mirroring == ""


def test_a_study_decides_for_its_members(signs: DataConfig) -> None:
    plan = plan_study(
        StudyRequest(study="losses", network="resnet32", members=("ce",), data=signs, epochs=1, device="cpu")
    )
    assert {member.recipe.flip for member in plan.config.members} == {False}
    assert plan.facts.mirroring.endswith("left and right")


def test_oversampling_mirrors_only_where_training_may(tmp_path: Path) -> None:
    images = torch.zeros(300, 3, 9, 9, dtype=torch.uint8)
    images[:, :, :, :3] = 200
    for mirrored in (True, False):
        made = transformed(images, torch.Generator().manual_seed(0), mirrored=mirrored).float()
        at_right = made[:, :, 3:6, 6:].mean(dim=(1, 2, 3)) > 100
        assert (at_right.float().mean() > 0.1) == mirrored
    split = Split(images[:30].numpy(), np.arange(30), np.repeat([0, 1], [24, 6]), mirrored=False)
    kept = oversample("augment", split, cache=tmp_path, key="a").images
    assert not (kept[:, :, 3:6, 6:].mean(axis=(1, 2, 3)) > 100).any()
