"""The whole path from a folder of photos to a network that runs without us, by the commands a user types."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from command_line import nasctl
from exported_files import predict_alone, traces_of_this_machine
from photos import write_photos
from PIL import Image

MOST_PARAMS = 30_000


def succeeds(*arguments: object, cwd: Path) -> None:
    done = nasctl(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_winner_on_photos_runs_in_onnxruntime_and_in_plain_torch(tmp_path):
    photos = tmp_path / "photos"
    write_photos(photos)
    succeeds(
        "search", "--space", "vgg", "--max-params", MOST_PARAMS, "--data", photos, "--imbalance", 5,
        "--trials", 1, "--epochs", 2, "--confirm", 1, "--workers", 1, "--device", "cpu", "--no-floor", cwd=tmp_path,
    )  # fmt: skip
    succeeds("export", "--best", "--out", "model", cwd=tmp_path)
    model = tmp_path / "model"
    assert {p.name for p in model.iterdir()} == {
        "README.md", "model.json", "model.onnx", "model.pt2", "model.py", "predict.py", "trained_on.npy",
        "weights.safetensors",
    }  # fmt: skip
    assert traces_of_this_machine(model, photos) == []
    card = json.loads((model / "model.json").read_text())
    assert card["cost"]["params"] <= card["budget"]["max_params"] == MOST_PARAMS

    classes = card["classes"]
    files = [(path, label) for label, name in enumerate(classes) for path in sorted((photos / "test" / name).iterdir())]
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path, _ in files]).transpose(0, 3, 1, 2)
    labels = np.array([label for _, label in files])
    normal = card["input"]["normalization"]
    mean, std = (np.array(normal[key], np.float32)[:, None, None] for key in ("mean", "std"))
    images = (pixels.astype(np.float32) / 255 - mean) / std
    session = onnxruntime.InferenceSession(model / "model.onnx", providers=["CPUExecutionProvider"])
    (by_onnx,) = session.run(None, {session.get_inputs()[0].name: images})
    with torch.no_grad():
        by_torch = torch.export.load(model / "model.pt2").module()(torch.from_numpy(images)).numpy()
    assert np.abs(by_onnx - by_torch).max() < 1e-4
    # What the card claims of the test split is what the exported file does on the test files.
    recall = [(by_onnx.argmax(1) == label)[labels == label].mean() for label in range(len(classes))]
    assert recall == pytest.approx(card["metrics"]["test"]["recall_by_class"], abs=1e-6)
    # ... and what predict.py says of them, on a machine that has neither nasctl nor torch.
    done = predict_alone(model, photos / "test", "--csv", "out.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out.csv").open(newline="") as table:
        right = [row["label"] == Path(row["path"]).parent.name for row in csv.DictReader(table)]
    assert len(right) == len(files)
    assert np.mean(right) == pytest.approx(card["metrics"]["test"]["accuracy"], abs=1e-9)
    # ... and what nasctl evaluate says of the folder and of the run, image by image.
    table = card["metrics"]["test"]
    (run,) = (path.name for path in (tmp_path / "runs").iterdir())
    for arguments in (["model", "--data", photos], [run]):
        done = nasctl("evaluate", *arguments, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        metrics = json.loads(done.stdout)
        assert metrics["figures"]["balanced_accuracy"] == pytest.approx(table["balanced_accuracy"], abs=1e-9)
        assert [one["recall"] for one in metrics["by_class"]] == pytest.approx(table["recall_by_class"], abs=1e-9)
        assert metrics["trained_on"] == 0
    # ... and what nasctl predict says by the one and by the other.
    one, trial = files[0][0], card["provenance"]["trial"]
    answers = [nasctl("predict", name, one, cwd=tmp_path) for name in (f"{run}:{trial}", "model")]
    assert {(done.returncode, done.stdout) for done in answers} == {(0, answers[0].stdout)}
    assert nasctl("predict", f"{run}:7", one, cwd=tmp_path).returncode == 2
    again = nasctl("export", "--best", "--out", "model", cwd=tmp_path)
    assert again.returncode == 2
    assert "not an empty folder" in again.stderr
