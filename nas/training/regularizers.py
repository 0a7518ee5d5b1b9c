"""Penalties on the weights by name, added to a training's loss.

A new one is one decorated function here; the contract tests run over every registered name. Ordinary weight decay
is not among them: it is ``recipe.weight_decay``, of the optimizer. Weights that do not learn are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.config import Recipe
from nas.config.options import base_name, bound, declare
from search_spaces.registry import Registry

POWER_ITERATIONS = 2  # a step, continuing from the last step's vector
TINY = 1e-12  # a norm below it is none
# Of SRIP's weight, from a share of the training on: after 20, 50, 70 and 120 of 200 epochs in its authors' code.
SRIP_DECAY = ((0.0, 1.0), (0.1, 1e-3), (0.25, 1e-4), (0.35, 1e-6), (0.6, 0.0))

Penalty = Callable[[], Tensor]  # of the weights as they are now, with gradients
MakePenalty = Callable[..., Penalty]  # of a network, and options by name


@dataclass(frozen=True)
class Definition:
    """A registered penalty: how it is made for a network, its usual weight, and the weight's (start, factor)."""

    make: MakePenalty
    weight: float
    decay: tuple[tuple[float, float], ...] = ((0.0, 1.0),)


REGULARIZERS: Registry[Definition | None] = Registry("regularizer", "Regularizers", [("none", None)])


def register_regularizer(
    name: str, weight: float, decay: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
) -> Callable[[MakePenalty], MakePenalty]:
    """Register a penalty on the weights: a function of a network that returns a function of no arguments, one number.

    Parameters after the network are options: ``--regularizer l1:of=convolutions``.

    Args:
        name: Name for ``--regularizer``.
        weight: Factor of the penalty in the loss unless the recipe says otherwise.
        decay: Factors of the weight over the training: pairs of the progress (0 to below 1) at its start, and it.

    Returns:
        A decorator that gives the function back.

    Raises:
        ValueError: If the name is taken.
    """

    def register(make: MakePenalty) -> MakePenalty:
        REGULARIZERS.add(name, Definition(make, weight, decay))
        declare("regularizer", name, make, 1)
        return make

    return register


@dataclass(frozen=True)
class Regularizer:
    """A penalty on one network with its weight over the training."""

    penalty: Penalty
    weight: float
    decay: tuple[tuple[float, float], ...]

    def weight_at(self, progress: float) -> float:
        """Factor of the penalty at ``progress`` (0 to below 1) of the training."""
        return self.weight * [factor for start, factor in self.decay if progress >= start][-1]

    def __call__(self, progress: float) -> Tensor | None:
        """Term added to the loss at ``progress`` of the training; None where its weight is 0."""
        weight = self.weight_at(progress)
        return weight * self.penalty() if weight else None


def make_regularizer(recipe: Recipe, model: nn.Module) -> Regularizer | None:
    """The recipe's regularizer of ``model``, None if it has none; UsageError if there is none of its name."""
    definition = REGULARIZERS.find(base_name(recipe.regularizer))
    if definition is None:
        return None
    weight = definition.weight if recipe.regularizer_weight is None else recipe.regularizer_weight
    make = bound("regularizer", recipe.regularizer, definition.make, 1)
    return Regularizer(make(model), weight, definition.decay)


@register_regularizer("l2-norms", weight=0.01)
def l2_norms(model: nn.Module) -> Penalty:
    """``sum_t ||W_t||_2`` over all parameter tensors, norms not squared, as the origin study has it.

    At a tensor of zeros (a new bias) the gradient is 0.
    """
    tensors = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return lambda: torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors]).sum()


@register_regularizer("soft-orthogonality", weight=1e-4)
def soft_orthogonality(model: nn.Module) -> Penalty:
    """``sum over layers of ||W W^T - I||_F^2`` (Bansal et al. 2018, equation 2), W as ``matrices`` gives it.

    With more outputs than inputs the smaller Gram matrix is used: ``||W W^T - I||_F^2`` is exactly
    ``||W^T W - I||_F^2`` plus the difference of outputs and inputs, which is added.
    """
    layers = matrices(model)

    def of_layer(layer: Layer) -> Tensor:
        weight_GOI, excess = layer(), 0
        if (missing := weight_GOI.shape[1] - weight_GOI.shape[2]) > 0:
            weight_GOI, excess = weight_GOI.transpose(1, 2), len(weight_GOI) * missing
        gram_GOO = weight_GOI @ weight_GOI.transpose(1, 2)
        identity_OO = torch.eye(gram_GOO.shape[1], dtype=gram_GOO.dtype, device=gram_GOO.device)
        return (gram_GOO - identity_OO).square().sum() + excess

    return lambda: torch.stack([of_layer(layer) for layer in layers]).sum()


