"""Event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from nas.report.tensorboard.trial import PARTIAL, write_trial
from nas.trials.spec import TrialResult
from search_spaces import Sample

HISTORY = [
    {
        "epoch": float(epoch),
        "train_loss": 2.0 / epoch,
        "learning_rate": 0.01,
        "select_loss": 3.0 / epoch,
        "select_balanced_accuracy": 0.3 * epoch,
        "seconds": 0.5,
    }
    for epoch in (1, 2, 3)
]
FINISHED = TrialResult(
    id="t1",
    status="finished",
    metrics={"rank": {"balanced_accuracy": 0.875, "accuracy": 0.9, "recall_by_class": [1.0, 0.75]}},
    history=HISTORY,
    seconds=1.5,
)
SAMPLE: Sample = {"width": 16, "stage1.kind": "bottleneck"}


def write(folder: Path, result: TrialResult = FINISHED, *, name: str = "t1", sample: Sample = SAMPLE) -> Path:
    write_trial(
        folder,
        name=name,
        sample=sample,
        params=70_838,
        macs=1_234_567_890,
        result=result,
        objective="balanced_accuracy",
    )
    return folder


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_curves_by_epoch(tmp_path: Path) -> None:
    events = read(write(tmp_path / "t1"))
    assert set(events.Tags()["scalars"]) == {
        "train/loss",
        "train/learning_rate",
        "train/seconds",
        "select/loss",
        "select/balanced_accuracy",
        "rank/balanced_accuracy",
        "size/parameters",
        "size/macs",
    }
    points = events.Scalars("train/loss")
    assert [point.step for point in points] == [1, 2, 3]
    assert [point.value for point in points] == pytest.approx([2, 1, 2 / 3])
    assert points[2].wall_time - points[0].wall_time == pytest.approx(1.0, abs=1e-3)
    assert [point.value for point in events.Scalars("rank/balanced_accuracy")] == [0.875]


def test_every_choice_is_in_the_hparams_tab(tmp_path: Path) -> None:
    contents = read(write(tmp_path / "t1")).summary_metadata
    start = metadata.parse_session_start_info_plugin_data(contents[metadata.SESSION_START_INFO_TAG].plugin_data.content)
    assert start.group_name == "t1"
    assert start.hparams["width"].number_value == 16
    assert start.hparams["stage1.kind"].string_value == "bottleneck"
    assert start.hparams["parameters"].number_value == 70_838
    assert start.hparams["macs"].number_value == 1_234_567_890
    end = metadata.parse_session_end_info_plugin_data(contents[metadata.SESSION_END_INFO_TAG].plugin_data.content)
    assert end.status == 1  # success
    assert end.end_time_secs - start.start_time_secs == pytest.approx(1.5)


def test_trials_with_different_choices_compare(tmp_path: Path) -> None:
    """TensorBoard itself joins the choices of two spaces into one table."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams.api_pb2 import GetExperimentRequest
    from tensorboard.plugins.hparams.backend_context import Context
    from tensorboard.plugins.hparams.get_experiment import Handler

    write(tmp_path / "run/tensorboard/a")
    write(tmp_path / "run/tensorboard/b", name="b", sample={"growth": 4, "stage1.kind": "basic"})
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(tmp_path))))
    experiment = Handler(RequestContext(), context, "", GetExperimentRequest()).run()
    names = {info.name for info in experiment.hparam_infos}
    assert names == {"width", "growth", "stage1.kind", "parameters", "macs"}
    assert "rank/balanced_accuracy" in {info.name.tag for info in experiment.metric_infos}


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    (file,) = write(tmp_path / "t1").iterdir()
    before = file.read_bytes()
    (again,) = write(tmp_path / "t1").iterdir()
    assert (again, again.read_bytes()) == (file, before)


def test_a_kill_in_the_middle_of_writing_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "t1").mkdir()
    (tmp_path / f"{PARTIAL}t1").write_bytes(b"half a record")
    assert "rank/balanced_accuracy" in read(write(tmp_path / "t1")).Tags()["scalars"]
    assert list(tmp_path.iterdir()) == [tmp_path / "t1"]


@pytest.mark.parametrize("history", [[], HISTORY[:1]])
def test_a_failed_trial(tmp_path: Path, history: list[dict[str, float]]) -> None:
    events = read(write(tmp_path / "t1", TrialResult(id="t1", status="failed", history=history, error="nan")))
    assert "rank/balanced_accuracy" not in events.Tags()["scalars"]
    content = events.summary_metadata[metadata.SESSION_END_INFO_TAG].plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == 2  # failure


def test_it_is_light() -> None:
    code = "import sys, nas.report.tensorboard.trial; assert not {'torch', 'tensorflow', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
