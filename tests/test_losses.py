"""Every loss against a float64 reference written from its formula, and at its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nas.errors import UsageError
from nas.losses import LOSSES, get_loss, register_loss


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def ce_reference(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.mean([row[y] for row, y in zip(log_softmax(logits), labels, strict=True)]))


def custom_ce_reference(logits: np.ndarray, labels: np.ndarray) -> float:
    p = np.exp(log_softmax(logits))
    wrong = [sum(math.log(1 - row[j]) for j in range(len(row)) if j != y) for row, y in zip(p, labels, strict=True)]
    return ce_reference(logits, labels) - 0.1 * float(np.mean(wrong))


REFERENCES = {"ce": ce_reference, "custom-ce": custom_ce_reference}


def batch(num_classes: int, scale: float, seed: int = 0, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(size, num_classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(num_classes, (size,), generator=generator)


def test_every_loss_has_a_reference() -> None:
    assert set(REFERENCES) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("num_classes", [2, 10, 62, 1000])
@pytest.mark.parametrize("scale", [0.01, 1.0, 4.0])
def test_agrees_with_the_formula(name: str, num_classes: int, scale: float) -> None:
    logits, labels = batch(num_classes, scale)
    expected = REFERENCES[name](logits.numpy(), labels.numpy())
    assert get_loss(name)(logits, labels).item() == pytest.approx(expected, rel=1e-10)
    assert get_loss(name)(logits.float(), labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("num_classes", [2, 5])
def test_gradient_is_that_of_the_value(name: str, num_classes: int) -> None:
    logits, labels = batch(num_classes, 2.0)
    assert torch.autograd.gradcheck(lambda x: get_loss(name)(x, labels), (logits.requires_grad_(),))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("extreme", [30.0, 1e3, 1e4])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_extreme_logits_keep_value_and_gradient_finite(name: str, extreme: float, num_classes: int) -> None:
    logits = torch.zeros(6, num_classes)
    logits[0, 0], logits[1, 1], logits[2, 0], logits[3, 1] = extreme, extreme, -extreme, -extreme
    logits[4], logits[5] = extreme, -extreme
    logits[5, 1] = extreme
    for label in (0, 1):
        x = logits.clone().requires_grad_()
        loss = get_loss(name)(x, torch.full((6,), label))
        loss.backward()
        assert torch.isfinite(loss) and loss >= 0
        assert torch.isfinite(x.grad).all() and x.grad.abs().max() > 0


def test_custom_ce_of_a_confident_mistake_is_known() -> None:
    """p of the wrong class is 1 - e^-a: -log p_y = a, and -0.1 log(1 - p_wrong) = 0.1 a."""
    logits = torch.tensor([[0.0, 1e4]])
    assert get_loss("custom-ce")(logits, torch.tensor([0])).item() == pytest.approx(1.1e4)
    assert get_loss("custom-ce")(logits, torch.tensor([1])).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_computes_in_float32_under_autocast(name: str) -> None:
    logits, labels = batch(10, 1.0)
    expected = get_loss(name)(logits.bfloat16().float(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        loss = get_loss(name)(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_unknown_and_duplicate_names_are_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'custom-ce'"):
        get_loss("custom_ce")
    with pytest.raises(ValueError, match="exists already"):
        register_loss("ce")(get_loss("ce"))
