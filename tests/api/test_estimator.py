"""A search as a classifier of scikit-learn: its own checks, images of every layout, and what is kept of the run."""

from __future__ import annotations

import doctest
import pickle
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import nas
import nas.api.estimator
import nas.api.in_memory
from nas.api.estimator import LEAST
from nas.config import Recipe
from nas.errors import UsageError
from nas.export.from_run import request_of
from nas.export.write import calibrated, trained_model
from nas.runs import load_run
from nas.trials import TrialResult, TrialSpec
from nas.trials.run_trial import run_trial

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"max_params": "10k", "trials": 1, "confirm": 0, "strategy": "random", "workers": 0, "epochs": 1}
X, Y = load_digits(return_X_y=True)
X, Y = X[:400], np.array([f"digit {label}" for label in Y[:400]])
IMAGES = np.rint(X.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)


def classifier(**changes: object) -> nas.NASClassifier:
    return nas.NASClassifier(**(SMALL | {"random_state": 0} | changes))


@parametrize_with_checks([nas.NASClassifier(**(SMALL | {"max_params": "6k", "epochs": 6, "image_shape": "square"}))])
def test_as_scikit_learn_checks_its_own(estimator: object, check: Callable[[object], None]) -> None:
    """All of them, on rows of numbers that are no images; only that of array API is for the environment to allow."""
    check(estimator)


@pytest.fixture(scope="module")
def fitted() -> nas.NASClassifier:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = classifier().fit(X, Y)
    torch.set_num_threads(threads)
    return found


def test_fit_finds_a_network_within_the_budget_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    before = (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()), torch.get_num_threads())
    clf = classifier(epochs=12).fit(X, Y)
    after = (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()), torch.get_num_threads())
    assert after == before  # what belongs to the caller
    left = [path for path in tmp_path.iterdir() if not path.name.startswith("torchinductor")]  # torch's own
    assert not left and capfd.readouterr() == ("", "")
    assert clf.score(X, Y) > 0.8 and 0.7 < clf.best_score_ <= 1  # of 10 classes
    assert clf.best_cost_.params <= 10_000 and list(clf.classes_) == sorted(set(Y))
    assert clf.best_cost_.params == sum(weight.numel() for weight in clf.module_.parameters())
    assert (clf.n_features_in_, clf.image_shape_, clf.levels_) == (64, (8, 8), (0.0, 16.0))
    assert clf.run_folder_ is None
    with pytest.raises(AttributeError, match="no run"):
        _ = clf.run_


def test_answers_are_the_networks_own_and_survive_pickling(fitted: nas.NASClassifier) -> None:
    scores, logits = fitted.predict_proba(X), fitted.decision_function(X)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), scores) and np.array_equal(again.predict(X), fitted.predict(X))
    assert np.array_equal(fitted.predict_proba(X[7:9]), scores[7:9])  # whatever stands beside them
    network = fitted._network
    mean, std = torch.tensor(network.mean), torch.tensor(network.std)
    with torch.no_grad():
        own = fitted.module_((torch.tensor(IMAGES[:, None]) / 255 - mean) / std)
    assert np.allclose(logits, own, atol=1e-4)
    assert np.allclose(scores, torch.softmax(own / network.temperature, dim=1), atol=1e-4)
    assert not clone(fitted).__dict__.keys() & {"classes_", "_network"}
    with pytest.raises(NotFittedError):
        clone(fitted).predict(X)


