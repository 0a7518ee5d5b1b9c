"""Studies: what is planned, trained, resumed after an interruption, reported and compared; real trainings."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import fields, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import nasctl, refused, told
from image_folders import write
from PIL import Image
from simulated_search import events_of, timeless

from baselines import FixedNetwork
from baselines.studies import STUDIES
from budgets import Budget
from nas.api.settings import classical_request, study_request
from nas.cli.commands.output import outcome_document
from nas.config import StudyRequest
from nas.config.auto_recipe import default_epochs
from nas.config.recipe import RECIPES, Recipe
from nas.config.recipe_rules import check_name, check_together
from nas.config.run import SearchConfig, StudySearch, search_of
from nas.data import DataConfig
from nas.engine.architectures import load_architecture
from nas.engine.plan import plan_search, start
from nas.engine.rivals import NEAR
from nas.engine.search import run_search
from nas.engine.study import run_study
from nas.engine.study_plan import plan_study
from nas.errors import RunError, SearchStopped, UsageError
from nas.executors import WorkerSlot
from nas.executors.base import TOO_LONG
from nas.executors.inline import InlineExecutor
from nas.export.from_run import request_of
from nas.export.model_card import model_card
from nas.report.comparison import BaselineRow, compare, comparison_document, draw
from nas.report.documents import document
from nas.report.pictures import Pictures, write_pictures
from nas.report.rivals import against
from nas.report.screen import Screen
from nas.report.study import REPORTED, agreement, study_report
from nas.report.tables.comparison import print_comparison
from nas.report.tables.search import metric_columns, print_run, runs_table, trials_table
from nas.report.tables.study import print_study, print_study_plan
from nas.report.tensorboard.columns import columns, settings, totals
from nas.report.tensorboard.listener import keep_files
from nas.runs import EventLog, Run, SearchRun, StudyRun, as_search, as_study, load_run, load_search
from nas.runs.events import Event, FloorMeasured, SessionStarted, SessionStopped
from nas.runs.fold import fold
from nas.runs.folders import SEARCHES, start_study
from nas.runs.named import Named
from nas.trials.run_trial import run_trial
from nas.trials.spec import TrialResult, TrialSpec
from nas.trials.weights import load_weights

pytestmark = pytest.mark.usefixtures("one_thread")

NO_FLAGS = dict.fromkeys((
    "members", "network", "arch", "weights", "from_scratch", "input_size", "data", "imbalance", "image_size", "fit",
    "skip_broken", "hold_out", "seeds", "epochs", "batch_size", "objective", "seed", "workers", "trials_per_gpu",
    "time_limit", "trial_timeout", "search_images", "search_trials",
))  # fmt: skip
SLOTS = [WorkerSlot("cpu", 1)]


def flags(study: str, **typed: object) -> dict[str, Any]:
    return {**NO_FLAGS, "study": study, "device": "cpu", "runs": "runs", **typed}


def request(study: str, **typed: object) -> StudyRequest:
    return study_request(flags(study, **typed))


def begin(folder: Path, study: str = "hand-nets", **typed: object) -> EventLog:
    few = {"members": "model1-setting2,model2-setting6", "seeds": "2", "epochs": "1"} | typed
    plan = plan_study(request(study, **few))
    return start_study(folder, plan.config, plan.facts)


def recorded(store: EventLog) -> SearchRun | StudyRun:
    return fold(store.folder, store.entries())


def train(store: EventLog, trained: list[str] | None = None, *, stop_after: int | None = None) -> Run:
    """Train a study in this process; interrupted after ``stop_after`` trainings."""
    names = trained if trained is not None else []

    def run(spec: TrialSpec, device: str, report: Any) -> TrialResult:
        if stop_after is not None and len(names) >= stop_after:
            raise KeyboardInterrupt
        names.append(spec.id)
        return run_trial(spec, device, report)

    def find(search: StudySearch, seconds_left: float | None) -> SearchRun:
        assert seconds_left is None
        names.append(f"search {search.name}")
        budget, folder = Budget(max_params=search.max_params), store.folder / SEARCHES / search.name
        return as_search(searched(folder, space=search.space, budget=budget, confirm_seeds=1))

    with store:
        return run_study(recorded(store), store, SLOTS, [keep_files], lambda slots: InlineExecutor(run), find=find)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A study of two networks with two seeds each."""
    return train(begin(tmp_path_factory.mktemp("studies") / "hand"))


