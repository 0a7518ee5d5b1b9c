"""``nasctl predict`` and ``nas.load_model``: the same answers as the exported ``predict.py``."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import nasctl
from exported_files import predict_alone, request_for, small_sample
from PIL import Image

import nas
from nas.errors import UsageError
from nas.export.formats import TrainedModel, write_description, write_onnx, write_predict
from nas.export.write import trained_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``model/``, exported, and ``photos/``."""
    folder = tmp_path_factory.mktemp("predict")
    request = request_for("vgg", folder / "in", small_sample("vgg"))
    model = TrainedModel(trained_model(request), request.input_shape)
    (folder / "model").mkdir()
    for write in (write_description, write_onnx, write_predict):
        write(request, model, folder / "model")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(70):  # more than a batch
        Image.fromarray(rng.integers(0, 256, (15, 20, 3), np.uint8)).save(folder / "photos" / f"{number:02}.png")
    return folder


def test_the_command_answers_as_the_exported_script_does(folder: Path) -> None:
    by_command = nasctl("predict", "model", "photos", "--csv", "command.csv", "--top", 2, cwd=folder)
    by_script = predict_alone(folder / "model", "photos", "--csv", "script.csv", "--top", 2, cwd=folder)
    assert (by_command.returncode, by_script.returncode) == (0, 0), by_command.stderr + by_script.stderr
    assert (folder / "command.csv").read_bytes() == (folder / "script.csv").read_bytes()
    with (folder / "command.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 70 and list(rows[0]) == ["path", "label", "score", "label2", "score2"]
    shown = nasctl("predict", "model", "photos/*.png", cwd=folder)
    assert [line.split("\t")[:2] for line in shown.stdout.splitlines()] == [[r["path"], r["label"]] for r in rows]
    document = json.loads(nasctl("predict", "model", "photos/00.png", "--json", cwd=folder).stdout)
    assert document["broken"] == document["clipped"] == [] and document["pictures"][0]["path"] == "photos/00.png"
    assert sum(document["pictures"][0]["scores"].values()) == pytest.approx(1)


def test_a_model_is_loaded_without_torch_and_takes_files_images_and_arrays(folder: Path) -> None:
    model = nas.load_model(folder / "model")
    path = folder / "photos" / "03.png"
    with Image.open(path) as image:
        scores = model.predict_proba([path, str(path), image, np.asarray(image)])
    assert scores.shape == (4, len(model.classes)) and (scores == scores[0]).all()
    assert model.predict([path]) == [model.classes[int(scores[0].argmax())]]
    assert model.predict([]) == []
    code = "import sys, nas; nas.load_model('model'); print([m for m in ('torch', 'nni', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_what_cannot_be_used_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (folder / "photos" / "broken.jpg").write_bytes(b"no")
    done = nasctl("predict", "model", "photos/broken.jpg", "photos/00.png", cwd=folder)
    (folder / "photos" / "broken.jpg").unlink()
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 1
    assert "photos/broken.jpg: " in done.stderr and "1 of 2 images could not be read" in done.stderr
    for arguments, said in {
        ("model", "nowhere"): "nowhere: there is no such file or folder",
        ("model", "photos", "--top", "0"): "--top '0' cannot be used",
        ("model", "photos", "--csv", "no/where.csv"): "no/where.csv cannot be written",
        ("model", "photos", "--csv", "a.csv", "--json"): "give one of them",
        ("no-model", "photos"): "There is no run 'no-model'",
    }.items():
        done = nasctl("predict", *arguments, cwd=folder)
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    with pytest.raises(UsageError, match=r"it has no model\.json"):
        nas.load_model(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no")
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        nas.load_model(tmp_path)
