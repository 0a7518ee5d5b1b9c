"""The supernet reading: one network that holds every architecture of a space, with shared weights.

It shares the definition with the other readings and knows nothing of strategies: ``decide`` says, once a
pass, either the probabilities of every choice's values (DARTS, Liu et al. 2019) or one value each (single-path
training, Guo et al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.channels import Decided, Possible, fixed
from search_spaces.elastic_reading import Builder, Signal
from search_spaces.space import Sample, SearchSpace, Task

Decide = Callable[[], Mapping[str, Tensor | int]]


class Supernet(nn.Module):
    """All architectures of ``space`` at once. Float (N, C, H, W) in, logits (N, classes) out.

    ``decide`` returns for every label of the space the probabilities of its values (number of values,), with
    gradients, or for every label an index. Weights are initialized from torch's global generator.
    NotRepresentable if a width depends on too many choices at once. With ``possible`` (``budgets.usable.Reach``) it has
    room for the architectures that are wanted, and others are as wide as it allows.
    """

    def __init__(self, space: SearchSpace, task: Task, decide: Decide, possible: Possible | None = None) -> None:
        super().__init__()
        self.space, self.task, self.decide = space, task, decide
        self.decided = Decided()
        builder = Builder(self.decided, possible)
        channels, height, width = task.input_shape
        definition = space.definition(replace(task, has_head=True))  # also where costs are those of embedders
        self.body, _ = builder.walk(definition, Signal(fixed(channels), True, height, width), {})
        self.skip_choices = builder.skip_choices

    def forward(self, x: Tensor) -> Tensor:
        self.decided.begin(self.decide())
        logits: Tensor = self.body(x)
        return logits

    def inherit(self, sample: Sample) -> nn.Module:
        """The network of ``sample`` as the torch reading builds it, with copies of the weights it uses here."""
        model = self.space.build(sample, self.task.input_shape, self.task.num_classes).to(next(self.parameters()))
        row = map(int, self.space.encode(sample))
        with self._on_path({choice.label: index for choice, index in zip(self.space.choices, row, strict=True)}):
            shared = [tensor for layer in _layers(self.body) for tensor in layer.tensors()]
        state = model.state_dict()
        own = dict(zip(state, shared, strict=True))
        for name, tensor in state.items():
            assert own[name].shape == tensor.shape, f"{name}: {own[name].shape} shared, {tensor.shape} needed"
        model.load_state_dict(own)
        return model

    @contextmanager
    def _on_path(self, path: Mapping[str, int]) -> Iterator[None]:
        before = self.decided.choices
        self.decided.begin(path)
        try:
            with torch.no_grad():
                yield
        finally:
            self.decided.begin(before)


def _layers(module: Any) -> Iterator[Any]:
    """The layers with weights that run on the current path, in the order of the torch reading's state dict."""
    if hasattr(module, "tensors"):
        yield module
    elif hasattr(module, "parts"):
        for part in module.parts():
            yield from _layers(part)
    else:
        for part in module.children():
            yield from _layers(part)
