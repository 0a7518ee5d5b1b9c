"""Event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from simulated_search import Simulated, begin, recorded
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups, metadata
from tensorboard.plugins.hparams.backend_context import Context

from nas.engine.search import run_search
from nas.executors import WorkerSlot
from nas.report.documents import trial_document
from nas.report.tables.search import metric_columns
from nas.report.tensorboard.listener import bring_up_to_date, keep_files
from nas.report.tensorboard.trial import PARTIAL, write_trial
from nas.runs import EventLog, SearchRun
from nas.trials.spec import TrialResult

COMMON = {"run", "space or network", "recipe", "stage", "epochs"}
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
SETTINGS = {"vgg.width": 16, "vgg.kind": "bottleneck"}
TOTALS = {"trial/score": 0.875, "size/parameters": 70_838.0}


def write(folder: Path, result: TrialResult = FINISHED, *, number: int = 3) -> Path:
    totals = TOTALS if result.status == "finished" else {}
    write_trial(folder, number=number, name="run:t1", settings=SETTINGS, totals=totals, result=result)
    return folder


def search(log: EventLog, executor: Simulated | None = None) -> SearchRun:
    with log:
        slots = [WorkerSlot("cpu", 1)]
        return run_search(recorded(log), log, slots, [keep_files], lambda slots: executor or Simulated())


def tab(folder: Path) -> tuple[api_pb2.Experiment, dict[str, api_pb2.SessionGroup]]:
    """The columns and the rows of the HParams tab for ``--logdir folder``."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(folder))))
    asked = api_pb2.ListSessionGroupsRequest(
        slice_size=1000, allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE]
    )
    found = list_session_groups.Handler(RequestContext(), context, "", asked).run()
    columns = get_experiment.Handler(RequestContext(), context, "", api_pb2.GetExperimentRequest()).run()
    rows = {group.name: group for group in found.session_groups}
    assert [len(group.sessions) for group in rows.values()] == [1] * found.total_size == [1] * len(rows)
    return columns, rows


def metrics(columns: api_pb2.Experiment, row: api_pb2.SessionGroup) -> dict[str, float]:
    titles = {metric.name.tag: metric.display_name for metric in columns.metric_infos}
    return {titles[value.name.tag]: value.value for value in row.metric_values}


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
        *TOTALS,
    }
    points = events.Scalars("train/loss")
    assert [point.step for point in points] == [1, 2, 3]
    assert [point.value for point in points] == pytest.approx([2, 1, 2 / 3])
    assert points[2].wall_time - points[0].wall_time == pytest.approx(1.0, abs=1e-3)
    assert [point.value for point in events.Scalars("trial/score")] == [0.875]
    content = events.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    content = events.summary_metadata[metadata.SESSION_END_INFO_TAG].plugin_data.content
    end = metadata.parse_session_end_info_plugin_data(content)
    assert end.end_time_secs - start.start_time_secs == pytest.approx(1.5)


def test_the_hparams_tab_is_that_of_one_run_under_the_names_of_the_tables(tmp_path: Path) -> None:
    run = search(begin(tmp_path / "one", trials=6, confirm=2), Simulated(fail=["3"]))
    columns, rows = tab(tmp_path / "one")
    infos = {info.display_name: info for info in columns.hparam_infos}
    choices = {choice.label: choice.values for choice in run.space.choices}
    assert infos.keys() == choices.keys() | COMMON and len(infos) == len(columns.hparam_infos)
    for label, values in choices.items():
        if isinstance(values[0], int):
            assert infos[label].type == api_pb2.DATA_TYPE_FLOAT64
            domain = infos[label].domain_interval
            assert (domain.min_value, domain.max_value) == (min(values), max(values))
        else:
            assert infos[label].type == api_pb2.DATA_TYPE_STRING
            assert [value.string_value for value in infos[label].domain_discrete.values] == list(values)
    assert [value.string_value for value in infos["stage"].domain_discrete.values] == ["search", "confirm"]
    titles = [metric.display_name for metric in columns.metric_infos]
    assert titles[:4] == ["score", "parameters", "MACs", "bytes"]
    assert titles[6:] == list(metric_columns(
        "balanced_accuracy,accuracy,macro_f1,worst_recall,test.balanced_accuracy,test.accuracy,test.macro_f1,"
        "test.worst_recall", "accuracy"))  # fmt: skip

    assert run.winner and rows.keys() == {f"one:{trial_id}" for trial_id in run.trials}
    for trial in run.trials.values():
        row, told = rows[f"one:{trial.id}"], trial_document(run, trial)
        shown = {name.removeprefix("resnet."): value for name, value in row.hparams.items()}
        recipe = run.recipe(trial.id)
        about = {"run": "one", "space": "resnet", "recipe": recipe.name, "stage": trial.stage, "epochs": recipe.epochs}
        assert {name: value.string_value or value.number_value for name, value in shown.items()} == {
            **trial.sample, **about,
        }  # fmt: skip
        wanted = {
            "score": told["score"], "parameters": told["params"], "MACs": told["macs"], "bytes": told["size_bytes"],
            "peak memory": told["peak_memory"], "seconds": told["seconds"], "balanced accuracy": told["score"],
            "test.balanced accuracy": run.winner.test.get(trial.id, {}).get("balanced_accuracy"),
        }  # fmt: skip
        assert metrics(columns, row) == pytest.approx({name: v for name, v in wanted.items() if v is not None})
        status = api_pb2.STATUS_FAILURE if trial.id == "3" else api_pb2.STATUS_SUCCESS
        assert row.sessions[0].status == status


