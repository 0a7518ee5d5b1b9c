"""The choices of a supernet, made by NNI's one-shot strategies; with ``nni_multi_trial`` all that imports NNI.

NNI's DARTS, GumbelDARTS and RandomOneShot turn a model space into a supernet module by module: they create the
alphas, and offer each module to hooks that return its replacement. Here the model space holds the choices
alone, one module each, and the hooks below replace them; ``search_spaces.supernet`` holds the layers. NNI's own
layers are not used, for three reasons that were measured or read in its code:

* a DenseNet whose growth or stem varies is computed wrongly (channels shift against their weights);
* every layer computes its widths by enumerating all combinations, which took most of a step;
* with Gumbel noise, layers that share a choice sample it apart from each other, and so disagree on it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from search_spaces import Sample, SearchSpace

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    warnings.simplefilter("ignore")
    from nni.mutable import Categorical
    from nni.nas.nn.pytorch import ModelSpace, MutableModule
    from nni.nas.oneshot.pytorch.differentiable import LinearTemperatureScheduler
    from nni.nas.oneshot.pytorch.strategy import DARTS, GumbelDARTS, RandomOneShot
    from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
    from nni.nas.oneshot.pytorch.supermodule.differentiable import GumbelSoftmax

logging.getLogger("nni").setLevel(logging.CRITICAL)  # after the import, which sets it

STRATEGIES = {"darts": DARTS, "gumbel-darts": GumbelDARTS, "random-oneshot": RandomOneShot}
TEMPERATURES = (1.0, 0.33)  # of Gumbel-DARTS, at the start and at the end; NNI's own


class Choices(nn.Module):
    """The choices of ``space`` under a strategy, as a supernet asks for them.

    ``alphas`` are the parameters of DARTS and Gumbel-DARTS by label, in the order of the space's choices, each
    (number of values,), near zero at first. Random one-shot has none, and a path instead.
    """

    def __init__(self, strategy: str, space: SearchSpace, *, seed: int) -> None:
        super().__init__()
        self.weighted = strategy != "random-oneshot"
        self._space = space
        self._temperature = LinearTemperatureScheduler(*TEMPERATURES) if strategy == "gumbel-darts" else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # NNI initializes the alphas at random
            self.model_space = STRATEGIES[strategy]().mutate_model(_ModelSpace(space))
        modules: list[Any] = [self.model_space.get_submodule(choice.label) for choice in space.choices]
        self._modules_by_label = {choice.label: m for choice, m in zip(space.choices, modules, strict=True)}
        self.alphas: dict[str, nn.Parameter] = (
            {label: module.alpha for label, module in self._modules_by_label.items()} if self.weighted else {}
        )

    def decide(self) -> dict[str, Tensor | int]:
        """Probabilities of every choice's values, with Gumbel noise in training mode if the strategy has it;
        for random one-shot the path's indices."""
        return {label: module.decide() for label, module in self._modules_by_label.items()}

    def probabilities(self) -> dict[str, Tensor]:
        """Probabilities of the alphas, without noise, with gradients; all equal for random one-shot."""
        if self.weighted:
            return {label: alpha.softmax(-1) for label, alpha in self.alphas.items()}
        return {c.label: torch.full((len(c.values),), 1 / len(c.values)) for c in self._space.choices}

    def take(self, sample: Sample) -> None:
        """The path of the next passes. NNI's modules resample themselves, with a memo that holds every choice."""
        for module in self._modules_by_label.values():
            module.resample(sample)

    def cool(self, progress: float) -> float | None:
        """Set the temperature of the Gumbel noise at ``progress``, 0 to 1, of a training; None if there is none."""
        if self._temperature is None:
            return None
        temperature = float(self._temperature.step(progress, 1))
        for module in self.modules():
            if isinstance(module, GumbelSoftmax):
                module.tau = temperature
        return temperature


class _Choice(MutableModule):  # type: ignore[misc]
    """One choice, as NNI sees it before a strategy changes the space."""

    def __init__(self, label: str, values: tuple[int | str, ...]) -> None:
        super().__init__()
        self.choice = Categorical(list(values), label=label)
        self.add_mutable(self.choice)


class _ModelSpace(ModelSpace):  # type: ignore[misc]
    """The choices of a search space, a module each."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        for choice in space.choices:
            self.add_module(choice.label, _Choice(choice.label, choice.values))

    def extra_oneshot_hooks(self, strategy: Any) -> list[Any]:
        """Called by NNI: what replaces the modules."""
        return [_Path.mutate if isinstance(strategy, RandomOneShot) else _Weighted.mutate]


class _Weighted(_Choice, BaseSuperNetModule):  # type: ignore[misc]
    """A choice that alphas weigh."""

    def __init__(self, choice: _Choice, alpha: nn.Parameter, softmax: nn.Module) -> None:
        super().__init__(choice.choice.label, tuple(choice.choice.values))
        self.alpha, self.softmax = alpha, softmax

    def decide(self) -> Tensor:
        """Probabilities of the values (number of values,)."""
        probabilities: Tensor = self.softmax(self.alpha) if self.training else self.alpha.softmax(-1)
        return probabilities

    def resample(self, memo: Sample) -> Sample:
        return {}

    @classmethod
    def mutate(
        cls, module: nn.Module, name: str, memo: Mapping[str, nn.Parameter], mutate_kwargs: Mapping[str, nn.Module]
    ) -> Self | None:
        """NNI's hook: the replacement of a choice. ``memo`` holds the alphas by label."""
        if type(module) is not _Choice:
            return None
        return cls(module, memo[module.choice.label], mutate_kwargs["softmax"])


class _Path(_Choice, BaseSuperNetModule):  # type: ignore[misc]
    """A choice of which one value is taken."""

    def __init__(self, choice: _Choice) -> None:
        super().__init__(choice.choice.label, tuple(choice.choice.values))
        self.index = 0

    def decide(self) -> int:
        """The index of the value."""
        return self.index

    def resample(self, memo: Sample) -> Sample:
        label = self.choice.label
        value = memo[label] if label in memo else self.choice.random()
        self.index = self.choice.values.index(value)
        return {label: value}

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: object, mutate_kwargs: object) -> Self | None:
        """NNI's hook: the replacement of a choice."""
        return cls(module) if type(module) is _Choice else None
