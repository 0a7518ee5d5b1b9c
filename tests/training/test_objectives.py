"""Objectives of one's own: what their functions get, what becomes of what they give, and a whole search by one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import told
from registered import registering
from small_samples import SHORT, SMALL
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import nas.api
from baselines.evaluation import Evaluation, NotGiven
from baselines.metrics import METRICS
from nas.config.auto_recipe import resolve_recipe
from nas.config.objectives import lacking, lengthens_by, measure, register_objective, resolve_objective
from nas.config.recipe import RECIPES
from nas.data import DataConfig
from nas.errors import ObjectiveError
from nas.executors import InlineExecutor
from nas.training.augmentation import normalize
from nas.training.classifier_head import last_linear
from nas.training.metrics import evaluate
from nas.trials.run_trial import run_trial
from nas.trials.spec import TrialSpec
from search_spaces import get_space

pytestmark = pytest.mark.usefixtures("one_thread")
NORMAL = ((0.3,), (0.2,))


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    with registering("objective.py", "listener.py"):
        yield


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (70, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, 10, (70,), generator=generator)


def network() -> nn.Module:
    torch.manual_seed(0)
    return get_space("vgg").build(SMALL["vgg"], (1, 8, 8), 10)


def test_a_function_gets_the_arrays_of_the_split() -> None:
    """Logits are the network's, embeddings what its last layer makes them of, and cost a pass where they are used."""
    (images, labels), model, passes = data(), network(), list[int]()
    model.register_forward_hook(lambda *_: passes.append(len(_[2])))
    seen: dict[str, np.ndarray] = {}

    @register_objective("spy")
    def spy(evaluation: Evaluation, of: str = "logits") -> float:
        seen[of] = getattr(evaluation, of).copy()
        return float(len(seen[of]))

    arrays = ("labels", "logits", "predicted", "confusion", "embeddings")
    for array in arrays:
        del passes[:]
        text = resolve_objective(f"spy:of={array}")
        metrics = evaluate(model, images, labels, NORMAL, num_classes=10, device="cpu", batch_size=32, objective=text)
        assert passes == [32, 32, 6] * (2 if array == "embeddings" else 1)
        assert metrics[text] == float(len(seen[array]))
        assert model.training
    with torch.inference_mode():
        logits = model.eval()(normalize(images, torch.tensor([0.3]), torch.tensor([0.2])))
        weight, bias = (tensor.numpy() for tensor in last_linear(model, 10)[1].parameters())
    np.testing.assert_allclose(seen["logits"], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen["embeddings"] @ weight.T + bias, logits, rtol=1e-4, atol=1e-5)
    assert seen["predicted"].tolist() == logits.argmax(1).tolist() and seen["labels"].tolist() == labels.tolist()
    assert seen["confusion"].trace() == (logits.argmax(1) == labels).sum() and seen["confusion"].sum() == 70
    plain = evaluate(model, images, labels, NORMAL, num_classes=10, device="cpu", batch_size=32)
    assert plain.keys() == {*METRICS, "recall_by_class", "loss"} == metrics.keys() - {"spy:of=embeddings"}
    assert plain.items() <= metrics.items()


def test_counts_and_arrays_give_the_same_metrics() -> None:
    rng = np.random.default_rng(0)
    given = Evaluation(rng.integers(0, 4, 50), rng.normal(size=(50, 4)))
    counted = Evaluation((), num_classes=4, counts=(given.right_C, given.true_C, given.predicted_C))
    for name in METRICS:
        assert measure(name, given) == measure(name, counted)
    with pytest.raises(NotGiven, match="needs logits"):
        _ = counted.logits
    assert lacking("top_k:k=3") == "the objective top_k:k=3 needs logits, which classical methods do not have"
    assert lacking("macro_f1") is None


def wrecks(evaluation: Evaluation) -> float:
    evaluation.labels[0] = 1  # of the split that is trained on
    return 1.0


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (
            lambda evaluation: evaluation.labels[1000],
            r"failed: IndexError: .* out of bounds .*\(test_objectives.py:\d+\)$",
        ),
        (lambda evaluation: float("nan"), "gave nan, which is not a finite number"),
        (lambda evaluation: None, "gave None, which is not one number"),
        (lambda evaluation: evaluation.logits, r"gave array.*\[0., 1., .*which is not one number"),
        (wrecks, "failed: ValueError: assignment destination is read-only"),
    ],
)
def test_what_gives_no_number_is_named(compute: Any, message: str) -> None:
    register_objective("own")(compute)
    with pytest.raises(ObjectiveError, match=f"^the objective own {message}"):
        measure("own", Evaluation([0, 1, 1], np.eye(3)))


def spec(tmp_path: Path, objective: str, **changes: Any) -> TrialSpec:
    return TrialSpec(
        "1", "vgg", SMALL["vgg"], (1, 8, 8), 10, DataConfig(), SHORT, 3, objective=objective,
        log_path=str(tmp_path / "logs" / "1.txt"), **changes,
    )  # fmt: skip


