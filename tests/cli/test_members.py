"""A study's members as they are named: shown, compared, exported, and which of their weights stay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import nasctl, refused, told
from simulated_search import events_of

from nas.config import DataConfig, StudyRequest
from nas.engine.architectures import load_architecture
from nas.engine.study_plan import plan_study
from nas.export.from_run import request_of
from nas.report.tensorboard.listener import bring_up_to_date
from nas.runs import SearchRun, StudyRun, load_run
from nas.runs.events import StudyStarted, TrialSubmitted, decode, encode
from nas.runs.folders import start_study
from nas.runs.named import best_first, split_name

SHORT = ["--epochs", 1, "--workers", 1, "--device", "cpu", "--quiet"]
MEMBERS = ("model1-setting2", "model2-setting2")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study ``hn`` that keeps the best seed of each member, and a search ``sv``."""
    folder = tmp_path_factory.mktemp("members")
    study = ["--members", ",".join(MEMBERS), "--seeds", 2, "--keep", 1, "--run", "hn"]
    search = ["--space", "vgg", "--max-params", "20k", "--trials", 2, "--confirm", 1, "--no-floor", "--run", "sv"]
    for command in (["baseline", "run", "hand-nets", *study], ["search", *search]):
        done = nasctl(*command, *SHORT, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def study(place: Path) -> StudyRun:
    run = load_run("hn", place / "runs")
    assert isinstance(run, StudyRun)
    return run


@pytest.fixture
def search(place: Path) -> SearchRun:
    run = load_run("sv", place / "runs")
    assert isinstance(run, SearchRun)
    return run


def test_a_member_is_shown_with_its_recipe_and_every_seed(place: Path, study: StudyRun) -> None:
    text = told(place, "show", "hn:model2-setting2")
    assert text == told(place, "show", "model2-setting2", "--run", "hn")
    for words in (
        "ResNet of one block of 16", "19,706 parameters, all of them trained", "bytes of activations",
        "loss custom-ce", "learning rate 0.001", "2 of 2 finished", "published   ", "--trial hn:model2-setting2",
    ):  # fmt: skip
        assert words in text
    member = json.loads(told(place, "show", "hn:model2-setting2", "--json"))
    assert (member["params"], member["recipe"]["epochs"], member["planned_seeds"]) == (19706, 1, 2)
    assert member["published_accuracy"] == member["reported"]["accuracy"] == 0.843
    for number, training in enumerate(member["trainings"], start=1):
        trial = study.trials[f"model2-setting2.{number}"]
        assert (training["id"], training["metrics"], training["epochs"]) == (trial.id, trial.metrics, 1)
        row = next(line for line in text.splitlines() if line.startswith(trial.id)).split()
        scores = [f"{trial.metrics[split]['balanced_accuracy']:.3f}" for split in ("select", "rank", "test")]
        assert row[6] == "MB" and row[7:10] == scores
        assert (
            (training["weights"] is None) == ("not kept" in " ".join(row)) == (trial != best_first(study, trial.of)[0])
        )


def test_one_training_and_one_trial_are_shown_by_their_names(place: Path, search: SearchRun) -> None:
    text = told(place, "show", "hn:model1-setting2.2")
    assert "Training model1-setting2.2: finished, 1 epoch," in text and "model1-setting2.1" not in text
    one = json.loads(told(place, "show", "hn:model1-setting2.2", "--json"))
    assert (one["id"], one["of"], one["recipe"]["loss"]) == ("model1-setting2.2", "model1-setting2", "custom-ce")
    seed = search.confirmations(search.stage("confirm")[0].of)[1].id
    assert told(place, "show", f"sv:{seed}") == told(place, "show", seed, "--run", "sv")
    assert json.loads(told(place, "show", "sv:1", "--json"))["params"] == search.trials["1"].cost.params


def test_a_part_that_is_not_there_names_the_nearest(place: Path) -> None:
    assert "Did you mean 'model1-setting2'?" in refused(place, "show", "hn:model1-seting2")
    assert "seeds 1 to 2: it has no model1-setting2.3" in refused(place, "export", "--trial", "hn:model1-setting2.3",
                                                                  "--out", "m")  # fmt: skip
    assert "no trial '7'" in refused(place, "show", "sv:7")
    assert "leave out one of them" in refused(place, "show", "sv:1", "--run", "hn")
    assert split_name("/tmp/a:b/run") == ("/tmp/a:b/run", None) and split_name("a:b/run:m.1") == ("a:b/run", "m.1")


def test_members_are_compared_alone(place: Path, search: SearchRun) -> None:
    assert search.winner
    winner = search.winner.trial
    other = next(trial.id for trial in search.stage("search") if trial.id != winner)
    found = json.loads(told(place, "compare", f"sv:{winner}", "hn:model2-setting2", "--json"))
    assert [row["name"] for row in (found["first"], *found["others"])] == [f"trial {winner}", "model2-setting2"]
    assert found == json.loads(told(place, "compare", "sv", "hn:model2-setting2", "--json"))
    assert [(spent["run"], spent["trainings"]) for spent in found["compute"]] == [("sv", 5), ("hn:model2-setting2", 2)]
    first = json.loads(told(place, "compare", "hn:model1-setting2", "hn", "sv", "--json"))
    assert [row["name"] for row in first["others"]] == ["model2-setting2", f"trial {winner}"]  # itself is no other
    both = [first["first"]["test"]["balanced_accuracy"], first["others"][0]["test"]["balanced_accuracy"]]
    assert first["others"][0]["against_first"]["difference"] == pytest.approx(both[0]["mean"] - both[1]["mean"])
    assert "*: model1-setting2 of hn, 2 seeds" in told(place, "compare", "hn:model1-setting2", "sv")
    message = refused(place, "compare", f"sv:{other}", "hn:model3", "hn:model1-setting2.1")
    for words in (
        f"sv:{other} was not scored on test",
        f"--arch sv:{other}",
        "no member or training 'model3'",
        "is one training",
    ):
        assert words in message
    assert "is one seed of the winner" in refused(place, "compare", "hn:model1-setting2", f"sv:{winner}.1")
    assert "trained 2 members: say which, as hn:model1-setting2" in refused(place, "compare", "hn", "sv")
    assert "with itself alone" in refused(place, "compare", "sv", f"sv:{winner}")


def test_a_study_keeps_the_weights_that_were_asked_for(place: Path, study: StudyRun) -> None:
    best, other = best_first(study, "model1-setting2")
    assert (best.score("balanced_accuracy") or 0) >= (other.score("balanced_accuracy") or 0)

    def kept() -> set[str]:
        return {path.stem for path in study.weights("").parent.iterdir()}

    wanted = {best_first(study, name)[0].id for name in MEMBERS}
    assert kept() == wanted
    message = refused(place, "export", "--trial", f"hn:{other.id}", "--out", "m")
    assert f"weights of {other.id} of run 'hn' were not kept. Kept of model1-setting2: {best.id}." in message
    assert request_of(study, "model1-setting2", Path("m")).weights == study.weights(best.id)
    shutil.copy(study.weights(best.id), study.weights(other.id))  # as a kill before the removal leaves it
    bring_up_to_date(study)
    assert kept() == wanted


def test_seeds_are_not_chosen_by_images_that_were_trained_on(study: StudyRun) -> None:
    first, second = (study.trials[f"model1-setting2.{number}"] for number in (1, 2))
    better, worse = (trial.packed for trial in best_first(study, first.of))
    for trial, packed in ((first, worse), (second, better)):  # as if the second were the best on rank
        study.tally.leave(trial)
        trial.packed = packed
        study.tally.enter(trial)
    assert best_first(study, first.of) == [second, first]
    study.config = study.config.model_copy(update={"data": DataConfig(hold_out=False)})
    assert best_first(study, first.of) == [first, second]


def test_what_to_keep_is_recorded_and_older_logs_keep_all(place: Path, study: StudyRun) -> None:
    assert study.config.keep == 1
    name, body, _ = encode(events_of(study.folder)[0])
    older = json.loads(body)
    del older["config"]["keep"]
    event = decode(1, name, json.dumps(older), None)
    assert isinstance(event, StudyStarted) and event.config.keep is None
    for words in ("few", "-1"):
        message = refused(place, "baseline", "run", "hand-nets", "--keep", words, "--seeds", 0)
        assert f"--keep: '{words}' is not known: write all, best" in message and "--seeds" in message


def test_what_show_prints_as_json_is_what_arch_takes(place: Path, search: SearchRun, tmp_path: Path) -> None:
    runs, winner = place / "runs", search.trials[search.winner.trial] if search.winner else None
    assert winner
    plan = plan_study(StudyRequest(study="losses", arch=f"sv:{winner.id}", members=("ce",), seeds=1), runs=runs)
    with start_study(tmp_path / "arch", plan.config, plan.facts) as log:
        log.append(TrialSubmitted("ce.1", "study", "ce", "", winner.sample, winner.cost, 0))
    for shown, at in ((f"sv:{winner.id}", runs), ("sv", runs), ("arch:ce", tmp_path), ("arch:ce.1", tmp_path)):
        direct = load_architecture(shown, at)
        (tmp_path / "shown.json").write_text(told(place, "show", shown, "--runs", at, "--json"))
        read = load_architecture(str(tmp_path / "shown.json"), at)
        written_out = load_architecture((tmp_path / "shown.json").read_text(), at)
        assert direct.space == read.space == written_out.space == "vgg"
        assert direct.sample == read.sample == written_out.sample == winner.sample
        assert direct.recipe and direct.recipe.epochs == 1 and direct.data == search.config.data and not read.recipe
    cost = json.loads(told(tmp_path, "space", "--arch", tmp_path / "shown.json", "--max-params", "1k", "--json"))
    assert (cost["params"], cost["macs"]) == (winner.cost.params, winner.cost.macs) and len(cost["violations"]) == 1
    assert f"{winner.cost.params:,}" in told(place, "space", "--arch", "sv")
    (tmp_path / "cost.json").write_text(json.dumps(cost))
    assert load_architecture(str(tmp_path / "cost.json"), runs).sample == winner.sample
    message = refused(place, "space", "resnet", "--arch", "sv", "--epochs", 2)
    assert "is of the space vgg: leave out resnet" in message and "--epochs is about a whole space" in message
    assert "give --network model1 instead" in refused(
        place, "baseline", "run", "losses", "--arch", "hn:model1-setting2"
    )
