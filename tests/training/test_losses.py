"""Every loss against a float64 reference written from its formula; its promises are in ``nas.testing.losses``."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nas.config.recipe import Recipe
from nas.errors import UsageError
from nas.testing.losses import check_loss, long_tail, random_batch
from nas.training.class_counts import ClassCounts, class_balanced_weights
from nas.training.losses import LOSSES, TrainingLoss, is_reweighted, make_loss, register_loss

SETTINGS = {  # other than the defaults, so that a setting that is ignored shows
    "label_smoothing": 0.2, "wrong_class_weight": 0.3, "gamma": 1.5, "beta": 0.99, "tau": 1.3, "margin": 0.4,
    "scale": 5.0,
}  # fmt: skip
Row = np.ndarray


def log_softmax(row: Row) -> Row:
    shifted = row - row.max()
    return shifted - math.log(np.exp(shifted).sum())


def ce(z: Row, y: int, s: dict[str, float], real: Row, sampled: Row) -> float:
    log_p = log_softmax(z)
    smooth = s["label_smoothing"]
    return float(-(1 - smooth) * log_p[y] - smooth * log_p.mean())


def custom_ce(z: Row, y: int, s: dict[str, float], real: Row, sampled: Row) -> float:
    """The mean over what the label may be, when it is another one with the probability of smoothing."""
    p, smooth = np.exp(log_softmax(z)), s["label_smoothing"]

    def of(label: int) -> float:
        others = (math.log(1 - p[j]) for j in range(len(z)) if j != label)
        return -math.log(p[label]) - s["wrong_class_weight"] * sum(others)

    return (1 - smooth) * of(y) + (smooth * float(np.mean([of(j) for j in range(len(z))])) if smooth else 0)


def focal(z: Row, y: int, s: dict[str, float], real: Row, sampled: Row) -> float:
    p = np.exp(log_softmax(z))
    return float(-((1 - p[y]) ** s["gamma"]) * math.log(p[y]))


def cb_weight(y: int, s: dict[str, float], sampled: Row) -> float:
    weights = [(1 - s["beta"]) / (1 - s["beta"] ** n) for n in sampled]
    return weights[y] * len(sampled) / sum(weights)


def ldam(z: Row, y: int, s: dict[str, float], real: Row, sampled: Row) -> float:
    margins = real**-0.25
    margins = margins * s["margin"] / margins.max()
    cosines = z / s["scale"]
    cosines[y] -= margins[y]
    return float(-log_softmax(s["scale"] * cosines)[y])


def prior(z: Row, y: int, s: dict[str, float], real: Row, sampled: Row, tau: float) -> float:
    return float(-log_softmax(z + tau * np.log(sampled / sampled.sum()))[y])


REFERENCES: dict[str, Callable[..., float]] = {
    "ce": ce,
    "weighted-ce": lambda z, y, s, real, sampled: (
        ce(z, y, s, real, sampled) * sampled.sum() / (len(sampled) * sampled[y])
    ),
    "custom-ce": custom_ce,
    "focal": focal,
    "cb-ce": lambda z, y, s, real, sampled: cb_weight(y, s, sampled) * ce(z, y, s, real, sampled),
    "cb-focal": lambda z, y, s, real, sampled: cb_weight(y, s, sampled) * focal(z, y, s, real, sampled),
    "ldam": ldam,
    "balanced-softmax": lambda *arguments: prior(*arguments, tau=1.0),
    "logit-adjustment": lambda *arguments: prior(*arguments, tau=arguments[2]["tau"]),
}


def made(name: str, num_classes: int, **settings: float) -> TrainingLoss:
    return make_loss(Recipe(loss=name, **settings), long_tail(num_classes))  # type: ignore[arg-type]


def test_a_prior_in_training_is_the_logit_adjusted_loss_for_any_loss() -> None:
    """Menon et al. 2021, equation 10: for cross-entropy it is balanced softmax; elsewhere the logits are shifted."""
    logits, labels = random_batch(4, 2.0)
    counts = long_tail(4)
    made_so = make_loss(Recipe(loss="ce", prior_tau=1), counts)(logits, labels)
    assert made_so == pytest.approx(make_loss(Recipe(loss="balanced-softmax"), counts)(logits, labels).item())
    shifted = make_loss(Recipe(loss="custom-ce"))(logits + 0.7 * counts.log_prior_C, labels)
    assert make_loss(Recipe(prior_tau=0.7), counts)(logits, labels).item() == pytest.approx(shifted.item())
    even = ClassCounts(counts.real_C, torch.full_like(counts.real_C, 9))  # after full oversampling: no prior
    assert make_loss(Recipe(prior_tau=1), even)(logits, labels) == pytest.approx(make_loss(Recipe())(logits, labels))


@pytest.mark.parametrize("loss", ["ce", "custom-ce"])
@pytest.mark.parametrize("tau", [1.0, 0.6])
def test_smoothing_under_a_prior_is_towards_the_prior(loss: str, tau: float) -> None:
    """The mean over labels that are the image's, or else sampled from the prior to the power of tau."""
    logits, labels = random_batch(5, 1.5)
    counts = long_tail(5)
    prior = (counts.sampled_C / counts.sampled_C.sum()).numpy() ** tau
    shifted = logits.numpy() + np.log(prior)
    plain = {"label_smoothing": 0.0, "wrong_class_weight": 0.1}
    of = [[REFERENCES[loss](row.copy(), y, plain, None, None) for y in range(5)] for row in shifted]
    expected = 0.8 * np.array(of)[range(16), labels.numpy()] + 0.2 * np.array(of) @ (prior / prior.sum())
    recipe = Recipe(loss=loss, prior_tau=tau, label_smoothing=0.2)
    assert make_loss(recipe, counts)(logits, labels).item() == pytest.approx(expected.mean(), rel=1e-9)


