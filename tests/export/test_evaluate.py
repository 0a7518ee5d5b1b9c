"""Metrics of a network on labelled images: classes by name, intervals, and what was trained on."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import fails, nasctl, told
from exported_files import request_for, small_sample
from PIL import Image
from registered import registering

from nas.analysis.subject import subject_of
from nas.api.trained import TrainedNetwork
from nas.config import DataConfig
from nas.config.objectives import register_objective
from nas.data import open_data
from nas.errors import DataError
from nas.export.evaluate import (
    Evaluation,
    Labelled,
    confusion_cells,
    evaluate,
    intervals,
    most_confused,
    other_data,
    own_split,
    preprocessing_of,
)
from nas.export.fingerprints import fingerprints, trained_on
from nas.export.formats import TrainedModel, write_description, write_onnx
from nas.export.predict import load_model
from nas.export.predict_script import Classifier
from nas.export.write import trained_model
from nas.report.plots import confusion_plot
from nas.report.screen import Screen
from nas.report.tables.evaluation import print_evaluation
from nas.runs import as_search
from nas.runs.folders import load_run


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    request = dataclasses.replace(
        request_for("vgg", folder, small_sample("vgg")), classes=("axe", "book", "cup", "drill")
    )
    model = TrainedModel(trained_model(request), request.input_shape)
    for write in (write_description, write_onnx):
        write(request, model, folder)
    return folder


@pytest.fixture(scope="module")
def classifier(exported: Path) -> Classifier:
    return load_model(exported)


def labelled(path: Path, classifier: Classifier, **changes: Any) -> Labelled:
    config = DataConfig(source=str(path), **changes)
    return other_data(config, classifier.classes, preprocessing_of(classifier))


def write_images(folder: Path, classes: dict[str, str], count: int = 12) -> None:
    """Folders by the names of the values, of images that depend on the keys alone."""
    for key, name in classes.items():
        (folder / name).mkdir(parents=True)
        rng = np.random.default_rng(list(key.encode()))
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (15, 20, 3), np.uint8)).save(folder / name / f"{number:02}.png")


def test_classes_are_matched_by_name_whatever_else_is_there(classifier: Classifier, tmp_path: Path) -> None:
    whole = {name: name for name in classifier.classes}
    write_images(tmp_path / "whole", whole)
    found = evaluate(classifier, labelled(tmp_path / "whole", classifier), None)
    answers = {name: classifier.predict(sorted((tmp_path / "whole" / name).iterdir())) for name in classifier.classes}
    for row, name in enumerate(classifier.classes):
        assert found.confusion[row] == [answers[name].count(other) for other in classifier.classes]
    assert (found.images, found.missing, found.surplus, found.trained_on) == (48, [], [], None)

    # One class is not there, and two are that the network does not know: the first and the last by name.
    some = {"axe": "aaa", "book": "book", "cup": "cup", "drill": "zoo"}
    write_images(tmp_path / "some", some)
    (tmp_path / "some" / "cup" / "00.png").write_bytes(b"no picture")
    other = evaluate(classifier, labelled(tmp_path / "some", classifier), None)
    assert (other.missing, other.surplus) == (["axe", "drill"], ["aaa", "zoo"])
    assert len(other.broken) == 1 and "00.png" in other.broken[0]
    assert other.confusion[1] == found.confusion[1] and sum(map(sum, other.confusion)) == other.images == 23
    assert [one.images for one in other.by_class] == [0, 12, 11, 0]
    assert other.metrics["balanced_accuracy"] == pytest.approx(
        np.mean([one.recall for one in other.by_class if one.images])
    )


def test_nothing_in_common_is_told_with_the_names(classifier: Classifier, tmp_path: Path) -> None:
    write_images(tmp_path, {"a": "Axe", "b": "Book"})
    with pytest.raises(DataError, match="It knows: axe, book, cup, drill"):
        labelled(tmp_path, classifier)


def test_images_none_of_which_can_be_read(classifier: Classifier, tmp_path: Path) -> None:
    write_images(tmp_path, {"a": "axe", "b": "book"}, 1)
    for path in tmp_path.glob("*/00.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"None of 2 images can be read; the first is axe/00\.png: not an image"):
        labelled(tmp_path, classifier)


def test_of_a_source_with_parts_the_test_part_is_taken(classifier: Classifier, tmp_path: Path) -> None:
    classes = {name: name for name in classifier.classes}
    write_images(tmp_path / "train", classes, 9)
    write_images(tmp_path / "test", classes, 5)
    found = evaluate(classifier, labelled(tmp_path, classifier), None)
    assert (found.part, found.images) == ("test", 20)


@pytest.mark.parametrize("splits", [["test"], ["train", "Test_Set"], ["val", "holdout"]])
def test_a_test_part_is_taken_whatever_lies_beside_it(
    classifier: Classifier, tmp_path: Path, splits: list[str]
) -> None:
    for number, split in enumerate(splits):
        write_images(tmp_path / split, {name: name for name in classifier.classes}, 3 + number)
    found = evaluate(classifier, labelled(tmp_path, classifier), None)
    assert (found.part, found.images) == ("test", 4 * (2 + len(splits)))
    if "train" not in splits:
        with pytest.raises(
            DataError, match=r"but none of train\. Put the training images in train/, or give one of them"
        ):
            open_data(DataConfig(source=str(tmp_path), image_size=12))


def test_an_archive_of_test_arrays_alone(classifier: Classifier, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 15, 20, 3), np.uint8)
    np.savez(tmp_path / "set.npz", x_test=images, y_test=np.array([*classifier.classes] * 2))
    found = evaluate(classifier, labelled(tmp_path / "set.npz", classifier), None)
    assert (found.part, found.images) == ("test", 8)
    with pytest.raises(DataError, match=r"images of test but none of train\. .* in arrays 'images' and 'labels'"):
        open_data(DataConfig(source=str(tmp_path / "set.npz")))


def test_broken_files_are_those_of_what_is_scored(classifier: Classifier, tmp_path: Path) -> None:
    """Told by where they belong: ``tests_of_mine`` is a class of train, and ``holdout`` is the test part."""
    classes = {name: name for name in classifier.classes}
    write_images(tmp_path / "train", classes | {"testing": "tests_of_mine"}, 2)
    write_images(tmp_path / "holdout", classes | {"testing": "tests_of_mine"}, 2)
    for name in ("train/cup", "train/tests_of_mine", "holdout/cup", "holdout/tests_of_mine", "holdout/axe"):
        (tmp_path / name / "00.png").write_bytes(b"no picture")
    found = evaluate(classifier, labelled(tmp_path, classifier), None)
    assert [one.partition(":")[0] for one in found.broken] == ["holdout/axe/00.png", "holdout/cup/00.png"]
    assert (found.part, found.images, found.surplus) == ("test", 6, ["tests_of_mine"])
    found = evaluate(classifier, labelled(tmp_path, classifier, classes="axe,book"), None)
    assert [one.partition(":")[0] for one in found.broken] == ["holdout/axe/00.png"]
    assert (found.images, found.missing, found.surplus) == (3, ["cup", "drill"], [])


def test_flags_say_which_images_there_are_and_of_which_class(exported: Path, tmp_path: Path) -> None:
    def scored(*flags: str) -> dict[str, int]:
        done = nasctl("evaluate", exported, "--data", *flags, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return {one["name"]: one["images"] for one in json.loads(done.stdout)["by_class"] if one["images"]}

    write_images(tmp_path / "data" / "one", {"a": "axe", "b": "book"}, 2)
    write_images(tmp_path / "data" / "two", {"c": "cup"}, 3)
    (tmp_path / "data" / "two" / "cup" / "odd.bmp").write_bytes(b"no picture")
    every = ("data", "--class-level", "leaf", "--ignore", "*.bmp")
    assert scored(*every) == {"axe": 2, "book": 2, "cup": 3}
    assert scored(*every, "--classes", "axe,cup") == {"axe": 2, "cup": 3}
    assert scored("data", "--class-level", "2", "--match", "*00.png") == {"axe": 1, "book": 1, "cup": 1}
    (tmp_path / "list.csv").write_text("where,what,path\ndata/one/axe/00.png,drill,no\ndata/one/axe/01.png,cup,no\n")
    assert scored("list.csv", "--columns", "path=where,label=what") == {"cup": 1, "drill": 1}
    for flags, expected in {
        ("--data", "data", "--class-level", "leaf", "--classes", "cupp"): "Did you mean 'cup'?",
        ("--data", "data", "--class-level", "none"): "give 1, 2, 3... or leaf",
        ("--classes", "cup", "--match", "*"): "--match is about other data than the run's own: add --data",
    }.items():
        assert expected in fails("evaluate", exported, *flags, cwd=tmp_path)
    done = nasctl("evaluate", exported, "--data", "data", "--imbalance", "3", cwd=tmp_path)
    assert done.returncode == 2 and "There is no --imbalance" in done.stderr  # not what splits, or changes images


def test_images_that_were_trained_on_are_known_again_by_their_pixels(tmp_path: Path) -> None:
    """Of a network for 12x12 pixels, on the folder that it was trained on and on copies in other files."""
    classes = {name: name for name in ("axe", "book", "cup", "drill")}
    write_images(tmp_path / "all", classes)
    dataset = open_data(DataConfig(source=str(tmp_path / "all"), image_size=12))
    classifier = Classifier.__new__(Classifier)
    classifier.classes, classifier.shape = list(dataset.classes), list(dataset.input_shape)
    classifier.card = {"input": {"preprocessing": {"fit": "resize", "levels": [0, 65535]}}}
    known, num_train = trained_on(dataset), sum(dataset.counts["train"])
    assert len(known) == num_train
    for name, trained in {"train": num_train, "rank": 0, "test": 0}.items():
        pixels = np.concatenate([pixels for pixels, _ in own_split(dataset, name).chunks])  # type: ignore[arg-type]
        assert len(pixels) == sum(dataset.counts[name])
        assert np.isin(fingerprints(pixels), known).sum() == trained
    for path in (tmp_path / "all").rglob("*.png"):
        with Image.open(path) as image:
            image.save(path.with_name(f"copy-{path.stem}.bmp"))
        path.unlink()
    pixels = np.concatenate([pixels for pixels, _ in labelled(tmp_path / "all", classifier).chunks])
    assert len(pixels) == 48 and np.isin(fingerprints(pixels), known).sum() == num_train


def test_intervals_are_those_of_sampling_images_again() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [80, 15, 5])
    answers = np.where(rng.random(100) < 0.7, labels, rng.integers(0, 3, 100))
    found = intervals(np.bincount(labels[labels == answers], minlength=3), np.bincount(labels, minlength=3))
    sampled = rng.integers(0, 100, (2000, 100))
    right = labels[sampled] == answers[sampled]
    accuracy = right.mean(axis=1)
    recalls = [
        np.where((labels[sampled] == c).any(axis=1), (right & (labels[sampled] == c)).sum(axis=1), np.nan)
        / np.maximum((labels[sampled] == c).sum(axis=1), 1)
        for c in range(3)
    ]
    assert found["accuracy"] == pytest.approx(np.percentile(accuracy, (2.5, 97.5)), abs=0.021)
    assert found["balanced_accuracy"] == pytest.approx(
        np.percentile(np.nanmean(recalls, axis=0), (2.5, 97.5)), abs=0.021
    )


def test_who_is_taken_for_whom() -> None:
    confusion = np.array([[9, 3, 0], [0, 9, 7], [0, 0, 0]])
    pairs = [pair for pair, count in np.ndenumerate(confusion) for _ in range(count)]
    labels, answers = np.random.default_rng(0).permutation(pairs).T
    cells = confusion_cells(labels, answers, 3)
    assert cells.tolist() == [[0, 0, 9], [0, 1, 3], [1, 1, 9], [1, 2, 7]]
    assert most_confused(cells, ["a", "b", "c"]) == [("b", "c", 7), ("a", "b", 3)]


def test_the_tables_say_it_all(classifier: Classifier, tmp_path: Path) -> None:
    write_images(tmp_path, {"a": "aaa", "b": "book", "c": "cup"}, 4)
    (tmp_path / "cup" / "broken.png").write_bytes(b"no picture")
    found = evaluate(classifier, labelled(tmp_path, classifier), np.zeros(0, np.uint64))
    console = Screen(width=100, record=True, file=io.StringIO())
    print_evaluation(console, dataclasses.replace(found, trained_on=3))
    text = console.export_text()
    for words in (
        f"{tmp_path.name}, all: 8 images",
        "balanced accuracy",
        "Without images here: axe, drill.",
        "left out: aaa.",
        "3 of the 8 images are among those that the network was trained on",
        "1 file could not be read",
        "broken.png: ",
        "Most confused: ",
    ):
        assert words in text


def test_names_are_letters_and_no_markup(classifier: Classifier, tmp_path: Path) -> None:
    write_images(tmp_path / "some", {"b": "book", "c": "cup"}, 4)
    found = evaluate(classifier, labelled(tmp_path / "some", classifier), None)
    names = ["[/x]", "[red]", "$a_$", "d"]
    odd = dataclasses.replace(
        found,
        by_class=[dataclasses.replace(one, name=name) for one, name in zip(found.by_class, names, strict=True)],
        confused=[("[/x]", "[red]", 1)],
        missing=["[/x]"],
        broken=["[red].png: no image"],
    )
    console = Screen(width=100, record=True, file=io.StringIO())
    print_evaluation(console, odd)
    text = console.export_text()
    assert all(text.count(name) >= 2 for name in names[:2])
    confusion_plot(tmp_path / "c.png", "of $a_$", names, np.array(found.confusion))
    assert (tmp_path / "c.png").stat().st_size > 1000


def test_an_own_objective_is_scored_with_the_prior_or_said_to_be_missing(exported: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "some", {name: name for name in ("axe", "cup")}, 4)

    def scored(objective: str, prior: str | None = None) -> Evaluation:
        classifier = load_model(exported, prior=prior)
        classifier.card["objective"] = objective
        return evaluate(classifier, labelled(tmp_path / "some", classifier), None)

    assert "add --plugin FILE.py" in str(scored("top_k").unscored)
    with registering("objective.py"):
        register_objective("embedded")(lambda evaluation: evaluation.embeddings.mean())
        register_objective("right")(lambda e: float((e.logits.argmax(axis=1) == e.labels).mean()))
        assert "needs embeddings" in str(scored("embedded").unscored)
        for prior in (None, "train"):
            found = scored("right", prior)
            assert found.metrics["right"] == pytest.approx(found.metrics["accuracy"]) and found.unscored is None
        found = scored("top_k:k=4")
    assert found.metrics["top_k:k=4"] == 1.0
    console = Screen(width=100, record=True, file=io.StringIO())
    print_evaluation(console, found)
    assert "top k:k=4" in console.export_text()


def test_a_network_scored_with_mirror_images_answers_so_wherever_it_goes(tmp_path: Path) -> None:
    told(
        tmp_path, "search", "--space", "vgg", "--max-params", "15k", "--trials", 1, "--epochs", 3, "--confirm", 0,
        "--workers", 1, "--no-floor", "--no-report", "--test-flip", "--run", "a",
    )  # fmt: skip
    run = as_search(load_run("a", tmp_path / "runs"))
    of_run = json.loads(told(tmp_path, "evaluate", "a", "--split", "rank", "--json"))["figures"]
    told(tmp_path, "export", "--best", "--out", "m", "--run", "a")
    model = load_model(tmp_path / "m")
    rank = open_data(run.config.data).split("rank")
    pixels = np.concatenate([batch for batch, _ in rank.batches(64)])
    flipped, trained = model.logits(model.normalized(pixels)), TrainedNetwork.of(run)
    assert (flipped.argmax(axis=1) == rank.labels).mean() == of_run["accuracy"]
    assert of_run["accuracy"] == pytest.approx(run.trials["1"].metrics["rank"]["accuracy"])
    assert np.allclose(trained.logits(pixels), flipped, atol=1e-4)
    assert trained.temperature == pytest.approx(model.temperature, rel=1e-3)
    model.test_flip = False
    assert np.abs(model.logits(model.normalized(pixels)) - flipped).max() > 0.01
    assert "(`--test-flip`)" in (tmp_path / "m" / "README.md").read_text()
    folder, own = (subject_of(name, tmp_path / "runs").network for name in (str(tmp_path / "m"), "a"))
    assert folder.flip and own.flip
