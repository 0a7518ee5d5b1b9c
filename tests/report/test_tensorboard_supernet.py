"""The supernet's event file, read back by TensorBoard's own reader and plugins."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from supernet_log import EPOCHS, Log
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.hparams.api_pb2 import GetExperimentRequest
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.get_experiment import Handler

from nas.errors import RunError
from nas.report.tensorboard.listener import bring_up_to_date, keep_files
from nas.report.tensorboard.trial import PARTIAL

METRICS = {
    "train_loss", "select_loss", "penalty", "entropy", "expected_params", "likeliest_params", "within_budget",
    "skip_share", "learning_rate", "score",
}  # fmt: skip


@pytest.fixture
def log(tmp_path):
    log = Log(tmp_path / "one", keep_files)
    yield log
    log.close()


def train(log: Log, epochs: int = EPOCHS) -> None:
    log.supernet()
    for number in range(1, epochs + 1):
        log.epoch(number)


def file_of(log: Log) -> Path:
    (file,) = (log.run.folder / "tensorboard" / "supernet").iterdir()
    return file


def read(log: Log) -> EventAccumulator:
    events = EventAccumulator(str(file_of(log).parent), STORE_EVERYTHING_SIZE_GUIDANCE)
    events.Reload()
    return events


def steps(log: Log, tag: str) -> list[int]:
    return [point.step for point in read(log).Scalars(tag)]


def context(folder: Path) -> TBContext:
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    return TBContext(
        data_provider=MultiplexerDataProvider(multiplexer, str(folder)), multiplexer=multiplexer, logdir=str(folder)
    )


def test_every_metric_is_a_curve_and_every_value_of_a_choice_a_line(log):
    train(log)
    events = read(log)
    tags = set(events.Tags()["scalars"])
    values = {f"alphas/{c.label}/{value}" for c in log.space.choices for value in c.values}
    assert tags == {f"supernet/{name}" for name in METRICS} | values | {"budget/max_params", "budget/min_params"}
    assert [point.step for point in events.Scalars("supernet/train_loss")] == list(range(1, EPOCHS + 1))
    assert [point.step for point in events.Scalars("supernet/select_loss")] == list(range(4, EPOCHS + 1))
    last = log.run.supernet_epochs[-1].probabilities["edge01"]
    lines = [events.Scalars(f"alphas/edge01/{value}")[-1].value for value in log.run.learned_choices["edge01"]]
    assert lines == pytest.approx(last)
    assert "Balanced accuracy" in events.SummaryMetadata("supernet/score").summary_description


def test_the_layout_has_one_chart_a_choice_that_holds_its_own_lines_alone(log, tmp_path):
    train(log, 2)
    layout = json.loads(CustomScalarsPlugin(context(tmp_path)).layout_impl(RequestContext(), ""))
    own, alphas = layout["category"]
    assert [chart["title"] for chart in alphas["chart"]] == [choice.label for choice in log.space.choices]
    tags = read(log).Tags()["scalars"]
    for choice, chart in zip(log.space.choices, alphas["chart"], strict=True):
        (pattern,) = chart["multiline"]["tag"]
        assert {t for t in tags if re.match(pattern, t)} == {f"alphas/{choice.label}/{v}" for v in choice.values}
    patterns = [pattern for chart in own["chart"] for pattern in chart["multiline"]["tag"]]
    for tag in ("supernet/expected_params", "supernet/likeliest_params", "supernet/score", "supernet/skip_share"):
        assert any(re.match(pattern, tag) for pattern in patterns)


def test_a_choice_with_dots_and_brackets_matches_itself_only():
    from nas.report.tensorboard.supernet import _layout

    (_, alphas) = _layout({"a.b": [1, 2], "a[0]": [1, 2]}, "accuracy").category
    first, second = (chart.multiline.tag[0] for chart in alphas.chart)
    assert re.match(first, "alphas/a.b/1")
    assert not re.match(first, "alphas/axb/1")
    assert re.match(second, "alphas/a[0]/2")


def test_the_file_grows_and_a_resume_completes_it_without_duplicates(log):
    train(log, 3)
    file = file_of(log)
    three = file.read_bytes()
    log.epoch(4)
    four = file_of(log).read_bytes()
    assert four.startswith(three)
    assert len(four) > len(three)
    for damaged in (b"", three, four[:-7], four[:20], b"what somebody else wrote", four):
        file.write_bytes(damaged)
        bring_up_to_date(log.run)
        assert file_of(log).read_bytes() == four
    file.unlink()
    bring_up_to_date(log.run)
    assert file_of(log).read_bytes() == four
    assert steps(log, "supernet/score") == [1, 2, 3, 4]


def test_a_file_that_cannot_be_written_is_told_and_completed_later(log):
    folder = log.run.folder / "tensorboard"
    folder.rmdir()
    folder.write_text("in the way")
    with pytest.raises(RunError, match=r"could not be written.*Everything recorded is kept.*nasctl resume"):
        train(log, 1)
    folder.unlink()
    (folder / "supernet").mkdir(parents=True)
    (folder / f"{PARTIAL}supernet").write_bytes(b"left by a kill")
    file = folder / "supernet" / f"events.out.tfevents.{int(log.run.started)}.nasctl"
    file.write_bytes(b"what somebody else wrote")
    bring_up_to_date(log.run)
    assert file_of(log) == file
    assert list(file.parent.iterdir()) == [file]
    assert list(folder.iterdir()) == [file.parent]


def test_an_epoch_that_was_trained_again_is_there_once(log):
    train(log, 5)
    log.epoch(4, turn=-1.0)
    assert steps(log, "supernet/score") == [1, 2, 3, 4]
    probability = read(log).Scalars("alphas/cells/2")[-1].value
    assert probability == pytest.approx(log.epoch_event(4, -1.0).probabilities["cells"][1])


def test_without_alphas_there_are_no_charts_of_them(tmp_path):
    log = Log(tmp_path / "one", keep_files, strategy="random-oneshot", space="vgg")
    train(log, 2)
    assert not [tag for tag in read(log).Tags()["scalars"] if tag.startswith("alphas")]
    layout = json.loads(CustomScalarsPlugin(context(tmp_path)).layout_impl(RequestContext(), ""))
    assert len(layout["category"]) == 1
    log.close()


def test_the_trials_in_the_hparams_tab_are_not_disturbed(log, tmp_path):
    train(log, 2)
    log.candidates()
    log.trials([0.5, 0.9])
    hparams = Context(context(tmp_path))
    experiment = Handler(RequestContext(), hparams, "", GetExperimentRequest()).run()
    common = {"run", "space", "recipe", "stage", "epochs"}
    assert {info.name for info in experiment.hparam_infos} == {f"cell.{c.label}" for c in log.space.choices} | common
    assert not any(info.name.tag.startswith(("supernet/", "alphas/")) for info in experiment.metric_infos)
