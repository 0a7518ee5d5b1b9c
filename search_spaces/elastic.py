"""The layers of the supernet: as large as any architecture needs, and read in part.

Every layer follows the ``Decided`` it was made with. Under probabilities all of it runs, and channels,
kernels, branches and depths are weighted; on a path only what the path uses runs. With probabilities of 0
and 1 both compute what the torch reading computes (``tests/search_spaces/test_supernet.py``).

A tensor is *clean* when channels that may not exist have been scaled by their probability. Normalization
does it on the way, in its own scale and shift; where it is needed elsewhere the builder puts a ``Mask``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.channels import Channels, Decided, Mixed, Number, widened
from search_spaces.vocabulary import Choice


class Mask(nn.Module):
    """Scales every channel by the probability that it exists; nothing on a path."""

    def __init__(self, decided: Decided, channels: Channels) -> None:
        super().__init__()
        self.decided, self.channels = decided, channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) or (N, C)."""
        mask = None if self.decided.is_path else self.channels.mask(self.decided)
        if mask is None:
            return x
        return x * mask.view(-1, *[1] * (x.dim() - 2))


class Conv(nn.Module):
    """Convolution with elastic channels and kernel; a small kernel is the middle of the largest."""

    def __init__(self, decided: Decided, source: Channels, target: Channels | None, kernel: Number, stride: int):
        super().__init__()
        self.decided, self.source, self.target, self.kernel, self.stride = decided, source, target, kernel, stride
        inputs, outputs = (1, source.size) if target is None else (source.size, target.size)  # None: depthwise
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel.most, kernel.most))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        distance = (torch.arange(kernel.most) - kernel.most // 2).abs()
        self.ring: Tensor
        self.register_buffer("ring", 2 * torch.maximum(distance[:, None], distance), persistent=False)

    def tensors(self) -> list[Tensor]:
        """The weights on this path."""
        crop = (self.kernel.most - self.kernel.value(self.decided)) // 2
        weight = self.weight[:, :, crop : self.kernel.most - crop, crop : self.kernel.most - crop]
        columns = self.source.index(self.decided)
        if self.target is None:
            return [weight[columns]]
        return [weight[self.target.index(self.decided)][:, columns]]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H', W')."""
        if self.decided.is_path:
            (weight,) = self.tensors()
        elif self.kernel.choices:  # a kernel's outer ring is there as often as the kernel is that large
            weight = self.weight * self.kernel.tail(self.decided)[self.ring]
        else:
            weight = self.weight
        groups = x.shape[1] if self.target is None else 1
        return F.conv2d(x, weight, None, self.stride, weight.shape[-1] // 2, 1, groups)


class Norm(nn.BatchNorm2d):
    """Batch normalization that leaves its output clean.

    On a path, training updates no running statistics: those of different paths have little in common, so they
    are estimated anew for the network that is taken out.
    """

    def __init__(self, decided: Decided, channels: Channels) -> None:
        super().__init__(channels.size)
        self.decided, self.channels = decided, channels

    def tensors(self) -> list[Tensor]:
        """Weight, bias and statistics on this path, in the order of a state dict."""
        index = self.channels.index(self.decided)
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        vectors = (self.weight, self.bias, self.running_mean, self.running_var)
        return [*(vector[index] for vector in vectors), self.num_batches_tracked]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        assert self.momentum is not None
        if self.decided.is_path:
            weight, bias, mean, var, _ = self.tensors()
            if self.training:
                return F.batch_norm(x, None, None, weight, bias, True, 0.0, self.eps)
            return F.batch_norm(x, mean, var, weight, bias, False, 0.0, self.eps)
        weight, bias = self.weight, self.bias
        if (mask := self.channels.mask(self.decided)) is not None:
            weight, bias = weight * mask, bias * mask
        return F.batch_norm(
            x, self.running_mean, self.running_var, weight, bias, self.training, self.momentum, self.eps
        )


class Linear(nn.Linear):
    """Fully connected layer with elastic inputs and outputs."""

    def __init__(self, decided: Decided, source: Channels, target: Channels) -> None:
        super().__init__(source.size, target.size)
        self.decided, self.source, self.target = decided, source, target

    def tensors(self) -> list[Tensor]:
        """Weight and bias on this path."""
        rows = self.target.index(self.decided)
        return [self.weight[rows][:, self.source.index(self.decided)], self.bias[rows]]

    def in_use(self) -> list[Tensor]:
        """Weight and bias that a pass uses: on a path those on it, else all."""
        return self.tensors() if self.decided.is_path else [self.weight, self.bias]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) to (N, C')."""
        return F.linear(x, *self.in_use())


