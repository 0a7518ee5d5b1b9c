"""One trial, from its specification to its result: what an executor runs in its own process.

Imports neither NNI nor anything of the command line.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import torch
from torch import nn

from baselines import FixedNetwork, build_network
from baselines.imagenet import sha256
from nas.config.objectives import beside_verification
from nas.config.recipe import Metrics
from nas.data.dataset import SplitName
from nas.errors import NasctlError, TrialError, machine_error, out_of_memory
from nas.plugins.loading import blamed
from nas.stopwatch import OFF, Stopwatch, Watch
from nas.training.evaluation import evaluate_split, verify_split
from nas.training.loop import train
from nas.training.precision import usual_execution
from nas.training.teaching import Teachers, TrainedNetwork
from nas.training.tensor_split import JoinedSplit, TensorSplit
from nas.trials.datasets import (
    PublishedSplits,
    forget,
    open_dataset,
    published_on_device,
    split_on_device,
    synthetic_on_device,
)
from nas.trials.peak_memory import watched
from nas.trials.spec import TrialResult, TrialSpec
from nas.trials.weights import Normalization, load_weights, save_weights
from search_spaces import get_space

_IDENTITIES: dict[SplitName, SplitName] = {"rank": "rank identities", "test": "test identities"}
SCORED: tuple[SplitName, ...] = ("select", "rank")  # of every trial; the test split is the winner's alone
OnEpoch = Callable[[dict[str, float]], None]


def run_trial(spec: TrialSpec, device: str, on_epoch: OnEpoch | None = None) -> TrialResult:
    """Build, train and score one network on ``device``; what goes wrong with it is in the result, not raised.

    An error of the machine, such as a full disk, says nothing of the network: it is raised (``errors.machine_error``).

    With ``spec.test`` nothing is trained: the weights at ``spec.weights_path`` are scored on the test split,
    which no other trial reads.

    Equal specifications give equal results (bit for bit on a CPU with equal threads). Data stay open for
    the next trial in this process. The weights of the best epoch appear at ``spec.weights_path`` whole or
    not at all, and only if the trial finishes: one that falls below ``spec.threshold`` is stopped and scored, no more.
    ``spec.log_path`` is appended to. ``on_epoch`` receives each record of the history (see ``nas.training.train``).
    """
    started = time.perf_counter()
    watch = Stopwatch("rest", synchronize=_synchronize if device.startswith("cuda") else None) if spec.profile else OFF
    history: list[dict[str, float]] = []
    metrics: dict[str, Metrics] = {}
    reason = pruned = None
    peak_memory = watched(device)
    try:
        if spec.test:
            metrics = _test(spec, device)
        else:
            metrics, pruned = _train_and_score(spec, device, history, on_epoch, watch)
    except Exception as error:
        message = machine_error(error)
        reason = message or _reason(error, device)
        with contextlib.suppress(OSError):  # the log may be what failed
            _log(spec, traceback.format_exc().rstrip(), f"{'stopped' if message else 'failed'}: {reason}")
        if message:
            raise
    if reason is not None and reason.startswith("out of memory"):
        torch.cuda.empty_cache()  # here, where the traceback no longer holds the tensors; nothing on a CPU
    return TrialResult(
        id=spec.id,
        status="failed" if reason else "pruned" if pruned else "finished",
        metrics=dict(metrics),
        history=history,
        seconds=time.perf_counter() - started,
        error=reason or pruned,
        profile=watch.read(),
        training_memory=peak_memory(),
    )


def _train_and_score(
    spec: TrialSpec, device: str, history: list[dict[str, float]], on_epoch: OnEpoch | None, watch: Watch
) -> tuple[dict[str, Metrics], str | None]:
    """The metrics by split, and why the trial was pruned, if it was. Fills ``history`` as it goes, so that a failed
    trial keeps its curve."""
    torch.manual_seed(spec.seed)  # before building: the first weights come from it
    model = build(spec)
    _log(spec, *_header(spec, device, model))
    watch.switch("opening")
    check_data(spec)
    real, synthetic, warnings = training_images(spec, device)
    _log(spec, *(f"warning: {warning}" for warning in warnings))

    def record_epoch(record: dict[str, float]) -> None:
        history.append(record)
        _log(spec, "  ".join(f"{name} {value:.5g}" for name, value in record.items()))
        if on_epoch is not None:
            on_epoch(record)

    before: dict[str, Metrics] = {}
    if spec.score_before:
        before["before"] = _score(model.to(device), spec, device, Normalization(*real.mean_and_std), "test")
    training = train(
        model,
        real,
        _scored_split(spec, device, "select"),
        spec.recipe,
        num_classes=spec.num_classes,
        device=device,
        seed=spec.seed,
        objective=spec.objective,
        synthetic=synthetic,
        execution=spec.execution,
        on_epoch=record_epoch,
        watch=watch,
        threshold=spec.threshold,
        teachers=_teachers(spec),
    )
    model.load_state_dict(training.best_state)
    normalization = Normalization(training.mean, training.std)
    scored: tuple[SplitName, ...] = (*SCORED, "test") if spec.test_after else SCORED
    scored += ("train",) if spec.score_train else ()
    watch.switch("evaluation")
    metrics: dict[str, Metrics] = {str(name): _score(model, spec, device, normalization, name) for name in scored}
    watch.switch("rest")
    _log(spec, f"best epoch {training.best_epoch}", *training.notes)
    metrics |= before
    _log(spec, *(f"{name} {json.dumps(found)}" for name, found in metrics.items()))
    if training.stopped_by is not None and training.stopped_by.rule == "pruned":
        _log(spec, f"pruned {training.stopped_by.reason}")
        return metrics, training.stopped_by.reason
    if spec.weights_path is not None:
        save_weights(training.best_state, normalization, Path(spec.weights_path))
    return metrics, None


def _test(spec: TrialSpec, device: str) -> dict[str, Metrics]:
    """The metrics of trained weights on the test split."""
    assert spec.weights_path is not None
    check_data(spec)
    state, normalization = load_weights(Path(spec.weights_path))
    model = build(spec)
    model.load_state_dict(state)
    metrics = _score(model.to(device), spec, device, normalization, "test")
    _log(spec, f"test {json.dumps(metrics)}")
    return {"test": metrics}


def build(spec: TrialSpec) -> nn.Module:
    """The network with its first weights: random ones from torch's generator, or those of ImageNet."""
    if spec.network is not None:
        return build_network(spec.network, spec.input_shape, spec.num_classes)
    return get_space(spec.space).build(spec.sample, spec.input_shape, spec.num_classes)


