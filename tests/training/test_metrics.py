"""Metrics against scikit-learn and hand counts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import nn

from baselines.metrics import METRICS
from nas.training.metrics import classification_metrics, evaluate


class FirstPixels(nn.Module):
    """Logits are the first pixels of an image, so a test decides every prediction."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.seen_training: list[bool] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen_training.append(self.training)
        return x.flatten(1)[:, : self.num_classes]


def sampled(num_classes: int, num_images: int, right: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.cat([torch.arange(num_classes), torch.randint(num_classes, (num_images,), generator=generator)])
    wrong = torch.randint(num_classes, labels.shape, generator=generator)
    return torch.where(torch.rand(labels.shape, generator=generator) < right, labels, wrong), labels


@pytest.mark.parametrize(("right", "num_classes"), [*itertools.product((0.0, 0.7, 1.0), (2, 10, 62)), (0.7, 2_000)])
def test_agrees_with_scikit_learn(num_classes: int, right: float) -> None:
    predicted, labels = sampled(num_classes, 500, right)
    metrics = classification_metrics(predicted, labels, num_classes)
    y, p = labels.numpy(), predicted.numpy()
    recall = reference.recall_score(y, p, average=None, labels=range(num_classes), zero_division=0)
    averaged = {
        f"{average}_{name}": score
        for average in ("micro", "macro", "weighted")
        for name, score in zip(
            ("precision", "recall", "f1"),
            reference.precision_recall_fscore_support(y, p, average=average, zero_division=0),
            strict=False,  # its last value is the support
        )
    }
    expected = averaged | {
        "accuracy": reference.accuracy_score(y, p),
        "balanced_accuracy": reference.balanced_accuracy_score(y, p),
        "worst_recall": recall.min(),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert metrics["recall_by_class"] == pytest.approx(recall.tolist(), abs=1e-12)
    assert set(expected) == set(METRICS)


def test_classes_without_images_count_for_nothing() -> None:
    metrics = classification_metrics(torch.tensor([0, 0, 3, 1]), torch.tensor([0, 0, 1, 1]), 4)
    assert metrics["balanced_accuracy"] == pytest.approx(0.75)
    assert metrics["worst_recall"] == pytest.approx(0.5)
    assert metrics["recall_by_class"] == [1.0, 0.5, 0.0, 0.0]


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_evaluate_reads_pixels_as_normalized(batch_size: int) -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (50, 1, 2, 5), dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, 10, 50))
    model = FirstPixels(10).train()
    metrics = evaluate(model, images, labels, ((0.3,), (0.2,)), num_classes=10, device="cpu", batch_size=batch_size)
    logits = (images.numpy().reshape(50, 10) / 255 - 0.3) / 0.2
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert metrics["loss"] == pytest.approx(-log_p[np.arange(50), labels.numpy()].mean(), rel=1e-5)
    assert metrics["accuracy"] == pytest.approx((logits.argmax(1) == labels.numpy()).mean())
    assert set(metrics) == {*METRICS, "recall_by_class", "loss"}
    assert not any(model.seen_training)
    assert model.training  # restored


def test_a_network_of_nan_has_a_loss_of_nan() -> None:
    images = torch.zeros(4, 1, 2, 5, dtype=torch.uint8)
    metrics = evaluate(FirstPixels(10), images, torch.arange(4), ((math.nan,), (1.0,)), num_classes=10, device="cpu")
    assert math.isnan(metrics["loss"])  # type: ignore[arg-type]


def test_metrics_are_plain_numbers() -> None:
    metrics = classification_metrics(*sampled(5, 20, 0.5), 5)
    values = [value for name, value in metrics.items() if name != "recall_by_class"]
    assert all(type(value) is float for value in [*values, *metrics["recall_by_class"]])  # type: ignore[misc]
