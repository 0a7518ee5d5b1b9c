"""The study of optimizers at a small size, and steps of one image: who can take them, and who is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import refused, told

from baselines import FixedNetwork, build_network
from nas.api.settings import study_request
from nas.config import StudyRequest
from nas.data import open_data
from nas.engine.study_plan import plan_study
from nas.errors import UsageError
from nas.report.html.study import study_page
from nas.report.plots import Progress
from nas.report.progress import draw_progress, takes_different_steps
from nas.report.study import finished, study_report
from nas.runs import StudyRun, as_study, load_run
from nas.trials.weights import load_weights

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ("--max-images", 150, "--epochs", 2, "--seeds", 2, "--workers", 1, "--device", "cpu")
MEMBERS = {"sgd-batch-1": 1, "sgd-mini-batch": 64, "sgd-momentum": 64, "adam": 64}  # images of a step


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where the study was trained, and what was printed."""
    folder = tmp_path_factory.mktemp("optimizers")
    return folder, told(folder, "baseline", "run", "optimizers", *SMALL, "--run", "o")


@pytest.fixture(scope="module")
def done(printed: tuple[Path, str]) -> StudyRun:
    return as_study(load_run("o", printed[0] / "runs"))


def test_optimizers_differ_in_nothing_else(done: StudyRun) -> None:
    recipes = {member.name: member.recipe for member in done.config.members}
    assert {name: recipe.batch_size for name, recipe in recipes.items()} == MEMBERS
    assert [(r.optimizer, r.momentum) for r in recipes.values()][:3] == [("sgd", 0), ("sgd", 0), ("sgd", 0.9)]
    assert recipes["adam"].optimizer == "adam" and not recipes["sgd-momentum"].nesterov
    differing = {"name", "optimizer", "momentum", "nesterov", "batch_size", "learning_rate"}
    assert len({recipe.model_dump_json(exclude=differing) for recipe in recipes.values()}) == 1
    plain = recipes["adam"]
    assert (plain.schedule, plain.loss, plain.weight_decay, plain.keep_epoch) == ("constant", "ce", 0, "last")
    counts = done.facts.counts["train"]
    assert max(counts) - min(counts) <= 2  # as many of every class
    assert done.facts.members["adam"].cost.params == 6_090


def test_images_that_were_trained_on_are_scored_as_they_are(done: StudyRun) -> None:
    """Against the network loaded from its file, here."""
    data = open_data(done.config.data)
    train = data.split("train")
    for trial in finished(done, "sgd-batch-1"):
        state, (mean, std) = load_weights(done.weights(trial.id))
        module = build_network(FixedNetwork("small-cnn"), (1, 8, 8), 10).eval()
        module.load_state_dict(state)
        pixels = (torch.from_numpy(train.images) / 255 - mean[0]) / std[0]
        with torch.no_grad():
            right = (module(pixels.reshape(-1, 1, 8, 8)).argmax(1).numpy() == train.labels).mean()
        assert trial.metrics["train"]["accuracy"] == pytest.approx(right)
        assert "train" not in done.honest_metrics(trial)  # no measure of how good it is
        assert trial.epochs == 2


def test_the_report_has_train_and_test_side_by_side(printed: tuple[Path, str], done: StudyRun) -> None:
    folder, text = printed
    report = study_report(done)
    assert "train acc." in text and "published acc." in text and "sgd without momentum" in text
    for row in report.members:
        assert row.seeds == 2 and len(row.train["accuracy"].values) == 2
        assert f"{100 * (row.train['accuracy'].mean or 0):.1f} ±" in text
    document = json.loads(told(folder, "report", "o", "--json"))
    assert document["members"][0]["train"]["accuracy"]["mean"] == report.members[0].train["accuracy"].mean
    assert [row["published_accuracy"] for row in document["members"]] == pytest.approx([0.684, 0.838, 0.88, 0.885])
    page = study_page(done)
    assert "accuracy on train" in page and "training loss" in page
    assert (done.folder / "report" / "training-loss.png").is_file()


