"""Runs that use plug-ins: recorded, carried to workers, found again by every command, from a shell and in Python."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from command_line import NASCTL, nasctl, nasctl_process, refused, told
from plugin_files import EXAMPLES, space_file
from registered import registering

import nas
from nas.api.searcher import Searcher
from nas.errors import PluginError, RunError
from nas.export.from_run import request_of
from nas.export.model_source import model_source
from nas.plugins import loading
from nas.plugins.recorded import loading_errors, obey
from nas.runs import as_search
from nas.runs import run as runs
from nas.runs.folders import read_run

SHORT = ["--epochs", "1", "--workers", "1", "--no-floor", "--confirm", "0", "--max-params", "5k"]
KINDS = """
import numpy as np
import torch
from torch import nn

from nas.plugins import (
    Synthetic, register_mixing, register_network, register_oversampler, register_regularizer, register_sampler,
)


@register_regularizer("l1", weight=1e-4)
def l1(model):
    return lambda: sum(weight.abs().sum() for weight in model.parameters())


@register_mixing("half")
def half(first, second, share, counts):
    return torch.full_like(share, 0.5)


@register_sampler("backwards")
def backwards(images):
    return lambda count, generator: torch.arange(len(images), device=generator.device).flip(0)[:count]


@register_oversampler("first")
def first(split):
    counts = np.bincount(split.labels)
    wanted = [(c, counts.max() - n) for c, n in enumerate(counts) if n]
    rows = np.concatenate([np.full(n, np.flatnonzero(split.labels == c)[0]) for c, n in wanted])
    return Synthetic(split.stored, split.labels[rows], rows=split.rows[rows])


