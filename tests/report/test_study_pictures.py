"""The pictures of a baseline run, beside its weights and the metrics in its log; a real training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import nasctl
from PIL import Image
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nas.analysis.convolutions import GAP, TEXT, TOP, left_out_words
from nas.analysis.figures import lines_of_bars
from nas.config import StudyRequest
from nas.engine.study import run_study
from nas.engine.study_plan import StudyPlan, plan_study
from nas.errors import UsageError
from nas.executors import WorkerSlot
from nas.executors.inline import InlineExecutor
from nas.report.filters import FilterChoice, filters_of, layers_of, network_layers
from nas.report.pictures import Pictures, class_bars, write_pictures
from nas.report.plots import curves_figure
from nas.report.study import finished
from nas.runs import StudyRun, as_study, load_run
from nas.runs.fold import fold
from nas.runs.folders import start_study
from nas.trials.run_trial import run_trial
from nas.trials.weights import Normalization, save_weights
from search_spaces import get_space, space_names

pytestmark = pytest.mark.usefixtures("one_thread")

MEMBERS = ["model1-setting2", "model3-setting2"]


def frozen_plan() -> StudyPlan:
    """Of a ResNet-18 with three frozen stages."""
    return plan_study(
        StudyRequest(study="resnet18-settings", members=["2-custom-ce"], from_scratch=True, seeds=1, device="cpu")
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> StudyRun:
    """A VGG, whose layers are called by numbers, and a DenseNet, which has kernels of 1x1; two seeds of each."""
    plan = plan_study(StudyRequest(study="hand-nets", members=MEMBERS, seeds=2, epochs=1, device="cpu"))
    with start_study(tmp_path_factory.mktemp("pictures") / "hand", plan.config, plan.facts) as store:
        run = as_study(fold(store.folder, store.entries()))
        return run_study(run, store, [WorkerSlot("cpu", 1)], [], lambda slots: InlineExecutor(run_trial))


@pytest.fixture(scope="module")
def pictures(done: StudyRun) -> Pictures:
    """Pictures that are drawn when nothing is chosen."""
    return write_pictures(done)


def test_every_picture_is_drawn_and_is_in_tensorboard(done: StudyRun, pictures: Pictures) -> None:
    each = {f"{what}-{name}.png" for what in ("confusion", "class-bars", "filters") for name in MEMBERS}
    assert {path.name for path in pictures.files} == {"recall-by-class.png", "learning-curves.png"} | each
    assert pictures.remarks == []
    for path in pictures.files:
        with Image.open(path) as image:
            assert max(image.size) >= 600 and len(set(image.convert("L").tobytes())) > 10  # not blank
    (file,) = (done.folder / "tensorboard" / MEMBERS[0]).iterdir()
    events = EventAccumulator(str(file.parent))
    events.Reload()
    for tag, start in (("filters", "filters"), ("class bars", "class-bars")):
        (shown,) = events.Images(tag)
        assert shown.encoded_image_string == (done.folder / "report" / f"{start}-{MEMBERS[0]}.png").read_bytes()


def test_filters_are_the_weights_scaled_over_their_layer(done: StudyRun, pictures: Pictures) -> None:
    layers = layers_of(done, FilterChoice())[MEMBERS[1]]
    best = next(trial for trial in done.ranked() if trial.of == MEMBERS[1])
    shown = filters_of(done.weights(best.id), layers.chosen([]), 16)
    weights = load_file(done.weights(best.id))
    assert [one.layer.name for one in shown][:3] == ["0.weight", "1.body.5", "2.body.5"]
    assert [one.layer.number for one in shown] == [1, 3, 5, 7, 9, 12, 14, 16, 18]  # between them 1x1
    assert [len(one.shares) for one in shown] == [16] + 8 * [12]  # the stem has 24, of which 16 are asked for
    for one in shown:
        whole = weights[one.layer.weight]
        scaled = (whole - whole.min()) / (whole.max() - whole.min())
        np.testing.assert_allclose(one.shares[..., 0], scaled[:16, 0], atol=1e-6)
        assert (one.filters, one.channels) == whole.shape[:2]
    assert "10 layers of 1x1 (2, 4, " in left_out_words(layers, layers.chosen([]), by_name=False)
    (named,) = layers.chosen(["1.body.2"])
    assert named.pointwise and layers.chosen(["2"]) == [named]
    with Image.open(next(path for path in pictures.files if path.name == f"filters-{MEMBERS[1]}.png")) as image:
        pixels = np.asarray(image)[TOP + GAP + 7 :: 14, TEXT + GAP + 7 :: 14, 0][:3, :3]  # the first filter's middle
    np.testing.assert_array_equal(pixels, np.rint(255 * shown[0].shares[0, :, :, 0]))


def test_frozen_layers_are_left_out_and_three_channels_are_colours(tmp_path: Path) -> None:
    plan = frozen_plan()
    layers = network_layers(plan.config.members[0], (1, 8, 8), 10)
    assert [layer.name for layer in layers.trained] == [
        "net.conv1", "net.layer4.0.conv1", "net.layer4.0.conv2", "net.layer4.0.downsample.0", "net.layer4.1.conv1",
        "net.layer4.1.conv2",
    ]  # fmt: skip
    assert all(name.startswith(("net.layer1", "net.layer2", "net.layer3")) for name in layers.frozen)
    weights = torch.randn(64, 3, 7, 7)
    save_weights({"net.conv1.weight": weights}, Normalization((0.5,), (0.5,)), tmp_path / "w.safetensors")
    (one,) = filters_of(tmp_path / "w.safetensors", layers.trained[:1], 5)
    lowest, highest = weights.min(), weights.max()
    np.testing.assert_allclose(one.shares, ((weights - lowest) / (highest - lowest))[:5].permute(0, 2, 3, 1), atol=1e-6)


@pytest.mark.parametrize("space", space_names())
def test_the_layers_of_found_architectures_are_known(done: StudyRun, space: str) -> None:
    member = done.config.members[0].model_copy(
        update={"network": None, "space": space, "sample": get_space(space).canonical}
    )
    model = get_space(space).build(get_space(space).canonical, (1, 16, 16), 10)
    convolutions = [name for name, tensor in model.state_dict().items() if tensor.ndim == 4]
    assert [layer.weight for layer in network_layers(member, (1, 16, 16), 10).trained] == convolutions


def test_layers_that_there_are_not_are_refused_together(done: StudyRun, tmp_path: Path) -> None:
    shutil.copytree(done.folder, tmp_path / "runs" / "hand", ignore=shutil.ignore_patterns("report"))
    few = ("report", "hand", "--filters", "0", "--layers", "1.bodi.5, 2,20")
    refused = nasctl(*few, cwd=tmp_path)
    assert refused.returncode == 2 and not (tmp_path / "runs" / "hand" / "report").exists()
    for words in (
        "--filters '0'",
        "'1.bodi.5' is not a trained convolution. Did you mean '1.body.5'?",
        "--layers '20'",
    ):
        assert words in refused.stderr
    assert "model1-setting2: 1 0.weight, 2 2.weight, 3 5.weight, 4 7.weight; model3-setting2: 1 " in refused.stderr
    assert "--layers '2'" not in refused.stderr
    told = nasctl("report", "hand", "--layers", "5.weight", "--json", cwd=tmp_path)
    document = json.loads(told.stdout)
    assert document["picture_remarks"] == ["No filters of model3-setting2: it has none of the layers chosen."]
    assert sum("filters-" in path for path in document["pictures"]) == 1


def test_only_what_changed_is_drawn_again(done: StudyRun, pictures: Pictures) -> None:
    times = {path: path.stat().st_mtime_ns for path in pictures.files}
    curves = next(path for path in times if path.name == "learning-curves.png")
    curves.unlink()
    again = write_pictures(done)
    assert again == pictures
    assert [path for path, time in times.items() if path.stat().st_mtime_ns != time] == [curves]
    write_pictures(done, FilterChoice(count=3))
    redrawn = [path.name for path, time in times.items() if path != curves and path.stat().st_mtime_ns != time]
    assert redrawn == [f"filters-{name}.png" for name in MEMBERS]
    (curves.parent / "drawn.json").write_text("{")
    assert write_pictures(done) == pictures and curves.parent.joinpath("drawn.json").stat().st_size > 100


def test_a_frozen_layer_asked_for_is_said_to_be_frozen(tmp_path: Path) -> None:
    plan = frozen_plan()
    with start_study(tmp_path / "six", plan.config, plan.facts) as store:
        run = as_study(fold(store.folder, store.entries()))
    with pytest.raises(UsageError, match=r"'net\.layer1\.0\.conv1' is frozen in 2-custom-ce"):
        write_pictures(run, FilterChoice(layers=("net.layer1.0.conv1",)))


def test_weights_that_are_gone_are_said(done: StudyRun, tmp_path: Path) -> None:
    shutil.copytree(done.folder, tmp_path / "hand")
    for path in (tmp_path / "hand" / "weights").glob("model3*"):
        path.write_bytes(b"damaged")
    for path in (tmp_path / "hand" / "weights").glob("model1*"):
        path.unlink()
    pictures = write_pictures(as_study(load_run("hand", tmp_path)))
    gone, damaged = pictures.remarks
    assert "No filters of model1-setting2: the weights of model1-setting2." in gone
    assert "No filters of model3-setting2: The weights" in damaged and "cannot be read" in damaged
    assert sum(path.name.startswith("class-bars") for path in pictures.files) == 2


def test_bars_are_the_diagonal_of_the_confusion(done: StudyRun) -> None:
    trials = finished(done, MEMBERS[1])
    bars = class_bars(done, trials)
    confusion = np.array([trial.metrics["test"]["confusion"] for trial in trials])
    assert dict(zip(bars.names, bars.images, strict=True)) == dict(
        zip(done.facts.classes, confusion[0].sum(axis=1), strict=True)
    )
    diagonal = dict(zip(done.facts.classes, confusion.diagonal(axis1=1, axis2=2).mean(axis=0), strict=True))
    assert dict(zip(bars.names, bars.recognised, strict=True)) == pytest.approx(diagonal)
    trained = dict(zip(done.facts.classes, done.facts.counts["train"], strict=True))
    counts = [trained[name] for name in bars.names]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]


def test_of_many_classes_the_ends_are_shown() -> None:
    assert lines_of_bars(62) == ([range(31), range(31, 62)], 0)
    assert lines_of_bars(100)[1] == 0
    lines, hidden = lines_of_bars(1000)
    assert hidden == 900 and [*lines[0], *lines[1], *lines[2], *lines[3]] == [*range(50), *range(950, 1000)]


@pytest.mark.parametrize("members", [3, 9])
def test_every_member_has_its_curves(members: int) -> None:
    """Together or apart: mean over seeds, the longer one alone where early stopping ended the other."""
    names = [f"m{number}" for number in range(members)]
    losses = {name: [[4.0 + place, 2.0], [2.0 + place, 1.0, 0.5]] for place, name in enumerate(names)}
    other = {name: [[value + 1 for value in seed] for seed in seeds] for name, seeds in losses.items()}
    scores = {name: [[0.5, 0.75]] for name in names}
    figure = curves_figure(losses, other, scores, "accuracy")
    lines = {tuple(line.get_ydata()) for axes in figure.axes for line in axes.lines}
    for place in range(members):
        assert (3.0 + place, 1.5, 0.5) in lines and (4.0 + place, 2.5, 1.5) in lines
    assert (50.0, 75.0) in lines
    assert sum(len(axes.lines) for axes in figure.axes) == 3 * members
    titles = {axes.get_title() for axes in figure.axes} | {text.get_text() for text in figure.legends[0].get_texts()}
    assert set(names) <= titles
