"""Metric losses against float64 references written from the papers, the batches they need, and trainings by them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.config import DataConfig, Recipe
from nas.errors import TrialError
from nas.training.loop import train
from nas.training.metric_losses import CenterLoss, MetricTerm, batch_hard_triplet, semi_hard_triplet
from nas.training.sampling import IMAGES_OF_A_GROUP, make_sampler
from nas.training.svm_head import COSTS, NEVER, linear_svms
from nas.training.tensor_split import TensorSplit
from nas.trials.run_trial import run_trial
from nas.trials.spec import TrialSpec
from search_spaces import get_space

pytestmark = pytest.mark.usefixtures("one_thread")
MARGIN = 0.7
Loss = Callable[[Tensor, Tensor, float], Tensor]
Points = list[list[Tensor]]


def apart(x: list[Tensor], y: list[Tensor]) -> Tensor:
    """Squared distance, number by number."""
    total = torch.zeros((), dtype=torch.float64)
    for one, other in zip(x, y, strict=True):
        total = total + (one - other) ** 2
    return total


def hard_by_loops(points: Points, labels: list[int]) -> Tensor:
    """Of each anchor the farthest positive and the nearest negative, looked for one by one."""
    terms = []
    for a, label in enumerate(labels):
        positives = [apart(points[a], points[n]).sqrt() for n in range(len(labels)) if n != a and labels[n] == label]
        negatives = [apart(points[a], points[n]).sqrt() for n in range(len(labels)) if labels[n] != label]
        if positives and negatives:
            hinge = MARGIN + max(positives, key=Tensor.item) - min(negatives, key=Tensor.item)
            terms.append(hinge if hinge > 0 else 0 * hinge)
    return sum(terms[1:], terms[0]) / len(terms)


def semi_hard_by_loops(points: Points, labels: list[int]) -> Tensor:
    unit = []
    for point in points:
        norm = sum((each**2 for each in point), torch.zeros((), dtype=torch.float64)).sqrt()
        unit.append([each / norm for each in point])
    terms = []
    for a, label in enumerate(labels):
        negatives = [apart(unit[a], unit[n]) for n in range(len(labels)) if labels[n] != label]
        for p in range(len(labels)):
            if p == a or labels[p] != label or not negatives:
                continue
            positive = apart(unit[a], unit[p])
            farther = [negative for negative in negatives if negative > positive]
            chosen = min(farther, key=Tensor.item) if farther else max(negatives, key=Tensor.item)
            hinge = MARGIN + positive - chosen
            terms.append(hinge if hinge > 0 else 0 * hinge)
    return sum(terms[1:], terms[0]) / len(terms)


def batch(seed: int, labels: list[int], features: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(len(labels), features, generator=generator, dtype=torch.float64).abs()
    return points.requires_grad_(True), torch.tensor(labels)


LABELS = ([0, 0, 1, 1, 2, 2, 2, 3], [0, 1, 0, 1, 0, 1], [4, 4, 4, 4, 2], [0, 1, 2, 2])
REFERENCES: list[tuple[Loss, Callable[[Points, list[int]], Tensor]]]
REFERENCES = [(batch_hard_triplet, hard_by_loops), (semi_hard_triplet, semi_hard_by_loops)]


@pytest.mark.parametrize(("loss", "reference"), REFERENCES)
@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_triplets_are_those_of_the_papers_gradients_included(loss: Loss, reference: Any, labels: list[int]) -> None:
    for seed in range(2):
        x, y = batch(seed, labels)
        ours = loss(x, y, MARGIN)
        (gradient,) = torch.autograd.grad(ours, x)
        numbers = [[each.detach().clone().requires_grad_(True) for each in row] for row in x]
        theirs = reference(numbers, labels)
        theirs.backward()
        expected = [[0.0 if each.grad is None else each.grad.item() for each in row] for row in numbers]
        # Unit vectors of the semi-hard loss have 1e-6 beside their squared norm.
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-5, abs=1e-9)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)
        assert torch.autograd.gradcheck(lambda points, y=y: loss(points, y, MARGIN), (x,), atol=1e-6)


def test_centers_are_those_of_the_paper_and_learn_at_their_own_rate() -> None:
    labels = [0, 2, 2, 1, 2]
    x, y = batch(0, labels, features=3)
    loss = CenterLoss(4, 3, 0.5, torch.device("cpu"))
    loss.centers_CD = torch.arange(12, dtype=torch.float64).view(4, 3) / 7
    before = [[float(each) for each in row] for row in loss.centers_CD]
    ours = loss(x, y)
    (gradient,) = torch.autograd.grad(ours, x)
    points = x.tolist()
    by_hand = sum((a - c) ** 2 for p, j in zip(points, labels, strict=True) for a, c in zip(p, before[j], strict=True))
    assert ours.item() == pytest.approx(by_hand / 2 / len(labels))
    for n, j in enumerate(labels):
        assert gradient[n].tolist() == pytest.approx([(points[n][d] - before[j][d]) / len(labels) for d in range(3)])
    for j in range(4):  # equation 4: the sum of the differences, over one more than there are images
        mine = [points[n] for n, label in enumerate(labels) if label == j]
        for d in range(3):
            change = sum(before[j][d] - point[d] for point in mine) / (1 + len(mine))
            assert float(loss.centers_CD[j, d]) == pytest.approx(before[j][d] - 0.5 * change)
    assert loss.centers_CD[3].tolist() == before[3]  # no image of it


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("labels", [[3, 3, 3, 3], [0, 1, 2, 3], [5]], ids=["one class", "one image each", "one image"])
@pytest.mark.parametrize("loss", [batch_hard_triplet, semi_hard_triplet])
def test_a_batch_without_triplets_is_0(loss: Loss, labels: list[int], dtype: torch.dtype) -> None:
    x = batch(0, labels)[0].detach().to(dtype).requires_grad_(True)
    value = loss(x, torch.tensor(labels), MARGIN)
    value.backward()
    assert value.item() == 0 and x.grad is not None and torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1.0, 1e8])
@pytest.mark.parametrize("loss", [batch_hard_triplet, semi_hard_triplet])
def test_equal_embeddings_have_finite_gradients(loss: Loss, scale: float) -> None:
    """Those of one batch that are all the same, or 0, as of dead units: their distances are 0."""
    x = (scale * torch.ones(6, 4)).requires_grad_(True)
    value = loss(x, torch.tensor([0, 0, 1, 1, 2, 2]), MARGIN)
    value.backward()
    assert value.item() == pytest.approx(MARGIN, rel=1e-5)
    assert x.grad is not None and bool(x.grad.isfinite().all())


def split(num_images: int = 90, classes: int = 3, seed: int = 0) -> TensorSplit:
    rng = np.random.default_rng(seed)
    labels = np.arange(num_images) % classes
    images = rng.integers(0, 200, size=(num_images, 1, 8, 8)) + 20 * labels.reshape(-1, 1, 1, 1)
    return TensorSplit.of(images.astype(np.uint8), labels.astype(np.int64), "cpu")


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))


def missed(model: nn.Module, images: TensorSplit) -> dict[str, float]:
    """The metric losses of all images together."""
    x = model[:3]((images.images / 255 - NORMAL[0][0]) / NORMAL[1][0]).detach()  # type: ignore[index]
    classes = [x[images.labels == label] for label in range(3)]
    return {
        "triplet": float(batch_hard_triplet(x, images.labels, 1.0)),
        "triplet-semi-hard": float(semi_hard_triplet(x, images.labels, 0.2)),
        "center": float(sum((of - of.mean(0)).square().sum() for of in classes)),
    }


NORMAL = ((0.4,), (0.2,))
PLAIN = Recipe(loss="ce", epochs=20, batch_size=30, crop_padding=0, keep_epoch="last")


def test_metric_losses_bring_images_of_a_class_together() -> None:
    """Beside the classification loss, whose logits go on being learned; averaged weights as well."""
    images, found = split(), dict[str, dict[str, float]]()
    ways: dict[str, dict[str, Any]] = {
        "none": {}, "triplet": {"ema": 0.9, "triplet_margin": 1.0}, "triplet-semi-hard": {"metric_weight": 5.0},
        "center": {"metric_weight": 0.3},
    }  # fmt: skip
    for loss, more in ways.items():
        model = small()
        recipe = PLAIN.model_copy(update={"metric_loss": loss, **more})
        done = train(model, images, images, recipe, num_classes=3, device="cpu", seed=1)
        model.load_state_dict(done.best_state)
        assert done.history[-1]["select_accuracy"] > 0.85
        found[loss] = missed(model, images)
        assert not [layer for layer in model.modules() if layer._forward_pre_hooks]
    for loss, share in (("triplet", 0.8), ("triplet-semi-hard", 0.97), ("center", 0.5)):
        assert found[loss][loss] < share * found["none"][loss], (loss, found)


def test_distances_are_exact_under_bfloat16() -> None:
    recipe = Recipe(metric_loss="triplet")
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    term = MetricTerm(recipe, model, 3, torch.device("cpu"))
    x = torch.full((4, 64), 1.0)
    x[1:, 0] += 0.002 * torch.arange(1, 4)  # less than bfloat16 tells apart at 1, in embeddings that arrive as float32
    with torch.autocast("cpu", torch.bfloat16):
        _, embeddings = term.forward(model, x)
        value = term.of(embeddings, torch.tensor([0, 1, 0, 1]))
    assert value.dtype == torch.float32 and value.item() == pytest.approx(0.2 + 0.002 + 0.0, abs=3e-4)


def test_a_network_without_a_last_linear_layer_is_refused() -> None:
    with pytest.raises(TrialError, match="the metric loss triplet reads what enters the last layer, which must be"):
        MetricTerm(Recipe(metric_loss="triplet"), nn.Sequential(nn.Flatten()), 3, torch.device("cpu"))


def test_groups_of_a_class_come_one_after_the_other() -> None:
    """Every image once, as in a uniform epoch, and a batch has pairs though there are 200 classes."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(200), rng.integers(0, 200, 1400)])
    images = TensorSplit.of(np.zeros((1600, 1, 1, 1), np.uint8), labels.astype(np.int64), "cpu")
    generator = torch.Generator().manual_seed(0)
    sample = make_sampler(images, Recipe(sampler="class-groups"))
    order, other = sample(1600, generator), sample(1600, generator)
    assert order.sort().values.tolist() == other.sort().values.tolist() == list(range(1600))
    assert not torch.equal(order, other)
    of_class = [len(list(run)) for _, run in itertools.groupby(images.labels[order].tolist())]
    groups = sum(-(-int(count) // IMAGES_OF_A_GROUP) for count in np.bincount(labels))
    assert groups - 20 < len(of_class) <= groups  # two groups of a class may meet
    pairs = [len(part) - len(part.unique()) for part in images.labels[order].split(64)]
    uniform = make_sampler(images, Recipe())(1600, generator)
    assert min(pairs) >= 40 > 2 * max(len(p) - len(p.unique()) for p in images.labels[uniform].split(64))


def test_an_svm_is_scikit_learns() -> None:
    """Of all classes at once, one of them without images."""
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 120) + (rng.random(120) < 0.5)
    x = 3 + 5 * rng.normal(size=(120, 6)) + 4 * rng.normal(size=(5, 6))[labels]
    x[:, 2] = 7.0  # says nothing
    z = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), np.inf)
    heads = linear_svms(torch.from_numpy(x), torch.from_numpy(labels), 6, COSTS)
    for cost, (weight, bias) in zip(COSTS, heads, strict=True):
        theirs = LinearSVC(C=cost, class_weight="balanced", max_iter=50_000, tol=1e-6).fit(z, labels)
        ours = x @ weight.numpy().T + bias.numpy()
        np.testing.assert_allclose(ours[:, :5], theirs.decision_function(z), atol=5e-3)
        assert (ours[:, 5] == NEVER).all() and not weight[:, 2].any()