def test_the_picture_is_of_equal_images_and_growing_time(
    done: StudyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = dict[str, Progress]()
    monkeypatch.setattr("nas.report.progress.progress_plot", lambda path, title, curves: drawn.update(curves))
    trials = {name: finished(done, name) for name in MEMBERS}
    assert takes_different_steps(done)
    draw_progress(tmp_path / "x.png", done, "", trials)
    assert {one.images for one in drawn.values()} == {sum(done.facts.counts["train"])}
    for name, one in drawn.items():
        assert one.losses == [[row["train_loss"] for row in done.history(trial)] for trial in trials[name]]
        assert [len(seed) for seed in one.seconds] == [2, 2] and min(map(min, one.seconds)) > 0


def request(study: str = "optimizers", **typed: Any) -> StudyRequest:
    return study_request({"study": study, "device": "cpu", **typed})


def test_steps_of_one_image_need_a_network_without_batch_normalization(tmp_path: Path) -> None:
    plan = plan_study(request(network="model1", members="sgd-batch-1,adam", batch_size="32"))
    assert [member.recipe.batch_size for member in plan.config.members] == [1, 32]  # what the first is about
    assert all(member.recipe.schedule == "constant" for member in plan.config.members)
    with pytest.raises(UsageError, match=r"cannot train the network resnet9: .* Leave out sgd-batch-1 \(--members\)"):
        plan_study(request(network="resnet9"))
    others = plan_study(request(network="resnet9", members="adam,sgd-momentum")).config.members
    assert [(one.network, one.recipe.learning_rate) for one in others] == [("resnet9", 0.01), ("resnet9", 0.001)]
    with pytest.raises(UsageError, match=r"the network model2: .* Give --batch-size 2 or more, or choose"):
        plan_study(request("hand-nets", members="model1-setting2,model2-setting2", batch_size="1"))
    for words, typed in (
        ("cannot train the network of the space vgg", ("search", "--space", "vgg", "--max-params", "20k")),
        ("cannot train the network of the space resnet", ("train", "--space", "resnet")),
        ("cannot train the network resnet32", ("lr-find", "--network", "resnet32")),
        ("give a number of at least 1", ("train", "--network", "small-cnn", "--batch-size", 0)),
    ):
        batch = () if "--batch-size" in typed else ("--batch-size", 1)
        assert words in refused(tmp_path, *typed, *batch, "--device", "cpu")
    assert not list(tmp_path.iterdir())


def test_a_study_whose_batches_differ_is_written_down(printed: tuple[Path, str], done: StudyRun) -> None:
    folder, _ = printed
    assert "max_images = 150" in told(folder, "config", "o") and "batch_size = 64" in told(folder, "config", "o")


def test_a_training_by_settings_of_its_own_is_written_down_and_read_again(tmp_path: Path) -> None:
    typed = (
        "--recipe",
        "ce",
        "--optimizer",
        "sgd",
        "--momentum",
        0.5,
        "--no-nesterov",
        "--schedule",
        "exponential",
        "--decay",
        0.5,
    )
    size = ("--epochs", 2, "--seeds", 1, "--max-images", 60, "--device", "cpu", "--workers", 1)
    text = told(tmp_path, "train", "--network", "small-cnn", "--batch-size", 1, *typed, *size, "--run", "t")
    assert "sgd with momentum 0.5, exponential (times 0.5 after each epoch)" in text
    run = as_study(load_run("t", tmp_path / "runs"))
    (trial,) = finished(run, "trained")
    rates = [row["learning_rate"] for row in run.history(trial)]
    assert rates == pytest.approx([1e-3, 5e-4])
    written = told(tmp_path, "config", "t")
    for line in ("momentum = 0.5", "nesterov = false", 'schedule = "exponential"', "decay = 0.5", "batch_size = 1"):
        assert line in written
