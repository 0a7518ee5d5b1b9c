"""Every loss against a float64 reference written from its formula, and at its limits."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nas.config.recipe import Recipe
from nas.errors import UsageError
from nas.training.class_counts import ClassCounts, class_balanced_weights
from nas.training.losses import LOSSES, TrainingLoss, is_reweighted, make_loss, register_loss
from nas.training.mixing import Mixed

SETTINGS = {  # other than the defaults, so that a setting that is ignored shows
    "label_smoothing": 0.2, "wrong_class_weight": 0.3, "gamma": 1.5, "beta": 0.99, "tau": 1.3, "margin": 0.4,
    "scale": 5.0,
}  # fmt: skip
Row = np.ndarray


def counts(num_classes: int, empty: bool = False) -> ClassCounts:
    """A long tail; what is drawn differs from the real images, and a class may have none of either."""
    real = np.maximum(1, 500 * 0.02 ** np.linspace(0, 1, num_classes)).round()
    drawn = np.sqrt(real).round() * 3
    if empty:
        real[-1] = drawn[-1] = 0
    return ClassCounts(torch.tensor(real), torch.tensor(drawn))


def log_softmax(row: Row) -> Row:
    shifted = row - row.max()
    return shifted - math.log(np.exp(shifted).sum())


def ce(z: Row, y: int, s: dict[str, float], real: Row, drawn: Row) -> float:
    log_p = log_softmax(z)
    smooth = s["label_smoothing"]
    return float(-(1 - smooth) * log_p[y] - smooth * log_p.mean())


def custom_ce(z: Row, y: int, s: dict[str, float], real: Row, drawn: Row) -> float:
    p = np.exp(log_softmax(z))
    return -math.log(p[y]) - s["wrong_class_weight"] * sum(math.log(1 - p[j]) for j in range(len(z)) if j != y)


def focal(z: Row, y: int, s: dict[str, float], real: Row, drawn: Row) -> float:
    p = np.exp(log_softmax(z))
    return float(-((1 - p[y]) ** s["gamma"]) * math.log(p[y]))


def cb_weight(y: int, s: dict[str, float], drawn: Row) -> float:
    weights = [(1 - s["beta"]) / (1 - s["beta"] ** n) for n in drawn]
    return weights[y] * len(drawn) / sum(weights)


def ldam(z: Row, y: int, s: dict[str, float], real: Row, drawn: Row) -> float:
    margins = real**-0.25
    margins = margins * s["margin"] / margins.max()
    cosines = z / s["scale"]
    cosines[y] -= margins[y]
    return float(-log_softmax(s["scale"] * cosines)[y])


def prior(z: Row, y: int, s: dict[str, float], real: Row, drawn: Row, tau: float) -> float:
    return float(-log_softmax(z + tau * np.log(drawn / drawn.sum()))[y])


REFERENCES: dict[str, Callable[..., float]] = {
    "ce": ce,
    "weighted-ce": lambda z, y, s, real, drawn: ce(z, y, s, real, drawn) * drawn.sum() / (len(drawn) * drawn[y]),
    "custom-ce": custom_ce,
    "focal": focal,
    "cb-ce": lambda z, y, s, real, drawn: cb_weight(y, s, drawn) * ce(z, y, s, real, drawn),
    "cb-focal": lambda z, y, s, real, drawn: cb_weight(y, s, drawn) * focal(z, y, s, real, drawn),
    "ldam": ldam,
    "balanced-softmax": lambda *arguments: prior(*arguments, tau=1.0),
    "logit-adjustment": lambda *arguments: prior(*arguments, tau=arguments[2]["tau"]),
}


def batch(num_classes: int, scale: float, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(size, num_classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(num_classes, (size,), generator=generator)


def made(name: str, num_classes: int, **settings: float) -> TrainingLoss:
    return make_loss(Recipe(loss=name, **settings), counts(num_classes))  # type: ignore[arg-type]


def test_every_loss_has_a_reference() -> None:
    assert set(REFERENCES) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("num_classes", [2, 10, 62, 1000])
@pytest.mark.parametrize("scale", [0.01, 1.0, 4.0])
@pytest.mark.parametrize("settings", [{}, SETTINGS], ids=["defaults", "others"])
def test_agrees_with_the_formula(name: str, num_classes: int, scale: float, settings: dict[str, float]) -> None:
    logits, labels = batch(num_classes, scale)
    known = counts(num_classes)
    recipe = Recipe(loss=name, **settings)  # type: ignore[arg-type]
    arrays = recipe.model_dump(), known.real_C.numpy(), known.drawn_C.numpy()
    rows = zip(logits.numpy(), labels.tolist(), strict=True)
    expected = float(np.mean([REFERENCES[name](row.copy(), y, *arrays) for row, y in rows]))
    assert make_loss(recipe, known)(logits, labels).item() == pytest.approx(expected, rel=1e-9)
    assert make_loss(recipe, known)(logits.float(), labels).item() == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("num_classes", [2, 5])
def test_gradient_is_that_of_the_value(name: str, num_classes: int) -> None:
    logits, labels = batch(num_classes, 2.0)
    loss = made(name, num_classes)
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), (logits.requires_grad_(),))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("extreme", [30.0, 1e3, 1e4])
@pytest.mark.parametrize("num_classes", [2, 10])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_extreme_logits_keep_value_and_gradient_finite(
    name: str, extreme: float, num_classes: int, gamma: float
) -> None:
    logits = torch.zeros(6, num_classes)
    logits[0, 0], logits[1, 1], logits[2, 0], logits[3, 1] = extreme, extreme, -extreme, -extreme
    logits[4], logits[5] = extreme, -extreme
    logits[5, 1] = extreme
    for label in (0, 1):
        x = logits.clone().requires_grad_()
        loss = made(name, num_classes, gamma=gamma)(x, torch.full((6,), label))
        loss.backward()
        assert torch.isfinite(loss) and loss >= 0
        assert torch.isfinite(x.grad).all() and x.grad.abs().max() > 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reweighted", [False, True])
def test_a_class_without_images_makes_nothing_infinite(name: str, reweighted: bool) -> None:
    """Not even where an image of another split has it as its label."""
    logits, labels = batch(10, 1.0)
    labels[0] = 9
    recipe = Recipe(loss=name, deferred_reweighting=0.5)
    loss = make_loss(recipe, counts(10, empty=True))
    for some in (labels, torch.full_like(labels, 9)):
        x = logits.clone().requires_grad_()
        value = loss(x, some, reweighted=reweighted)
        value.backward()
        assert torch.isfinite(value) and torch.isfinite(x.grad).all()


def test_custom_ce_of_a_confident_mistake_is_known() -> None:
    """p of the wrong class is 1 - e^-a: -log p_y = a, and -0.1 log(1 - p_wrong) = 0.1 a."""
    logits = torch.tensor([[0.0, 1e4]])
    assert made("custom-ce", 2)(logits, torch.tensor([0])).item() == pytest.approx(1.1e4)
    assert made("custom-ce", 2)(logits, torch.tensor([1])).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_computes_in_float32_under_autocast(name: str) -> None:
    logits, labels = batch(10, 1.0)
    expected = made(name, 10)(logits.bfloat16().float(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        loss = made(name, 10)(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_class_balanced_weights_are_known() -> None:
    weights = class_balanced_weights(torch.tensor([5000.0, 50.0, 0.0], dtype=torch.float64), 0.9999)
    effective = [(1 - 0.9999**n) / (1 - 0.9999) for n in (5000, 50)]
    assert weights[2] == 0 and weights.sum().item() == pytest.approx(2)
    assert (weights[1] / weights[0]).item() == pytest.approx(effective[0] / effective[1])
    assert class_balanced_weights(torch.tensor([9.0, 1.0]), 0.0).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", LOSSES)
def test_deferred_weights_are_a_weighted_mean_of_any_loss(name: str) -> None:
    """As in torch's own weighted cross-entropy, which the code of LDAM-DRW uses."""
    logits, labels = batch(10, 1.0)
    recipe, known = Recipe(loss=name, deferred_reweighting=0.8, beta=0.99), counts(10)
    loss = make_loss(recipe, known)
    assert loss(logits, labels).item() == made(name, 10, beta=0.99)(logits, labels).item()
    weights = class_balanced_weights(known.drawn_C, 0.99)
    alone = torch.stack([loss(logits[i : i + 1], labels[i : i + 1]) for i in range(len(labels))])
    expected = (alone * weights[labels]).sum() / weights[labels].sum()
    assert loss(logits, labels, reweighted=True).item() == pytest.approx(expected.item())
    if name == "ce":
        assert expected.item() == pytest.approx(F.cross_entropy(logits, labels, weight=weights).item())


