"""``nasctl train``: what is planned, trained, taught, resumed after a kill, and handed over; real trainings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import NASCTL, nasctl, refused, told
from simulated_search import events_of, timeless

import nas
from budgets import cost_of
from nas.api.settings import training_request
from nas.config import DataConfig
from nas.config.auto_recipe import default_epochs
from nas.config.run import MemberConfig
from nas.config.training_request import PRESETS, TrainingRequest
from nas.engine.study_plan import StudyPlan, asked_data
from nas.engine.training_plan import larger, plan_training
from nas.errors import UsageError
from nas.export.from_run import chosen, request_of
from nas.export.model_card import model_card
from nas.runs import StudyRun, as_study, load_run
from nas.runs.events import SessionStarted, TrialEnded
from nas.trials.weights import load_weights
from search_spaces import Task, get_space

pytestmark = pytest.mark.usefixtures("one_thread")

TASK = Task((1, 8, 8), 10)
SHORT = ["--epochs", 1, "--workers", 1, "--device", "cpu", "--quiet"]


@pytest.fixture(scope="session")  # the slow test runs at the end, when those of its module are long over
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a search ``sv`` whose winner was then trained: ``sv-train``."""
    folder = tmp_path_factory.mktemp("trainings")
    told(
        folder, "search", "--space", "vgg", "--max-params", "20k", "--trials", 2, "--confirm", 1, "--no-floor",
        "--run", "sv", *SHORT,
    )  # fmt: skip
    return folder


def plan(place: Path, **typed: Any) -> StudyPlan:
    request = training_request({**nas_flags(), "device": "cpu", **typed})
    return plan_training(request, runs=place / "runs")


def nas_flags() -> dict[str, Any]:
    from nas.config.settings import settings_of

    return dict.fromkeys(settings_of(TrainingRequest))


def member(place: Path, **typed: Any) -> MemberConfig:
    return plan(place, **typed).config.member("trained")


def test_presets_are_multiples_of_what_a_search_trains_its_winner_for(place: Path) -> None:
    found = load_run("sv", place / "runs")
    images = sum(found.facts.counts["train"])
    epochs = {name: member(place, arch="sv", preset=name).recipe.epochs for name in PRESETS}
    assert epochs == {"quick": default_epochs(images), "standard": 3 * epochs["quick"], "long": 8 * epochs["quick"]}
    assert member(place, arch="sv").recipe.epochs == epochs["standard"]
    assert member(place, arch="sv", epochs="7").recipe.epochs == 7


def test_methods_are_the_runs_until_others_are_told(place: Path) -> None:
    run = load_run("sv", place / "runs")
    softened = member(place, arch="sv").recipe
    assert (softened.label_smoothing, softened.mixing, softened.name) == (
        0.1, "mixup", "custom-ce+prior+mixup+label-smoothing",
    )  # fmt: skip
    assert member(place, arch="sv", mixup="none").recipe.mixing == "none"
    assert member(place, arch="sv", loss="focal").recipe.label_smoothing == 0  # it has none
    recipe = member(place, arch="sv", preset="quick").recipe
    assert (recipe.name, recipe.prior_tau, recipe.batch_size) == ("custom-ce+prior", 1, run.config.recipe.batch_size)
    assert member(place, arch="sv", loss="ldam").recipe.prior_tau == 0  # or the imbalance would be met twice
    assert member(place, arch="sv", loss="ce").recipe.prior_tau == 1
    named = member(place, arch="sv", recipe="ce").recipe
    assert (named.loss, named.prior_tau, named.name) == ("ce", 0, "ce")
    assert member(place, space="vgg").recipe.prior_tau == 1  # no run: the data decide
    assert member(place, network="resnet32").network == "resnet32"
    assert member(place, network="resnet9", learning_rate="0.2").recipe.learning_rate == 0.2  # not looked for
    assert plan(place, arch="sv", objective="macro_f1").config.objective == "macro_f1"


def test_data_that_are_told_are_taken_also_where_they_are_the_default() -> None:
    found = DataConfig(source="photos", imbalance=5)
    same = asked_data(DataConfig(source="photos", max_images=900), found, {}, [], hold_out=True)
    assert same == found.model_copy(update={"max_images": 900})
    assert asked_data(DataConfig(), found, {}, [], hold_out=True) == found
    assert asked_data(DataConfig(source="digits"), found, {}, [], hold_out=True) == DataConfig()


