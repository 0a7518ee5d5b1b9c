"""Every penalty against a float64 reference, and its schedule; its promises are in ``nas.testing.regularizers``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from nas.config.recipe import Recipe
from nas.errors import UsageError
from nas.testing.regularizers import awkward_network, check_finite, check_regularizer
from nas.training.regularizers import (
    REGULARIZERS,
    Definition,
    SpectralIsometry,
    make_regularizer,
    matrices,
    register_regularizer,
)
from search_spaces import get_space, space_names

NAMES = [name for name in REGULARIZERS if name != "none"]
pytestmark = pytest.mark.usefixtures("one_thread")


def definition(name: str) -> Definition:
    found = REGULARIZERS[name]
    assert found is not None
    return found


def blocks(model: nn.Module) -> list[list[np.ndarray]]:
    """By layer, the matrices of its groups."""
    found = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight.detach().numpy()
            groups = getattr(module, "groups", 1)
            found.append([part.reshape(len(part), -1) for part in np.split(weight, groups)])
    return found


def norms(model: nn.Module) -> float:
    return sum(float(np.sqrt((p.detach().numpy() ** 2).sum())) for p in model.parameters())


def orthogonality(model: nn.Module) -> float:
    return sum(float(((w @ w.T - np.eye(len(w))) ** 2).sum()) for layer in blocks(model) for w in layer)


def isometry(model: nn.Module) -> float:
    def sigma(w: np.ndarray) -> float:
        gram = w @ w.T if len(w) <= w.shape[1] else w.T @ w
        return float(np.abs(np.linalg.eigvalsh(gram - np.eye(len(gram)))).max())

    return sum(max(map(sigma, layer)) for layer in blocks(model))


def convolution_matrix(weight: torch.Tensor, side: int) -> torch.Tensor:
    """(outputs, inputs): column by column, what a convolution with zeros all around answers to one pixel of a channel;
    the columns of a channel are its pixels, row by row."""
    _, num_in, size, _ = weight.shape
    columns = []
    for channel in range(num_in):
        for pixel in range(side * side):
            image = torch.zeros(num_in, side * side, dtype=weight.dtype)
            image[channel, pixel] = 1
            answer = torch.nn.functional.conv2d(image.view(1, num_in, side, side), weight, padding=size - 1)
            columns.append(answer.flatten())
    return torch.stack(columns, dim=1)


def convolution_orthogonality(weight: torch.Tensor) -> torch.Tensor:
    """Distance of the columns of a convolution's matrix from orthonormal, those of one pixel against those of every
    pixel whose answers can overlap with its own: all shifts."""
    num_in, size = weight.shape[1], weight.shape[-1]
    side = 2 * size - 1
    matrix = convolution_matrix(weight, side)
    centre = [channel * side * side + side * side // 2 for channel in range(num_in)]
    products = matrix[:, centre].T @ matrix
    one = torch.zeros_like(products)
    one[range(num_in), centre] = 1
    return (products - one).square().sum().sqrt()


def orthogonal_convolutions(model: nn.Module) -> float:
    total = 0.0
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1:
            groups = module.weight.detach().double().chunk(module.groups)
            total += sum(convolution_orthogonality(group).item() ** 2 for group in groups) ** 0.5
    return total


REFERENCES: dict[str, Callable[[nn.Module], float]] = {
    "l2-norms": norms, "soft-orthogonality": orthogonality, "srip": isometry,
    "orthogonal-convolution": orthogonal_convolutions,
}  # fmt: skip


def test_every_regularizer_has_a_reference() -> None:
    assert set(REFERENCES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_formula(name: str) -> None:
    model = awkward_network()
    regularizer = make_regularizer(Recipe(regularizer=name, regularizer_weight=0.7), model)
    assert regularizer is not None
    for _ in range(100):  # power iteration continues from its last vector; the others are what they were
        value = regularizer(0.0)
    assert value is not None
    assert value.item() == pytest.approx(0.7 * REFERENCES[name](model), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_keeps_its_promises(name: str) -> None:
    check_regularizer(definition(name).make)


def test_spectral_norms_by_power_iteration_are_exact_with_enough_iterations() -> None:
    torch.manual_seed(1)
    for shape in ((3, 7), (7, 3), (5, 5), (1, 9)):
        layer = nn.Linear(shape[1], shape[0]).double()
        found = SpectralIsometry(matrices(layer), iterations=500)()
        assert found.item() == pytest.approx(isometry(layer), rel=1e-9)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_orthogonal_convolution_is_what_the_matrix_of_the_convolution_says_gradient_included(size: int) -> None:
    torch.manual_seed(size)
    layer = nn.Conv2d(3, 4, size).double()
    value = definition("orthogonal-convolution").make(layer)()
    if size == 1:  # kernels of one pixel add nothing
        assert value.item() == 0
        return
    expected = convolution_orthogonality(layer.weight)
    (gradient,) = torch.autograd.grad(value, layer.weight)
    (expected_gradient,) = torch.autograd.grad(expected, layer.weight)
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    assert torch.allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-12)
    swapped = layer.weight.detach().transpose(0, 1)  # the study's own way to compute it
    shifts = torch.nn.functional.conv2d(swapped, swapped, padding=size - 1)
    shifts[range(3), range(3), size - 1, size - 1] -= 1
    assert value.item() == pytest.approx(shifts.norm().item(), rel=1e-9)


def test_an_orthogonal_matrix_costs_nothing_and_pushing_does_not_stall() -> None:
    layer = nn.Linear(6, 4, bias=False)
    nn.init.orthogonal_(layer.weight)
    for name in ("soft-orthogonality", "srip"):
        regularizer = make_regularizer(Recipe(regularizer=name, regularizer_weight=1.0), layer)
        assert regularizer is not None and regularizer(0.0).item() == pytest.approx(0, abs=1e-5)
        with torch.no_grad():
            layer.weight *= 1.5
        assert regularizer(0.0).item() > 0.5  # the vector of the power iteration did not become zero
        with torch.no_grad():
            layer.weight /= 1.5


def test_weights_over_the_training() -> None:
    """SRIP: that of its authors for 200 epochs, in shares."""
    srip = make_regularizer(Recipe(regularizer="srip"), nn.Linear(2, 2))
    assert srip is not None
    weights = {}
    for epoch in range(200):
        weight = srip.weight * [factor for start, factor in srip.decay if epoch / 200 >= start][-1]
        weights.setdefault(weight, epoch)
        assert (srip(epoch / 200) is None) == (weight == 0)
    assert {epoch: pytest.approx(weight) for weight, epoch in weights.items()} == {
        0: 1e-2, 20: 1e-5, 50: 1e-6, 70: 1e-8, 120: 0.0,
    }  # fmt: skip
    assert make_regularizer(Recipe(regularizer="l2-norms"), nn.Linear(2, 2)).weight == 0.01  # type: ignore[union-attr]


def test_weights_that_do_not_learn_are_left_out() -> None:
    model = awkward_network()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    assert len(matrices(model)) == 3
    regularizer = make_regularizer(Recipe(regularizer="l2-norms", regularizer_weight=1.0), model)
    assert regularizer is not None
    expected = norms(model) - float(model[0].weight.norm())
    assert regularizer(0.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("space", space_names())
@pytest.mark.parametrize("name", NAMES)
def test_every_space_can_be_regularized(name: str, space: str) -> None:
    check_finite(definition(name).make, get_space(space).build(get_space(space).canonical, (1, 8, 8), 10))


def test_names() -> None:
    assert make_regularizer(Recipe(), awkward_network()) is None
    with pytest.raises(UsageError, match="Did you mean 'srip'"):
        make_regularizer(Recipe(regularizer="srp"), awkward_network())
    with pytest.raises(ValueError, match="exists already"):
        register_regularizer("none", 0.0)(lambda model: lambda: torch.zeros(()))
