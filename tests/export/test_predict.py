"""``predict.py`` of an exported folder: the pixels of training, whatever the file, and what it prints of them."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from exported_files import lint, predict_alone, request_for, small_sample
from PIL import Image, features

from nas.data.dataset import Preprocessing
from nas.data.images import decode_file
from nas.export.formats import TrainedModel, write_description, write_onnx, write_predict
from nas.export.write import trained_model
from nas.training.augmentation import normalize


def picture(mode: str, width: int = 23, height: int = 17) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    if mode in ("I;16", "I", "F"):
        kinds = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
        return Image.fromarray((pixels[..., 0].astype(np.int64) * 257).astype(kinds[mode]))
    if mode == "LAB":
        return Image.frombytes("LAB", (width, height), pixels[..., :3].tobytes())
    return Image.fromarray(pixels).convert(mode)


def encode(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def turned(orientation: int, form: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(picture("RGB"), form, exif=exif)


LEVELS = (0.0, 50_000.0)  # of deep images, some of which go beyond
KINDS: dict[str, Callable[[], bytes]] = {
    **{f"jpeg turned {n}": lambda n=n: turned(n, "JPEG") for n in range(1, 9)},
    **{f"png turned {n}": lambda n=n: turned(n, "PNG") for n in (3, 6)},
    **{f"tiff turned {n}": lambda n=n: turned(n, "TIFF") for n in (1, 8)},
    **{mode: lambda mode=mode: encode(picture(mode)) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
    **{mode: lambda mode=mode: encode(picture(mode), "TIFF") for mode in ("I", "F", "CMYK", "YCbCr", "LAB")},
    "CMYK jpeg": lambda: encode(picture("CMYK"), "JPEG"),
    "palette with a transparent entry": lambda: encode(picture("P"), transparency=3),
    "grey with a transparent level": lambda: encode(picture("L"), transparency=3),
    "moving": lambda: encode(picture("P"), "GIF", save_all=True, append_images=[picture("L").convert("P")]),
    "pages": lambda: encode(picture("RGB"), "TIFF", save_all=True, append_images=[picture("L")]),
    "wide": lambda: encode(picture("RGB", 300, 4)),
    "tall": lambda: encode(picture("RGB", 3, 200), "JPEG"),
    "one pixel": lambda: encode(picture("RGB", 1, 1)),
    "large": lambda: encode(picture("RGB", 700, 500), "JPEG"),
    **({"webp": lambda: encode(picture("RGBA"), "WEBP")} if features.check("webp") else {}),
}


@pytest.fixture(scope="module", params=["resize", "pad"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of an exported folder that ``predict.py`` needs, of a network that was not trained."""
    folder = tmp_path_factory.mktemp("exported")
    asked = request_for("vgg", folder, small_sample("vgg"))
    asked = dataclasses.replace(asked, preprocessing=Preprocessing.of(asked.input_shape, request.param, LEVELS))
    model = TrainedModel(trained_model(asked), asked.input_shape)
    for write in (write_description, write_onnx, write_predict):
        write(asked, model, folder)
    return folder


