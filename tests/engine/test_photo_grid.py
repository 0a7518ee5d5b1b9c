"""The grid of photos: its cells, samples and shards of it, real trainings that are killed, merged and reported."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import nasctl, refused
from PIL import Image

from baselines.studies import STUDIES
from nas.config import DataConfig, StudyRequest
from nas.engine.cells import chosen_members
from nas.engine.merging import merge
from nas.engine.study import run_study
from nas.engine.study_plan import plan_study
from nas.errors import UsageError
from nas.executors import WorkerSlot
from nas.executors.inline import InlineExecutor
from nas.report.grid import best_members, grid_report
from nas.report.study import study_report
from nas.runs import EventLog, StudyRun, as_study
from nas.runs.events import StudyEnded, TrialEnded, TrialSubmitted
from nas.runs.fold import fold
from nas.runs.folders import start_study
from nas.runs.log import read_log
from nas.trials.run_trial import run_trial
from nas.trials.spec import TrialResult, TrialSpec

pytestmark = pytest.mark.usefixtures("one_thread")

GRID = STUDIES["photo-grid"]
SMALL: dict[str, Any] = {
    "members": ("small-cnn-*",), "sample": 4, "epochs": 3, "select_every": 2, "from_scratch": True, "device": "cpu",
}  # fmt: skip


def request(place: Path, **changes: Any) -> StudyRequest:
    data = DataConfig(source=str(place / "photos"), image_size=12, fit="pad")
    return StudyRequest(study="photo-grid", data=data, **(SMALL | changes))


def carried_out(log: EventLog, run_one: Callable[..., TrialResult] = run_trial) -> StudyRun:
    """The study in a log trained to its end in this process."""
    with log:
        run = as_study(fold(log.folder, log.entries()))
        return run_study(run, log, [WorkerSlot("cpu", 1)], [], lambda slots: InlineExecutor(run_one))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of three classes, 40 to 8 images, all of other shapes."""
    folder, rng = tmp_path_factory.mktemp("grid"), np.random.default_rng(0)
    for tone, (name, count) in enumerate({"axe": 40, "book": 16, "hammer": 12}.items()):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(count):
            height, width = rng.integers(8, 20, 2)
            pixels = rng.integers(0, 160, (height, width, 3)) + np.array([90 * (tone == c) for c in range(3)])
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def whole(place: Path) -> StudyRun:
    """Four cells of the plain CNN in one run, stopped in the third and resumed."""
    plan, folder, trained = plan_study(request(place)), place / "runs" / "whole", list[str]()

    def stopping(spec: TrialSpec, *more: Any) -> TrialResult:
        trained.append(spec.id)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return run_trial(spec, *more)

    with pytest.raises(KeyboardInterrupt):
        carried_out(start_study(folder, plan.config, plan.facts), stopping)
    return carried_out(EventLog(folder))


@pytest.fixture(scope="module")
def shards(place: Path) -> list[StudyRun]:
    """The same four cells in two runs."""
    plans = {f"shard{number}": plan_study(request(place, shard=(number, 2))) for number in (1, 2)}
    logs = [start_study(place / "runs" / name, plan.config, plan.facts) for name, plan in plans.items()]
    return [carried_out(log) for log in logs]


def test_the_grid_has_1040_cells_of_five_networks() -> None:
    cells = GRID.members
    assert len(cells) == len({cell.name for cell in cells}) == 1040
    assert Counter(cell.network for cell in cells) == {
        "vgg19": 240, "vgg19-gelu": 240, "vgg19-frozen": 240, "small-cnn": 160, "resnet18-photo": 160,
    }  # fmt: skip
    assert sum(bool(cell.pretrained) for cell in cells) == 360
    for network, rates in (("vgg19", (1e-3, 1e-4, 1e-5)), ("small-cnn", (1e-2, 1e-3, 1e-4, 1e-5))):
        axes = [
            (c.pretrained, c.recipe["learning_rate"], c.recipe["weight_decay"], c.recipe["decay"],
             c.recipe["oversampling"] != "none") for c in cells if c.network == network
        ]  # fmt: skip
        begun = (True, False) if network == "vgg19" else (False,)
        decays, gammas = (1e-2, 1e-3, 1e-4, 1e-5), (0.95, 0.96, 0.97, 0.98, 0.99)
        assert Counter(axes) == Counter(itertools.product(begun, rates, decays, gammas, (True, False)))