def test_all_images_are_trained_on_and_none_chooses(place: Path) -> None:
    whole, part = plan(place, arch="sv", hold_out=False), plan(place, arch="sv")
    assert sum(whole.facts.counts["train"]) > sum(part.facts.counts["train"])
    recipe = whole.config.member("trained").recipe
    assert (recipe.keep_epoch, recipe.patience) == ("last", None)
    assert recipe.epochs != 1
    told(place, "train", "sv", "--train-on-all", "--seeds", 2, "--run", "all", *SHORT)
    assert "balanced accuracy on test" in told(place, "trials", "all")
    (first, _) = json.loads(told(place, "trials", "all", "--json"))
    assert list(first["metrics"]) == ["test"] and first["score"] == first["metrics"]["test"]["balanced_accuracy"]
    run = load_run("all", place / "runs")
    request = request_of(run, "trained.1", place / "never")
    card = model_card(request)
    assert "trained on all images but those of `test`" in card and "`rank`" not in card.split("### Scores")[0]
    assert request.provenance.confirm is not None and request.provenance.confirm.split == "test"
    with pytest.raises(UsageError, match="--patience stops by validation images"):
        plan(place, arch="sv", hold_out=False, patience="3")


def test_what_is_wrong_is_said_at_once(place: Path) -> None:
    for typed, wanted in (
        ({}, "Nothing says which network is trained"),
        ({"arch": "sv", "space": "vgg"}, "A run and --space say"),
        ({"arch": "sv", "teacher": "sv:99"}, "--teacher sv:99: .*no trial"),
        ({"arch": "sv", "temperature": "3"}, "belong to --teacher, which is missing"),
        ({"network": "resnet32", "teacher": "auto"}, "a fixed network has none"),
        ({"arch": "sv", "image_size": "16", "data": "digits", "teacher": "sv"}, "takes 1x8x8 images of 10 classes"),
        ({"arch": "sv", "seeds": "0", "teacher_weight": "2", "loss": "fcal"}, "(?s)fcal.*--seeds '0'"),
    ):
        with pytest.raises(UsageError, match=wanted):
            plan(place, **typed)
    assert "both say which network" in refused(place, "train", "sv", "--arch", "sv")


@pytest.mark.parametrize("name", ["vgg", "resnet", "densenet", "mobilenet", "cell"])
def test_a_teacher_is_larger_in_every_space(name: str) -> None:
    space, rng = get_space(name), np.random.default_rng(0)
    for _ in range(3):
        sample = space.sample(rng)
        small = cost_of(space, sample, TASK).params
        try:
            large = cost_of(space, larger(name, sample, TASK), TASK).params
        except UsageError as error:
            assert "has no larger network" in str(error)
            continue
        assert small < large <= 4 * small
    least = {choice.label: choice.values[0] for choice in space.choices}
    grown = cost_of(space, larger(name, least, TASK), TASK).params
    assert grown > 2 * cost_of(space, least, TASK).params


@pytest.fixture(scope="module")
def taught(place: Path) -> StudyRun:
    """Two seeds, each with a teacher of its own."""
    told(place, "train", "sv", "--teacher", "auto", "--seeds", 2, "--keep", "best", "--run", "taught", *SHORT)
    return as_study(load_run("taught", place / "runs"))


def test_teachers_are_trained_first_and_each_seed_has_its_own(place: Path, taught: StudyRun) -> None:
    assert list(taught.trials) == ["teacher.1", "teacher.2", "trained.1", "trained.2"]
    log = (taught.folder / "logs" / "trained.2.txt").read_text()
    assert '"name":"teacher.2"' in log
    assert sorted(path.stem[:-2] for path in (taught.folder / "weights").iterdir()) == ["teacher", "trained"]
    assert chosen(taught, None).of == "trained"  # nobody means the teacher who does not say so
    assert "Learns" not in told(place, "report", "taught")


