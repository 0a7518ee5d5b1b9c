"""A real search in every space with either strategy, by the program: no trial leaves the budget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import nasctl
from photos import write_photos

from search_spaces import get_space, space_names

MOST_PARAMS = 60_000


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[tuple[object, ...], tuple[int, int, int]]]:
    """For each strategy what it is given, and the shape of the images."""
    photos = tmp_path_factory.mktemp("photos")
    write_photos(photos)
    return {
        "random": (("--data", "digits"), (1, 8, 8)),
        "evolution": (("--data", photos, "--imbalance", 10, "--image-size", 16, "--no-floor"), (3, 16, 16)),
    }


def trials_of_a_search(folder: Path, *arguments: object) -> list[dict]:
    folder.mkdir()
    done = nasctl(
        "search", *arguments, "--trials", 1, "--epochs", 1, "--confirm", 0, "--max-params", MOST_PARAMS,
        "--workers", 1, "--device", "cpu", "--run", "one", cwd=folder, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(nasctl("trials", "--run", "one", "--json", cwd=folder).stdout)


@pytest.mark.parametrize("name", space_names())
def test_every_trial_of_a_search_obeys_the_budget(name, searches, tmp_path):
    for strategy, (arguments, shape) in searches.items():
        trials = trials_of_a_search(tmp_path / strategy, "--space", name, "--strategy", strategy, *arguments)
        (trial,) = trials
        assert trial["status"] == "finished", strategy
        model = get_space(name).build(trial["sample"], shape, 10)
        assert trial["params"] == sum(parameter.numel() for parameter in model.parameters())
        assert MOST_PARAMS // 2 <= trial["params"] <= MOST_PARAMS
        assert len(trial["metrics"]["rank"]["recall_by_class"]) == 10