class Gate(nn.Module):
    """Squeeze and excitation with elastic channels, and elastic channels between its two layers."""

    def __init__(self, decided: Decided, channels: Channels, squeezed: Channels) -> None:
        super().__init__()
        self.decided = decided
        self.squeeze = Linear(decided, channels, squeezed)
        self.excite = Linear(decided, squeezed, channels)
        self.mask = Mask(decided, squeezed)
        for layer in (self.squeeze, self.excite):  # as the 1x1 convolutions of the torch reading
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def tensors(self) -> list[Tensor]:
        """Both layers' weights and biases on this path, as those of 1x1 convolutions."""
        tensors = [*self.squeeze.tensors(), *self.excite.tensors()]
        return [t[:, :, None, None] if t.dim() == 2 else t for t in tensors]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        hidden = self.mask(F.relu(self.squeeze(x.mean((2, 3)))))
        scale: Tensor = self.excite(hidden).sigmoid()
        return x * scale[:, :, None, None]


class Residual(nn.Module):
    """``body(x) + shortcut(x)``; the shortcut is the identity as often as both shapes agree.

    ``same`` counts that (0 or 1); None: they always do. ``project`` None: there is no shortcut otherwise.
    """

    def __init__(self, decided: Decided, body: nn.Module, project: nn.Module | None, same: Number | None) -> None:
        super().__init__()
        self.decided, self.body, self.project, self.same = decided, body, project, same

    def parts(self) -> Iterator[nn.Module]:
        """Modules that run on this path."""
        yield self.body
        if self.project is not None and not self._is_same():
            yield self.project

    def _is_same(self) -> bool:
        return self.same is None or bool(self.same.value(self.decided))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the body's shape."""
        out: Tensor = self.body(x)
        if self.same is None or (self.decided.is_path and self._is_same()):
            return out + x
        if self.decided.is_path:
            return out if self.project is None else out + self.project(x)
        share = self.same.tail(self.decided)[0] if self.same.most else None  # where they can agree at all
        if self.project is not None:
            projected = self.project(x)
            out = out + (projected if share is None else projected * (1 - share))
        if share is not None:
            size = out.shape[1]
            out = out + (x[:, :size] if x.shape[1] > size else widened(x, size, 1)) * share
        return out


class Concat(nn.Module):
    """The input's channels followed by the body's."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def parts(self) -> Iterator[nn.Module]:
        """Modules that run on this path."""
        yield self.body

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C + growth, H, W)."""
        return torch.cat([x, self.body(x)], 1)


class Repeat(nn.Module):
    """The first blocks, as many as a choice says: a weighted sum of what each depth gives.

    Where blocks only append channels, ``sums`` is false: the last output holds all of them, and its channels
    say with which probability each is there.
    """

    def __init__(self, decided: Decided, blocks: Sequence[nn.Module], depth: Choice, sums: bool, size: int) -> None:
        super().__init__()
        self.decided, self.depth, self.sums, self.size = decided, depth, sums, size
        self.blocks = nn.ModuleList(blocks)

    def parts(self) -> Iterator[nn.Module]:
        """Modules that run on this path."""
        depth = self.depth.values[self.decided.index(self.depth.label)]
        assert isinstance(depth, int)
        yield from self.blocks[:depth]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H', W')."""
        if self.decided.is_path:
            for block in self.parts():
                x = block(x)
            return x
        total: Tensor | None = None
        for depth in range(len(self.blocks) + 1):
            if depth:
                x = self.blocks[depth - 1](x)
            if self.sums and depth in self.depth.values:
                share = self.decided.share(self.depth, [self.depth.values.index(depth)])
                part = widened(x, self.size, 1) * share
                total = part if total is None else total + part
        return x if total is None else total


class Either(nn.Module):
    """One of several branches: their sum, weighted by the probabilities of the choice."""

    def __init__(self, decided: Decided, branches: Sequence[nn.Module], channels: Mixed) -> None:
        super().__init__()
        self.decided, self.channels = decided, channels
        self.branches = nn.ModuleList(branches)

    def parts(self) -> Iterator[nn.Module]:
        """Modules that run on this path."""
        chosen = self.decided.index(self.channels.choice.label)
        for branch, (indices, _) in zip(self.branches, self.channels.parts, strict=True):
            if chosen in indices:
                yield branch

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the branches' shape; (N, C) to (N, C')."""
        if self.decided.is_path:
            (branch,) = self.parts()
            return branch(x)  # type: ignore[no-any-return]
        total: Tensor | None = None
        for branch, (indices, _) in zip(self.branches, self.channels.parts, strict=True):
            share = self.decided.share(self.channels.choice, indices, self.channels.scope)
            part = widened(branch(x), self.channels.size, 1) * share
            total = part if total is None else total + part
        assert total is not None
        return total


class Cell(nn.Module):
    """Node j is the sum of edge ij applied to node i over all i < j; the last node is the output."""

    def __init__(self, edges: dict[tuple[int, int], nn.Module]) -> None:
        super().__init__()
        self.pairs = list(edges)
        self.edges = nn.ModuleList(edges.values())

    def parts(self) -> Iterator[nn.Module]:
        """Modules that run on this path."""
        yield from self.edges

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        nodes: dict[int, Tensor] = {0: x}
        for (source, target), edge in sorted(zip(self.pairs, self.edges, strict=True), key=lambda item: item[0][::-1]):
            part = edge(nodes[source])
            nodes[target] = nodes[target] + part if target in nodes else part
        return nodes[max(nodes)]