def test_several_runs_share_columns_and_a_choice_is_of_one_space_alone(tmp_path: Path) -> None:
    for name, space in (("a", "resnet"), ("b", "vgg"), ("c", "resnet")):
        search(begin(tmp_path / name, trials=3, confirm=0, space=space))
    columns, rows = tab(tmp_path)
    assert len(rows) == 9
    assert {row.hparams["space"].string_value for row in rows.values()} == {"resnet", "vgg"}
    assert all({"score", "parameters", "MACs"} <= metrics(columns, row).keys() for row in rows.values())
    common, own = {"run", "space", "recipe", "stage", "epochs"}, []
    for name, space in (("a", "resnet"), ("b", "vgg")):
        keys = set(rows[f"{name}:1"].hparams)
        own.append(keys)
        assert common < keys and {key.partition(".")[0] for key in keys} == {space, *common}
        assert set(tab(tmp_path / name)[1][f"{name}:1"].hparams) == keys
        assert {info.name for info in tab(tmp_path / name)[0].hparam_infos} == keys
    assert {info.name for info in columns.hparam_infos} in own, "TensorBoard takes the columns of any one run"


def test_a_number_among_words_is_a_word(tmp_path: Path) -> None:
    from nas.report.tensorboard.columns import Column

    mixed, plain = Column("s.gate", "gate", ("none", 4, 8)), Column("s.depth", "depth", (3, 1, 2))
    assert [mixed.of(value) for value in mixed.values] == ["none", "4", "8"]
    assert (plain.of(2), plain.is_number, Column("run", "run").of("x")) == (2, True, "x")


def test_a_resumed_run_has_every_trial_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(begin(tmp_path / "run", trials=6, confirm=1), Simulated(stop_after=4))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*tfevents*")}
    run = search(EventLog(tmp_path / "run"))
    later = [path for path in (tmp_path / "run").rglob("*tfevents*") if path.name.endswith(".later")]
    assert len(later) == len(run.winner.test) == 3  # type: ignore[union-attr]
    later[0].unlink()
    bring_up_to_date(run)
    assert later[0].is_file() and all(path.read_bytes() == content for path, content in before.items())
    assert tab(tmp_path / "run")[1].keys() == {f"run:{trial_id}" for trial_id in run.trials}


def test_a_trial_that_started_again_shows_its_last_result(tmp_path: Path) -> None:
    write(tmp_path / "t1", TrialResult(id="t1", status="failed", error="out of memory"))
    events = read(write(tmp_path / "t1", number=5))
    assert [point.value for point in events.Scalars("trial/score")] == [0.875]
    assert len(list((tmp_path / "t1").iterdir())) == 1
    assert tab(tmp_path)[1]["run:t1"].sessions[0].status == api_pb2.STATUS_SUCCESS


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    (file,) = write(tmp_path / "t1").iterdir()
    before = file.read_bytes()
    (again,) = write(tmp_path / "t1").iterdir()
    assert (again, again.read_bytes()) == (file, before)


def test_a_kill_in_the_middle_of_writing_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "t1").mkdir()
    (tmp_path / f"{PARTIAL}t1").write_bytes(b"half a record")
    assert "trial/score" in read(write(tmp_path / "t1")).Tags()["scalars"]
    assert list(tmp_path.iterdir()) == [tmp_path / "t1"]


@pytest.mark.parametrize("history", [[], HISTORY[:1]])
def test_a_failed_trial(tmp_path: Path, history: list[dict[str, float]]) -> None:
    events = read(write(tmp_path / "t1", TrialResult(id="t1", status="failed", history=history, error="nan")))
    assert "trial/score" not in events.Tags()["scalars"]
    content = events.summary_metadata[metadata.SESSION_END_INFO_TAG].plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == 2  # failure


def test_it_is_light() -> None:
    code = "import sys, nas.report.tensorboard.trial; assert not {'torch', 'tensorflow', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