def test_a_sample_is_drawn_by_the_seed_and_shards_are_its_parts() -> None:
    def names(**changes: object) -> list[str]:
        return [cell.name for cell in chosen_members(GRID, StudyRequest(study="photo-grid", **changes))]  # type: ignore[arg-type]

    drawn = names(sample=40)
    assert len(set(drawn)) == 40 and drawn == names(sample=40) != names(sample=40, seed=1)
    order = {cell.name: place for place, cell in enumerate(GRID.members)}
    assert drawn == sorted(drawn, key=order.__getitem__)
    parts = [names(sample=40, shard=(number, 3)) for number in (1, 2, 3)]
    assert sorted(itertools.chain(*parts)) == sorted(drawn) and sum(map(len, parts)) == 40
    assert len(names(from_scratch=True)) == 680 and not any("pretrained" in name for name in names(from_scratch=True))
    with pytest.raises(UsageError, match=r"--shard 3/50: there are 40 members, which are fewer than shards"):
        names(sample=40, shard=(3, 50))
    with pytest.raises(UsageError, match="leaves out pretrained members, and so every one here"):
        names(from_scratch=True, members=["*-pretrained-*"])


def test_a_plan_has_the_recipe_of_each_cell_and_tests_set_aside(place: Path) -> None:
    data = DataConfig(source=str(place / "photos"), image_size=32, fit="pad")
    plan = plan_study(StudyRequest(study="photo-grid", data=data, from_scratch=True, sample=9, device="cpu"))
    assert plan.facts.counts["test"] == [20, 8, 6]  # 30 each, but half of the class at most
    assert sum(map(sum, plan.facts.counts.values())) == 68
    for member in plan.config.members:
        recipe = member.recipe
        assert (recipe.epochs, recipe.patience, recipe.batch_size) == (30, 20, 32)
        assert (recipe.schedule, recipe.keep_epoch, recipe.optimizer, recipe.flip) == (
            "exponential",
            "best",
            "adam",
            False,
        )
        assert (recipe.freeze == "features") == (member.network == "vgg19-frozen")
        assert ("filled" in member.name) == (recipe.oversampling == "augment:hue=0.5,mirrors=true")


def test_what_a_grid_cannot_be_is_said(place: Path) -> None:
    grid = ("baseline", "run", "photo-grid", "--data", str(place / "photos"), "--image-size", "32")
    for words, more in (
        ("'3' is not a part: write I/N", ("--shard", "3")),
        ("'5/4' is not a part", ("--shard", "5/4")),
        ("there is no such file", ("--weights", "none.pth")),
        ("exclude each other", ("--weights", "none.pth", "--from-scratch")),
    ):
        assert words in refused(place, *grid, *more)
    assert "a search trains many" in refused(place, "search", "--space", "vgg", "--max-params", "20k", "--freeze", "0")


def test_shards_merge_into_the_run_that_all_cells_together_make(whole: StudyRun, shards: list[StudyRun]) -> None:
    made = merge(shards, whole.folder.parent / "merged")
    assert made.state == "done" and [m.name for m in made.config.members] == [m.name for m in whole.config.members]
    assert made.config.members == whole.config.members
    for trial in whole.stage("study"):
        same = made.trial(trial.id)
        assert (same.metrics, same.seed, same.epochs, same.cost) == (
            trial.metrics,
            trial.seed,
            trial.epochs,
            trial.cost,
        )
        without = [{name: value for name, value in row.items() if name != "seconds"} for row in made.history(same)]
        assert without == [{n: value for n, value in row.items() if n != "seconds"} for row in whole.history(trial)]
        assert made.weights(trial.id).read_bytes() == whole.weights(trial.id).read_bytes()
    one, other = (grid_report(run, study_report(run).members) for run in (whole, made))
    assert one == other
    assert made.elapsed == pytest.approx(sum(run.elapsed for run in shards), abs=0.5)
    kinds = [type(entry.event) for entry in read_log(made.folder)]
    assert kinds.count(TrialSubmitted) == kinds.count(TrialEnded) == 4 and kinds[-1] is StudyEnded


