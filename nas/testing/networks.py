"""Contract tests of fixed networks: one takes the images that it is made for, and its source makes it again."""

from __future__ import annotations

import torch
from torch import nn

from baselines.registry import Construction, NetworkKind, Shape
from baselines.source import network_source

TASKS: tuple[tuple[Shape, int], ...] = (((1, 8, 8), 10), ((3, 32, 24), 3))


def check_network(kind: NetworkKind) -> None:
    """Check every promise of this module.

    Args:
        kind: The network, as ``baselines.get_network`` gives it.

    Raises:
        AssertionError: With the promise that was broken.
    """
    assert kind.text({}) and "\n" not in kind.text({}), f"its text is {kind.text({})!r}, not one line"
    for shape, classes in TASKS:
        construction = kind.construct({}, shape, classes)
        check_answers(construction, shape, classes)
        check_source_of(construction, shape)


def check_answers(construction: Construction, shape: Shape, classes: int) -> None:
    """It gives finite logits (2, classes) for two images, and every weight that learns gets a gradient."""
    model = construction.build()
    logits = model(torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (2, classes), f"2 images {shape} gave logits {tuple(logits.shape)}, not {(2, classes)}"
    assert torch.isfinite(logits).all(), "some logits are not finite"
    logits.square().sum().backward()
    idle = [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]
    assert not idle, f"weights have no part in the logits: {', '.join(idle)}"


def check_source_of(construction: Construction, shape: Shape) -> None:
    """The text that an export writes, executed with torch and torchvision alone, makes a network with equal weights."""
    imports, text = network_source(construction, shape)
    foreign = [line for line in imports if line.split()[1].split(".")[0] in ("nas", "baselines", "search_spaces")]
    assert not foreign, f"an exported network cannot import nasctl: {'; '.join(foreign)}"
    names: dict[str, type[nn.Module]] = {}
    exec("\n".join(["from __future__ import annotations", *imports, text]), names)
    ours = {name: weight.shape for name, weight in construction.build().state_dict().items()}
    theirs = {name: weight.shape for name, weight in names["Network"]().state_dict().items()}
    assert ours == theirs, "its source makes other weights: it may use only its file's own classes, and torch"
