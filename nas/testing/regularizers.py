"""Contract tests of weight penalties: one finite number that falls along its gradient, of trainable weights alone.

``make`` is what ``register_regularizer`` decorates: a network in, a function that gives its penalty out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from nas.training.regularizers import Penalty

CONVERGED = 100  # calls after which a penalty that continues from its last call, by power iteration say, has converged
STEP = 1e-6

MakePenalty = Callable[[nn.Module], Penalty]


def check_regularizer(make: MakePenalty) -> None:
    """Check every promise of this module.

    Args:
        make: The penalty, as ``register_regularizer`` takes it: a network to a function that gives one number.

    Raises:
        AssertionError: With the promise that was broken.
    """
    check_gradient(make)
    check_descent(make)
    check_frozen_weights(make)


def awkward_network() -> nn.Sequential:
    """Wide, narrow, depthwise and grouped convolutions, normalization, a bias of zeros; float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 12, 3, bias=False), nn.BatchNorm2d(12), nn.Conv2d(12, 12, 3, groups=12, bias=False),
            nn.Conv2d(12, 8, 1, groups=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
        ).double()  # fmt: skip
    nn.init.zeros_(_bias(model))
    return model


def check_finite(make: MakePenalty, model: nn.Module) -> None:
    """A network has a finite penalty above 0, with gradients."""
    value = make(model)()
    assert value.shape == (), f"a penalty has shape {tuple(value.shape)}, not that of one number"
    assert torch.isfinite(value) and value > 0, f"a network as it is initialized has a penalty of {value.item()}"
    value.backward()  # type: ignore[no-untyped-call]


def check_gradient(make: MakePenalty) -> None:
    """The gradient is finite, also where a layer is all zeros, reaches the first layer, and is that of the value."""
    model = awkward_network()
    with torch.no_grad():
        _last(model).weight.zero_()
    penalty = make(model)
    converged(penalty).backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    finite = gradients and all(torch.isfinite(gradient).all() for gradient in gradients)
    assert finite, "the gradient of the penalty is not finite where a layer's weights are all zero"
    weight = _first(model).weight
    assert weight.grad is not None and weight.grad.abs().max() > 0, "the penalty has no gradient for a convolution"
    direction = weight.grad.clone()
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * STEP * direction
        values.append(converged(penalty).item())
        with torch.no_grad():
            weight -= sign * STEP * direction
    slope, expected = (values[0] - values[1]) / (2 * STEP), direction.square().sum().item()
    assert abs(slope - expected) <= 1e-4 * expected, (
        f"along its gradient the penalty rises by {slope:.6g}, not by {expected:.6g}: it is not the gradient"
    )


def check_descent(make: MakePenalty) -> None:
    """Fifty small steps against the gradient take away a tenth of the penalty or more."""
    model = awkward_network()
    penalty = make(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    before = converged(penalty).item()
    for _ in range(50):
        optimizer.zero_grad()
        penalty().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = converged(penalty).item()
    assert after < 0.9 * before, f"fifty steps of descent led from a penalty of {before:.4g} to {after:.4g} only"


def check_frozen_weights(make: MakePenalty) -> None:
    """Weights that do not learn when the penalty is made are left out: it does not depend on them."""
    model = awkward_network()
    first = _first(model)
    first.weight.requires_grad_(False)
    penalty = make(model)
    before = converged(penalty).item()
    with torch.no_grad():
        first.weight *= 3
    after = converged(penalty).item()
    assert abs(after - before) <= 1e-6 * abs(before), "the penalty counts weights that do not learn"


def converged(penalty: Penalty) -> torch.Tensor:
    """The penalty after as many calls as one needs that continues from its last."""
    for _ in range(CONVERGED):
        value = penalty()
    return value


def _first(model: nn.Sequential) -> nn.Conv2d:
    layer = model[0]
    assert isinstance(layer, nn.Conv2d)
    return layer


def _last(model: nn.Sequential) -> nn.Linear:
    layer = model[-1]
    assert isinstance(layer, nn.Linear)
    return layer


def _bias(model: nn.Sequential) -> torch.Tensor:
    return _last(model).bias
