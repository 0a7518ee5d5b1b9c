"""``nasctl analyze`` on what a search trained: what it writes, that it is true, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import nasctl, refused, told
from PIL import Image
from sklearn.datasets import load_digits

import nas
from nas import analysis
from nas.analysis.answers import MOST_NUMBERS, Gallery, Network, answers_to
from nas.analysis.make import asked, usual_folder
from nas.analysis.subject import of_folder, subject_of
from nas.config import DataConfig
from nas.export.formats import TrainedModel, write_description, write_trained_on, write_weights
from nas.export.from_run import request_of
from nas.export.write import trained_model
from nas.runs import load_run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run ``r``, one trial of the digits."""
    place = tmp_path_factory.mktemp("place")
    short = ["--trials", "1", "--epochs", "1", "--confirm", "0", "--workers", "1", "--no-floor", "--device", "cpu"]
    told(place, "search", "--space", "vgg", "--max-params", "20k", *short, "--run", "r")
    told(place, "analyze", "r")
    return place


@pytest.fixture(scope="module")
def photos(place: Path) -> Path:
    """Digits as files, one of them broken."""
    digits = load_digits()
    for at in range(60):
        folder = place / "photos" / str(digits.target[at])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(digits.images[at] / 16 * 255).astype(np.uint8)).save(folder / f"digit-{at}.png")
    (place / "photos" / "3" / "broken.png").write_bytes(b"no image")
    return place / "photos"


@pytest.fixture(scope="module")
def exported(place: Path) -> Path:
    """An export with the files that are read: without programs, which take seconds to write."""
    request = request_of(load_run("r", place / "runs"), None, place)
    folder = place / "model"
    folder.mkdir()
    model = TrainedModel(trained_model(request), request.input_shape)
    for write in (write_description, write_weights, write_trained_on):
        write(request, model, folder)
    return folder


def test_metrics_are_those_that_the_run_recorded(place: Path) -> None:
    run = nas.load_run("r", runs=place / "runs")
    found = analysis.kept_analysis(run.folder, run.best.id)
    assert found is not None and (found.run, found.trial, found.split) == ("r", "1", "rank")
    recorded = run.best.metrics["rank"]
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert getattr(found, name) == pytest.approx(recorded[name])
    assert [share or 0.0 for share in found.recalls] == pytest.approx(recorded["recall_by_class"])
    assert np.array(found.confusion).sum(axis=1).tolist() == found.counts
    assert np.diag(found.confusion).tolist() == found.right
    assert found.train_counts == run.record.facts.counts["train"]
    assert sum(one.count for one in found.calibration.bins) == found.num_images == sum(found.counts)
    assert found.embedding is not None and len(found.embedding.pca) == found.num_images


def test_the_folder_has_what_the_file_names_and_nothing_else(place: Path) -> None:
    folder = analysis.analysis_folder(place / "runs" / "r", "1")
    found = analysis.read_analysis(folder)
    small = [one.picture for one in (*found.misclassified, *found.examples)]
    small += [one.heat or "" for one in (*found.misclassified, *found.examples)]
    small += [name for one in found.augmented for name in (one.original, one.prepared)]
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {"analysis.json", *found.pictures.values(), *small}
    assert found.pictures.keys() == {
        "misclassified", "examples", "augmented", "filters", "confusion", "recall", "bars", "roc", "precision_recall",
        "calibration", "embedding_pca",
    }  # fmt: skip
    for name in small:
        with Image.open(folder / name) as picture:
            assert max(picture.size) <= 96
    assert len(found.misclassified) <= 24 >= len(found.examples) and len(found.augmented) == 24


def test_mistakes_are_the_surest_ones_with_their_pixels(place: Path) -> None:
    run = load_run("r", place / "runs")
    subject = subject_of("r", place / "runs")
    found = analysis.kept_analysis(run.folder, "1")
    assert found is not None and subject.dataset is not None
    split = subject.dataset.split("rank")
    with torch.no_grad():
        shares = subject.network.module(subject.network.prepared(split.images)).softmax(1).numpy()
    wrong = np.flatnonzero(shares.argmax(1) != split.labels)
    surest = sorted(wrong.tolist(), key=lambda at: -shares[at].max())[:24]
    assert [one.index for one in found.misclassified] == surest
    first = found.misclassified[0]
    assert (first.true, first.predicted) == (split.labels[first.index], shares[first.index].argmax())
    assert first.confidence == pytest.approx(shares[first.index].max())
    with Image.open(analysis.analysis_folder(run.folder, "1") / first.picture) as picture:
        pixels = np.asarray(picture)[6::12, 6::12, 0]  # 8 x 8 digits, each pixel a square of 12
    np.testing.assert_array_equal(pixels, split.images[first.index, 0])
    assert all(one.true == one.predicted for one in found.examples)