def searched(folder: Path, **changes: Any) -> Run:
    """A small finished search by real trainings."""
    values: dict[str, Any] = {"strategy": "random", "trials": 2, "confirm": 1, "confirm_seeds": 2} | changes
    values = {"recipe": Recipe(epochs=1), "space": "vgg", "budget": Budget(max_params=20_000)} | values
    config = SearchConfig(data=DataConfig(), **values)
    plan = plan_search(config.model_copy(update={"device": "cpu"}))
    with start(plan, folder) as store:
        return run_search(as_search(recorded(store)), store, SLOTS, [], lambda slots: InlineExecutor(run_trial))


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished search."""
    return searched(tmp_path_factory.mktemp("searches") / "best")


def story(run: Run) -> list[Event]:
    """The log without times."""
    events = [event for event in events_of(run.folder) if not isinstance(event, SessionStarted | SessionStopped)]
    return [timeless(event) for event in events]


@pytest.mark.parametrize("name", STUDIES)
def test_every_member_has_a_recipe_that_can_be_used(name: str, tmp_path: Path) -> None:
    pretrained = name in ("resnet18-settings", "regularization", "losses", "oversampling", "features", "photo-grid")
    plan = plan_study(request(name, data="digits", from_scratch=pretrained), fetch=False)  # without range tests
    names = [member.name for member in STUDIES[name].members if member.rival != "found" and not member.pretrained]
    assert [member.name for member in plan.config.members] == names
    for member in plan.config.members:
        for setting in ("loss", "oversampling", "regularizer", "sampler", "mixing"):
            assert check_name(setting, getattr(member.recipe, setting)) == []
        assert check_together(member.recipe, ()) == []
        assert member.name.replace("-", "").replace("_", "").isalnum()
        facts = plan.facts.members[member.name]
        assert facts.cost.params >= facts.trainable > 0
    recipes = [member.recipe.model_dump(exclude={"name"}) for member in plan.config.members]
    networks = [(member.network, member.space, str(member.sample)) for member in plan.config.members]
    assert len({f"{pair}" for pair in zip(recipes, networks, strict=True)}) == len(recipes)  # no row twice


def test_the_six_settings_are_the_studys() -> None:
    plan = plan_study(request("resnet18-settings", from_scratch=True))
    recipes = [member.recipe for member in plan.config.members]
    assert all((r.optimizer, r.learning_rate, r.schedule, r.patience) == ("adam", 1e-3, "constant", 5) for r in recipes)
    assert [(r.loss, r.regularizer, r.oversampling) for r in recipes] == [
        ("ce", "l2-norms", "none"), ("custom-ce", "none", "none"), ("focal", "none", "none"),
        ("custom-ce", "orthogonal-convolution", "none"), ("custom-ce", "none", "smote"),
        ("custom-ce", "none", "borderline-smote"),
    ]  # fmt: skip
    assert all(r.oversampled_share == 0.5 for r in recipes)
    assert "FROM SCRATCH" in plan.facts.members["3-focal"].text


def test_every_error_is_reported_together(tmp_path: Path) -> None:
    wrong = flags(
        "losses", members="focul", network="resnet33", arch="nothing:1", weights="x", data="/nowhere",
    )  # fmt: skip
    with pytest.raises(UsageError) as refused:
        plan_study(study_request(wrong), runs=tmp_path)
    message = str(refused.value)
    for words in ("Did you mean 'focal'", "Did you mean 'resnet32'", "give one of them", "no run", "/nowhere"):
        assert words in message
    for typed, words in (
        ({"from_scratch": True, "seeds": "0"}, "--seeds"),
        ({"weights": "/nowhere.pth"}, "no such file"),
        ({"from_scratch": True, "weights": "x"}, "exclude each other"),
        ({"from_scratch": True, "input_size": "4"}, "--input-size"),
        ({"network": "model1", "input_size": "32"}, "--input-size belongs to densenet121, resnet18, "),
        ({"network": "model1", "hold_out": False}, "holds none out. Add --hold-out"),
        ({"network": "model1", "epochs": "soon"}, "--epochs"),
    ):
        with pytest.raises(UsageError, match=words):
            plan_study(request("losses", **typed))
    with pytest.raises(UsageError, match="Did you mean 'long-tail'"):
        plan_study(request("long-tai"))


def test_members_are_trained_seed_by_seed_and_scored_on_test(done: Run) -> None:
    assert [trial.id for trial in done.stage("study")] == [
        "model1-setting2.1", "model2-setting6.1", "model1-setting2.2", "model2-setting6.2",
    ]  # fmt: skip
    assert done.state == "done" and done.planned_trials == 4
    seeds = [trial.seed for trial in done.trials.values()]
    assert seeds[0] == seeds[1] != seeds[2] == seeds[3]  # members share seeds: they are compared pair by pair
    for trial in done.trials.values():
        assert set(trial.metrics) == {"select", "rank", "test"}
        confusion = np.array(trial.metrics["test"]["confusion"])
        assert confusion.sum() == sum(done.facts.counts["test"])
        assert np.trace(confusion) / confusion.sum() == pytest.approx(trial.metrics["test"]["accuracy"])
        assert (done.folder / "tensorboard" / trial.id).is_dir()
        row, recipe = settings(done, trial), done.recipe(trial.id)
        assert row.keys() == {column.name for column in columns(done)}
        assert (row["member"], row["space"], row["loss"], row["epochs"]) == (
            trial.of, done.config.member(trial.of).network, recipe.loss, recipe.epochs,
        )  # fmt: skip
        assert totals(done, trial)["test/accuracy"] == pytest.approx(trial.metrics["test"]["accuracy"])
        state, _ = load_weights(done.weights(trial.id))
        assert sum(tensor.numel() for name, tensor in state.items() if "tracked" not in name) >= trial.cost.params


def test_a_training_is_named_by_its_member(done: Run) -> None:
    """With the seed, or without: then it is the one that is best on rank."""
    chosen = request_of(done, "model2-setting6", Path("model"))
    assert chosen.provenance.trial == next(trial.id for trial in done.ranked() if trial.of == "model2-setting6")
    assert chosen.metrics["test"] == done.trials[chosen.provenance.trial].metrics["test"]
    assert request_of(done, "model1-setting2.2", Path("model")).weights == done.weights("model1-setting2.2")
    assert chosen.network == FixedNetwork("model2") and chosen.provenance.made["study"] == "hand-nets"
    assert chosen.provenance.confirm and chosen.provenance.confirm.runs == 2
    with pytest.raises(UsageError, match=r"say which, as hand:model1-setting2\. Members"):
        request_of(done, None, Path("model"))
    with pytest.raises(UsageError, match=r"no member or training 'model1-setting6'\. Did you mean 'model2-setting6'"):
        request_of(done, "model1-setting6", Path("model"))


def test_an_interrupted_study_resumes_and_ends_as_if_it_had_not_been(done: Run, tmp_path: Path) -> None:
    store, trained = begin(tmp_path / "hand"), list[str]()
    with pytest.raises(KeyboardInterrupt):
        train(store, trained, stop_after=2)
    half = load_run("hand", tmp_path)
    assert (half.state, half.stopped, len(half.ranked())) == ("stopped", "interrupted", 2)
    run = train(EventLog(half.folder), trained)
    assert trained == [trial.id for trial in done.trials.values()]  # none twice
    assert story(run) == story(done)
    again = train(EventLog(half.folder), trained)
    assert len(trained) == 4 and again.ended


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> StudyRun:
    """A study of one network beside a found and a random one, interrupted after its search and one training."""
    folder, trained = tmp_path_factory.mktemp("beside") / "hand", list[str]()
    store = begin(folder, members="model1-setting2*", seeds="1", search_trials="2")
    with pytest.raises(KeyboardInterrupt):
        train(store, trained, stop_after=2)  # the search counts
    run = as_study(train(EventLog(folder), trained))
    assert trained == ["search model1", *(f"model1-setting2{which}.1" for which in ("", "-found", "-random"))]
    return run


def test_a_network_stands_beside_what_a_search_finds_and_a_random_one_of_its_size(beside: StudyRun) -> None:
    fixed, found, sampled = beside.config.members
    most = beside.facts.members[fixed.name].cost.params
    (search,) = beside.config.searches
    assert (search.space, search.max_params, search.name) == ("vgg", most, "model1")
    winner = load_search("model1", beside.folder / SEARCHES)
    assert winner.winner and found.sample == winner.trials[winner.winner.trial].sample != sampled.sample
    sizes = [beside.facts.members[member.name].cost.params for member in (found, sampled)]
    assert max(sizes) <= most and sizes[1] >= NEAR * most
    assert found.recipe == sampled.recipe == fixed.recipe  # but for how they came about nothing differs
    assert beside.state == "done" and beside.planned_trials == len(beside.ranked()) == 3
    settings = search_of(beside.config, search)
    assert (settings.trials, settings.data.max_images, settings.recipe.name) == (2, 8_000, "auto")
    means = {row.name: row.test["macro_f1"].mean or 0.0 for row in study_report(beside).members}
    (one,) = [one for one in against(study_report(beside).members) if one.metric == "macro_f1"]
    assert one.above_fixed == pytest.approx(means[found.name] - means[fixed.name])
    assert one.above_random == pytest.approx(means[found.name] - means[sampled.name])
    assert (one.pairs, one.at_least_as_good) == (1, int(means[found.name] >= means[fixed.name]))
    assert "macro_f1" in [one["figure"] for one in outcome_document(beside)["found"]]
    console = Screen(file=StringIO(), width=250)
    print_study_plan(console, beside, SLOTS)
    print_study(console, beside, write_pictures(beside))
    images = sum(beside.facts.counts["train"])
    words = f"images to train {images} (593,242); pixels a side 8 (28); epochs 1 (10); batch 32 (16,384)"
    assert f"Different from the published study (its values in brackets): {words}\n" in console.file.getvalue()  # type: ignore[attr-defined]
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    images = beside.facts.num_images
    assert f"searches of 2 trials on {images} of these images: vgg within {most:,} (model1)" in printed
    assert "Found by search, macro F1" in printed and all(
        (beside.folder / "report" / name).is_file()
        for name in ("accuracy-by-parameters.png", "macro-f1-by-parameters.png")
    )


def test_the_error_of_the_origin_study_is_shown_when_asked_for(done: Run, tmp_path: Path) -> None:
    """Members that oversample are split afterwards, also by a session that continues; others train as ever."""
    store = begin(tmp_path / "published", seeds="1", as_published=True)
    with pytest.raises(KeyboardInterrupt):
        train(store, stop_after=1)
    run = as_study(train(EventLog(store.folder)))
    plain, leaked = run.trials["model1-setting2.1"], run.trials["model2-setting6.1"]
    assert plain.metrics == done.trials[plain.id].metrics
    num_rank = {trial.id: np.sum(trial.metrics["rank"]["confusion"]) for trial in (plain, leaked)}
    assert num_rank[plain.id] == sum(run.facts.counts["rank"]) != num_rank[leaked.id]
    of_test = np.sum(leaked.metrics["test"]["confusion"], axis=1)
    np.testing.assert_array_equal(of_test, run.facts.counts["test"])
    assert run.config.member("model2-setting6").label.endswith("split afterwards")
    assert "not honest" in (run.folder / "logs" / f"{leaked.id}.txt").read_text()
    assert "not honest" not in (run.folder / "logs" / f"{plain.id}.txt").read_text()

    told = json.loads(json.dumps(document(study_report(run))))
    assert [row["split_after_oversampling"] for row in told["members"]] == [False, True]
    assert told["members"][1]["validation"]["accuracy"]["values"] == [leaked.metrics["rank"]["accuracy"]]
    assert "for model2-setting6 images are oversampled before they are split" in told["validation_note"]
    console = Screen(width=200, record=True, file=StringIO())
    print_study(console, run, Pictures())
    print_run(console, run)
    text = console.export_text()
    validation, test = (100 * float(leaked.metrics[split]["balanced_accuracy"]) for split in ("rank", "test"))  # type: ignore[arg-type]
    assert f"* model2-setting6 {validation:12.1f}   {test:.1f}" in text and text.count("too optimistic") == 2
    exported = request_of(run, "model2-setting6", Path("model"))
    assert exported.dataset is None and "too optimistic" in model_card(exported)
    assert "The splits of published were made after oversampling, as published: model2-setting6" in exported.no_dataset
    for command in (
        ("evaluate", "published:model2-setting6"),
        ("export", "published:model2-setting6", "--int8", "--out", "x"),
    ):
        message = refused(tmp_path, *command, "--runs", tmp_path)
        assert "were made after oversampling" in message and "nasctl show published:model2-setting6" in message
    assert "too optimistic" not in model_card(request_of(run, "model1-setting2", Path("model")))
    assert study_report(as_study(done)).validation_note is None


def test_oversampling_before_splitting_is_for_studies_that_do_so(best: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        plan_study(request("hand-nets", members="model1-setting2", as_published=True, hold_out=False))
    for words in ("add model1-setting6 or ", "--train-on-all keeps none"):
        assert words in str(refused.value)
    with pytest.raises(
        UsageError, match="choose the study resnet18-settings or hand-nets or oversampling or photo-grid"
    ):
        plan_study(request("losses", network="model1", as_published=True))
    folder = write(tmp_path / "bursts", "a", "b", count=12, called="{folder}{number}_.png")
    grouped = {"data": str(folder), "group": "(.[0-9])", "image_size": "8"}
    with pytest.raises(UsageError, match=r"groups by the pattern \(\.\[0-9\]\) are to stay"):
        plan_study(request("hand-nets", as_published=True, **grouped))
    assert plan_study(request("hand-nets", **grouped)).facts.counts["test"]
    with pytest.raises(UsageError, match="about training networks, and classical"):
        classical_request({**flags("classical"), "as_published": True})
    published = train(begin(tmp_path / "published", members="model1-setting6", seeds="1", as_published=True))
    with pytest.raises(UsageError, match="Baseline run 'published' was made --as-published"):
        compare([Named(best), Named(published)])


def test_a_plan_alone_fetches_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    study = ["resnet18-settings", "--members", "2-custom-ce", "--input-size", 32]
    text = told(tmp_path, "baseline", "run", *study, "--dry-run")
    assert re.search(
        r"^Weights are not here yet: they will be downloaded to \S+/torch/hub/\S+f37072fd.pth when the run begins$",
        text,
        re.M,
    )
    assert not list(tmp_path.iterdir())


def test_a_study_without_time_asks_for_more(tmp_path: Path) -> None:
    with pytest.raises(
        SearchStopped, match=r"4 of 4 trainings are not finished(?s:.*)nasctl resume .* --time-limit 60s$"
    ):
        train(begin(tmp_path / "none", time_limit="0.000001"))

    def too_long(spec: TrialSpec, device: str, report: Any) -> TrialResult:
        return TrialResult(spec.id, "failed", error=f"stopped after 40 s {TOO_LONG}")

    with (
        begin(tmp_path / "long", trial_timeout="40") as store,
        pytest.raises(SearchStopped, match=r"--trial-timeout 80s$"),
    ):
        run_study(recorded(store), store, SLOTS, [], lambda slots: InlineExecutor(too_long))


def test_failed_trainings_are_said_and_start_again(tmp_path: Path) -> None:
    plan = plan_study(request("hand-nets", members="model1-setting2,model2-setting2", seeds="1", epochs="1"))
    members = plan.config.members
    broken = members[0].model_copy(update={"recipe": members[0].recipe.model_copy(update={"learning_rate": 1e30})})
    config = plan.config.model_copy(update={"members": (broken, members[1])})
    trained: list[str] = []
    with pytest.raises(
        SearchStopped, match=r"(?s)1 of 2 trainings are not finished.*model1-setting2\.1: .*nasctl resume"
    ):
        train(start_study(tmp_path / "run", config, plan.facts), trained)
    run = load_run("run", tmp_path)
    row = study_report(run).members[0]
    assert row.seeds == 0 and "epoch 1" in (row.failed["model1-setting2.1"] or "")
    with pytest.raises(SearchStopped):
        train(EventLog(run.folder), trained)
    assert trained == ["model1-setting2.1", "model2-setting2.1", "model1-setting2.1"]


def test_the_report_has_the_studys_metrics(done: Run) -> None:
    report = study_report(done)
    first = report.members[0]
    values = [done.trials[f"model1-setting2.{n}"].metrics["test"]["macro_f1"] for n in (1, 2)]
    told = json.loads(json.dumps(document(report)))["members"][0]
    assert told["test"]["macro_f1"] == {"mean": np.mean(values), "std": pytest.approx(np.std(values, ddof=1)),
                                        "values": values}  # fmt: skip
    assert told["recipe"]["epochs"] == 1
    assert set(first.test) == set(REPORTED)
    assert first.params == first.trainable <= 52_822


def test_the_origin_studys_metrics_stand_below_ours(done: Run) -> None:
    """Of the network and recipe that it published, and of no other."""
    console = Screen(width=200, record=True, file=StringIO())
    print_study(console, as_study(done), Pictures())
    lines = console.export_text().splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith("model1-setting2"))
    assert lines[row + 1].split() == ["published", "82.4", "-", "81.0", "73.0", "68.0", "69.0", "-"]
    assert sum(line.strip().startswith("published ") for line in lines) == 1  # model2 was not oversampled there
    assert any(line.startswith("published: by the origin study") for line in lines)
    plan = plan_study(request("resnet18-settings", from_scratch=True))
    assert plan.config.members[0].reported["macro_f1"] == 0.70 and "macro_f1" not in plan.config.members[4].reported
    other = plan_study(request("resnet18-settings", network="model2"))
    assert not any(member.reported for member in other.config.members)


def test_agreement_with_published_metrics_is_spearmans() -> None:
    pairs = [(0.7, 0.1), (0.8, 0.3), (0.9, 0.2), (None, 0.9), (0.6, None)]
    found = agreement(pairs)
    assert found is not None and found.members == 3 and found.spearman == pytest.approx(0.5)
    assert agreement(pairs[1:]) is None


def test_methods_of_a_found_run_do_not_reach_the_members(tmp_path: Path) -> None:
    recipe = RECIPES["post-hoc-logit-adjustment"].model_copy(update={"epochs": 1})
    searched(tmp_path / "found", recipe=recipe, trials=1, confirm=0)
    plan = plan_study(request("losses", arch="found:1"), runs=Path(str(tmp_path)))
    assert {member.recipe.post_hoc_tau for member in plan.config.members if member.name != "post-hoc"} == {0.0}


def test_a_found_architecture_is_trained_with_its_runs_data_and_training(best: Run) -> None:
    assert best.winner
    runs = str(best.folder.parent)
    plan = plan_study(request("oversampling", arch="best"), runs=Path(runs))
    trial = best.trials[best.winner.trial]
    assert all(member.sample == trial.sample and member.space == "vgg" for member in plan.config.members)
    assert all(member.recipe.epochs == 1 for member in plan.config.members)
    assert plan.facts.data_key == best.facts.data_key
    assert plan.facts.members["smote"].architecture == trial.architecture
    with pytest.raises(UsageError, match=r"no trial '77'.*") as refused:
        plan_study(request("losses", arch="best:77"), runs=Path(runs))
    assert len(refused.value.messages) == 1  # nothing was downloaded


def test_an_architecture_of_a_file_is_trained_as_long_as_suits_the_data(best: Run, tmp_path: Path) -> None:
    """The file is what ``nasctl show --json`` prints, whatever else it says."""
    shown = nasctl("show", "best:1", "--json", "--runs", best.folder.parent, cwd=tmp_path)
    (tmp_path / "arch.json").write_text(shown.stdout)
    plan = plan_study(request("losses", arch=str(tmp_path / "arch.json"), imbalance="1"))
    assert all(m.sample == best.trials["1"].sample and m.space == "vgg" for m in plan.config.members)
    assert plan.facts.members["ce"].architecture == best.trials["1"].architecture
    assert {m.recipe.epochs for m in plan.config.members} == {default_epochs(sum(plan.facts.counts["train"]))}


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("{", "holds no architecture"),
        ("[]", "holds no architecture"),
        ('{"space": "vgg"}', "holds no architecture"),
        ('{"space": null, "sample": {}}', "holds no architecture"),
        ('{"space": "vg", "sample": {}}', "Did you mean 'vgg'"),
        ('{"space": "vgg", "sample": {"kernel1": true}}', "holds no architecture"),
        ('{"space": "vgg", "sample": {"kernel1": 4}}', "kernel1=4 is not one of [3, 5]"),
        (None, "No such file"),
    ],
)  # fmt: skip
def test_a_file_without_an_architecture_is_refused(content: str | None, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "arch.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError) as refused:
        load_architecture(str(path), tmp_path)
    assert wanted in str(refused.value)
    assert all(error.startswith(f"--arch {path}") for error in refused.value.messages)


def test_a_winner_is_compared_with_baselines_on_the_same_images(done: Run, best: Run, tmp_path: Path) -> None:
    other = searched(tmp_path / "other", seed=1, trials=1)
    comparison = compare([Named(best), Named(done), Named(other)])
    winner, *rows = comparison.rows
    assert [row.name for row in rows[:2]] == ["model1-setting2", "model2-setting6"]
    assert [row.kind for row in rows] == ["baseline", "baseline", "random search"]
    assert winner.params <= 20_000
    differences = np.subtract(winner.test["balanced_accuracy"].values, rows[0].test["balanced_accuracy"].values)
    against = comparison.others[0].against_first
    assert against.difference == pytest.approx(differences.mean())
    assert against.least_p == 0.5
    means = comparison.others[0].means
    assert means is not None and means.low is not None and means.high is not None
    assert means.difference == pytest.approx(differences.mean()) and means.low <= means.difference <= means.high
    values = winner.test["balanced_accuracy"].values, rows[2].test["balanced_accuracy"].values
    unequal = comparison.others[2]  # it has other seeds: what is told is not that of the pairs
    assert unequal.means and unequal.means.difference == pytest.approx(np.mean(values[0]) - np.mean(values[1]))
    console = Screen(width=200, record=True, file=StringIO())
    print_comparison(console, comparison, None)
    assert f"{100 * means.low:+.1f} to {100 * means.high:+.1f}" in console.export_text()
    assert [spent.trainings for spent in comparison.compute] == [4, 4, 3]
    told = comparison_document(comparison)
    assert "against_first" not in told["first"]
    assert set(told["others"][0]) == {field.name for field in fields(BaselineRow)} | {
        "against_first", "difference_of_means",
    }  # fmt: skip
    with Image.open(draw(comparison, tmp_path / "sizes.png")) as image:
        assert min(image.size) >= 500
    with pytest.raises(UsageError, match=r"ends in \.png"):
        draw(comparison, tmp_path / "sizes.pdf")


def test_the_floor_stands_in_the_comparison(best: Run, done: Run, tmp_path: Path) -> None:
    metrics = dict.fromkeys(REPORTED, 0.875)
    floor = FloorMeasured(
        method="RBF SVM on pixels", settings={}, rank=metrics, test=metrics, images=1, of_images=1, components=None
    )
    assert comparison_document(compare([Named(best), Named(done)]))["floor"] is None
    with_floor = copy.copy(as_search(best))
    with_floor.floor = floor
    comparison = compare([Named(with_floor), Named(done)])
    assert comparison_document(comparison)["floor"]["test"] == metrics
    console = Screen(width=200, record=True, file=StringIO())
    print_comparison(console, comparison, None)
    (row,) = (line for line in console.export_text().splitlines() if line.startswith("floor: "))
    mean = comparison.first.test["balanced_accuracy"].mean
    assert mean is not None
    assert row.split() == ["floor:", "RBF", "SVM", "on", "pixels", "-", "-", *["87.5"] * 4, f"{100 * mean - 87.5:+.1f}"]
    pictures = [draw(of, tmp_path / f"{n}.png") for n, of in enumerate((comparison, replace(comparison, floor=None)))]
    with Image.open(pictures[0]) as line, Image.open(pictures[1]) as none:
        assert line.tobytes() != none.tobytes()


def test_runs_on_other_data_are_not_compared(done: Run, best: Run, tmp_path: Path) -> None:
    even = train(begin(tmp_path / "even", imbalance="1", members="model1-setting2", seeds="1"))
    with pytest.raises(UsageError, match=r"'even' cannot be compared with 'best'.*imbalance 1,.*not .*imbalance 20,"):
        compare([Named(best), Named(done), Named(even)])


def test_commands_about_searches_know_a_baseline_run(done: Run, best: Run) -> None:
    with pytest.raises(RunError, match=r"'hand' is not a search.*nasctl report hand"):
        as_search(done)
    with pytest.raises(RunError, match=r"'best' is not a baseline run"):
        as_study(best)
    console = Screen(width=200, record=True, file=StringIO())
    console.print(runs_table([done, best]))
    console.print(trials_table(done, done.ranked(), metric_columns("macro_f1, test.micro_recall", "balanced_accuracy")))
    print_run(console, done)
    text = console.export_text()
    for words in (
        "study hand-nets",
        "4/4",
        "model1-setting2.1",
        "model2, after Borderline-SMOTE",
        "baseline stu",
    ):
        assert words in text


def test_a_study_on_every_training_image(tmp_path: Path) -> None:
    """The benchmark's protocol: nothing held out, the last epoch, the tail cut from all training images."""
    plan = plan_study(request("long-tail", data="digits", imbalance="10", members="ce,ldam-drw", seeds="1", epochs="1"))
    held = plan_study(request("losses", network="model2", imbalance="10"))
    counts, less = plan.facts.counts, held.facts.counts
    assert counts["test"] == less["test"] and max(counts["train"]) > 1.3 * max(less["train"])
    assert plan.facts.data_key != held.facts.data_key
    assert all(member.recipe.keep_epoch == "last" for member in plan.config.members)
    assert [member.published for member in plan.config.members] == [86.39, 88.16]
    assert [member.published for member in held.config.members if member.published] == []
    assert DataConfig().hold_out
    with pytest.raises(UsageError, match="holds none out"):
        plan_study(request("losses", network="model2", hold_out=False))


def test_the_command_line_of_baselines(tmp_path: Path) -> None:
    few = ["--members", "model2-setting2", "--seeds", "2", "--epochs", "1", "--workers", "1", "--device", "cpu"]
    done = nasctl("baseline", "run", "hand-nets", *few, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["state"] == "done" and document["members"][0]["seeds"] == 2
    assert all(Path(tmp_path, path).is_file() for path in document["pictures"])
    again = nasctl("resume", cwd=tmp_path)
    assert "hand-nets-digits-1 is done already." in again.stdout and "model2-setting2" in again.stdout
