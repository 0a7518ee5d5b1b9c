"""Optional parts of an export: int8, one image at a time, pixels in and probabilities out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from exported_files import TASK, predict_alone, request_for, small_sample, traces_of_this_machine
from safetensors.torch import save_file

from nas.config import DataConfig
from nas.data import open_data
from nas.errors import ExportError, UsageError
from nas.export.formats import IR_VERSION, TrainedModel, write_one_image
from nas.export.int8 import OneByOne, calibration_images, quantize, write_int8
from nas.export.predict import load_model
from nas.export.request import ExportRequest, Extras
from nas.export.write import Exported, export, trained_model

ALL = Extras(static=True, with_preprocessing=True, int8=True, int8_max_drop=0.2)


def uneven_images() -> tuple[np.ndarray, np.ndarray]:
    """Four classes told apart by brightness, (N, C, H, W) and labels; the first has most images."""
    labels = np.repeat(range(4), (120, 40, 25, 15))
    noise = np.random.default_rng(0).normal(0, 12, (len(labels), *TASK.input_shape))
    return (40 + 55 * labels[:, None, None, None] + noise).clip(0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ExportRequest:
    """Of a network that was trained for a moment on images in a file."""
    folder = tmp_path_factory.mktemp("extras")
    images, labels = uneven_images()
    np.savez(folder / "tools.npz", images=images.transpose(0, 2, 3, 1), labels=labels)
    dataset = open_data(DataConfig(source=str(folder / "tools.npz")))
    request = request_for("vgg", folder, small_sample("vgg"))
    model = trained_model(request).train()
    split = dataset.split("train")
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(
            model(torch.from_numpy(request.normalized(split.images))), torch.from_numpy(split.labels)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(model.state_dict(), request.weights)
    return dataclasses.replace(
        request, dataset=dataset, extras=ALL, train_counts=tuple(dataset.counts["train"]), prior="uniform"
    )


@pytest.fixture(scope="module")
def exported(request_: ExportRequest) -> Exported:
    return export(request_)


def session(exported: Exported, name: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(exported.request.out / name)


def test_all_files_are_there_and_say_nothing_of_this_machine(exported: Exported) -> None:
    assert {path.name for path in exported.files} == {
        "README.md", "model.batch1.onnx", "model.int8.onnx", "model.json", "model.onnx", "model.pt2",
        "model.py", "model.uint8.onnx", "predict.py", "trained_on.npy", "weights.safetensors",
    }  # fmt: skip
    assert traces_of_this_machine(exported.request.out) == []
    card = (exported.request.out / "README.md").read_text()
    for words in ("model.batch1.onnx", "model.uint8.onnx", "In 8-bit integers", "IR version 10", "temperature is"):
        assert words in card


def test_an_onnxruntime_of_two_years_ago_can_read_the_onnx_files(exported: Exported) -> None:
    """1.20 of November 2024 reads IR versions up to 10 and operator sets up to 21; tried once with 1.20.0 itself."""
    import onnx

    files = [path for path in exported.files if path.suffix == ".onnx"]
    assert len(files) == 4 and IR_VERSION == 10
    for path in files:
        proto = onnx.load(path)
        onnx.checker.check_model(proto)
        assert proto.ir_version <= 10
        assert {(one.domain, one.version) for one in proto.opset_import if one.domain in ("", "ai.onnx")} <= {
            ("", version) for version in range(17, 22)
        }


def test_pixels_in_and_the_scores_of_predict_py_out(exported: Exported) -> None:
    pixels, _ = uneven_images()
    logits, probabilities = session(exported, "model.uint8.onnx").run(
        ["logits", "probabilities"], {"images": pixels[::9]}
    )
    classifier = load_model(exported.request.out)
    assert np.abs(logits - classifier.logits(classifier.normalized(pixels[::9]))).max() < 1e-3
    assert np.abs(probabilities - classifier.predict_proba(pixels[::9].transpose(0, 2, 3, 1))).max() < 1e-4
    assert classifier.temperature == exported.request.calibration.temperature != 1  # type: ignore[union-attr]


def test_arrays_of_another_scale_are_the_same_pictures(exported: Exported) -> None:
    """The network was trained on 8 bits, so that nothing is known of deeper ones: they bring their own scale."""
    pixels, _ = uneven_images()
    pictures = pixels[::40].transpose(0, 2, 3, 1)
    pictures[:, 0, 0, 0] = 255
    classifier = load_model(exported.request.out)
    scores = classifier.predict_proba(list(pictures))
    for other in (pictures / 255, (pictures / 255).astype(np.float32), pictures.astype(np.int64)):
        assert (classifier.predict_proba(list(other)) == scores).all()


def test_the_onnx_files_say_what_they_take(exported: Exported) -> None:
    for name, dtype, shape in (
        ("model.onnx", "float32", "batch"), ("model.uint8.onnx", "uint8", "batch"),
        ("model.batch1.onnx", "float32", 1), ("model.int8.onnx", "float32", 1),
    ):  # fmt: skip
        file = session(exported, name)
        said = json.loads(file.get_modelmeta().custom_metadata_map["input"])
        assert (said["dtype"], said["shape"]) == (dtype, [shape, *TASK.input_shape]) and said[
            "shape"
        ] == file.get_inputs()[0].shape
        assert (said["normalization"] is None) == (dtype == "uint8")


def test_the_file_for_one_image_takes_one(exported: Exported) -> None:
    static = session(exported, "model.batch1.onnx")
    assert static.get_inputs()[0].shape == [1, *TASK.input_shape]
    assert session(exported, "model.onnx").get_inputs()[0].shape[0] == "batch"


def test_int8_is_told_beside_float_and_answers_as_it_says(exported: Exported, request_: ExportRequest) -> None:
    card = json.loads((exported.request.out / "model.json").read_text())["int8"]
    found = exported.request.quantized
    assert found is not None and dataclasses.asdict(found) == card
    assert exported.milliseconds is not None
    dataset = request_.dataset
    assert dataset is not None
    for name, reached in (("rank", card["int8_rank"]), ("test", card["int8_test"])):
        split = dataset.split(name)  # type: ignore[arg-type]
        classifier = load_model(exported.request.out, int8=True)
        answers = classifier.logits(classifier.normalized(split.images)).argmax(axis=1)
        recalls = [(answers[split.labels == c] == c).mean() for c in range(4)]
        assert np.mean(recalls) == pytest.approx(reached)
    assert card["num_bytes"] == (exported.request.out / "model.int8.onnx").stat().st_size
    assert card["agreement"] > 0.9


def test_predict_py_answers_in_int8_and_for_other_priors(exported: Exported, tmp_path: Path) -> None:
    from PIL import Image

    pixels, _ = uneven_images()
    for number in (0, 130, 170, 190):
        Image.fromarray(pixels[number].transpose(1, 2, 0)).save(tmp_path / f"{number:03}.png")
    (tmp_path / "prior.json").write_text(json.dumps({name: 1 for name in exported.request.classes} | {"axe": 0}))
    rows = {}
    for asked in ([], ["--int8"], ["--prior", "train"], ["--prior", "prior.json"]):
        done = predict_alone(exported.request.out, tmp_path, "--top", 4, *asked, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        rows[" ".join(asked)] = [line.split("\t") for line in done.stdout.splitlines()]
    assert all(row[-2:] == ["axe", "0.000000"] for row in rows["--prior prior.json"])
    # What a prior does, by hand: scores times how often classes come by how often they came, made to sum to 1.
    counts = np.array(exported.request.train_counts)
    scores = {name: score_table(rows[name], exported.request.classes) for name in ("", "--prior train")}
    shifted = scores[""] * (counts / counts.sum()) / (1 / 4)
    assert scores["--prior train"] == pytest.approx(shifted / shifted.sum(axis=1, keepdims=True), abs=1e-4)
    csv = predict_alone(exported.request.out, tmp_path, "--csv", "ids.csv", "--csv-format", "id-label", cwd=tmp_path)
    assert csv.returncode == 0
    lines = (tmp_path / "ids.csv").read_text().splitlines()
    assert lines[0] == "id,label" and [line.split(",")[0] for line in lines[1:]] == ["000", "130", "170", "190"]
    for asked, said in {("--prior", "no.json"): "no.json", ("--prior", "ids.csv"): "is not a prior"}.items():
        done = predict_alone(exported.request.out, tmp_path, *asked, cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr.splitlines()[-1]


def score_table(rows: list[list[str]], classes: tuple[str, ...]) -> np.ndarray:
    return np.array([[float(row[row.index(name) + 1]) for name in classes] for row in rows])


def test_a_prior_has_a_number_for_each_class(exported: Exported) -> None:
    with pytest.raises(UsageError, match="book, spoon"):
        load_model(exported.request.out, prior={"axe": 1, "hammer | tongs": 1, "other": 2, "spoon": 3})
    with pytest.raises(UsageError, match="not 'unifrom'"):
        load_model(exported.request.out, prior="unifrom")
    with pytest.raises(UsageError, match="not all 0"):
        load_model(exported.request.out, prior=dict.fromkeys(exported.request.classes, 0.0))


def test_what_loses_too_much_is_refused_and_test_is_not_looked_at(
    request_: ExportRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static, target = tmp_path / "static.onnx", tmp_path / "int8.onnx"
    model = trained_model(request_)
    write_one_image(request_, TrainedModel(model, request_.input_shape), static)
    looked_at = []
    logits = OneByOne.logits

    def worse(self: OneByOne, images: np.ndarray) -> np.ndarray:
        looked_at.append(len(images))
        answers = logits(self, images)
        return answers if len(looked_at) % 2 else np.roll(answers, 1, axis=1)  # the second file, that in int8

    monkeypatch.setattr(OneByOne, "logits", worse)
    strict = dataclasses.replace(request_, extras=Extras(int8=True))
    with pytest.raises(ExportError, match=r"more than the 0\.01 that are allowed.*--int8-max-drop \d"):
        write_int8(strict, static, target)
    assert looked_at == [len(request_.dataset.split("rank").labels)] * 2  # type: ignore[union-attr]


def test_without_the_data_there_is_no_int8(request_: ExportRequest, tmp_path: Path) -> None:
    without = dataclasses.replace(request_, dataset=None, no_dataset="the folder is gone", out=tmp_path / "model")
    with pytest.raises(UsageError, match="the folder is gone"):
        export(without)
    assert not without.out.exists()


def test_quantizing_is_the_same_at_every_call(request_: ExportRequest, tmp_path: Path) -> None:
    static = tmp_path / "static.onnx"
    write_one_image(request_, TrainedModel(trained_model(request_), request_.input_shape), static)
    assert request_.dataset is not None
    images = calibration_images(request_.dataset, 32)
    assert (images == calibration_images(request_.dataset, 32)).all()
    for name in ("one.onnx", "two.onnx"):
        quantize(static, tmp_path / name, request_.normalized(images))
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_ranges_are_chosen_by_images_to_train_on_of_every_class(request_: ExportRequest) -> None:
    dataset = request_.dataset
    assert dataset is not None
    images = calibration_images(dataset, 24)
    split = dataset.split("train")
    rows = [int(np.flatnonzero((split.images == image).all(axis=(1, 2, 3)))[0]) for image in images]
    assert np.bincount(split.labels[rows]).tolist() == [6, 6, 6, 6]
    assert len(calibration_images(dataset, 10_000)) == len(split.rows)
