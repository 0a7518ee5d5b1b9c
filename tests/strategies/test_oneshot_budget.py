"""The distribution that alphas stand for, and the budget's penalty on it: values, gradients, and their effect."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_spaces import trimmed
from torch import Tensor

from budgets import Budget, costs_of
from nas.strategies.oneshot.alphas import Probabilities, as_arrays, entropy, likeliest, log_likelihood, sample
from nas.strategies.oneshot.penalty import ENUMERABLE, BudgetPenalty
from search_spaces import SearchSpace, Task, get_space, space_names

TASK = Task((1, 8, 8), 10)
MOST = 150_000


def random_alphas(space: SearchSpace, seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        c.label: torch.randn(len(c.values), generator=generator, dtype=dtype).requires_grad_() for c in space.choices
    }


def softmax(alphas: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {label: alpha.softmax(-1) for label, alpha in alphas.items()}


def gradient(alphas: Mapping[str, Tensor], value: Tensor) -> Tensor:
    return torch.cat(torch.autograd.grad(value, list(alphas.values())))


@pytest.fixture
def probabilities() -> Probabilities:
    return [np.array([0.2, 0.0, 0.8]), np.array([1.0]), np.array([0.0, 1.0, 0.0])]


def test_samples_have_the_given_frequencies(probabilities: Probabilities) -> None:
    rows = sample(probabilities, np.random.default_rng(0), 20_000)
    assert rows.dtype == np.int16
    assert np.bincount(rows[:, 0], minlength=3) / 20_000 == pytest.approx([0.2, 0.0, 0.8], abs=0.01)
    assert (rows[:, 1] == 0).all() and (rows[:, 2] == 1).all()
    assert np.array_equal(rows, sample(probabilities, np.random.default_rng(0), 20_000))


def test_a_value_of_probability_zero_never_comes_even_at_the_ends() -> None:
    class Ends(np.random.Generator):
        def random(self, count: int) -> np.ndarray:  # type: ignore[override]
            return np.resize([0.0, np.nextafter(1.0, 0.0)], count)

    rows = sample([np.array([0.0, 0.1, 0.2, 0.7 - 1e-16, 0.0])], Ends(np.random.PCG64(0)), 2)
    assert rows.ravel().tolist() == [1, 3]


def test_likelihoods_and_entropy(probabilities: Probabilities) -> None:
    rows = np.array([[2, 0, 1], [0, 0, 1], [1, 0, 1]], np.int16)
    likelihoods = log_likelihood(probabilities, rows)
    assert likelihoods[:2] == pytest.approx([math.log(0.8), math.log(0.2)])
    assert -1000 < likelihoods[2] < -500  # cannot come, and is a number that JSON holds
    assert likeliest(probabilities).tolist() == [2, 0, 1]
    by_hand = -(0.2 * math.log(0.2) + 0.8 * math.log(0.8)) / math.log(3)
    assert entropy(probabilities) == pytest.approx(by_hand / 2)  # the choice of one value does not count
    assert entropy([np.full(4, 0.25)]) == pytest.approx(1.0)
    assert entropy([np.array([1.0])]) == 0.0


def test_probabilities_sum_to_one_in_the_order_of_the_choices() -> None:
    space = get_space("mobilenet")
    alphas = random_alphas(space, dtype=torch.float32)
    arrays = as_arrays(space, dict(reversed(softmax(alphas).items())))
    assert [len(array) for array in arrays] == [len(choice.values) for choice in space.choices]
    assert all(array.sum() == pytest.approx(1, abs=1e-15) for array in arrays)
    first = alphas[space.choices[0].label].softmax(-1).tolist()
    assert arrays[0].tolist() == pytest.approx(first)


def small_space() -> SearchSpace:
    space = trimmed("resnet", 2)
    stages = replace(get_space("resnet").choices[0], values=(4,))
    space = replace(space, choices=(stages, *space.choices[1:]))
    assert space.num_samples == ENUMERABLE
    return space


def by_enumeration(space: SearchSpace, budget: Budget, probabilities: Mapping[str, Tensor]) -> float:
    arrays = [probabilities[c.label].detach().numpy() for c in space.choices]
    rows = np.array(list(np.ndindex(*map(len, arrays))), np.int16)
    weights = np.prod([array[rows[:, column]] for column, array in enumerate(arrays)], axis=0)
    return float(weights @ np.log1p(budget.excess(costs_of(space, rows, TASK))))


def test_the_exact_penalty_and_its_gradient_agree_with_finite_differences() -> None:
    space, budget = small_space(), Budget(max_params=700, min_params=500)
    penalty, alphas = BudgetPenalty(space, TASK, budget), random_alphas(small_space())

    def value(changed: Mapping[str, Tensor]) -> Tensor:
        return penalty(softmax(changed), np.random.default_rng(0))

    assert value(alphas).item() == pytest.approx(by_enumeration(space, budget, softmax(alphas)), rel=1e-12)
    assert value(alphas).item() > 0.01
    found = gradient(alphas, value(alphas))
    differences = []
    for label, alpha in alphas.items():
        for index in range(len(alpha)):
            ends = []
            for step in (1e-5, -1e-5):
                moved = alpha.detach().clone()
                moved[index] += step
                ends.append(value({**alphas, label: moved}).item())
            differences.append((ends[0] - ends[1]) / 2e-5)
    assert found.abs().max() > 0.01
    assert torch.allclose(found, torch.tensor(differences, dtype=torch.float64), rtol=1e-5, atol=1e-9)


def test_the_estimated_gradient_is_the_exact_one_within_its_noise() -> None:
    space, budget = small_space(), Budget(max_params=700, min_params=500)
    alphas = random_alphas(space)
    exact, estimate = BudgetPenalty(space, TASK, budget), BudgetPenalty(space, TASK, budget)
    estimate._all = None  # as in a space too large to sum over
    value = exact(softmax(alphas), np.random.default_rng(0))
    truth = gradient(alphas, value)
    rng = np.random.default_rng(1)
    values, gradients = [], []
    for _ in range(100):
        estimated = estimate(softmax(alphas), rng)
        values.append(estimated.item())
        gradients.append(gradient(alphas, estimated))
    assert np.mean(values) == pytest.approx(value.item(), abs=4 * np.std(values) / 10)
    error = torch.stack(gradients).std(0) / 10
    assert ((torch.stack(gradients).mean(0) - truth).abs() <= 4.5 * error + 1e-9).all()
    assert torch.nn.functional.cosine_similarity(gradients[0], truth, dim=0) > 0.9  # one estimate is good enough


def test_the_penalty_is_nothing_where_everything_fits() -> None:
    space = small_space()
    alphas = random_alphas(space)
    for enumerated in (True, False):
        penalty = BudgetPenalty(space, TASK, Budget(max_params=10**9))
        penalty._all = penalty._all if enumerated else None
        value = penalty(softmax(alphas), np.random.default_rng(0))
        assert value.item() == 0
        assert gradient(alphas, value).abs().max() == 0


def test_alphas_that_rule_a_value_out_get_finite_gradients() -> None:
    space = get_space("vgg")
    alphas = {c.label: torch.zeros(len(c.values), requires_grad=True) for c in space.choices}
    with torch.no_grad():
        for alpha in alphas.values():
            alpha[0] = 500.0  # the others' probability is exactly 0 in float32
    value = BudgetPenalty(space, TASK, Budget(max_params=400))(softmax(alphas), np.random.default_rng(0))
    assert gradient(alphas, value).isfinite().all()


def expected_params(space: SearchSpace, alphas: Mapping[str, Tensor]) -> float:
    rows = sample(as_arrays(space, softmax(alphas)), np.random.default_rng(7), 4096)
    return float(costs_of(space, rows, TASK).params.mean())


def learned(space: SearchSpace, weight: float, task_loss: Callable[[dict[str, Tensor]], Tensor]) -> dict[str, Tensor]:
    alphas = {c.label: torch.zeros(len(c.values), requires_grad=True) for c in space.choices}
    optimizer = torch.optim.Adam(alphas.values(), 0.05, betas=(0.5, 0.999), weight_decay=1e-3)
    penalty, rng = BudgetPenalty(space, TASK, Budget(max_params=MOST, min_params=MOST // 2)), np.random.default_rng(0)
    for _ in range(60):
        optimizer.zero_grad()
        (task_loss(softmax(alphas)) + weight * penalty(softmax(alphas), rng)).backward()
        optimizer.step()
    return alphas


@pytest.mark.parametrize("name", space_names())
def test_only_the_penalty_brings_the_expected_parameters_under_the_budget(name: str) -> None:
    """Against a loss that prefers late values, which are the large ones in most choices."""
    space = get_space(name)

    def prefers_large(probabilities: dict[str, Tensor]) -> Tensor:
        means = [(p * torch.linspace(0, 1, len(p))).sum() for p in probabilities.values()]
        return -0.1 * torch.stack(means).mean()

    with_it, without = (expected_params(space, learned(space, weight, prefers_large)) for weight in (1.0, 0.0))
    assert with_it < MOST < without