def _teachers(spec: TrialSpec) -> Teachers | None:
    """The trained networks that a trial learns from. TrialError if one of them is not what it was when it was named,
    RunError if its weights cannot be read."""
    if spec.teaching is None:
        return None
    networks = []
    for teacher in spec.teaching.teachers:
        path = Path(teacher.weights)
        if teacher.sha256 and path.is_file() and sha256(path) != teacher.sha256:
            raise TrialError(f"the weights of the teacher {teacher.name}, {path}, have changed since it was named")
        state, (mean, std) = load_weights(path)
        network = FixedNetwork(teacher.network, teacher.settings) if teacher.network else None
        model = build(replace(spec, space=teacher.space or "", sample=teacher.sample, network=network))
        model.load_state_dict(state)
        networks.append(TrainedNetwork(model, mean, std, teacher.even))
    return Teachers(networks, spec.teaching.weight, spec.teaching.temperature)


def training_images(spec: TrialSpec, device: str) -> tuple[TensorSplit, TensorSplit | None, tuple[str, ...]]:
    """The real images to train on, what an oversampler adds to them, and what it warns of."""
    if published := _published(spec, device):
        warning = "oversampled before splitting: images made from those of select and rank are trained on, so their "
        return published.train, published.synthetic, (f"{warning}metrics are not honest", *published.warnings)
    synthetic, warnings = synthetic_on_device(
        spec.data, device, spec.recipe.oversampling, mirrored=spec.recipe.flip is not False
    )
    return split_on_device(spec.data, device, "train"), synthetic, warnings