def test_what_does_not_belong_together_is_not_merged(place: Path, whole: StudyRun, shards: list[StudyRun]) -> None:
    few = ("--members", "small-cnn-*", "--from-scratch", "--sample", "1", "--epochs", "1", "--device", "cpu")
    run = ("baseline", "run", "photo-grid", "--data", "photos", "--image-size", "12", "--fit", "pad", *few)
    done = nasctl(*run, "--run", "other", "--seed", "1", "--workers", "1", "--quiet", cwd=place)
    assert done.returncode == 0, done.stderr
    (kept,) = (place / "runs" / "other" / "analysis").iterdir()  # of the best cell, by itself
    assert kept.name.startswith("small-cnn-") and (kept / "analysis.json").is_file()
    said = refused(place, "baseline", "merge", "shard1", "other", "shard1")
    assert "shard1 is named twice" in said and "other and shard1 differ in seed" in said
    assert "takes two runs or more" in refused(place, "baseline", "merge", "shard1")
    assert "exists already" in refused(place, "baseline", "merge", "shard1", "shard2", "--run", "whole")
    done = nasctl("baseline", "merge", "shard1", "shard2", "--run", "both", cwd=place)
    assert done.stdout.endswith("Merged run: runs/both\n") and "4 of 4 cells have finished" in done.stdout


def test_the_report_of_a_grid(place: Path, whole: StudyRun) -> None:
    report = grid_report(whole, study_report(whole).members)
    assert report is not None and (report.cells, report.of_run, report.finished) == (1040, 4, 4)
    (best,) = report.best
    scores = {trial.of: trial.score("balanced_accuracy", "rank") for trial in whole.stage("study")}
    assert [cell.validation for cell in best.top] == sorted(scores.values(), reverse=True)
    assert scores[best.top[0].member] == max(scores.values()) and best.published == pytest.approx(0.7619)
    assert scores[best_members(whole)[0]] == max(scores.values()) and len(best_members(whole)) == 1
    assert report.filled is not None and report.filled.after == dict.fromkeys(("axe", "book", "hammer"), 14)
    for axis in {one.axis for one in report.influence}:
        of_axis = [one for one in report.influence if one.axis == axis]
        assert sum(one.cells for one in of_axis) == 4
        assert sum(one.cells * one.validation for one in of_axis) / 4 == pytest.approx(sum(scores.values()) / 4)
        assert sum(one.cells * one.against_network for one in of_axis) == pytest.approx(0, abs=1e-9)
        assert all((one.validation_interval is None) == (one.cells < 3) for one in of_axis)
    for row in whole.history(whole.stage("study")[0]):
        assert ("select_loss" in row) == (row["epoch"] in (2, 3))
    done = nasctl("report", "whole", cwd=place)
    for words in ("4 of 4 cells have finished", "76.2", "Influence of each axis", "filled up", "--csv --run"):
        assert words in done.stdout, words
    assert "The grid" in (whole.folder / "report.html").read_text()
    assert (whole.folder / "report" / "influence.png").is_file()
    assert len(list((whole.folder / "report").glob("confusion-*.png"))) == 1
    document = json.loads(nasctl("report", "whole", "--json", cwd=place).stdout)
    assert document["grid"]["best"][0]["top"][0]["member"] == best.top[0].member
    rows = list(csv.DictReader(io.StringIO(nasctl("trials", "whole", "--csv", cwd=place).stdout)))
    assert len(rows) == 4 and {row["network"] for row in rows} == {"small-cnn"}
    assert {float(row["recipe.learning_rate"]) for row in rows} <= {1e-2, 1e-3, 1e-4, 1e-5}
