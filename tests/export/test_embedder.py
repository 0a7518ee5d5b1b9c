"""Networks exported without the layer that gives the classes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from exported_files import request_for, small_sample

from budgets import cost_of
from nas.errors import UsageError
from nas.export.embedding import Embedder
from nas.export.predict import load_model
from nas.export.request import ExportRequest, Extras
from nas.export.trained import trained_model
from nas.export.write import export
from search_spaces import Task, get_space


def embedder_request(place: Path) -> ExportRequest:
    request = request_for("vgg", place, small_sample("vgg"))
    task = Task(request.input_shape, request.num_classes, has_head=False)
    cost = cost_of(get_space("vgg"), request.sample, task)
    return dataclasses.replace(request, has_head=False, **dataclasses.asdict(cost))


def test_an_exported_embedder_is_the_network_without_its_last_layer(tmp_path: Path) -> None:
    request = embedder_request(tmp_path)
    whole = trained_model(dataclasses.replace(request, has_head=True))
    files = {file.name for file in export(request).files}
    assert "predict.py" not in files and {"model.onnx", "model.pt2", "model.py", "weights.safetensors"} <= files
    card = json.loads((request.out / "model.json").read_text())
    assert card["output"]["name"] == "embedding" and card["cost"]["params"] == request.params
    assert "embedder, trained on" in (request.out / "README.md").read_text()

    images = np.random.default_rng(0).standard_normal((5, *request.input_shape)).astype(np.float32)
    entered: list[torch.Tensor] = []
    last = [module for module in whole.modules() if isinstance(module, torch.nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    with torch.no_grad():
        whole(torch.from_numpy(images))
    expected = torch.nn.functional.normalize(entered[0], dim=1).numpy()
    found = Embedder(request.out).vectors(images)
    assert found.shape == (5, card["output"]["shape"][1]) == (5, last.in_features)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(UsageError, match="holds an embedder, which has no layer that gives classes"):
        load_model(request.out)


def test_an_embedder_has_no_probabilities(tmp_path: Path) -> None:
    for extras in (Extras(int8=True), Extras(with_preprocessing=True)):
        with pytest.raises(UsageError, match="are for classifiers"):
            export(dataclasses.replace(embedder_request(tmp_path), extras=extras))
    assert not (tmp_path / "model").exists()