@register_regularizer("srip", weight=1e-2, decay=SRIP_DECAY)
def srip(model: nn.Module) -> Penalty:
    """``sum over layers of sigma(W^T W - I)``, the spectral norm (Bansal et al. 2018, equation 6), by power iteration.

    Of the two Gram matrices the smaller one is used. The larger has eigenvalues of 0 whatever the weights are, so
    that its distance from I is at least 1, and has no gradient until another eigenvalue is further off.
    """
    return SpectralIsometry(matrices(model), POWER_ITERATIONS)


@register_regularizer("orthogonal-convolution", weight=0.01)
def orthogonal_convolution(model: nn.Module) -> Penalty:
    """``sum over layers of ||Conv(K, K) - I||_F``, norms not squared, as the origin study has it (Wang et al. 2020,
    "Orthogonal Convolutional Neural Networks", section 3.2, for stride 1).

    ``Conv(K, K)`` is the correlation of a kernel with itself over output channels and positions at every shift, an
    array (in, in, 2k - 1, 2k - 1); I is the identity at shift zero. Layers are the convolutions that learn with kernels
    larger than 1x1; the others add nothing. Of a grouped convolution the groups are the blocks of one such array.
    """
    layers = [
        (module.weight, module.groups)
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad and max(module.kernel_size) > 1
    ]

    def of_layer(weight_OIKK: Tensor, groups: int) -> Tensor:
        # By Parseval the norm over shifts is that over frequencies, where a correlation is a product of matrices: a
        # third of the work for a wide layer. A transform of 2k - 1 points has room for all shifts.
        size = 2 * weight_OIKK.shape[-1] - 1
        kernel_GOIKK = weight_OIKK.reshape(groups, -1, *weight_OIKK.shape[1:])
        spectrum_GFOI = torch.fft.rfft2(kernel_GOIKK, s=(size, size)).flatten(3).movedim(3, 1)
        gram_GFII = spectrum_GFOI.mH @ spectrum_GFOI
        off_GFII = gram_GFII - torch.eye(gram_GFII.shape[-1], dtype=gram_GFII.dtype, device=gram_GFII.device)
        times_F = weight_OIKK.new_full((size // 2 + 1,), 2.0)  # that the whole spectrum has a frequency of the half
        times_F[0] = 1
        scale_F111 = times_F.sqrt().repeat(size)[:, None, None, None]
        norm: Tensor = torch.linalg.vector_norm(torch.view_as_real(off_GFII) * scale_F111) / size
        return norm

    if not layers:
        return lambda: torch.zeros(())
    return lambda: torch.stack([of_layer(*layer) for layer in layers]).sum()


Layer = Callable[[], Tensor]


def matrices(model: nn.Module) -> list[Layer]:
    """The weights of all convolutions and linear layers that learn, each as (groups, out, in * k * k).

    A grouped convolution is one matrix a group, since filters of different groups see different channels: of a
    depthwise one, every filter is pulled to norm 1 for itself, and not away from the others.
    """

    def layer(weight: Tensor, groups: int) -> Layer:
        return lambda: weight.reshape(groups, len(weight) // groups, -1)

    found: list[Layer] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.requires_grad:
            found.append(layer(module.weight, getattr(module, "groups", 1)))
    return found


class SpectralIsometry:
    """The sum of spectral norms; keeps each layer's vector from one call to the next."""

    def __init__(self, layers: list[Layer], iterations: int) -> None:
        self.layers, self.iterations = layers, iterations
        generator = torch.Generator().manual_seed(0)  # its own: others do not depend on whether there is a penalty
        shapes = [layer().shape for layer in layers]
        self.vectors = [torch.randn(g, min(o, i), 1, generator=generator) for g, o, i in shapes]

    def __call__(self) -> Tensor:
        norms = []
        for index, layer in enumerate(self.layers):
            weight_GOI = layer()
            if weight_GOI.shape[1] > weight_GOI.shape[2]:
                weight_GOI = weight_GOI.transpose(1, 2)
            vector = self.vectors[index] = self.vectors[index].to(weight_GOI)  # the same tensor from the second call on
            with torch.no_grad():
                vector = F.normalize(vector, dim=1)
                for _ in range(self.iterations):
                    image = _off_identity(weight_GOI, vector)
                    norm = torch.linalg.vector_norm(image, dim=1, keepdim=True)
                    vector = torch.where(norm > TINY, image / norm.clamp(min=TINY), vector)
                self.vectors[index].copy_(vector)  # where it is, for a captured CUDA graph
            # Of a block-diagonal matrix, which a grouped convolution is, the norm is the largest of its blocks'.
            norms.append(torch.linalg.vector_norm(_off_identity(weight_GOI, vector), dim=1).max())
        return torch.stack(norms).sum()


def _off_identity(weight_GOI: Tensor, vector_GO1: Tensor) -> Tensor:
    """``(W W^T - I) v`` for every group."""
    return weight_GOI @ (weight_GOI.transpose(1, 2) @ vector_GO1) - vector_GO1
