"""Is an exported folder what it claims to be? Its counts, its budget, and its files in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from torch import nn

from budgets import Budget, Cost
from nas.errors import ExportError
from nas.export.request import ExportRequest, Extras

Arrays = list[npt.NDArray[np.float32]]
Pixels = npt.NDArray[np.uint8]  # (N, C, H, W)

FILES = {"onnx": "model.onnx", "source": "model.py", "pt2": "model.pt2"}  # the quickest first
ON_REQUEST = {"static": "model.batch1.onnx", "uint8": "model.uint8.onnx"}
BATCH_SIZES = (1, 4, 1, 4)
TOLERANCE = 1e-4  # largest difference of two logits, relative to the largest logit or to 1
TIME_LIMIT = 300.0  # seconds for a file to be loaded and to answer
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # state of batch norm: no parameters


def check_counts(model: nn.Module, weights: Path, input_shape: tuple[int, int, int], cost: Cost) -> None:
    """ExportError unless the built module, the file and thop all agree with ``cost``."""
    file_params, file_bytes = count_file(weights)
    thop_params, thop_macs = count_by_thop(model, input_shape)
    counted = [
        ("parameters of the network", sum(p.numel() for p in model.parameters()), cost.params),
        (f"parameters in {weights.name}", file_params, cost.params),
        ("parameters by thop", thop_params, cost.params),
        ("MACs by thop", thop_macs, cost.macs),
        (f"bytes of tensors in {weights.name}", file_bytes, cost.size_bytes),
    ]
    errors = [f"{what}: {found:,}, not {claimed:,}" for what, found, claimed in counted if found != claimed]
    if errors:
        raise ExportError("The model does not have the size that the search counted. " + "; ".join(errors) + ".")


def check_budget(cost: Cost, limits: dict[str, int]) -> None:
    """ExportError with every limit that ``cost``, as counted on the exported model, exceeds."""
    # max_bytes limits the tensors; the file is longer by its header, some bytes for each tensor's name and shape.
    budget: Mapping[str, Any] = limits
    violations = Budget(**budget).violations(cost)
    if violations:
        raise ExportError("The model breaks its budget: " + "; ".join(violations) + ".")


def count_file(weights: Path) -> tuple[int, int]:
    """Parameters, and bytes of all tensors, of a safetensors file."""
    params = num_bytes = 0
    with safe_open(weights, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a dictionary
            tensor = file.get_tensor(name)
            num_bytes += tensor.nbytes
            if name.rpartition(".")[2] not in STATISTICS:
                params += tensor.numel()
    return params, num_bytes


def count_by_thop(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Parameters, and MACs of convolutions and linear layers for one image, as thop counts them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks distutils for torch's version
        import thop

    uncounted: dict[type[nn.Module], Any] = {
        type(module): lambda module, inputs, output: None
        for module in model.modules()
        if not list(module.children()) and not isinstance(module, nn.Conv2d | nn.Linear)
    }
    macs, params = thop.profile(model, (torch.zeros(1, *input_shape),), custom_ops=uncounted, verbose=False)
    for module in model.modules():
        for left_behind in ("total_ops", "total_params"):
            module._buffers.pop(left_behind, None)
    return int(params), int(macs)


def random_pixels(input_shape: tuple[int, int, int]) -> list[Pixels]:
    """Images of random pixels, in batches of 1 and 4."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (size, *input_shape), np.uint8) for size in BATCH_SIZES]


def check_files(folder: Path, request: ExportRequest, model: nn.Module, pixels: list[Pixels]) -> None:
    """ExportError unless every file, loaded in a fresh process, gives the logits of ``model``."""
    model.eval()
    files = files_of(request.extras)
    batches = [request.normalized(batch) for batch in pixels]
    with torch.no_grad():
        expected = [model(torch.from_numpy(batch)).numpy() for batch in batches]
    for form, answers in answers_of_fresh_processes(folder, files, pixels, batches).items():
        check_logits(files[form], expected, answers)


def files_of(extras: Extras) -> dict[str, str]:
    """The files that answer images, by their format. That in int8 answers otherwise, and is judged by its metrics."""
    asked = {"static": extras.static, "uint8": extras.with_preprocessing}
    return FILES | {form: name for form, name in ON_REQUEST.items() if asked[form]}


def check_logits(name: str, expected: Arrays, answers: Arrays) -> None:
    """ExportError unless two lists of logits agree within ``TOLERANCE``."""
    scale = max(1.0, *(float(np.abs(logits).max()) for logits in expected))
    for wanted, given in zip(expected, answers, strict=True):
        if given.shape != wanted.shape:
            raise ExportError(f"{name} gives outputs of shape {given.shape} instead of {wanted.shape}.")
        difference = float(np.abs(given - wanted).max())
        if not difference <= TOLERANCE * scale:  # written so that NaN fails
            raise ExportError(
                f"{name}, loaded in a fresh process, gives other logits than the network: they differ by "
                f"{difference:.2g} where at most {TOLERANCE * scale:.2g} is allowed."
            )


def answers_of_fresh_processes(
    folder: Path, files: dict[str, str], pixels: list[Pixels], batches: Arrays
) -> dict[str, Arrays]:
    """The logits of each file, by its format; all are loaded at once. ExportError if one cannot be."""
    loader = Path(__file__).with_name("loader_script.py")
    with tempfile.TemporaryDirectory(dir=folder) as name:  # in there, so that a kill leaves nothing elsewhere
        elsewhere = Path(name)
        np.savez(elsewhere / "inputs.npz", *batches)
        np.savez(elsewhere / "pixels.npz", *pixels)
        outputs = {form: elsewhere / f"{form}.npz" for form in files}

        def inputs(form: str) -> str:
            return "pixels.npz" if form == "uint8" else "inputs.npz"

        # -I: neither the working directory nor PYTHON* variables can lend what the file itself lacks.
        command = [sys.executable, "-I", "-W", "ignore", str(loader)]
        processes = {
            form: subprocess.Popen(
                [*command, form, str(folder.absolute()), inputs(form), str(output)],
                cwd=elsewhere,
                env=os.environ | {"OMP_NUM_THREADS": "1"},  # for four images threads only wait for one another
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for form, output in outputs.items()
        }
        try:
            for form, process in processes.items():
                _require_success(files[form], process)
            return {form: _read(output) for form, output in outputs.items()}
        finally:
            for process in processes.values():
                process.kill()
                process.communicate()


def _read(arrays: Path) -> Arrays:
    with np.load(arrays) as file:
        return [file[name] for name in file.files]


def _require_success(name: str, process: subprocess.Popen[str]) -> None:
    try:
        _, errors = process.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        raise ExportError(f"{name} did not load and run within {TIME_LIMIT:g} s in a fresh process.") from None
    if process.returncode != 0:
        reason = errors.strip().splitlines()[-1] if errors.strip() else f"exit status {process.returncode}"
        raise ExportError(f"{name} does not work in a fresh process: {reason}")
