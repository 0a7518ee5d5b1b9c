"""A training step captured once as a CUDA graph, and replayed from then on.

A network of 20k to 150k parameters takes a GPU a few microseconds a kernel, less than Python and the driver take
to launch it. A graph launches all kernels of a step, from its images to its new weights, in one launch. Capture runs
the step in Python without running it on the device: whatever Python decides in it is fixed, and what differs from
step to step must lie in tensors that stay where they are.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

# Of a training, below which it is not captured. Capture takes as long as 10 to 50 steps launched one by one.
LEAST_STEPS = 300
# Run as they are before the capture: libraries choose their kernels and take their memory in the first.
WARM_UP_STEPS = 3

# What all steps of an epoch have in common, positions (N,) of images, learning rate -> a tensor that is read later.
Step = Callable[[Any, Tensor, float | Tensor], Tensor]
Work = Callable[[], Tensor]


class GraphCapture(Protocol):
    """Captures work on one device."""

    def run(self, work: Work) -> Tensor:
        """``work()``, in the surroundings in which it will be captured."""

    def capture(self, work: Work) -> Work:
        """Work that does again, in the same memory, all that ``work`` does on the device.

        Capture itself changes nothing there. RuntimeError if ``work`` cannot be captured.
        """


class CapturedStep:
    """A ``Step`` that does what ``step`` does: a few times as it is, then from a captured CUDA graph.

    Captured are batches of ``size`` images; others, such as an epoch's last, are run as they are. What the steps of
    an epoch have in common is part of the graph, so that a new one is captured when it changes. After a capture
    that failed every step is run as it is, and ``failure`` says why.
    """

    def __init__(self, step: Step, graphs: GraphCapture, *, size: int, device: torch.device) -> None:
        self.step, self.graphs = step, graphs
        self.failure: str | None = None
        self._index_N = torch.zeros(size, dtype=torch.int64, device=device)
        self._rate = torch.zeros((), dtype=torch.float32, device=device)  # the type that fused optimizers read
        self._phase: Any = None
        self._steps_of_phase = 0
        self._replay: Work | None = None

    def __call__(self, phase: Any, index_N: Tensor, rate: float | Tensor) -> Tensor:
        """One step. What it gives is valid until the next one."""
        if self.failure is not None or len(index_N) != len(self._index_N):
            return self.step(phase, index_N, rate)
        if phase != self._phase:
            self._phase, self._steps_of_phase = phase, 0
        self._index_N.copy_(index_N)
        self._rate.fill_(rate)
        work = functools.partial(self.step, phase, self._index_N, self._rate)
        self._steps_of_phase += 1
        if self._steps_of_phase <= WARM_UP_STEPS:
            return self.graphs.run(work)
        if self._steps_of_phase == WARM_UP_STEPS + 1:
            try:
                self._replay = self.graphs.capture(work)
            except RuntimeError as error:
                self.failure = " ".join(str(error).split())
                return self.step(phase, index_N, rate)
        assert self._replay is not None
        return self._replay()


class CudaGraphCapture:
    """Captures CUDA graphs of work that samples from ``generator``, a GPU's, and steps ``optimizer``."""

    def __init__(self, generator: torch.Generator, optimizer: torch.optim.Optimizer) -> None:
        self.generator = generator
        self.stream = _side_stream(generator.device)
        for group in optimizer.param_groups:
            if "capturable" in group:  # Adam asks to be told; fused, it does the same in either case
                group["capturable"] = True

    def run(self, work: Work) -> Tensor:
        """``work()`` on the stream of the capture, where libraries then have what they need."""
        current = torch.cuda.current_stream(self.generator.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = work()
        current.wait_stream(self.stream)
        return result

    def capture(self, work: Work) -> Work:
        """A CUDA graph of ``work``. RuntimeError if CUDA refuses; generators and streams are then as before."""
        current = torch.cuda.current_stream(self.generator.device)
        generators = [torch.cuda.default_generators[current.device.index], self.generator]
        states = [generator.clone_state() for generator in generators]
        graph = torch.cuda.CUDAGraph()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # from a later version on torch finds the generators by itself
                graph.register_generator_state(self.generator)
            with torch.cuda.graph(graph, stream=self.stream):
                result = work()
        except RuntimeError:
            torch.cuda.set_stream(current)
            for generator, state in zip(generators, states, strict=True):
                generator.graphsafe_set_state(state)  # the state that was being captured refuses to be used
            raise

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """The one stream of a device for captures: libraries keep a working space for every stream they saw."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