def loaded(folder: Path) -> ModuleType:
    """The exported ``predict.py`` as a module."""
    spec = importlib.util.spec_from_file_location(f"predict_{folder.name}", folder / "predict.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_are_those_of_training_bit_for_bit(exported: Path, kind: str, tmp_path: Path) -> None:
    card = json.loads((exported / "model.json").read_text())
    channels, height, width = card["input"]["shape"][1:]
    content = KINDS[kind]()
    how = card["input"]["preprocessing"]
    pixels = decode_file(content, Preprocessing(channels, height, width, how["fit"], tuple(how["levels"])))
    normal = card["input"]["normalization"]
    trained_on = normalize(
        torch.from_numpy(pixels.copy())[None], torch.tensor(normal["mean"]), torch.tensor(normal["std"])
    )
    (tmp_path / "file").write_bytes(content)
    prepared = loaded(exported).Classifier().read(tmp_path / "file")
    assert prepared.dtype == np.float32
    assert np.abs(prepared - trained_on[0].numpy()).max() < 2e-6  # two orders of the same arithmetic
    back = prepared * np.reshape(normal["std"], (-1, 1, 1)) + np.reshape(normal["mean"], (-1, 1, 1))
    assert (np.rint(back * 255) == pixels).all()


@pytest.mark.parametrize("kind", ["L", "RGB", "I;16", "I", "F"])
def test_arrays_are_prepared_as_files_of_the_same_values(exported: Path, kind: str) -> None:
    classifier = loaded(exported).Classifier()
    assert (classifier.read(np.asarray(picture(kind))) == classifier.read(picture(kind))).all()
    deep = np.asarray(picture("I"))
    assert (classifier.read(np.stack([deep] * 3, axis=2)) == classifier.read(deep)).all()


def test_it_names_pictures_and_folders_of_them_and_what_is_broken(exported: Path, tmp_path: Path) -> None:
    classes = json.loads((exported / "model.json").read_text())["classes"]
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for number, kind in enumerate(["RGB", "wide", "large"]):
        (tmp_path / "photos" / f"{number}.png").write_bytes(KINDS[kind]())
    (tmp_path / "photos" / "more" / 'b,"q".JPG').write_bytes(KINDS["jpeg turned 6"]())
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    (tmp_path / "photos" / "broken.png").write_bytes(b"not an image")
    done = predict_alone(exported, "photos", "photos/0.png", "--csv", "out.csv", "--top", "3", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[0].startswith("photos/broken.png: ")
    assert done.stderr.splitlines()[1:] == ["1 of 6 images could not be read"]
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [
        "photos/0.png", "photos/1.png", "photos/2.png", 'photos/more/b,"q".JPG', "photos/0.png"
    ]  # fmt: skip
    assert list(rows[0]) == ["path", "label", "score", "label2", "score2", "label3", "score3"]
    assert rows[0] == rows[4] and {row["label"] for row in rows} <= set(classes)
    for row in rows:
        assert 1 >= float(row["score"]) >= float(row["score2"]) >= float(row["score3"]) >= 0
    plain = predict_alone(exported, "photos/0.png", cwd=tmp_path)
    assert plain.returncode == 0
    assert next(csv.reader([plain.stdout], delimiter="\t")) == [rows[0]["path"], rows[0]["label"], rows[0]["score"]]


def test_values_outside_the_levels_are_counted(exported: Path, tmp_path: Path) -> None:
    kinds = {"inside": np.full((9, 9), 50_000), "above": np.full((9, 9), 50_001), "below": np.full((9, 9), -1)}
    for name, values in kinds.items():
        Image.fromarray(values.astype(np.int32)).save(tmp_path / f"{name}.tif")
    (tmp_path / "8 bits.png").write_bytes(KINDS["RGB"]())
    done = predict_alone(exported, ".", cwd=tmp_path)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)
    assert done.stderr.splitlines() == ["2 of 4 images had values outside 0 to 50000, which were clipped"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.png"], "nowhere.png: there is no such file or folder"),
        (["."], "there is no image in ."),
        (["a.png", "--csv", "no/folder/out.csv"], "No such file or directory: 'no/folder/out.csv'"),
        ([], "PATH"),
    ],
)
def test_what_is_typed_wrong_is_one_sentence(exported: Path, arguments: list[str], said: str, tmp_path: Path) -> None:
    if "a.png" in arguments:
        (tmp_path / "a.png").write_bytes(KINDS["RGB"]())
    done = predict_alone(exported, *arguments, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1]


def test_the_script_is_a_tidy_one(exported: Path) -> None:
    lint(exported / "predict.py")
    assert "import nas" not in (exported / "predict.py").read_text()


def test_the_model_alone_says_its_classes_and_how_to_prepare_images(exported: Path) -> None:
    card = json.loads((exported / "model.json").read_text())
    facts = onnxruntime.InferenceSession(exported / "model.onnx").get_modelmeta().custom_metadata_map
    assert {name: json.loads(fact) for name, fact in facts.items()} == {
        name: card[name] for name in ("classes", "input", "output")
    }
