"""Settings from Python are those of the command line, mean the same, and are refused alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from pydantic import BaseModel

import nas
from nas.api.keywords import SWITCHES, as_flags
from nas.api.settings import search_config
from nas.cli.app import app
from nas.config import DataConfig, SearchConfig, StudyRequest
from nas.config.run import Changes
from nas.errors import UsageError

SHELL = {"config", "plugin", "trust_plugin", "dry_run", "quiet", "json", "help"}  # what only a command line needs


def options(*path: str) -> dict[str, Any]:
    command = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    return {option.name: option for option in command.params if option.name not in SHELL}


@pytest.mark.parametrize(
    ("path", "kind", "others"),
    [
        (("search",), SearchConfig, set()),
        (("baseline", "run"), StudyRequest, set()),
        (("resume",), Changes, {"name", "run", "runs"}),
    ],
)
def test_a_call_takes_what_its_command_takes(path: tuple[str, ...], kind: type[BaseModel], others: set[str]) -> None:
    typed = options(*path)
    keywords = as_flags({}, kind, [])
    assert keywords.keys() == typed.keys() - others
    for name in keywords:
        assert (name in SWITCHES) == bool(getattr(typed[name], "is_flag", False)), name


def typed(line: str) -> dict[str, Any]:
    context = typer.main.get_command(app).commands["search"].make_context("search", line.split())
    return dict(context.params)


@pytest.mark.parametrize(
    ("keywords", "line"),
    [
        ({"max_params": 150_000, "trials": np.int64(7)}, "--max-params 150k --trials 7"),
        ({"max_params": "none", "time_limit": 1800, "seed": 3}, "--max-params none --time-limit 30m --seed 3"),
        ({"fix": {"kernel*": 3}, "choices": ["stages=2,3"]}, "--fix kernel*=3 --choices stages=2,3"),
        ({"fix": "kernel*=3", "choices": {"stages": (2, 3)}}, "--fix kernel*=3 --choices stages=2,3"),
        ({"classes": [1, 2, "7"], "match": ["*.jpg", "*.png"]}, "--classes 1,2,7 --match *.jpg,*.png"),
        ({"image_size": (96, 64), "fit": "pad", "grey": True}, "--image-size 96x64 --fit pad --grey"),
        ({"prune": np.False_, "flip": True, "no_floor": True}, "--no-prune --flip --no-floor"),
        ({"learning_rate": 1e-5, "oversample": "smote", "colour": False}, "--learning-rate 1e-5 --oversample smote"),
        ({"columns": {"path": "FILE", "split": ""}}, "--columns path=FILE,split="),
        ({"data": Path("digits"), "precision": None}, "--data digits"),
        ({"data": DataConfig(imbalance=3.0, min_per_class=2), "imbalance": 5}, "--min-per-class 2 --imbalance 5"),
    ],
)
def test_a_keyword_means_what_its_flag_means(keywords: dict[str, object], line: str) -> None:
    errors: list[str] = []
    mine = as_flags({"space": "vgg", **keywords}, SearchConfig, errors)
    assert search_config(mine) == search_config(typed(f"--space vgg {line}"))
    assert not errors


def test_what_is_wrong_is_told_together_by_setting_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        nas.search(
            "vg", max_parms=3, min_params="x", trials=True, epochs=0, prune="no", config="run.toml", run="a/b",
            data=tmp_path / "photos", runs=tmp_path, callbacks=[3], quiet=True,  # type: ignore[list-item]
        )  # fmt: skip
    names, messages = zip(*refused.value.errors, strict=True)
    assert set(names) == {
        "space", "max_parms", "min_params", "trials", "epochs", "prune", "config", "run", "data", "callbacks", "quiet",
        "max_params",
    }  # fmt: skip
    assert str(refused.value) == "\n".join(messages)
    told = dict(refused.value.errors)
    assert told["max_parms"] == "There is no setting 'max_parms' here. Did you mean 'max_params'?"
    assert told["epochs"] == "epochs=0 cannot be used: give a number of at least 1."
    assert told["prune"] == "prune: a value of type str cannot be used, give True or False."
    assert "tomllib" in told["config"] and "progress=True" in told["quiet"]
    assert '"150k"' in told["max_params"] and "--" not in str(refused.value)
    assert not list(tmp_path.iterdir())