def test_an_earlier_analysis_is_replaced_and_never_other_files(place: Path) -> None:
    copy = place / "copied" / "r"
    shutil.copytree(place / "runs" / "r", copy)
    folder = analysis.analysis_folder(copy, "1")
    (folder / "images" / "mine.txt").write_text("mine")
    asked_for = ("analyze", "r:1", "--split", "test", "--runs", "copied", "--tsne", "--layers", "1")
    assert "holds other files (images/mine.txt)" in refused(place, *asked_for)
    assert analysis.read_analysis(folder).split == "rank" and (folder / "images" / "mine.txt").is_file()
    (folder / "images" / "mine.txt").unlink()
    (folder / "analysis.json").write_text("damaged")
    printed = told(place, *asked_for)
    assert "the test split" in printed and "embedding_tsne.png" in printed
    found = analysis.read_analysis(folder)
    assert found.split == "test" and found.embedding is not None and found.embedding.tsne
    assert sorted(path.name for path in folder.parent.iterdir()) == ["1"]
    told(place, "rm", "r", "--runs", "copied")
    assert not copy.exists()


def test_an_exported_folder_is_asked_by_its_weights(place: Path, photos: Path, exported: Path) -> None:
    before = sorted(exported.iterdir())
    done = nasctl("analyze", exported, "--data", photos, "--json", cwd=place)
    assert done.returncode == 1, done.stderr  # as for nasctl evaluate: a file cannot be read
    found = json.loads(done.stdout)
    assert found["folder"] == "analysis-model" and (place / "analysis-model" / "confusion.png").is_file()
    assert sorted(exported.iterdir()) == before
    assert (found["split"], found["num_images"], found["num_broken"], found["train_counts"]) == ("given", 60, 1, None)
    assert any("was trained on" in words for words in found["remarks"])  # digits are what it was trained on
    assert all(one["file"].startswith(f"{one['true']}/digit-") for one in found["misclassified"])
    of_run, _, _ = asked(subject_of("r", place / "runs"), data=DataConfig(source=str(photos)))
    assert of_run.confusion == found["confusion"] and of_run.remarks == found["remarks"] and of_run.train_counts


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Name a network"),
        ("nothing", "There is no run 'nothing'"),
        ("r:7", "7"),
        ("r --split tests", "Did you mean 'test'?"),
        ("r --split rank --data photos", "leave out --data, or --split"),
        ("r --layers 99", "--layers '99' is not a trained convolution"),
        ("r --match x", "--match is about other data"),
        ("r --out photos", "photos holds other files"),
        ("r --data nowhere", "nowhere"),
        ("model", "Give other labelled images: --data FOLDER"),
        ("photos --data photos", "neither an exported folder"),
    ],
)
def test_what_cannot_be_done_is_refused(place: Path, photos: Path, exported: Path, typed: str, words: str) -> None:
    before = sorted(place.rglob("*"))
    assert words in refused(place, "analyze", *typed.split())
    assert sorted(place.rglob("*")) == before


def test_the_examples_of_the_page_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    page = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text()
    code = "".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    names: dict[str, Any] = {}
    exec(code.replace('"vgg-digits-1"', '"r"'), names)
    assert names["maps"].shape == (6, 8, 8) and names["first"] is not None
    assert (place / "confusion.png").is_file() and (place / "looked-at" / "analysis.json").is_file()
    assert "Figure" in capsys.readouterr().out


def test_on_other_images_the_analysis_is_not_put_beside_the_run(place: Path) -> None:
    subject = subject_of("r", place / "runs")
    assert usual_folder(subject) == place / "runs" / "r" / "analysis" / "1"
    assert usual_folder(subject, own=False) == Path("analysis-r-1")


def test_a_damaged_export_is_named(exported: Path, tmp_path: Path) -> None:
    for damage, words in ((lambda path: path.unlink(), "weights"), (lambda path: path.write_bytes(b"x"), "weights")):
        copy = tmp_path / "copy"
        shutil.copytree(exported, copy)
        damage(copy / "weights.safetensors")
        with pytest.raises(nas.errors.UsageError, match=words):
            of_folder(copy)
        shutil.rmtree(copy)
    shutil.copytree(exported, copy)
    (copy / "model.json").write_text("{}")
    with pytest.raises(nas.errors.UsageError, match="Export it again"):
        of_folder(copy)


def test_images_pass_in_batches_and_only_some_probabilities_stay() -> None:
    class Brightness(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert len(x) <= 128
            return torch.stack([x.mean(dim=(1, 2, 3)), torch.zeros(len(x))], dim=1)

    network = Network(Brightness(), [0.5], [1.0], 2)
    rng = np.random.default_rng(0)
    chunks = [(rng.integers(0, 256, (300, 1, 4, 4), dtype=np.uint8), rng.integers(0, 2, 300)) for _ in range(3)]
    gallery = Gallery.of([0, 1])
    found = answers_to(network, chunks, 900, gallery)
    pixels, labels = (np.concatenate(each) for each in zip(*chunks, strict=True))
    expected = (pixels.mean(axis=(1, 2, 3)) / 255 - 0.5 <= 0).astype(int)
    np.testing.assert_array_equal(found.predicted, expected)
    np.testing.assert_array_equal(found.labels, labels)
    assert len(found.sample) == 900 <= MOST_NUMBERS and found.features is None
    wrong = np.flatnonzero(expected != labels)
    assert [one.index for one in gallery.wrong] == sorted(wrong, key=lambda at: (-found.confidence[at], at))[:24]
    assert [one.true for one in gallery.examples] == [0] * 4 + [1] * 4