@register_network("small", summary="a convolution and a layer")
class Small(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(16, num_classes)

    def forward(self, images):
        return self.head(self.body(images))
"""

OBJECTIVE = """
import numpy as np

from nas.plugins import register_objective


@register_objective("less_doubt")
def less_doubt(evaluation):
    logits = evaluation.logits - evaluation.logits.max(axis=1, keepdims=True)
    right = logits[np.arange(len(logits)), evaluation.labels]
    return float((right - np.log(np.exp(logits).sum(axis=1))).mean())
"""


def killed_after_a_trial(place: Path, *arguments: object) -> Path:
    """Start a search and end it, with its workers, when a trial has a result; its folder."""
    command = [NASCTL, *map(str, arguments), "--run", "killed"]
    folder = place / "runs" / "killed"
    process = subprocess.Popen(command, cwd=place, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with suppress(RunError):
                if read_run(folder).num_ranked:
                    break
            time.sleep(0.05)
        assert process.poll() is None, "it was to be killed"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return folder


def anew(place: Path, *arguments: object, run: Callable[..., subprocess.CompletedProcess[str]] = nasctl) -> str:
    """Output of a command that must succeed, and say nothing else, where nothing was loaded before."""
    loading.forget()
    done = run(*arguments, cwd=place)
    assert done.returncode == 0 and "Traceback" not in done.stderr and "lug-in" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_space_and_a_loss_of_a_file_go_through_a_kill_and_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for example in ("tiny_space.py", "mse_loss.py"):
        (tmp_path / example).write_text((EXAMPLES / example).read_text())
    given = ["--plugin", "tiny_space.py", "--plugin", "mse_loss.py"]
    folder = killed_after_a_trial(
        tmp_path, "search", *given, "--space", "tiny", "--loss", "mse", *SHORT, "--trials", 12
    )
    run = as_search(read_run(folder))
    assert [plugin.source for plugin in run.config.plugins] == [str(tmp_path / name) for name in given[1::2]]
    assert run.config.recipe.loss == "mse" and not run.is_done
    scores = {trial.id: trial.score("balanced_accuracy") for trial in run.ranked()}
    anew(tmp_path, "resume", "killed", "--trials", len(scores) + 1, run=nasctl_process)
    done = as_search(read_run(folder))
    assert done.is_done and {id: done.trials[id].score("balanced_accuracy") for id in scores} == scores
    shutil.copytree(folder, folder.with_name("other"))
    assert "then " in anew(tmp_path, "trials", "killed")
    assert "conv 3x3" in anew(tmp_path, "show", "killed")
    anew(tmp_path, "export", "killed", "--best", "--out", "model")
    source = (tmp_path / "model" / "model.py").read_text()
    assert "class Network(nn.Module)" in source and "nas" not in source.partition('"""\n\nfrom')[2].split()
    assert "then " in anew(tmp_path, "compare", "killed", "other", "--json")
    assert "tiny" in told(tmp_path, "status") and "over tiny" in told(tmp_path, "status", "killed")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody else"))
    for arguments in (["show"], ["export", "--best", "--out", "m"], ["config"], ["evaluate"]):
        assert "never gave by --plugin, so it is not executed" in refused(tmp_path, *arguments, "--run", "killed")
    listed = nasctl("trials", "killed", cwd=tmp_path)
    assert listed.returncode == 0 and "width" in listed.stdout and "--trust-plugin" in listed.stderr
    assert nasctl("status", "killed", cwd=tmp_path).returncode == 0
    told(tmp_path, "show", "killed", "--trust-plugin")
    assert not nasctl("trials", "killed", cwd=tmp_path).stderr


def test_a_setting_of_a_file_and_errors_of_plugins_on_the_command_line(tmp_path: Path) -> None:
    space_file(tmp_path / "settings", "one", "mine.py")
    settings = tmp_path / "settings" / "run.toml"
    settings.write_text('plugin = ["mine.py"]\nspace = "one"\nmax_params = "none"\ntrials = 1\n')
    assert "evolution over one" in told(tmp_path, "search", "--config", settings, "--dry-run", *SHORT[:4])
    assert "one" in told(tmp_path, "space", "--plugin", settings.with_name("mine.py"))
    settings.write_text('plugin = ["yours.py"]\n')
    assert "there is no such file" in refused(tmp_path, "search", "--config", settings)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    assert f"ZeroDivisionError: division by zero ({tmp_path / 'broken.py'}:1)" in refused(
        tmp_path, "search", "--plugin", "broken.py", "--space", "vgg", "--max-params", "5k"
    )
    assert not (tmp_path / "runs").exists()


def test_a_plugin_that_raises_stops_a_search_which_resumes_when_it_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    good = (EXAMPLES / "hill_climb.py").read_text() + (EXAMPLES / "mse_loss.py").read_text()
    bad = good.replace("self.asked += 1", "self.asked += 1\n        assert self.asked < 2, 'not twice'")
    path.write_text(bad.replace("return lambda logits, labels: (", "return lambda logits, labels: 1 / 0 * ("))
    search = ["search", "--plugin", path, "--space", "vgg", "--strategy", "hill-climb", "--loss", "mse", *SHORT[:-1]]
    stopped = nasctl(*search, "15k", "--trials", 3, "--run", "a", cwd=tmp_path)
    assert stopped.returncode == 1
    assert f"Stopped by the plug-in's AssertionError: not twice ({path}:" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "in ask" in (tmp_path / "runs" / "a" / "logs" / "plugins.txt").read_text()
    path.write_text(bad)
    assert f"{path} has changed since" in refused(tmp_path, "resume", "a")
    again = nasctl("resume", "a", "--plugin", path, cwd=tmp_path)
    run = as_search(read_run(tmp_path / "runs" / "a"))
    assert "not twice" in again.stderr and run.stopped and "not twice" in run.stopped
    first = run.trials["1"]
    assert first.status == "failed" and f"the plug-in's ZeroDivisionError: division by zero ({path}:" in str(
        first.error
    )
    assert "ZeroDivisionError" in (tmp_path / "runs" / "a" / "logs" / "1.txt").read_text()
    path.write_text(good)
    moved = path.rename(tmp_path / "theirs.py")
    assert "which is not there" in refused(tmp_path, "resume", "a")
    told(tmp_path, "resume", "a", "--plugin", moved)
    done = as_search(read_run(tmp_path / "runs" / "a"))
    assert done.is_done and [plugin.source for plugin in done.config.plugins] == [str(moved)]
    assert "theirs.py" in told(tmp_path, "config", "a")
    moved.write_text(good + "# another file\n")
    for command in ("resume", "status", "trials", "show"):
        shown = nasctl(command, "a", "--json", cwd=tmp_path)
        assert shown.returncode == 0 and json.loads(shown.stdout) and f"{moved} has changed since" in shown.stderr


def test_every_other_kind_takes_part_in_a_search(tmp_path: Path) -> None:
    (tmp_path / "kinds.py").write_text(KINDS)
    plugins = ["--plugin", "kinds.py", "--plugin", EXAMPLES / "rings.py"]
    told(
        tmp_path, "search", *plugins, "--space", "vgg", *SHORT[:-1], "15k", "--data", "rings:40", "--imbalance", 2,
        "--trials", 1, "--regularizer", "l1", "--mixup", "half", "--sampler", "backwards", "--oversample", "first",
        "--run", "a",
    )  # fmt: skip
    run = as_search(read_run(tmp_path / "runs" / "a"))
    assert run.config.data.source == "rings:40" and run.facts.classes == ("disc", "ring")
    assert run.config.recipe.name == "custom-ce+l1+first+half" and run.trials["1"].status == "finished"
    assert "Did you mean 'rings'?" in refused(tmp_path, "data", "ringss", "--plugin", EXAMPLES / "rings.py")


def test_a_network_is_trained_in_a_study_and_exported_as_plain_torch(tmp_path: Path) -> None:
    (tmp_path / "kinds.py").write_text(KINDS)
    told(
        tmp_path, "baseline", "run", "regularization", "--plugin", "kinds.py", "--network", "small", "--seeds", 1,
        "--members", "none", "--data", "digits", "--epochs", 1, "--workers", 1, "--run", "s",
    )  # fmt: skip
    run = nas.load_run("s", runs=tmp_path / "runs")
    request = request_of(run.record, "none", tmp_path / "model")
    source = model_source(request)
    assert "class Small(nn.Module):" in source and "nas.plugins" not in source
    (tmp_path / "model.py").write_text(source)
    shutil.copy(request.weights, tmp_path / "weights.safetensors")
    theirs = runpy.run_path(str(tmp_path / "model.py"))["load"]()
    images = torch.rand(3, *run.input_shape)
    assert torch.equal(theirs(images), run.member("none").model()(images))


def test_an_own_objective_is_shown_as_it_is_and_scored_by_evaluate(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OBJECTIVE)
    given = ["--plugin", "mine.py", "--epochs", 1, "--workers", 1]
    search = ["search", "--space", "vgg", *given, *SHORT[4:-1], "20k", "--trials", 1]
    told(tmp_path, *search, "--objective", "less_doubt", "--run", "a")
    study = ["baseline", "run", "hand-nets", "--members", "model2-setting2", "--seeds", 1, *given]
    report = told(tmp_path, *study, "--objective", "less_doubt", "--run", "s")
    run = nas.load_run("s", runs=tmp_path / "runs")
    mean = f"{statistics.fmean(run.member('model2-setting2').test_scores):.3f}"
    own = as_search(read_run(tmp_path / "runs" / "a")).test_scores[0]
    for text in (report, told(tmp_path, "compare", "a", "s", "--plot", "c.png")):
        assert mean in text and "% (less doubt: not in %)" in text
    assert f"{own:.3f}" in text

    found = json.loads(told(tmp_path, "evaluate", "a", "--json"))
    assert found["objective"] == "less_doubt" and found["figures"]["less_doubt"] == pytest.approx(own, abs=1e-5)


def test_in_python_what_was_loaded_is_recorded_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nas.load_plugin(space_file(tmp_path, "mine"))
    space = nas.space("mine", input_shape=(1, 8, 8))
    with Searcher(space, trials=2, strategy="random", folder=tmp_path / "s") as searcher:
        searcher.tell(searcher.ask(), 1.0)
    with pytest.raises(ValueError, match="There is no loss 'msee'"):
        nas.search("mine", max_params="none", loss="msee", trials=1, confirm=0, runs=tmp_path)
    with pytest.raises(ValueError, match=r"nothing\.py.*there is no such file"):
        nas.search("mine", plugin=["nothing.py"], max_params="none", runs=tmp_path)
    loading.forget()
    assert nas.load_run("s", runs=tmp_path).record.space.name == "mine"
    loading.forget()
    with Searcher.load(tmp_path / "s") as again:
        assert again.ask().sample in ({"width": 4}, {"width": 8})
    loading.forget()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody else"))
    with pytest.raises(PluginError, match="not executed"):
        _ = nas.load_run("s", runs=tmp_path).record.space
    record, looked = as_search(read_run(tmp_path / "s")), list[str]()
    monkeypatch.setattr(
        runs, "loading_errors", lambda plugins, run: looked.append(run) or loading_errors(plugins, run=run)
    )
    assert {record.line({"width": 4}) for _ in range(9)} == {"width 4"} and looked == ["s"]
    obey()
    nas.load_plugin(tmp_path / "my_space.py")
    assert record.line({"width": 4}) == "width 4" and looked == ["s", "s"]
    assert nas.load_run("s", runs=tmp_path).record.space.name == "mine"


def test_a_searcher_asks_the_strategy_of_a_plugin_and_resumes_it(tmp_path: Path) -> None:
    nas.load_plugin(EXAMPLES / "hill_climb.py")
    space = nas.space("vgg", input_shape=(1, 8, 8), fix={"kernel*": 3})

    def asked(searcher: Searcher, count: int) -> list[dict[str, object]]:
        found = []
        for _ in range(count):
            trial = searcher.ask()
            searcher.tell(trial, 1 / trial.cost.macs)
            found.append(trial.sample)
        return found

    settings = {"strategy": "hill-climb", "max_params": "20k", "seed": 3}
    with Searcher(space, trials=8, **settings) as searcher:
        whole = asked(searcher, 8)
    with Searcher(space, trials=5, folder=tmp_path / "s", **settings) as searcher:
        assert asked(searcher, 5) == whole[:5] and searcher.ask() is None
    loading.forget()
    with Searcher.load(tmp_path / "s", trials=8) as searcher:
        assert asked(searcher, 3) == whole[5:] and searcher.ask() is None
        assert searcher.best.score == max(1 / trial.cost.macs for trial in searcher.trials)
        assert repr(searcher).startswith("<Searcher: hill-climb over vgg, 8 of 8 told, best <Trial ")
    assert {sample["kernel1"] for sample in whole} == {3} and len({str(sample) for sample in whole}) == 8


def test_what_a_program_registers_by_itself_is_refused_where_others_need_it(tmp_path: Path) -> None:
    given = {"loss": "mse", "objective": "top_k", "runs": tmp_path / "runs"}
    alone = "The {} is registered in this program alone"
    with registering("mse_loss.py", "objective.py"):
        for call in (lambda: nas.search("vgg", max_params="20k", **given), lambda: nas.train(space="vgg", **given)):
            with pytest.raises(ValueError) as refused:
                call()
            for kind in ("loss 'mse'", "objective 'top_k'"):
                assert alone.format(kind) in str(refused.value)
        with pytest.raises(ValueError, match=alone.format("objective 'top_k'")):
            nas.baseline("hand-nets", objective="top_k", runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