def test_a_run_teaches_with_its_best_networks_together(place: Path) -> None:
    teaching = member(place, arch="sv:1", teacher="sv").teaching
    assert teaching is not None
    assert len(teaching.teachers) > 1 and all(teacher.even for teacher in teaching.teachers)
    one = member(place, arch="sv:1", teacher="sv:2,sv:1", teacher_weight="0.25").teaching
    assert one is not None and [teacher.name for teacher in one.teachers] == ["sv:2", "sv:1"] and one.weight == 0.25


def test_a_teacher_that_changed_fails_the_training_by_name(place: Path) -> None:
    told(place, "train", "sv", "--seeds", 1, "--run", "teaches", *SHORT)
    weights = load_run("teaches", place / "runs").weights("trained.1")
    process = nasctl("train", "sv", "--teacher", "teaches", "--dry-run", "--json", *SHORT, cwd=place)
    assert process.returncode == 0, process.stderr
    from nas import api

    opened = api.new_training(
        training_request({**nas_flags(), "arch": "sv", "teacher": "teaches", "seeds": "1", "epochs": "1",
                          "workers": "1", "device": "cpu"}),
        name="learns", runs=place / "runs",
    )  # fmt: skip
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(nas.errors.SearchStopped, match=r"the weights of the teacher teaches:trained\.1"):
        api.carry_out(opened)
    weights.write_bytes(kept)
    told(place, "resume", "learns", "--quiet")


def test_its_settings_make_it_again(place: Path, taught: StudyRun) -> None:
    told(place, "train", "--network", "model1", "--data", "digits", "--seeds", 1, "--run", "fixed", "--quiet", *SHORT)
    for name in ("fixed", "taught", "learns"):  # the first by the recipe of its network, adapted to uneven classes
        text = told(place, "config", name)
        file = place / f"{name}.toml"
        file.write_text(text)
        told(place, "train", "--config", file, "--run", f"{name}-again", "--quiet")
        first, second = (as_study(load_run(each, place / "runs")) for each in (name, f"{name}-again"))
        ours, theirs = ({id: trial.metrics for id, trial in run.trials.items()} for run in (first, second))
        assert ours == theirs
    assert tomllib.loads(text)["teacher"] == "teaches:trained.1"


def test_a_search_trains_its_winner_when_asked_and_resumes_that(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.engine.training_plan.default_epochs", lambda images: 1)
    search = ["search", "--space", "vgg", "--max-params", "20k", "--trials", 1, "--confirm", 0, "--no-floor", "--train"]
    whole = json.loads(told(place, *search, "--run", "st", *SHORT[:-1], "--json"))
    assert (whole["state"], whole["training"]["run"], whole["training"]["state"]) == ("done", "st-train", "done")
    trained = as_study(load_run("st-train", place / "runs"))
    assert trained.config.member("trained").sample == next(iter(load_run("st", place / "runs").trials.values())).sample
    assert "st is done already" in told(place, "resume", "st")
    assert "exists already" in refused(place, *search, "--run", "st")


def started(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen([NASCTL, *arguments], cwd=folder, stdout=output, stderr=output, start_new_session=True)


@pytest.mark.slow
def test_a_training_killed_ends_as_one_that_was_not(place: Path) -> None:
    """In the middle of the teacher's second training, and of the student's first."""
    arguments = [
        "train", "sv", "--teacher", "auto", "--seeds", "2", "--epochs", "6", "--workers", "1", "--device", "cpu",
        "--quiet", "--run",
    ]  # fmt: skip
    told(place, *arguments, "whole")
    process = started([*arguments, "killed"], place)
    for finished in (1, 2):
        while ended(place / "runs" / "killed") < finished and process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.1)
        assert process.poll() is None, (place / "output.txt").read_text()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process = started(["resume", "killed", "--quiet"], place)
    assert process.wait(120) == 0, (place / "output.txt").read_text()
    stories = [
        [timeless(event) for event in events_of(place / "runs" / name) if not isinstance(event, SessionStarted)]
        for name in ("whole", "killed")
    ]
    assert stories[0] == stories[1]
    states = [
        load_weights(place / "runs" / name / "weights" / "trained.2.safetensors")[0] for name in ("whole", "killed")
    ]
    assert all(tensor.equal(states[1][name]) for name, tensor in states[0].items())


def ended(folder: Path) -> int:
    try:
        return sum(isinstance(event, TrialEnded) for event in events_of(folder))
    except nas.errors.NasctlError:  # not there yet
        return 0
