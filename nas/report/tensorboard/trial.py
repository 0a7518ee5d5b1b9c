"""Trials as TensorBoard shows them: curves by epoch, and a row each in the HParams tab; and pictures.

This module and ``nas.report.tensorboard.supernet`` alone know TensorBoard. They write event files with its own record
writer and protocol messages. ``torch.utils.tensorboard`` would import torch, add a thread to each file, and put into
every trial a description of the whole experiment; TensorBoard reads one of those and hides choices it lacks.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.record_writer import RecordWriter

from nas.files import write_atomically
from nas.trials import TrialResult
from search_spaces import Sample

PLACES = {"train_loss": "train/loss", "learning_rate": "train/learning_rate", "seconds": "train/seconds"}
PARTIAL = "partial."  # with a folder's name: its file while it is written. TensorBoard reads no name without "tfevents"


def write_trial(
    folder: Path, *, name: str, sample: Sample, params: int, macs: int, result: TrialResult, objective: str
) -> None:
    """Write a trial that ended into ``folder``, its own; nothing if it is there already.

    ``folder`` is ``runs/<run>/tensorboard/<trial>``, so that ``tensorboard --logdir runs`` shows every run.
    The file appears at once and complete, or not at all: a kill leaves a partial file beside the folder.
    ``name`` is the row's name in the HParams tab.
    """
    partial = folder.with_name(PARTIAL + folder.name)
    if any(folder.glob("*tfevents*")):
        partial.unlink(missing_ok=True)
        return
    start = time.time() - result.seconds
    choices: dict[str, int | str] = {**sample, "parameters": params, "macs": macs}
    content = records(
        Event(wall_time=start, file_version="brain.Event:2"),
        _session_start(name, choices, start),
        *_curves(result.history, start),
        *_totals(result, params, macs, objective, start + result.seconds),
        _session_end(result, start + result.seconds),
    )
    write_atomically(folder / f"events.out.tfevents.{int(start)}.nasctl", content, parents=True, partial=partial)


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
    """A point per epoch and figure: train_loss as train/loss, select_accuracy as select/accuracy, ..."""
    now = start
    for position, row in enumerate(history, start=1):
        now += row.get("seconds", 0.0)
        step = int(row.get("epoch", position))
        yield Event(
            wall_time=now,
            step=step,
            summary=Summary(
                value=[
                    Summary.Value(tag=PLACES.get(key, key.replace("select_", "select/", 1)), simple_value=figure)
                    for key, figure in row.items()
                    if key != "epoch"
                ]
            ),
        )


def _totals(result: TrialResult, params: int, macs: int, objective: str, now: float) -> Iterator[Event]:
    """What trials are compared by: one point each, which the HParams tab shows as metrics, sorted by tag."""
    figures: dict[str, float] = {"size/parameters": params, "size/macs": macs}
    score = result.metrics.get("rank", {}).get(objective)
    if isinstance(score, int | float):
        figures[f"rank/{objective}"] = score
    yield Event(
        wall_time=now,
        step=len(result.history),
        summary=Summary(value=[Summary.Value(tag=tag, simple_value=figure) for tag, figure in figures.items()]),
    )


def _session_start(name: str, choices: dict[str, int | str], now: float) -> Event:
    info = SessionStartInfo(group_name=name, start_time_secs=now)
    for choice, value in choices.items():
        if isinstance(value, str):
            info.hparams[choice].string_value = value
        else:
            info.hparams[choice].number_value = value
    return _plugin_event(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info), now)


def _session_end(result: TrialResult, now: float) -> Event:
    status = Status.Value("STATUS_FAILURE" if result.status == "failed" else "STATUS_SUCCESS")
    info = SessionEndInfo(status=status, end_time_secs=now)
    return _plugin_event(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info), now)


def _plugin_event(tag: str, content: HParamsPluginData, now: float) -> Event:
    described: SummaryMetadata = metadata.create_summary_metadata(content)
    value = Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
    return Event(wall_time=now, summary=Summary(value=[value]))