def test_images_of_every_layout_give_the_same_network(fitted: nas.NASClassifier) -> None:
    same = [IMAGES, IMAGES[..., None], IMAGES[:, None], torch.tensor(IMAGES), IMAGES.reshape(-1, 64)]
    for images in same:
        clf = classifier(image_shape=(8, 8)).fit(images, Y)
        assert np.array_equal(clf.predict_proba(images), fitted.predict_proba(X)), images.shape
    assert clf.n_features_in_ == 64
    colours = np.stack([IMAGES, 255 - IMAGES, IMAGES // 2], axis=3)
    clf = classifier(image_size=12).fit(colours, Y)
    assert clf.image_shape_ == (8, 8, 3) and clf._network.input_shape == (3, 12, 12)
    assert clf.predict(colours.transpose(0, 3, 1, 2)).shape == (400,)
    with pytest.raises(ValueError, match=r"Images in X are \(8, 8\), and NASClassifier was fitted with .* \(8, 8, 3\)"):
        clf.predict(IMAGES)
    with pytest.raises(ValueError, match="X has 64 features, but NASClassifier is expecting 192"):
        clf.predict(X)


@pytest.mark.parametrize(
    ("images", "labels", "changes", "message"),
    [
        (
            X[:, :48],
            Y,
            {},
            r"48 values per image, which is not a square: .*such as \(4, 4, 3\); or image_shape='square'",
        ),
        (X, Y, {"image_shape": (8, 9)}, r"64 values per image and image_shape=\(8, 9\) says 72"),
        (X, Y, {"image_shape": "round"}, "image_shape='round' cannot be used: give"),
        (IMAGES, Y, {"image_shape": (4, 16)}, r"Images in X are \(8, 8\) and image_shape=\(4, 16\)"),
        (IMAGES, Y, {"image_shape": "square"}, "image_shape='square': leave it out"),
        (X, Y, {"image_shape": "square", "image_size": 16}, "image_size is about images"),
        (IMAGES[:, :4], Y, {}, "are 8x4 pixels .* must have 8 to 224 on each side: image_size=32"),
        (X, Y, {"trials": 0, "space": "vg"}, "Did you mean 'vgg'|at least 1"),
        (X, Y, {"max_params": "lots"}, "max_params"),
        (X, Y, {"recipe": "atuo"}, "Did you mean 'auto'"),
        (X[:9], ["a"] * 6 + ["b"] * 3, {}, rf"at least {LEAST} images of every class, .* y has fewer of: 'b' \(3\)"),
        (X, np.linspace(0, 1, 400), {}, "Unknown label type"),
        (np.full((20, 8, 8), np.nan), Y[:20], {}, "NaN"),
        (IMAGES, Y[:9], {}, "inconsistent numbers of samples"),
    ],
)
def test_what_cannot_be_used_is_a_value_error(
    images: np.ndarray, labels: np.ndarray, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        classifier(**changes).fit(images, labels)


def test_it_works_in_pipelines_and_searches_of_scikit_learn() -> None:
    scaled = make_pipeline(FunctionTransformer(lambda rows: rows / 16), classifier())
    assert cross_val_score(scaled, X, Y, cv=2).shape == (2,)
    grid = GridSearchCV(classifier(), {"recipe": ["ce", Recipe(epochs=1, crop_padding=0)]}, cv=2).fit(X, Y)
    assert grid.predict(X).shape == (400,)


def test_a_run_that_is_kept_is_like_any_other_and_equal_to_that_of_a_worker(tmp_path: Path) -> None:
    clf = classifier(runs=tmp_path, run="mine").fit(IMAGES, Y)
    run = load_run("mine", tmp_path)
    assert clf.run_folder_ == run.folder and clf.run_.record.winner == run.winner and run.state == "done"
    assert run.facts.classes == tuple(clf.classes_) and set(run.facts.counts["test"]) == {1}
    assert len([*(run.folder / "tensorboard").glob("[0-9]*")]) == 1 and Path(run.config.data.source).exists()
    with pytest.raises(UsageError, match="'mine' exists already"):
        classifier(runs=tmp_path, run="mine", trials=2).fit(IMAGES, Y)
    other = classifier(runs=tmp_path, workers=1).fit(IMAGES, Y)
    assert np.array_equal(other.predict_proba(IMAGES), clf.predict_proba(IMAGES))
    assert other.run_.record.weights("1").read_bytes() == run.weights("1").read_bytes()
    request = request_of(run, None, tmp_path / "model")
    calibration = calibrated(request, trained_model(request)).calibration  # of an exported network
    assert calibration is not None and calibration.temperature == clf._network.temperature


def test_fit_resumes_a_run_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = list[str]()

    def training(spec: TrialSpec, *rest: object) -> TrialResult:
        trained.append(spec.id)
        if trained == ["1", "2"]:
            raise KeyboardInterrupt
        return run_trial(spec, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("nas.trials.run_trial.run_trial", training)
    clf = classifier(runs=tmp_path, run="mine", trials=3, strategy="evolution")
    with pytest.raises(KeyboardInterrupt):
        clf.fit(IMAGES, Y)
    assert load_run("mine", tmp_path).stopped == "interrupted" and not hasattr(clf, "classes_")
    clf.fit(IMAGES, Y)
    assert trained == ["1", "2", "2", "3", clf.run_.best.id]  # the last time to be scored on test
    again = clone(clf).fit(IMAGES, Y)
    assert len(trained) == 5 and np.array_equal(again.predict_proba(IMAGES), clf.predict_proba(IMAGES))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_examples_in_docstrings() -> None:
    found = doctest.testmod(nas.api.in_memory, optionflags=doctest.ELLIPSIS)
    assert found.attempted and not found.failed