def test_triplets_alone_then_an_svm(tmp_path: Path) -> None:
    """The last layer learns nothing from triplets, and is an SVM's afterwards; the network is whole without it."""
    recipe = Recipe(
        loss="ce", epochs=4, batch_size=32, metric_loss="triplet", sampler="class-groups", classification_weight=0,
        svm_head=True, optimizer="adam", learning_rate=0.01, patience=1,
    )  # fmt: skip
    space = get_space("vgg")
    sample = {choice.label: choice.values[0] for choice in space.choices}
    spec = TrialSpec(
        "1", "vgg", sample, (1, 8, 8), 10, DataConfig(imbalance=1, max_images=300), recipe, 3, test_after=True,
        score_before=True, weights_path=str(tmp_path / "weights" / "1.safetensors"), threshold=(1.0,),
    )  # fmt: skip
    (tmp_path / "weights").mkdir()
    result = run_trial(spec, "cpu")
    assert result.status == "finished" and len(result.history) == 4, result.error  # neither patience nor a threshold
    assert result.history[-1]["train_loss"] < 0.9 * result.history[0]["train_loss"]  # that of triplets
    accuracy = {split: metrics["accuracy"] for split, metrics in result.metrics.items()}
    assert max(row["select_accuracy"] for row in result.history) < 0.4 < 0.55 < float(accuracy["test"])  # type: ignore[arg-type]
    assert float(accuracy["before"]) < 0.3  # type: ignore[arg-type]
    again = run_trial(spec, "cpu")
    assert again.metrics == result.metrics and math.isfinite(float(again.metrics["test"]["loss"]))  # type: ignore[arg-type]
