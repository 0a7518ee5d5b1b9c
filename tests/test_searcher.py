"""Spaces and searchers in Python: own training loops propose as the command line does, and continue after anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import refused, told
from simulated_search import run_all

import nas
import nas.api.searcher
import nas.api.spaces
from budgets import Budget
from nas.api import reopen
from nas.api.searcher import Asked
from nas.config import DataConfig
from nas.config.training_request import TrainingRequest
from nas.engine.training_plan import plan_training
from nas.errors import RunError, UsageError
from nas.runs import EventLog, TrialRecord, load_run
from nas.runs.hints import typed
from nas.testing.strategies import MOST, TASK

SEED = 3


def searcher(folder: Path | None = None, *, strategy: str = "evolution", trials: int = 30) -> nas.Searcher:
    space = nas.space("resnet", input_shape=TASK.input_shape, classes=TASK.num_classes)
    return nas.Searcher(space, strategy=strategy, trials=trials, seed=SEED, folder=folder, max_params=MOST)


def key(trial: Asked | TrialRecord) -> str:
    return str(sorted(trial.sample.items()))


def known_scores(tmp_path: Path, strategy: str) -> dict[str, float]:
    """By sample, what a simulated search of the engine told its strategy, in its order."""
    run = run_all(tmp_path / "engine", strategy=strategy, seed=SEED)
    return {key(trial): trial.score("balanced_accuracy") or 0.0 for trial in run.stage("search")}


@pytest.mark.parametrize("strategy", ["evolution", "random"])
def test_it_asks_for_what_the_engine_trains(tmp_path: Path, strategy: str) -> None:
    scores = known_scores(tmp_path, strategy)
    asked = list[Asked]()
    with searcher(strategy=strategy) as mine:
        while trial := mine.ask():
            asked.append(trial)
            mine.tell(trial, scores[key(trial)])
        assert [key(trial) for trial in asked] == list(scores)
        assert mine.best.score == max(scores.values())
        assert mine.ask() is None  # as often as it is asked


def test_it_resumes_after_a_kill(tmp_path: Path) -> None:
    scores = known_scores(tmp_path, "evolution")
    program = (
        "import os, sys\nsys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\nfrom test_searcher import key, searcher\n"
        "scores = eval(sys.stdin.read())\n"
        "mine = searcher(Path(sys.argv[1]))\n"
        "for _ in range(11):\n    trial = mine.ask()\n    mine.tell(trial, scores[key(trial)])\n"
        "mine.ask()\nos.kill(os.getpid(), 9)\n"
    )
    here = Path(__file__).parent
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "mine"), str(here), str(here / "support"), str(here.parent)],
        input=repr(scores), text=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -9
    asked = list[str]()
    with nas.Searcher.load(tmp_path / "mine") as mine:
        assert len([trial for trial in mine.trials if trial.status == "finished"]) == 11
        while trial := mine.ask():
            asked.append(key(trial))
            mine.tell(trial, scores[key(trial)])
    assert asked == list(scores)[11:]  # what was asked for and not told came again, first
    with pytest.raises(UsageError, match=r"To resume it there: nas\.Searcher\.load"):
        reopen(load_run("mine", tmp_path))


def test_its_run_is_shown_like_others(tmp_path: Path) -> None:
    with searcher(tmp_path / "mine") as mine:
        mine.tell(mine.ask(), 0.5)
    status = told(tmp_path, "status", "mine", "--runs", ".")
    assert "evolution over" in status and "your own Python program" in status and "best 0.500" in status
    assert "closed by its Python program. To resume: in Python, nas.Searcher.load('mine')" in status


def test_commands_about_its_run_say_what_does_instead_or_take_images(tmp_path: Path) -> None:
    with searcher(tmp_path / "runs" / "mine", trials=1) as mine:
        mine.tell(mine.ask(), 0.5)
    for command, words in (
        ("resume mine", "To resume it there: nas.Searcher.load('runs/mine')"),
        ("config mine", "no flags repeat it"),
        ("export --best --run mine --out m", "To train one here: nasctl train mine:1 --data IMAGES"),
        ("train mine --dry-run", "--data is missing"),
        ("lr-find mine", "--data is missing"),
        ("space --arch mine:1", "--data is missing"),
    ):
        assert words in refused(tmp_path, *command.split()), command
    assert "nas.Searcher.load('runs/mine', trials=2)" in told(tmp_path, "status", "mine")
    assert "conv 3x3" in told(tmp_path, "space", "--arch", "mine:1", "--data", "digits")
    request = TrainingRequest(arch="mine", data=DataConfig(source="digits"), device="cpu")
    (member,) = plan_training(request, runs=tmp_path / "runs").config.members
    assert (member.space, member.recipe.prior_tau) == ("resnet", 1), "the data decide how it is trained"


def test_what_resumes_after_an_error_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = searcher(tmp_path / "mine")
    trial = mine.ask()
    monkeypatch.setattr(EventLog, "append", _full)
    with pytest.raises(RunError, match=r"No room.* then: nas\.Searcher\.load\('.*mine'\)$"):
        mine.tell(trial, 0.5)
    monkeypatch.undo()
    mine.close()


def _full(log: EventLog, event: object) -> None:
    raise RunError(f"No room on the disk. Make some, then: {typed('resume', log.folder)}")


def test_several_are_asked_for_at_once_and_some_fail(tmp_path: Path) -> None:
    with searcher(tmp_path / "mine", trials=9) as mine:
        first = [trial for _ in range(4) if (trial := mine.ask())]
        assert len({key(trial) for trial in first}) == 4
        with pytest.raises(RunError, match="another process"):
            nas.Searcher.load(tmp_path / "mine")
        with pytest.raises(UsageError, match=r"holds a search already: nas\.Searcher\.load"):
            searcher(tmp_path / "mine")
        with pytest.raises(UsageError, match="'good' is not a score of trial 3"):
            mine.tell(first[2], "good")
        mine.tell(first[2], 0.5)
        mine.tell(first[0].id, None)
        for trial, words in ((first[2], "told before"), ("99", "never asked for")):
            with pytest.raises(UsageError, match=words):
                mine.tell(trial, 0.5)
        assert [trial.status for trial in mine.trials] == ["failed", "running", "finished", "running"]
        rest = [trial for _ in range(5) if (trial := mine.ask())]
        assert len(rest) == 5 and mine.ask() is None
        for trial in (first[1], first[3], *rest):
            mine.tell(trial, 0.1)
        assert mine.best.id == first[2].id
        layer = first[1].build()
        assert sum(weight.numel() for weight in layer.parameters()) == first[1].cost.params


def test_errors_are_told_together() -> None:
    space = nas.space("vgg", input_shape=(1, 8, 8))
    with pytest.raises(UsageError) as refused:
        space.sample(max_parms=3, max_params="many", max_macs=7)
    assert "no limit 'max_parms'" in str(refused.value) and "max_params: " in str(refused.value)
    with pytest.raises(UsageError, match="Did you mean 'evolution'"):
        nas.Searcher(space, strategy="evolutoin", max_params="20k")
    with pytest.raises(UsageError, match="darts trains a supernet itself"):
        nas.Searcher(space, strategy="darts", max_params="20k")
    with pytest.raises(UsageError, match="Did you mean 'vgg'"):
        nas.space("vg")
    with pytest.raises(UsageError, match=r"give \(channels, height, width\)"):
        nas.space("vgg", input_shape=(8, 8))
    with pytest.raises(UsageError, match=r"^input_shape: .* give a tuple of whole numbers\.$"):
        nas.space("vgg", input_shape=("a", 8, 8))
    with pytest.raises(UsageError, match=r"^max_params: '-3' is not a size"):
        space.sample(max_params=-3)
    listed = nas.space("vgg", input_shape=[1, 8, 8])  # as JSON has it
    assert listed.sample(max_params=None, max_macs="1M") == space.sample(max_params="none", max_macs=1_000_000)
    with pytest.raises(UsageError) as refused:
        nas.Searcher("vgg", n_trials=3)
    assert "nas.space('vgg'," in str(refused.value) and "Did you mean 'trials'" in str(refused.value)


def test_a_space_says_what_fits() -> None:
    space = nas.space("vgg", input_shape=TASK.input_shape)
    samples = space.sample(20, seed=1, max_params="20k")
    assert len(samples) == 20 and max(space.cost(sample).params for sample in samples) <= 20_000
    report = space.report(max_params=20_000)
    assert report.budget == Budget(max_params=20_000, min_params=10_000)
    assert 0 < report.share.fitting < report.share.sampled
    assert samples[0].keys() == space.choices.keys()


def printed_by_the_blocks(page: str, folder: Path) -> str:
    """Output of the blocks of a page, one after the other, as a program that somebody saved."""
    text = (Path(__file__).parent.parent / "docs" / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    program = folder / "program.py"
    program.write_text("\n".join(blocks))
    done = subprocess.run([sys.executable, program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


def test_the_page_on_data_runs(tmp_path: Path) -> None:
    told = printed_by_the_blocks("python-data.md", tmp_path)
    assert re.match(r"vgg-arrays-1 0\.\d+\n0\.\d+ \[\[", told) and "Cost(params=" in told


def test_the_page_runs(tmp_path: Path) -> None:
    told = printed_by_the_blocks("python.md", tmp_path)
    assert "resnet " in told
    assert re.search(r"^<Search vgg-digits-1: done, 6 done.*\n\d+ 0\.\d+ \[0\.", told, re.MULTILINE)
    assert re.search(r"^2 2 \d.*\n<Trial 2 of vgg-digits-2: .*> \d+\.\d s$", told, re.MULTILINE)
    assert "trials | trials=0 cannot be used" in told and (tmp_path / "model" / "model.onnx").is_file()


def test_the_page_on_own_training_loops_runs(tmp_path: Path) -> None:
    told = printed_by_the_blocks("ask-and-tell.md", tmp_path)
    assert re.match(r"\{'stages'.*\} 0\.\d+ \d+\n", told) and (tmp_path / "my-search").is_dir()


def test_nothing_is_told_to_a_closed_searcher():
    with nas.Searcher(nas.space("vgg", input_shape=(1, 8, 8)), max_params="20k", trials=2) as searcher:
        searcher.tell(searcher.ask(), 0.5)
        other = searcher.ask()
    for call in (searcher.ask, lambda: searcher.tell(other, 0.5)):
        with pytest.raises(RunError, match="closed"):
            call()
