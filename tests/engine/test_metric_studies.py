"""The studies of metric losses and of features at a small size, and what their plans refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import told
from safetensors.torch import save_file

from baselines import FixedNetwork, build_network
from nas.api.settings import study_request
from nas.data import open_data
from nas.engine.study_plan import plan_study
from nas.errors import UsageError
from nas.report.html.study import study_page
from nas.runs import as_study, load_run

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = ("--seeds", 1, "--workers", 1, "--device", "cpu", "--input-size", 8)


def request(study: str, **typed: Any) -> Any:
    return study_request({"study": study, "device": "cpu", **typed})


def made_up(folder: Path) -> None:
    """Images of three classes that a bar tells apart."""
    rng, labels = np.random.default_rng(0), np.arange(90) % 3
    bars = np.eye(3, dtype=int)[labels].repeat(22, axis=1)[:, :64].reshape(-1, 8, 8)
    images = rng.integers(0, 90, (90, 8, 8)) + 80 * bars
    np.savez(folder / "bars.npz", images=images.astype(np.uint8), labels=labels)


def test_features_are_scored_before_and_after(tmp_path: Path) -> None:
    made_up(tmp_path)
    study = ("baseline", "run", "features", "--data", "bars.npz", "--from-scratch", "--epochs", 1)
    text = told(tmp_path, *study, *SMALL, "--run", "f")
    assert "Before training and after" in text and "published: on 10 classes of images that are not named" in text
    assert "FROM SCRATCH, all but the last layer frozen at random weights" in text
    run = as_study(load_run("f", tmp_path / "runs"))
    for trial in run.trials.values():
        before, after = trial.metrics["before"], trial.metrics["test"]
        assert before["loss"] != after["loss"] and float(before["accuracy"]) < 0.6  # type: ignore[arg-type]
        assert set(run.honest_metrics(trial)) == {"select", "rank", "test"}
    assert run.trials["svm.1"].metrics["test"]["accuracy"] > 0.6  # type: ignore[operator]
    document = json.loads(told(tmp_path, "report", "f", "--json"))
    (svm, tuned) = document["members"]
    assert svm["before"]["accuracy"]["mean"] == run.trials["svm.1"].metrics["before"]["accuracy"]
    assert len(tuned["recalls"]["after"]) == len(document["data"]["classes"]) == 3
    assert svm["recalls"]["after"] == run.trials["svm.1"].metrics["test"]["recall_by_class"]
    assert [row["published_accuracy"] for row in document["members"]] == [0.697, 0.9]
    pictures = {path.name for path in (run.folder / "report").glob("*.png")}
    for name in ("svm", "fine-tuned"):
        assert {f"{kind}-{name}.png" for kind in ("roc", "embedding-pca", "confusion")} <= pictures
    assert "accuracy before training" in study_page(run) and "from_scratch = true" in told(tmp_path, "config", "f")


@pytest.mark.slow
def test_metric_losses_in_one_table(tmp_path: Path) -> None:
    """With what a search finds, whose trial is as long as those of so few images are."""
    typed = ("--data", "bars.npz", "--epochs", 2, "--input-size", 32, "--search-trials", 1, *SMALL[:-2])
    made_up(tmp_path)
    members = ("--members", "resnet-center-ce,resnet-triplet-svm,found-triplet-ce")
    text = told(tmp_path, "baseline", "run", "metric-losses", *members, *typed, "--run", "m")
    assert "on Tiny ImageNet (200 classes, 64x64)" in text
    run = as_study(load_run("m", tmp_path / "runs"))
    assert run.is_done and len(run.trials) == 3
    assert run.facts.members["found-triplet-ce"].cost.params <= 150_000
    assert float(run.trials["resnet-triplet-svm.1"].metrics["test"]["accuracy"]) > 0.6  # type: ignore[arg-type]
    assert (run.folder / "report" / "embedding-pca-found-triplet-ce.png").is_file()
    assert "search_trials = 1" in told(tmp_path, "config", "m")


def test_metric_losses_differ_in_nothing_else() -> None:
    plan = plan_study(request("metric-losses", input_size="32", members="densenet-*,resnet-*,found-*"))
    (search,) = plan.config.searches
    assert (search.name, search.space, search.max_params) == ("resnet-150000", "resnet", 150_000)
    recipes = {member.name: member.recipe for member in (*plan.config.members, *search.members)}
    for found, beside in (("found-ce", "densenet-ce"), ("found-triplet-ce", "densenet-triplet-ce")):
        assert recipes[found].model_dump(exclude={"name"}) == recipes[beside].model_dump(exclude={"name"})
    assert [r.metric_loss for r in recipes.values()] == [
        "none",
        "triplet",
        "none",
        "center",
        "triplet",
        "none",
        "triplet",
    ]
    alone = recipes["resnet-triplet-svm"]
    assert alone.svm_head and alone.classification_weight == 0 and alone.keep_epoch == "last"
    own = {"name", "metric_loss", "sampler", "svm_head", "classification_weight", "keep_epoch"}
    assert len({recipe.model_dump_json(exclude=own) for recipe in recipes.values()}) == 1
    assert [plan.facts.members[name].cost.params for name in ("densenet-ce", "resnet-ce")] == [6_964_106, 11_181_642]
    assert all("FROM SCRATCH" in facts.text for facts in plan.facts.members.values())  # without asking for it
    assert plan.config.data.imbalance_factor == 1


def test_weights_are_of_the_network_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_file(build_network(FixedNetwork("resnet18-whole", {"input_size": 8}), (1, 8, 8), 3).state_dict(), path)
    plan = plan_study(request("metric-losses", weights=f"resnet18-whole={path}", input_size="32"))
    texts = {name: facts.text for name, facts in plan.facts.members.items()}
    assert "own.safetensors" in texts["resnet-ce"] and "FROM SCRATCH" in texts["densenet-ce"]
    for typed, words in (
        ({"weights": str(path)}, "name them, --weights densenet121=FILE,resnet18-whole=FILE"),
        ({"weights": f"resnet19={path}"}, "'resnet19' is not trained here"),
        ({"weights": "resnet18-whole=/nowhere"}, "there is no such file"),
        ({"weights": f"densenet121={path}"}, "does not fit torchvision's densenet121"),
        ({"input_size": "16"}, "--input-size 16 is too small for densenet121"),
        ({"hold_out": False, "members": "resnet-triplet-svm"}, "chooses the cost of an SVM by validation images"),
    ):
        with pytest.raises(UsageError, match=words):
            plan_study(request("metric-losses", **typed))
    assert open_data(plan.config.data).input_shape == (1, 8, 8)