def _scored_split(spec: TrialSpec, device: str, name: SplitName) -> TensorSplit | JoinedSplit:
    """A split that networks are scored on; test is the same however the others were made."""
    if name != "test" and (published := _published(spec, device)):
        return published.select if name == "select" else published.rank
    return split_on_device(spec.data, device, name)


def _published(spec: TrialSpec, device: str) -> PublishedSplits | None:
    if not spec.split_after_oversampling:
        return None
    recipe = spec.recipe
    return published_on_device(spec.data, device, recipe.oversampling, mirrored=recipe.flip is not False)


def _score(model: nn.Module, spec: TrialSpec, device: str, normalization: Normalization, name: SplitName) -> Metrics:
    """TrialError if a metric is not a finite number: the log of a run is JSON, which has no others."""
    split, classes, test_flip = _scored_split(spec, device, name), spec.num_classes, spec.recipe.test_flip
    identities = _IDENTITIES.get(name) if spec.data.verify_identities else None
    objective = spec.objective if identities is None else beside_verification(spec.objective)
    metrics = evaluate_split(
        model, split, normalization, num_classes=classes, device=device, confusion=spec.test_after,
        objective=objective, test_flip=test_flip,
    )  # fmt: skip
    if identities is not None:
        held_out = split_on_device(spec.data, device, identities)
        metrics |= verify_split(
            model, held_out, normalization, num_classes=classes, device=device, test_flip=test_flip
        )  # fmt: skip
    for metric, value in metrics.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise TrialError(f"{metric} is {value} on the {name} split")
    return metrics


def _synchronize() -> None:
    """Wait for the GPU, if anything was asked of it."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()


def check_data(spec: TrialSpec) -> None:
    """TrialError if the data are not what the network is for; on a GPU a wrong label kills the process."""
    if spec.data_key and open_dataset(spec.data).key != spec.data_key:
        forget()  # what was opened may be from before the search; what is there now?
        if open_dataset(spec.data).key != spec.data_key:
            raise TrialError(
                f"the data {spec.data.source} changed since the search began: its trials would be ranked on other "
                "images; put the data back as they were, or start a new run"
            )
    dataset = open_dataset(spec.data)
    if (dataset.input_shape, len(dataset.classes)) != (tuple(spec.input_shape), spec.num_classes):
        raise TrialError(
            f"the network takes {tuple(spec.input_shape)} images of {spec.num_classes} classes, but the data "
            f"are {dataset.input_shape} images of {len(dataset.classes)} classes"
        )


def _header(spec: TrialSpec, device: str, model: nn.Module) -> list[str]:
    return [
        f"trial {spec.id}",
        f"started {datetime.now().astimezone().isoformat(timespec='seconds')}",
        f"network {spec.network}" if spec.network else f"space {spec.space}\nsample {json.dumps(spec.sample)}",
        f"parameters {sum(parameter.numel() for parameter in model.parameters())}",
        f"input {spec.input_shape}, {spec.num_classes} classes",
        f"data {spec.data.model_dump_json()}",
        f"recipe {spec.recipe.model_dump_json()}",
        *([f"teaching {spec.teaching.model_dump_json()}"] if spec.teaching else []),
        f"objective {spec.objective}",
        f"device {device}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        f"execution {spec.execution or usual_execution(torch.device(device))}",
        f"seed {spec.seed}",
    ]


def _log(spec: TrialSpec, *lines: str) -> None:
    """Append lines to the trial's log; opened each time, so that every line is there if the process dies."""
    if spec.log_path is None or not lines:
        return
    path = Path(spec.log_path)
    path.parent.mkdir(exist_ok=True)  # not its parents: a run folder that was removed stays removed
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _reason(error: Exception, device: str) -> str:
    """Reason of a failure, in one line."""
    message = " ".join(str(error).split())
    if isinstance(error, NasctlError):
        return message
    if out_of_memory(error):
        return f"out of memory on {device}: {message or 'no details'}"
    if problem := blamed(error):
        return problem
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