def test_deferred_weights_begin_after_their_share_of_the_epochs() -> None:
    drw = Recipe(deferred_reweighting=0.8)
    assert [epoch for epoch in range(1, 201) if is_reweighted(drw, epoch, 200)] == list(range(161, 201))
    assert [epoch for epoch in range(1, 11) if is_reweighted(drw, epoch, 10)] == [9, 10]
    assert not any(is_reweighted(Recipe(), epoch, 10) for epoch in range(1, 11))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reweighted", [False, True])
def test_a_mixture_is_between_the_losses_of_both_labels(name: str, reweighted: bool) -> None:
    logits, first = batch(10, 1.0)
    second = first.roll(1)
    loss = make_loss(Recipe(loss=name, deferred_reweighting=0.8), counts(10))
    for share, labels in ((1.0, first), (0.0, second)):
        mixed = Mixed(first, second, torch.full((16,), share))
        assert loss(logits, mixed, reweighted=reweighted).item() == pytest.approx(
            loss(logits, labels, reweighted=reweighted).item()
        )
    if not reweighted:
        half = loss(logits, Mixed(first, second, torch.full((16,), 0.25))).item()
        assert half == pytest.approx(0.25 * loss(logits, first).item() + 0.75 * loss(logits, second).item())


def test_what_is_drawn_decides_priors_and_weights_and_what_is_real_decides_margins() -> None:
    logits, labels = batch(10, 1.0)
    real = torch.repeat_interleave(torch.arange(10), torch.arange(5, 55, 5))
    flat = ClassCounts.of(real, real, 10, balanced=True)
    assert flat.drawn_C.tolist() == [27.5] * 10 and flat.real_C.tolist() == list(range(5, 55, 5))
    plain = {name: make_loss(Recipe(loss=name), flat)(logits, labels).item() for name in LOSSES}
    for name in ("weighted-ce", "cb-ce", "balanced-softmax", "logit-adjustment"):
        assert plain[name] == pytest.approx(plain["ce"])
    assert plain["cb-focal"] == pytest.approx(plain["focal"])
    uneven = ClassCounts.of(real, real, 10)
    assert plain["ldam"] == make_loss(Recipe(loss="ldam"), uneven)(logits, labels).item()


def test_unknown_and_duplicate_names_are_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'custom-ce'"):
        make_loss(Recipe(loss="custom_ce"))
    with pytest.raises(ValueError, match="exists already"):
        register_loss("ce")(LOSSES["ce"].make)
    with pytest.raises(ValueError, match="number of images of each class"):
        make_loss(Recipe(loss="ldam"))
    for name in ("ce", "custom-ce", "focal"):
        make_loss(Recipe(loss=name))
