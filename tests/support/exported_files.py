"""Networks to export, untrained, and what is inside an exported folder, down to the members of archives."""

from __future__ import annotations

import getpass
import io
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from baselines import FixedNetwork, get_network
from baselines.counting import count
from budgets import Cost, cost_of
from nas.data.dataset import Preprocessing
from nas.export.request import Confirmation, ExportRequest, Provenance
from search_spaces import Sample, Task, get_space

ROOT = Path(__file__).parents[2]

TASK = Task((3, 12, 10), 4)
NAMES = ("axe", "book", "hammer | tongs", "other")
PROVENANCE = Provenance(
    run="r1", trial="7", data="tools", imbalance=5.0, recipe="ce", training={"loss": "ce", "epochs": 3, "flip": True},
    made={"strategy": "evolution", "seed": 0, "trials": 12}, nasctl="0.1",
    confirm=Confirmation("rank", "balanced_accuracy", mean=0.9, std=0.01, runs=3),
)  # fmt: skip


def request_for(space: str, folder: Path, sample: Sample | None = None) -> ExportRequest:
    """A request for an untrained network whose running statistics are not the identity's."""
    family = get_space(space)
    sample = family.canonical if sample is None else sample
    cost = cost_of(family, sample, TASK)
    return _request(folder, cost, space=space, sample=sample, text=family.text(sample))


def request_for_network(network: FixedNetwork, folder: Path, *, trained: bool = True) -> ExportRequest:
    """The same for a fixed network."""
    cost = count(network, TASK.input_shape, TASK.num_classes).cost
    return _request(
        folder, cost, network=network, text=get_network(network.name).text(network.settings), trained=trained
    )


def _request(folder: Path, cost: Cost, *, trained: bool = True, **of_network: Any) -> ExportRequest:
    request = ExportRequest(
        out=folder / "model",
        **of_network,
        preprocessing=Preprocessing.of(TASK.input_shape, "resize", None),
        num_classes=TASK.num_classes,
        classes=NAMES,
        mean=[0.5, 0.4, 0.3],
        std=[0.2, 0.2, 0.25],
        weights=folder / "trained.safetensors",
        metrics={
            "rank": {"accuracy": 0.91, "recall_by_class": [1.0, 0.75, float("nan"), 0.5]},
            "test": {"accuracy": 0.9, "macro_f1": 0.8, "recall_by_class": [1.0, 0.5, 0.25, 0.5]},
        },
        params=cost.params,
        macs=cost.macs,
        size_bytes=cost.size_bytes,
        peak_memory=cost.peak_memory,
        budget={"max_params": cost.params, "max_macs": cost.macs, "max_bytes": cost.size_bytes},
        provenance=PROVENANCE,
    )
    if not trained:
        return request
    torch.manual_seed(0)
    model = request.build()
    model(torch.randn(8, *TASK.input_shape))
    folder.mkdir(exist_ok=True)
    save_file(model.state_dict(), request.weights)
    return request


def small_sample(space: str) -> Sample:
    """The shallowest of some random networks: the exporters' time grows with the number of layers."""
    family = get_space(space)
    rng = np.random.default_rng(1)
    samples = [family.sample(rng) for _ in range(100)]
    return min(samples, key=lambda sample: len(repr(family.structure(sample, TASK))))


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every file, and of every member of a file that is an archive."""
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        yield path.name, content
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                yield from ((f"{path.name}: {name}", archive.read(name)) for name in archive.namelist())


def traces_of_this_machine(folder: Path, *others: Path) -> list[str]:
    """Places where an exported folder names a path of this machine or one of ``others``, the machine, or its user."""
    paths = {str(path) for path in (ROOT, Path.home(), Path(sys.prefix), folder.parent.absolute(), *others)}
    names = {name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 4}  # "root" is a word
    words = {word for word in paths | names | {"site-packages", 'File "', "Traceback"} if word != "/"}
    return [f"{word} in {name}" for name, content in contents(folder) for word in words if word.encode() in content]


PACKAGES = ("numpy", "numpy.libs", "PIL", "pillow.libs", "onnxruntime")  # all that predict.py may need


def predict_alone(folder: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``predict.py`` of an exported folder where numpy, Pillow and onnxruntime are all that is installed."""
    installed, alone = Path(np.__file__).parents[1], cwd.with_name(f"{cwd.name}-packages")
    alone.mkdir(exist_ok=True)
    for name in PACKAGES:
        if (installed / name).exists() and not (alone / name).exists():
            (alone / name).symlink_to(installed / name)
    command = [sys.executable, "-S", str(folder / "predict.py"), *map(str, arguments)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(alone)}
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


def lint(*paths: Path) -> None:
    """Lint what is exported, for it may be among what a project's linter reads: ours has nothing to say of it."""
    ours = ["--config", str(ROOT / "pyproject.toml"), *map(str, paths)]
    for command in (["check"], ["format", "--check", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, *ours]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