def learned_answers(recipe: Recipe, chance_of_C: np.ndarray, *, reweighted: bool = False) -> np.ndarray:
    """The logits that minimize a loss, for one kind of image that is of each class with these chances, when classes
    come 100 to 1."""
    number_C = torch.tensor([10_000.0, 1_000.0, 100.0], dtype=torch.float64)
    loss = make_loss(recipe, ClassCounts(number_C, number_C))
    logits_C = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits_C], max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-10)
    weights = loss.weights_C if reweighted and loss.weights_C is not None else torch.ones(3)

    def mean_loss() -> torch.Tensor:
        optimizer.zero_grad()
        losses = torch.stack([loss(logits_C[None], torch.tensor([y])) for y in range(3)])
        total = (torch.tensor(chance_of_C) * weights * losses).sum()
        total.backward()
        return total

    optimizer.step(mean_loss)
    answers = logits_C.detach().numpy()
    return answers - answers.mean()


PRIOR = np.array([10_000, 1_000, 100]) / 11_100


def test_what_is_learned_under_a_prior_says_how_likely_classes_are_if_they_come_equally_often() -> None:
    chances = np.array(
        [0.97, 0.02, 0.01]
    )  # of a frequent class, and 1.2 times as likely of a rare one when evenly sampled
    for recipe in (Recipe(loss="ce", prior_tau=1), Recipe(loss="ce", prior_tau=1, label_smoothing=0.1)):
        learned = learned_answers(recipe, chances)
        smooth = np.log((1 - recipe.label_smoothing) * chances / PRIOR + recipe.label_smoothing)
        assert learned == pytest.approx(smooth - smooth.mean(), abs=1e-3)
    # Smoothed evenly, a sure image of the frequent class would be taken for a rare one.
    sure = np.array([1.0, 0.0, 0.0])
    assert np.argmax(np.log((0.9 * sure + 0.1 / 3) / PRIOR)) == 2
    assert np.argmax(learned_answers(Recipe(loss="ce", prior_tau=1, label_smoothing=0.1), sure)) == 0


def test_a_prior_and_deferred_weights_correct_twice() -> None:
    """A recipe cannot have both: together they prefer rare classes by their rarity once more."""
    chances = np.array([0.985, 0.01, 0.005])
    recipe = Recipe(loss="ce", prior_tau=1, deferred_reweighting=0.5, beta=0.9999)
    number_C = torch.tensor([10_000.0, 1_000.0, 100.0], dtype=torch.float64)
    weights = class_balanced_weights(number_C, 0.9999).numpy()
    once = np.log(chances / PRIOR)
    learned = {reweighted: learned_answers(recipe, chances, reweighted=reweighted) for reweighted in (False, True)}
    assert learned[False] == pytest.approx(once - once.mean(), abs=1e-3)
    twice = np.log(chances * weights / PRIOR)
    assert learned[True] == pytest.approx(twice - twice.mean(), abs=1e-3)
    assert twice[2] - twice[0] > once[2] - once[0] + math.log(30)


