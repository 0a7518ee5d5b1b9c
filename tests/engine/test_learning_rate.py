"""The learning-rate range test of real networks: the command, and what searches and trainings do by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import refused, told

import nas
from nas.config.training_request import RateRequest
from nas.engine.rate_plan import find_rate
from nas.runs import as_search, as_study, load_run
from nas.training.range_test import growing_rates
from nas.training.schedules import learning_rate

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ["--trials", 1, "--epochs", 1, "--confirm", 0, "--no-floor", "--max-params", "30k"]


@pytest.mark.parametrize("network", [{"space": "vgg"}, {"network": "model1"}])
def test_a_network_on_the_digits_gets_a_rate_that_trains(network: dict[str, str]) -> None:
    steps: list[tuple[int, int]] = []
    found = find_rate(RateRequest(**network, device="cpu"), on_step=lambda *taken: steps.append(taken))

    assert found.recipe.prior_tau == 1 and found.images == 341  # resolved as a search resolves it
    assert found.test.steepest is not None and found.test.tenth is not None
    assert 1e-4 < found.test.steepest < 0.1 and 1e-4 < found.test.tenth < 0.1
    assert steps[:2] == [(1, 200), (2, 200)] and len(steps) >= len(found.test.losses)
    assert min(found.test.smoothed) < 0.9 * found.test.smoothed[1]


@pytest.fixture
def short_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps over the same rates: for what is made of a curve, and not what it says of a network."""
    few = growing_rates(steps=50)
    monkeypatch.setattr("nas.training.range_test.growing_rates", lambda: few)


def test_equal_seeds_give_equal_curves(short_test: None) -> None:
    first, again, other = (
        nas.find_learning_rate(space="vgg", loss="ldam", device="cpu", threads=1, seed=seed).test for seed in (0, 0, 1)
    )
    assert first == again != other


def test_the_command_shows_the_curve_and_refuses_what_it_cannot_do(tmp_path: Path, short_test: None) -> None:
    shown = told(tmp_path, "lr-find", "--space", "vgg", "--out", "rates.png", "--device", "cpu")
    assert shown.count("Suggested: --learning-rate") == 2 and "Loss on the training images" in shown
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(told(tmp_path, "lr-find", "--space", "vgg", "--device", "cpu", "--json"))
    assert f"--learning-rate {document['tenth']:.2g} " in shown
    assert document["curve"][0]["learning_rate"] == pytest.approx(1e-6)
    for typed, wanted in (
        (["--space", "vgg", "--out", "rates.jpg"], "is not a PNG file"),
        ([], "give one of nasctl lr-find RUN"),
        (["--space", "vgg", "--loss", "fcal", "--data", "nowhere"], "no loss 'fcal'"),
    ):
        assert wanted in refused(tmp_path, "lr-find", *typed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rates.png"]


def test_a_search_and_a_training_find_theirs_and_say_so(tmp_path: Path, short_test: None) -> None:
    plan = told(tmp_path, "search", "--space", "vgg", *QUICK, "--learning-rate", "find", "--workers", 1, "--run", "s")
    assert "found, a tenth of where the loss rises, with the space's canonical network" in plan
    search = as_search(load_run("s", tmp_path / "runs"))
    rate = search.config.recipe.learning_rate
    assert f"learning rate {rate:g} found" in plan and rate != 0.01 and not search.config.recipe.rate_to_find
    expected = find_rate(RateRequest(space="vgg", device="cpu", threads=search.facts.threads)).test.tenth
    assert expected is not None and rate == float(f"{expected:.2g}")
    assert f"learning_rate = {rate}" in told(tmp_path, "config", "s")
    done = told(
        tmp_path, "train", "s", "--learning-rate", "find", "--epochs", 1, "--seeds", 1, "--workers", 1, "--run", "t"
    )
    training = as_study(load_run("t", tmp_path / "runs"))
    assert f"learning rate {training.config.member('trained').recipe.learning_rate:g} found" in done


def test_the_one_cycle_study_at_a_small_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = growing_rates(1e-4, 0.3, 12)
    monkeypatch.setattr("nas.training.range_test.growing_rates", lambda: few)
    text = told(
        tmp_path, "baseline", "run", "one-cycle-resnet", "--data", "digits", "--max-images", 100, "--epochs", 2,
        "--batch-size", 32, "--members", "l2", "--workers", 1, "--run", "oc",
    )  # fmt: skip
    run = as_study(load_run("oc", tmp_path / "runs"))
    recipe = run.config.member("l2").recipe
    assert 1e-5 < recipe.learning_rate < 0.03 and not recipe.rate_to_find
    assert f"learning rate {recipe.learning_rate:g}" in text and "filled with 0.473363" in text
    rates = [learning_rate(share / 24, recipe) / recipe.learning_rate for share in (0, 5, 12, 24)]
    assert rates == pytest.approx([0.1, 1, 1 - 0.9 * 7 / 19, 0.1])
    assert run.is_done and run.facts.members["l2"].cost.params == 6_573_120 - 2 * 9 * 64
    assert run.weights("l2.1").is_file()
