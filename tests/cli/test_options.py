"""Flags of one-shot strategies and of parts of spaces: what they become; every error in one message with its cure."""

from __future__ import annotations

import json
import re

import pytest
from command_line import fails, nasctl
from supernet_log import Log

from nas.api.settings import search_config
from nas.cli.commands.search import resume_command
from nas.config.run import ONE_SHOT
from nas.errors import UsageError
from nas.strategies.registry import STRATEGIES

FLAGS = {"supernet_epochs": "3", "penalty": "0.5", "alpha_learning_rate": "0.2", "candidates": "8"}


def errors_of(**flags: str) -> tuple[str, ...]:
    with pytest.raises(UsageError) as caught:
        search_config({"space": "vgg", **flags})
    return caught.value.messages


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_defaults_follow_the_strategy(strategy):
    config = search_config({"space": "vgg", "strategy": strategy, "epochs": "7"})
    assert config.one_shot == (strategy in ONE_SHOT)
    assert config.trials == (4 if config.one_shot else 12)
    assert config.supernet_epochs == 4  # half, rounded up
    assert (config.supernet.penalty, config.supernet.candidates) == (1.0, 32)


def test_flags_reach_the_settings():
    config = search_config({"space": "vgg", "strategy": "gumbel-darts", **FLAGS})
    assert config.supernet_epochs == 3
    assert config.supernet.model_dump(exclude={"warm_up", "learning_rate"}) == {
        "epochs": 3, "penalty": 0.5, "alpha_learning_rate": 0.2, "candidates": 8,
    }  # fmt: skip
    assert search_config({"space": "vgg", "strategy": "darts", "candidates": "2"}).trials == 2
    assert search_config({"space": "vgg", "strategy": "darts", "penalty": "0"}).supernet.penalty == 0


@pytest.mark.parametrize(("flag", "colours"), [("grey", "grey"), ("colour", "rgb"), ("quiet", None)])
def test_flags_of_the_channels_reach_the_settings(flag, colours):
    assert search_config({"space": "vgg", flag: True}).data.colours == colours


def test_a_space_is_shown_as_it_is_restricted(tmp_path):
    part = ("cell", "--fix", "edge*=conv3", "--choices", "width=16,18", "--max-params", "150k", "--no-timing")
    shown = nasctl("space", *part, cwd=tmp_path).stdout
    assert "Within:  width=16,18; edge*=conv3\n" in shown
    assert re.search(r"^edge01 to edge23 +conv3 *$", shown, re.MULTILINE)
    told = json.loads(nasctl("space", *part, "--json", cwd=tmp_path).stdout)
    assert told["choices"]["cells"] == [1, 2, 3, 4, 5]
    assert told["restriction"] == {
        "width": [16, 18],
        **{f"edge{i}": ["conv3"] for i in ("01", "02", "12", "03", "13", "23")},
    }
    assert told["examples"] and all(one["sample"]["edge13"] == "conv3" for one in told["examples"])


def test_errors_of_a_restriction_come_with_all_others(tmp_path):
    told = fails(
        "search", "--space", "cell", "--fix", "edge*=conv5", "--choices", "widht=8", "--epochs", "x", cwd=tmp_path
    )
    assert (
        "has a value 'conv5'. Did you mean 'conv3'?" in told and "Did you mean 'width'?" in told and "--epochs" in told
    )


@pytest.mark.parametrize("strategy", [None, "evolution", "random"])
@pytest.mark.parametrize("flag", FLAGS)
def test_a_setting_that_would_be_ignored_is_an_error(strategy, flag):
    (error,) = errors_of(**({"strategy": strategy} if strategy else {}), **{flag: FLAGS[flag]})
    assert f"--{flag.replace('_', '-')} belongs to a supernet, and {strategy or 'evolution'} trains none" in error
    assert "--strategy darts, gumbel-darts or random-oneshot" in error


@pytest.mark.parametrize("flag", ["penalty", "alpha_learning_rate"])
def test_what_is_about_alphas_is_an_error_without_alphas(flag):
    (error,) = errors_of(strategy="random-oneshot", **{flag: FLAGS[flag]})
    assert "random-oneshot has none" in error
    assert search_config({"space": "vgg", "strategy": "random-oneshot", "candidates": "8"}).supernet.candidates == 8


def test_an_unknown_strategy_names_the_nearest_and_all():
    (error,) = errors_of(strategy="gumble-darts")
    assert "Did you mean 'gumbel-darts'?" in error
    assert ", ".join(STRATEGIES) in error


def test_every_error_is_told_at_once_under_the_name_of_its_flag():
    found = errors_of(
        strategy="darts", supernet_epochs="0", penalty="-1", alpha_learning_rate="0", candidates="3", trials="9",
        epochs="x", workers="many",
    )  # fmt: skip
    assert [error.split()[0] for error in found] == [
        "--epochs", "--supernet-epochs", "--alpha-learning-rate", "--penalty", "--workers", "--trials",
    ]  # fmt: skip
    assert "--candidates 9" in found[-1]


def test_a_resumed_search_cannot_have_more_trials_than_candidates(tmp_path):
    log = Log(tmp_path / "r")
    log.close()
    flags = dict.fromkeys(("time_limit", "workers", "trials_per_gpu", "device"))
    asked = {**flags, "run": "r", "runs": str(tmp_path), "trials": "9", "quiet": True, "json": False}
    with pytest.raises(UsageError, match="the supernet ranks 8 candidates"):
        resume_command(asked)
