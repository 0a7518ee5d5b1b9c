"""Trials as TensorBoard shows them: curves by epoch, and a row each in the HParams tab, whose columns a run declares;
and pictures.

This module and ``nas.report.tensorboard.supernet`` alone know TensorBoard. They write event files with its own record
writer and protocol messages. ``torch.utils.tensorboard`` would import torch, add a thread to each file, and put into
every trial a description of the whole experiment; TensorBoard reads one of those and hides choices it lacks.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import (
    DATA_TYPE_FLOAT64,
    DATA_TYPE_STRING,
    Experiment,
    HParamInfo,
    MetricInfo,
    MetricName,
    Status,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.record_writer import RecordWriter

from nas.files import write_atomically
from nas.report.tensorboard.columns import Column, Metric, Value
from nas.text import shown
from nas.trials import TrialResult

PLACES = {"train_loss": "train/loss", "learning_rate": "train/learning_rate", "seconds": "train/seconds"}
COLUMNS = "events.out.tfevents.0.columns"  # the file of a run's columns
PARTIAL = "partial."  # with a folder's name: its file while it is written. TensorBoard reads no name without "tfevents"


def write_columns(folder: Path, columns: Sequence[Column], metrics: Sequence[Metric], *, started: float) -> None:
    """Declare what the HParams tab shows of a run, in ``folder``, where its trials are; nothing if that stands there.

    A number has its range and a word its values; those whose values are not known are found by a pattern.
    """
    experiment = Experiment(
        hparam_infos=[_declared(column) for column in columns],
        metric_infos=[
            MetricInfo(name=MetricName(tag=metric.tag), display_name=metric.title, description=metric.what)
            for metric in metrics
        ],
        time_created_secs=started,
    )
    value = _plugin_value(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))
    content = records(
        Event(wall_time=started, file_version="brain.Event:2"),
        Event(wall_time=started, summary=Summary(value=[value])),
    )
    path = folder / COLUMNS
    if not path.is_file() or path.read_bytes() != content:
        write_atomically(path, content, parents=True)


def _declared(column: Column) -> HParamInfo:
    info = HParamInfo(
        name=shown(column.name), display_name=shown(column.title), description=shown(column.what),
        type=DATA_TYPE_FLOAT64 if column.is_number else DATA_TYPE_STRING, differs=len(set(column.values)) > 1,
    )  # fmt: skip
    if column.is_number:
        numbers = [value for value in column.values if isinstance(value, int)]
        info.domain_interval.min_value, info.domain_interval.max_value = min(numbers), max(numbers)
    else:
        info.domain_discrete.extend([shown(str(value)) for value in column.values])
    return info


def write_trial(
    folder: Path, *, number: int, name: str, settings: Mapping[str, Value], totals: Mapping[str, float],
    result: TrialResult,
) -> None:  # fmt: skip
    """Write a trial that ended into ``folder``, its own; nothing if its result ``number`` is there already.

    ``folder`` is ``runs/<run>/tensorboard/<trial>``, so that ``tensorboard --logdir runs`` shows every run.
    The file appears at once and complete, or not at all: a kill leaves a partial file beside the folder. It takes the
    place of an earlier result, of a trial that was started again. ``name`` is the row's name in the HParams tab,
    ``settings`` and ``totals`` what stands in it.
    """
    partial = folder.with_name(PARTIAL + folder.name)
    if any(folder.glob(f"*tfevents*.{number}.nasctl")):
        partial.unlink(missing_ok=True)
        return
    before = list(folder.glob("*tfevents*"))
    start = time.time() - result.seconds
    content = records(
        Event(wall_time=start, file_version="brain.Event:2"),
        _session_start(name, settings, start),
        *_curves(result.history, start),
        _points(totals, len(result.history), start + result.seconds),
        _session_end(result, start + result.seconds),
    )
    path = folder / f"events.out.tfevents.{int(start)}.{number}.nasctl"
    write_atomically(path, content, parents=True, partial=partial)
    for old in before:
        old.unlink(missing_ok=True)


def write_later(folder: Path, totals: Mapping[str, float], *, step: int, now: float) -> None:
    """Add to a trial what was found out after it had ended, at Unix time ``now``; nothing if it is there already."""
    content = records(Event(wall_time=now, file_version="brain.Event:2"), _points(totals, step, now))
    for path in folder.glob("*.nasctl"):
        later = path.with_name(f"{path.name}.later")  # sorted behind it: TensorBoard reads files by their names
        if not later.is_file():
            write_atomically(later, content)


def write_images(folder: Path, images: Mapping[str, bytes], *, now: float) -> None:
    """PNG files as the images of ``folder``, by tag; nothing if they are there already. ``now`` is Unix time.

    Changed ones stand in the same file: a TensorBoard that is open shows them when it is started again.
    """
    values = [
        Summary.Value(tag=tag, image=Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png))
        for tag, png in images.items()
        for width, height in [struct.unpack(">2I", png[16:24])]  # of the header, which comes first
    ]
    content = records(
        Event(wall_time=now, file_version="brain.Event:2"), Event(wall_time=now, summary=Summary(value=values))
    )
    path = folder / "events.out.tfevents.0.pictures"
    if not path.is_file() or path.read_bytes() != content:
        write_atomically(path, content, parents=True, partial=folder.with_name(PARTIAL + folder.name))


def records(*events: Event) -> bytes:
    """Events as they lie in a file."""
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def _curves(history: list[dict[str, float]], start: float) -> Iterator[Event]:
    """A point per epoch and metric: train_loss as train/loss, select_accuracy as select/accuracy, ..."""
    now = start
    for position, row in enumerate(history, start=1):
        now += row.get("seconds", 0.0)
        step = int(row.get("epoch", position))
        yield Event(
            wall_time=now,
            step=step,
            summary=Summary(
                value=[
                    Summary.Value(tag=PLACES.get(key, key.replace("select_", "select/", 1)), simple_value=metric)
                    for key, metric in row.items()
                    if key != "epoch"
                ]
            ),
        )


def _points(totals: Mapping[str, float], step: int, now: float) -> Event:
    """Values that trials are compared by: one point each, as single floats, which is all that TensorBoard's server
    reads."""
    values = [Summary.Value(tag=tag, simple_value=metric) for tag, metric in totals.items()]
    return Event(wall_time=now, step=step, summary=Summary(value=values))


def _session_start(name: str, settings: Mapping[str, Value], now: float) -> Event:
    info = SessionStartInfo(group_name=shown(name), start_time_secs=now)
    for setting, value in settings.items():
        if isinstance(value, str):
            info.hparams[shown(setting)].string_value = shown(value)
        else:
            info.hparams[shown(setting)].number_value = value
    return _plugin_event(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info), now)


def _session_end(result: TrialResult, now: float) -> Event:
    status = Status.Value("STATUS_FAILURE" if result.status == "failed" else "STATUS_SUCCESS")
    info = SessionEndInfo(status=status, end_time_secs=now)
    return _plugin_event(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info), now)


def _plugin_event(tag: str, content: HParamsPluginData, now: float) -> Event:
    return Event(wall_time=now, summary=Summary(value=[_plugin_value(tag, content)]))


def _plugin_value(tag: str, content: HParamsPluginData) -> Summary.Value:
    described: SummaryMetadata = metadata.create_summary_metadata(content)
    return Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