def test_every_loss_has_a_reference() -> None:
    assert set(REFERENCES) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("num_classes", [2, 10, 62, 200])
@pytest.mark.parametrize("scale", [0.01, 1.0, 4.0])
@pytest.mark.parametrize("settings", [{}, SETTINGS], ids=["defaults", "others"])
def test_agrees_with_the_formula(name: str, num_classes: int, scale: float, settings: dict[str, float]) -> None:
    logits, labels = random_batch(num_classes, scale)
    known = long_tail(num_classes)
    recipe = Recipe(loss=name, **settings)  # type: ignore[arg-type]
    arrays = recipe.model_dump(), known.real_C.numpy(), known.sampled_C.numpy()
    rows = zip(logits.numpy(), labels.tolist(), strict=True)
    expected = float(np.mean([REFERENCES[name](row.copy(), y, *arrays) for row, y in rows]))
    assert make_loss(recipe, known)(logits, labels).item() == pytest.approx(expected, rel=1e-9)
    assert make_loss(recipe, known)(logits.float(), labels).item() == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("settings", [{}, SETTINGS, {"gamma": 0.0}, {"gamma": 0.5}], ids=str)
def test_keeps_its_promises(name: str, settings: dict[str, float]) -> None:
    check_loss(LOSSES[name].make, recipe=Recipe(loss=name, **settings))  # type: ignore[arg-type]


def test_custom_ce_of_a_confident_mistake_is_known() -> None:
    """p of the wrong class is 1 - e^-a: -log p_y = a, and -0.1 log(1 - p_wrong) = 0.1 a."""
    logits = torch.tensor([[0.0, 1e4]])
    assert made("custom-ce", 2)(logits, torch.tensor([0])).item() == pytest.approx(1.1e4)
    assert made("custom-ce", 2)(logits, torch.tensor([1])).item() == pytest.approx(0.0, abs=1e-6)


def test_class_balanced_weights_are_known() -> None:
    weights = class_balanced_weights(torch.tensor([5000.0, 50.0, 0.0], dtype=torch.float64), 0.9999)
    effective = [(1 - 0.9999**n) / (1 - 0.9999) for n in (5000, 50)]
    assert weights[2] == 0 and weights.sum().item() == pytest.approx(2)
    assert (weights[1] / weights[0]).item() == pytest.approx(effective[0] / effective[1])
    assert class_balanced_weights(torch.tensor([9.0, 1.0]), 0.0).tolist() == [1.0, 1.0]


def test_deferred_weights_of_cross_entropy_are_those_of_torch() -> None:
    """Torch's are those that the code of LDAM-DRW uses."""
    logits, labels = random_batch(10, 1.0)
    recipe, known = Recipe(loss="ce", deferred_reweighting=0.8, beta=0.99), long_tail(10)
    loss, weights = make_loss(recipe, known), class_balanced_weights(known.sampled_C, 0.99)
    expected = F.cross_entropy(logits, labels, weight=weights).item()
    assert loss(logits, labels, reweighted=True).item() == pytest.approx(expected)
    assert loss(logits, labels).item() == made("ce", 10)(logits, labels).item()


def test_deferred_weights_begin_after_their_share_of_the_epochs() -> None:
    drw = Recipe(deferred_reweighting=0.8)
    assert [epoch for epoch in range(1, 201) if is_reweighted(drw, epoch, 200)] == list(range(161, 201))
    assert [epoch for epoch in range(1, 11) if is_reweighted(drw, epoch, 10)] == [9, 10]
    assert not any(is_reweighted(Recipe(), epoch, 10) for epoch in range(1, 11))


def test_what_is_sampled_decides_priors_and_weights_and_what_is_real_decides_margins() -> None:
    logits, labels = random_batch(10, 1.0)
    real = torch.repeat_interleave(torch.arange(10), torch.arange(5, 55, 5))
    flat = ClassCounts.of(real, real, 10, balanced=True)
    assert flat.sampled_C.tolist() == [27.5] * 10 and flat.real_C.tolist() == list(range(5, 55, 5))
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
