"""Initial architectures of a search: those to train first, and what another search found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import nasctl, refused
from simulated_search import Simulated, resume, run_all, story

from nas.engine.known import samples_of
from nas.errors import UsageError
from nas.runs.folders import read_run
from search_spaces import Sample


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run_all(folder / "before", space="vgg", trials=8, confirm=0)
    return folder


def samples(run: Path, *trials: str) -> list[Sample]:
    return [read_run(run).trials[trial].sample for trial in trials]


@pytest.mark.parametrize("options", [{"strategy": "random"}, {}, {"guide": "on"}])
def test_what_is_to_be_first_is_trained_first_also_after_a_stop(known: Path, tmp_path: Path, options: dict) -> None:
    first = samples(known / "before", "3", "5", "3")
    asked = {"space": "vgg", "first": tuple(first), "trials": 7, "confirm": 0, "seed": 3, **options}
    whole = run_all(tmp_path / "whole", **asked)
    trials = whole.stage("search")
    assert [trial.sample for trial in trials[:2]] == first[:2]
    assert [trial.note == "first" for trial in trials] == [True] * 2 + [False] * 5
    assert len({trial.architecture for trial in trials}) == 7
    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "stopped", Simulated(stop_after=1), **asked)
    resume(tmp_path / "stopped", Simulated())
    assert story(tmp_path / "stopped") == story(tmp_path / "whole")


def test_samples_are_read_from_files_of_every_form(known: Path, tmp_path: Path) -> None:
    one, two = samples(known / "before", "1", "2")
    assert samples_of("before:2", known, "vgg") == [two]
    for content in (one, {"space": "vgg", "sample": one}):
        (tmp_path / "a.json").write_text(json.dumps(content))
        assert samples_of(str(tmp_path / "a.json"), known, "vgg") == [one]
    (tmp_path / "a.json").write_text(json.dumps([one, {"sample": two}]))
    assert samples_of(str(tmp_path / "a.json"), known, "vgg") == [one, two]
    for wrong, message in (
        ("before:2", "search is of resnet"),
        ("[1]", "takes architectures"),
        ("{", "no JSON"),
        ("no.json", "read"),
    ):
        with pytest.raises(UsageError, match=message):
            samples_of(wrong, known, "resnet")


def test_a_search_typed_with_both_and_every_refusal(known: Path, tmp_path: Path) -> None:
    where = ["--runs", str(known), "--max-params", "60k", "--no-floor"]
    short = ["--epochs", "1", "--trials", "3", "--confirm", "0", "--workers", "1", "--quiet", "--run", "after"]
    more = ["--first", "before:4", "--learn-from", "before", "--min-params", "1"]
    done = nasctl("search", "--space", "vgg", *where, *short, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = read_run(known / "after")
    assert run.trials["1"].sample == samples(known / "before", "4")[0]
    assert len(run.facts.learned) == 8 and run.config.guide == "on"
    shown = nasctl("show", "after:1", "--runs", known, cwd=tmp_path).stdout
    assert "because --first names it" in shown
    assert "Chosen by what --learn-from found" in nasctl("show", "after:2", "--runs", known, cwd=tmp_path).stdout
    written = nasctl("config", "after", "--runs", known, cwd=tmp_path).stdout
    assert "learn_from" in written and 'guide = "on"' in written

    two = ["--first", "before:4", "--first", "before:3"]

    def message(*flags: str) -> str:
        return refused(tmp_path, "search", *where, "--run", "x", *flags)

    assert "before searched vgg, not resnet" in message("--space", "resnet", "--learn-from", "before")
    assert "no run 'gone'" in message("--space", "vgg", "--learn-from", "gone")
    assert "add --guide on" in message("--space", "vgg", "--learn-from", "before", "--strategy", "random")
    assert "search is of resnet" in message("--space", "resnet", "--first", "before:4")
    assert "under the minimum" in message("--space", "vgg", "--first", "before:4", "--min-params", "59k")
    assert "--trials 2 or more" in message("--space", "vgg", *two, "--trials", "1")
    assert "darts decides alone" in message("--space", "vgg", "--strategy", "darts", "--guide", "on")
    assert "darts decides alone" in message("--space", "vgg", "--strategy", "darts", "--first", "before:4")
    assert not (known / "x").exists()