def test_a_trial_is_scored_by_it_and_fails_alone_where_it_fails(tmp_path: Path) -> None:
    result = run_trial(spec(tmp_path, "top_k:k=10"), "cpu")
    assert result.status == "finished"
    assert [row["select_top_k:k=10"] for row in result.history] == [1.0, 1.0]
    assert result.metrics["select"]["top_k:k=10"] == result.metrics["rank"]["top_k:k=10"] == 1.0

    @register_objective("late")
    def late(evaluation: Evaluation) -> float:
        return 1 / (evaluation.num_classes - 10)

    failed = run_trial(spec(tmp_path, "late"), "cpu")
    assert failed.status == "failed" and failed.metrics == {}
    assert re.fullmatch(
        r"the objective late failed: ZeroDivisionError: .*division by zero \(test_objectives.py:\d+\)",
        str(failed.error),
    )
    log = (tmp_path / "logs" / "1.txt").read_text()
    assert "return 1 / (evaluation.num_classes - 10)" in log and log.endswith(f"failed: {failed.error}\n")


def test_a_network_that_diverged_is_not_blamed_on_the_objective(tmp_path: Path) -> None:
    images, labels = data()
    with pytest.raises(Exception, match="the loss is nan, so that the objective top_k cannot be computed"):
        evaluate(network(), images, labels, ((float("nan"),), (1.0,)), num_classes=10, device="cpu", objective="top_k")


def test_the_auto_recipe_knows_what_counts_classes_alike() -> None:
    register_objective("alike", balanced=True)(lambda evaluation, x=1: 0.0)
    uneven = [100, 10]
    assert resolve_recipe(RECIPES["auto"], uneven, "alike:x=2")[0].prior_tau == 1
    assert resolve_recipe(RECIPES["auto"], uneven, "top_k")[0].prior_tau == 0
    assert "alike weights all classes equally" in resolve_recipe(RECIPES["ce"], uneven, "alike")[1]
    assert lengthens_by("alike") == "balanced_accuracy" and lengthens_by("macro_f1") == "macro_f1"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials run in this process, which knows what the tests register."""
    monkeypatch.setattr(nas.api, "start_server", lambda slots: None)
    monkeypatch.setattr(
        nas.api, "local_executor", lambda journal: lambda slots: InlineExecutor(run_trial),
    )  # fmt: skip


SEARCH = "search --space vgg --max-params 12k --trials 2 --epochs 1 --confirm 1 --workers 1 --device cpu --run one"


@pytest.mark.usefixtures("here")
def test_a_search_and_a_study_by_it(tmp_path: Path) -> None:
    """Recorded in its one form, shown wherever a score is, and left without a floor in one sentence."""
    shown = told(tmp_path, *SEARCH.split(), "--objective", "top_k: k=3")
    assert "ranked by top k:k=3" in shown and re.search(r"trial +1  top k:k=3 0\.\d+", shown)
    assert re.search(r"Test top k:k=3: 0\.\d+ ± 0\.\d+ over 3 seeds", shown)
    needs = "the objective top_k:k=3 needs logits, which classical methods do not have."
    note = f"The classical baseline was not measured: {needs}"
    assert f"note: {note}" in shown

    trials = json.loads(told(tmp_path, "trials", "one", "--json"))
    assert all(trial["score"] == trial["metrics"]["rank"]["top_k:k=3"] for trial in trials)
    assert all(trial["metrics"]["rank"]["accuracy"] < trial["score"] for trial in trials)
    table = told(tmp_path, "trials", "one", "--columns", "accuracy,top_k:k=3,test.top_k:k=3")
    assert "test.top k:k=3" in table
    assert json.loads(told(tmp_path, "status", "one", "--json"))["notes"] == [note]
    assert 'objective = "top_k:k=3"' in told(tmp_path, "config", "one")
    diary = (tmp_path / "runs" / "one" / "diary.txt").read_text().splitlines()
    assert diary == [f"{trial['id']} finished {trial['score']}" for trial in trials]
    events = EventAccumulator(str(tmp_path / "runs" / "one" / "tensorboard" / "1")).Reload()
    assert {"select/top_k:k=3", "rank/top_k:k=3"} <= set(events.Tags()["scalars"])

    study = "baseline run losses --members ce --seeds 1 --epochs 1 --workers 1 --device cpu --run two --arch one"
    report = told(tmp_path, *study.split(), "--objective", "top_k:k=3")
    assert "top k:k=3" in report
    metrics = json.loads(told(tmp_path, "report", "two", "--json"))["members"][0]["test"]
    compared = json.loads(told(tmp_path, "compare", "one", "two", "--json"))
    assert compared["objective"] == "top_k:k=3"
    assert compared["others"][0]["test"]["top_k:k=3"] == metrics["top_k:k=3"]
    assert compared["others"][0]["against_first"]["pairs"] == 1
    assert "top k:k=3" in told(tmp_path, "compare", "one", "two")


@pytest.mark.usefixtures("here")
def test_a_search_whose_objective_is_gone_cannot_resume(tmp_path: Path) -> None:
    """But it can be looked at."""
    from command_line import nasctl, refused

    @register_objective("once")
    def once(evaluation: Evaluation) -> float:
        raise KeyboardInterrupt  # before the first result

    assert nasctl(*SEARCH.split(), "--objective", "once", cwd=tmp_path).returncode == 130
    with registering():
        from nas.config.objectives import OBJECTIVES

        del OBJECTIVES._entries["once"]
        assert "There is no objective 'once'." in refused(tmp_path, "resume", "one")
        assert "ranked by once" in told(tmp_path, "status", "one")
