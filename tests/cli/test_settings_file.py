"""Settings files: what they say becomes flags, errors name their keys, and the file of a run makes it again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from command_line import fails, nasctl
from simulated_search import begin, story, timeless

import nas
from nas.api.settings import search_config, study_request
from nas.cli.app import app
from nas.cli.flags import settings_file
from nas.config import DataConfig
from nas.config.run import SupernetConfig
from nas.engine.plan import Plan, plan_search, start
from nas.engine.study_plan import plan_study
from nas.runs.events import SearchStarted
from nas.runs.folders import start_study

STUDY = ("baseline", "run")


def flags_of(path: Path, *arguments: str, command: tuple[str, ...] = ("search",)) -> dict[str, Any]:
    """Flags that ``nasctl search --config`` of a file and flags come to."""
    found = typer.main.get_command(app)
    for name in command:
        found = found.commands[name]
    context = found.make_context(command[-1], list(arguments))
    file = settings_file(context, str(path))
    assert not file.errors
    return {**context.params, **file.values}


def written(folder: Path, *lines: str) -> Path:
    path = folder / "run.toml"
    path.write_text("\n".join(lines))
    return path


def told(event: Any) -> Any:
    """An event without times, and without the reasons for what the data decided: the file says what was decided."""
    if isinstance(event, SearchStarted):
        return replace(event, facts=replace(event.facts, recipe_note="", mirroring=""))
    return timeless(event)


def test_the_settings_of_a_run_make_the_same_run_again(tmp_path):
    short = "--space vgg --fix kernel*=3 --choices stages=2,3 --max-params 20k --trials 2 --epochs 1"
    short += " --confirm 1 --workers 1 --no-floor --run first"
    assert nasctl("search", *short.split(), "--device", "cpu", "--quiet", cwd=tmp_path).returncode == 0
    printed = nasctl("config", "first", cwd=tmp_path)
    path = written(tmp_path, printed.stdout)
    assert nasctl("search", "--config", path, "--run", "again", "--quiet", cwd=tmp_path).returncode == 0
    first, again = ([told(event) for event in story(tmp_path / "runs" / name)] for name in ("first", "again"))
    assert len(first) > 8
    assert again == first


def test_the_settings_of_a_study_make_the_same_study_again(tmp_path):
    short = "losses --members ce,focal --network model1 --seeds 1 --epochs 1 --workers 1 --run first --keep none"
    assert nasctl("baseline", "run", *short.split(), "--device", "cpu", "--quiet", cwd=tmp_path).returncode == 0
    path = written(tmp_path, nasctl("config", "first", cwd=tmp_path).stdout)
    assert 'study = "losses"\nmembers = ["ce", "focal"]\nnetwork = "model1"\n' in path.read_text()
    assert nasctl("baseline", "run", "--config", path, "--run", "again", "--quiet", cwd=tmp_path).returncode == 0
    first, again = ([told(event) for event in story(tmp_path / "runs" / name)] for name in ("first", "again"))
    assert len(first) > 5
    assert again == first


@pytest.mark.parametrize(
    "flags",
    [
        "hand-nets --members model2-setting2* --search-trials 3 --seed 4 --objective accuracy --imbalance 3",
        "resnet18-settings --from-scratch --input-size 32 --members 2-custom-ce --keep best --time-limit 2h",
        "losses --network resnet32 --members ce --train-on-all --batch-size 64",
        "regularization --arch ARCH --members none,srip --data digits --seeds 2",
        "losses --arch TRAINED --members ce,focal --epochs 3",
    ],
)
def test_what_is_written_of_a_study_is_planned_alike(tmp_path, flags):
    (sample,) = nas.space("vgg", input_shape=(1, 8, 8)).sample(max_params="20k")
    training = {"learning_rate": 0.003, "schedule": "cosine", "weight_decay": 1e-4}  # as a run's comes with it
    for name, more in (("ARCH", {}), ("TRAINED", {"training": training})):
        (tmp_path / name).write_text(json.dumps({"space": "vgg", "sample": sample, **more}))
    typed = [str(tmp_path / word) if (tmp_path / word).is_file() else word for word in flags.split()]
    plan = plan_study(study_request(flags_of(written(tmp_path, ""), *typed, command=STUDY)))
    with start_study(tmp_path / "runs" / "a", plan.config, plan.facts):
        pass
    printed = nasctl("config", cwd=tmp_path)
    again = plan_study(study_request(flags_of(written(tmp_path, printed.stdout), command=STUDY)))
    assert (again.config, again.facts) == (plan.config, plan.facts), printed.stderr


@pytest.mark.parametrize(
    "flags",
    [
        "",  # epochs are chosen, and may be lengthened
        "--confirm-epochs 9 --no-prune --seed 4 --workers 2 --trial-timeout 90s --objective accuracy",
        "--time-limit 1.5h --confirm 0 --recipe ldam-drw --batch-size 32 --no-flip --keep 5 --profile",
        "--recipe auto --regularizer srip --regularizer-weight 1e-5 --mixup mixup --epochs 24 --cutout 0.2",
        "--recipe post-hoc-logit-adjustment --learning-rate 3e-3 --optimizer sgd --patience 3 --schedule step",
        "--loss cb-focal --gamma 1.5 --max-macs 3M --min-params 1 --precision bfloat16",
        "--oversample smote --oversampled-share 0.4 --grey --image-size 16x12 --fit pad --imbalance 3 --classes 1,2,7",
    ],
)
def test_what_is_written_is_planned_alike(tmp_path, flags):
    typed = flags_of(written(tmp_path, ""), "--space", "resnet", "--max-params", "60k", *flags.split())
    plan = plan_search(search_config(typed))
    with start(plan, tmp_path / "runs" / "a"):
        pass
    again = plan_search(search_config(flags_of(written(tmp_path, nasctl("config", cwd=tmp_path).stdout))))
    assert again.config == plan.config

    def facts(plan: Plan) -> object:
        return replace(plan, recipe_note="", mirroring="")

    assert facts(again) == facts(plan)


def test_the_settings_of_a_supernet_are_written(tmp_path):
    supernet = SupernetConfig(candidates=9, penalty=0, epochs=3)
    with begin(tmp_path / "runs" / "a", strategy="darts", supernet=supernet, trials=5):
        pass
    config = search_config(flags_of(written(tmp_path, nasctl("config", cwd=tmp_path).stdout)))
    assert (config.strategy, config.supernet, config.trials) == ("darts", supernet, 5)


def test_a_run_that_flags_cannot_say_is_refused_with_what_is_missing(tmp_path):
    with begin(tmp_path / "runs" / "a", data=DataConfig(split_seed=3), confirm_seeds=2):
        pass
    message = nasctl("config", "a", cwd=tmp_path)
    assert message.returncode == 2
    assert "no flag sets data.split_seed = 3, confirm_seeds = 2." in message.stderr


def test_flags_win_and_values_may_be_written_as_toml_has_them(tmp_path):
    lines = ['space = "vgg"', "max-params = 80_000", "time_limit = 90", "learning-rate = 5e-3", "flip = false"]
    lines += ['classes = ["a,b", "c"]', "grey = true", 'runs = "there"', "trials = 7", "quiet = true"]
    found = flags_of(written(tmp_path, *lines), "--trials", "9", "--colour", "--runs", "runs")
    assert (found["trials"], found["runs"], found["grey"], found["colour"]) == ("9", "runs", False, True)
    config = search_config(found)
    assert (config.space, config.budget.max_params, config.time_limit) == ("vgg", 80_000, 90)
    assert (config.recipe.learning_rate, config.recipe.flip, config.data.classes) == (0.005, False, ("a,b", "c"))
    assert flags_of(written(tmp_path, *lines))["runs"] == "there"
    assert found["quiet"]


def test_data_are_named_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    np.savez(tmp_path / "project" / "mine.npz", images=np.zeros((4, 8, 8), np.uint8), labels=np.arange(4))
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "project", 'data = "mine.npz"')
    assert flags_of(path)["data"] == str(tmp_path / "project" / "mine.npz")
    assert flags_of(path, "--data", "mine.npz")["data"] == "mine.npz"
    assert flags_of(written(tmp_path, 'data = "digits"'))["data"] == "digits"


def test_every_error_is_told_at_once_by_its_key(tmp_path):
    lines = ['space = "dens"', "max-params = 0", "epoch = 3", "batch-size = 0", "batch_size = 8", "flip = 1"]
    lines += ["trials = true", "penalty = 2", "workers = 0", 'run = "a b"', "[data]", "source = 1"]
    message = fails("search", "--config", written(tmp_path, *lines), "--confirm", "x", cwd=tmp_path)
    path = tmp_path / "run.toml"
    lines = message.removeprefix("nasctl: ").splitlines()
    own = [line.removeprefix(f"{path}: ") for line in lines if line.startswith(f"{path}: ")]
    assert [line for line in lines if not line.startswith(f"{path}: ")] == [
        "--confirm 'x' cannot be used: give a whole number."
    ]
    begins = [
        "there is no setting 'epoch'.", "batch-size and batch_size are the same", "flip = 1 cannot",
        "trials = true cannot", 'data = {"source": 1} cannot', "space: There is no search space 'dens'",
        "max-params: '0' is not", "batch-size '0' cannot", "penalty belongs to a supernet", "workers '0' cannot",
        "run 'a b' is not a valid name",
    ]  # fmt: skip
    assert len(own) == len(begins)
    assert all(line.startswith(begin) for line, begin in zip(own, begins, strict=True)), own
    assert "Did you mean 'epochs'?" in message
    assert fails("search", "--config", "no.toml", cwd=tmp_path).startswith("nasctl: --config no.toml cannot be read")
    assert "line 1" in fails("search", "--config", written(tmp_path, "space = vgg"), cwd=tmp_path)


@pytest.mark.parametrize("study", ["hand-nets", "classical"])
def test_baseline_runs_take_a_file_too(tmp_path, study):
    path = written(tmp_path, "space = 1", 'data = "digit"', 'objective = "best"')
    message = fails("baseline", "run", study, "--config", path, cwd=tmp_path)
    assert f"{path}: there is no setting 'space'" in message
    assert f"{path}: objective: There is no objective 'best'" in message
