"""``model.py`` of an exported folder: a file of its own, which loads the weights and answers as the network."""

from __future__ import annotations

import ast
import dataclasses
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exported_files import TASK, lint, request_for, request_for_network, small_sample, traces_of_this_machine

from baselines import FixedNetwork, get_network, network_names
from nas.export import loader_script
from nas.export.formats import TrainedModel, write_source, write_weights
from nas.export.model_card import model_card
from nas.export.model_source import model_source
from nas.export.request import ExportRequest
from nas.export.write import trained_model
from search_spaces import space_names

ALLOWED = {"__future__", "collections", "pathlib", "torch", "safetensors.torch"}


def written(request: ExportRequest) -> Path:
    """The folder with ``model.py`` and what it loads."""
    request.out.mkdir()
    model = TrainedModel(trained_model(request), request.input_shape)
    write_weights(request, model, request.out)
    write_source(request, model, request.out)
    return request.out


@pytest.fixture(scope="module")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(request_for("vgg", tmp_path_factory.mktemp("vgg"), small_sample("vgg")))


def test_it_is_a_tidy_file_that_answers_as_the_network(tmp_path: Path) -> None:
    images = torch.randn(3, *TASK.input_shape)
    for space in space_names():
        request = request_for(space, tmp_path / space, small_sample(space))
        folder = written(request)
        with torch.no_grad():
            network = runpy.run_path(str(folder / "model.py"))["load"]()
            assert not network.training
            assert torch.equal(network(images), trained_model(request)(images))
        assert traces_of_this_machine(folder) == []
        assert (folder / "model.py").read_text() == model_source(request)
    files = [tmp_path / space / "model" / "model.py" for space in space_names()]
    lint(*files)


def test_fixed_networks_are_written_too(tmp_path: Path) -> None:
    images = torch.randn(3, *TASK.input_shape)
    for name in network_names():
        network = FixedNetwork(name, {"input_size": 32} if get_network(name).weights else {})
        request = request_for_network(network, tmp_path / name)
        folder = written(request)
        with torch.no_grad():
            loaded = runpy.run_path(str(folder / "model.py"))["load"]()
            assert torch.equal(loaded(images), trained_model(request)(images))
        text = (folder / "model.py").read_text()
        assert "baselines" not in text and bool(get_network(name).weights) == ("torchvision" in text)
        assert text.count("\nclass ") <= 3  # nothing of the other networks in its file
    lint(*(tmp_path / name / "model" / "model.py" for name in network_names()))


def test_it_imports_torch_alone(vgg: Path) -> None:
    found = set()
    for node in ast.walk(ast.parse((vgg / "model.py").read_text())):
        assert not isinstance(node, ast.Import) or [alias.name for alias in node.names] == ["torch"]
        if isinstance(node, ast.ImportFrom):
            found.add(node.module)
    assert found == ALLOWED


def test_weights_that_are_not_its_own_are_refused(vgg: Path, tmp_path: Path) -> None:
    other = written(request_for("vgg", tmp_path / "other"))
    with pytest.raises(RuntimeError, match=r"size mismatch|Missing key"):
        runpy.run_path(str(vgg / "model.py"))["load"](other)
    assert runpy.run_path(str(other / "model.py"))["load"](str(other)).training is False


def test_it_says_what_the_network_takes(tmp_path: Path) -> None:
    request = request_for("vgg", tmp_path)
    text = model_source(request)
    told = ast.get_docstring(ast.parse(text)) or ""
    assert told.startswith(f"A vgg network with {request.params:,} parameters, in plain torch")
    assert request.text in told.replace("\n", " ")
    assert "float32 (N, 3, 12, 10)" in told
    assert "\nMEAN = (0.5, 0.4, 0.3)\nSTD = (0.2, 0.2, 0.25)\n" in text
    grey = dataclasses.replace(request, mean=[0.1307], std=[0.3081])
    assert "\nMEAN = (0.1307,)\nSTD = (0.3081,)\n" in model_source(grey)


def test_the_card_names_it(tmp_path: Path) -> None:
    card = model_card(request_for("vgg", tmp_path))
    assert "`model.py` is its source in plain torch" in card
    assert "search_spaces" not in card


def test_a_file_that_needs_our_packages_is_refused(vgg: Path, tmp_path: Path) -> None:
    folder, root = shutil.copytree(vgg, tmp_path / "model"), Path(loader_script.__file__).parents[2]
    with (folder / "model.py").open("a") as file:
        file.write(f"\n\nimport sys\nsys.path.append({str(root)!r})\nimport search_spaces\n")
    np.savez(tmp_path / "inputs.npz", np.zeros((1, *TASK.input_shape), np.float32))
    command = [sys.executable, "-I", loader_script.__file__, "source", str(folder), "inputs.npz", "out.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "needs the packages search_spaces"
    assert not (tmp_path / "out.npz").exists()
