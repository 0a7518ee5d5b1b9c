"""A search for an embedder, from the flags to ``nasctl verify`` and ``nasctl embed`` on what it exported."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import nasctl, told
from PIL import Image
from sklearn.metrics import roc_auc_score

from nas.data import open_data
from nas.runs import SearchRun, load_run
from nas.training.metrics import embed
from nas.trials.run_trial import build
from nas.trials.spec import TrialSpec
from nas.trials.weights import load_weights

pytestmark = pytest.mark.usefixtures("one_thread")

HELD_OUT = ("--data", "digits", "--imbalance", 1, "--max-images", 300, "--verify-identities", 0.2)
SEARCH = ("search", "--space", "mobilenet", "--max-params", "20k", "--objective", "verification_auc")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run ``s``, its export ``model``, and images of the identities of test."""
    place = tmp_path_factory.mktemp("verification")
    told(place, *SEARCH, *HELD_OUT, "--trials", 2, "--epochs", 2, "--confirm", 0, "--workers", 1, "--run", "s")
    told(place, "export", "--best", "--out", "model", "--run", "s")
    split = open_data(load_run("s", place / "runs").config.data).split("test identities")
    (place / "faces").mkdir()
    for number in range(12):
        row = np.flatnonzero(split.labels == split.labels.min() + number % 2)[number // 2]
        Image.fromarray(split.images[row][0]).save(place / "faces" / f"{number:02}_{number % 2}.png")
    return place


def run_of(place: Path) -> SearchRun:
    run = load_run("s", place / "runs")
    assert isinstance(run, SearchRun) and run.winner
    return run


def embeddings(run: SearchRun, images: torch.Tensor) -> np.ndarray:
    """Embeddings of length 1 by the exported network, from its weights and without what scored it."""
    assert run.winner
    trial = run.trials[run.winner.weights]
    state, normal = load_weights(run.weights(trial.id))
    spec = TrialSpec("1", run.config.space, trial.sample, run.task.input_shape, 6, run.config.data, run.recipe("1"), 0)
    model = build(spec).eval()
    model.load_state_dict(state)
    vectors = embed(model, images, normal, num_classes=6, device="cpu").astype(float)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_rank_and_test_are_pairs_of_identities_that_nothing_trained_on(place: Path) -> None:
    run = run_of(place)
    data = open_data(run.config.data)
    assert run.winner and run.task.num_classes == 6 == len(data.classes)
    for split, metrics in (
        ("rank identities", run.trials[run.winner.weights].metrics["rank"]),
        ("test identities", run.winner.test[run.winner.weights]),
    ):
        held = data.split(split)  # type: ignore[arg-type]
        vectors = embeddings(run, torch.from_numpy(held.images))
        one, other = np.triu_indices(len(vectors), 1)
        same = held.labels[one] == held.labels[other]
        area = roc_auc_score(same, (vectors[one] * vectors[other]).sum(axis=1))
        assert metrics["verification_auc"] == pytest.approx(area, abs=1e-5)
        assert metrics["verification_same"] == same.sum() and 0 <= metrics["accuracy"] <= 1
    scores = [run.trials[trial.id].score("verification_auc") for trial in run.ranked()]
    assert all(score is not None for score in scores) and "verification_auc" not in run.trials["1"].metrics.get(
        "test", {}
    )
    assert "select_verification_auc" in run.history(run.trials["1"])[0]
    assert run.floor and 0.5 < run.floor.test["verification_auc"] < 1 and "pixels" in run.floor.method


def test_it_is_shown_where_scores_are(place: Path) -> None:
    shown = told(place, "status", "--run", "s")
    for words in ("Test verification auc", "equal error rate", "Classical baseline: ", "held out for verification: 2"):
        assert words in shown
    assert "verification eer" in told(place, "trials", "--run", "s", "--columns", "verification_eer")
    assert "used once" in (place / "runs" / "s" / "report.html").read_text()
    card = (place / "model" / "README.md").read_text()
    assert "### Verification" in card and "| false accept rate | threshold |" in card


def test_the_exported_network_compares_images_as_the_run_did(place: Path) -> None:
    images = sorted((place / "faces").iterdir())
    assert told(place, "embed", "model", "faces", "--out", "vectors.npz").startswith("12 vectors of ")
    told(place, "embed", "s", "faces", "--out", "vectors.csv")
    with np.load(place / "vectors.npz") as file:
        names, vectors = file["names"].tolist(), file["vectors"]
    pixels = torch.from_numpy(np.stack([np.asarray(Image.open(path))[None] for path in images]))
    np.testing.assert_allclose(vectors, embeddings(run_of(place), pixels), atol=1e-4)
    with (place / "vectors.csv").open(newline="") as csv_file:
        rows = list(csv.reader(csv_file))
    assert [row[0] for row in rows[1:]] == names == [f"faces/{path.name}" for path in images]
    np.testing.assert_allclose(np.array([row[1:] for row in rows[1:]], float), vectors, atol=1e-4)
    pair = ("verify", "model", "faces/00_0.png", "faces/01_1.png")
    found = json.loads(told(place, *pair, "--far", 0.1, "--json"))
    known = json.loads((place / "model" / "model.json").read_text())["verification"]
    assert found["similarity"] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
    assert found["threshold"] == known["thresholds"][known["fars"].index(0.1)]
    assert found["same"] == (found["similarity"] >= found["threshold"])
    assert "same identity" in told(place, *pair, "--threshold", -1)
    rows_of = [f"{a.name},{b.name},{int(a.stem[-1] == b.stem[-1])}" for a in images for b in images if a < b]
    (place / "faces" / "pairs.csv").write_text("\n".join(["a,b,same", *rows_of]))
    listed = json.loads(told(place, "verify", "model", "--pairs", "faces/pairs.csv", "--json"))
    areas = [[pair["same"], pair["similarity"]] for pair in listed["pairs"]]
    assert len(areas) == 66 and listed["verification_auc"] == pytest.approx(roc_auc_score(*zip(*areas, strict=True)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SEARCH, "--data", "digits"), "add --verify-identities 0.2"),
        ((*SEARCH, *HELD_OUT, "--strategy", "darts"), "Choose --strategy evolution or random"),
        ((*SEARCH, "--data", "digits", "--verify-identities", 0.6), "give a number below 0.5"),
        (("verify", "model", "faces/00_0.png"), "Name a network and two images"),
        (("verify", "model", "faces/00_0.png", "nowhere.png"), "nowhere.png: there is no such file"),
        (("verify", "model", "faces/00_0.png", "faces/01_1.png", "--far", 1e-9), "give at least"),
        (("verify", "model", "faces/00_0.png", "faces/01_1.png", "--far", "x"), "--far x cannot be used"),
        (("verify", "model", "--pairs", "model/model.json"), "row 2 is"),
        (("embed", "model", "faces", "--out", "vectors.txt"), "ends in .npz or .csv"),
        (("embed", "model", "model/README.md", "--out", "new.npz"), "None of the images can be read"),
    ],
)
def test_what_is_wrong_is_said(place: Path, arguments: tuple[object, ...], message: str) -> None:
    done = nasctl(*arguments, cwd=place)
    assert done.returncode == 2 and message in done.stderr
    assert not (place / "new.npz").exists()


def test_the_study_of_faces_at_a_small_size(place: Path) -> None:
    """One of its members: classification and verification in one table, and a layer table."""
    small = ("--members", "no-erasing", "--max-images", 80, "--epochs", 2, "--batch-size", 16, "--workers", 1)
    of_data = ("--data", "digits", "--verify-identities", 0.2, "--keep", "none")
    shown = told(place, "baseline", "run", "faces", *of_data, *small, "--no-report", "--run", "f")
    assert "verification auc" in shown and "no-erasing" in shown
    layers = json.loads(told(place, "show", "f:no-erasing", "--layers", "--json"))
    assert layers[-1]["output"] == [6] and layers[0]["bytes"] == 4 * 64 * 4 * 4
