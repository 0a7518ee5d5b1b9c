"""Contract tests of search spaces: every sample builds, runs, and costs what is said of it before it is built."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from budgets import cost_of, costs_of
from budgets.sampling import distinct
from nas.export.check import count_by_thop
from nas.testing.computed_form import computed_form
from nas.testing.peak_memory import measured_peak
from search_spaces import Sample, SearchSpace, Task
from search_spaces.source import network_source
from search_spaces.structure import leaves

TASKS = (Task((1, 8, 8), 2), Task((3, 9, 13), 10), Task((1, 28, 28), 62), Task((3, 32, 32), 10))
LARGE = Task((3, 97, 97), 10)  # of odd sizes, down to where a stem halves the input more often
SMALL = Task((1, 12, 12), 10)
LONGEST = 200  # characters of a sample's line


def check_space(space: SearchSpace, *, seeds: Iterable[int] = range(4), exact_peak: bool = True) -> None:
    """Check every promise of this module. Seconds for a small space, minutes for a large.

    Args:
        space: The space, as ``search_spaces.get_space`` gives it.
        seeds: Seeds of the samples to check.
        exact_peak: False: the space's peak memory is an upper bound (see ``check_peak_memory``).

    Raises:
        AssertionError: With the promise that was broken.
    """
    space.validate(space.canonical)
    check_text(space)
    check_leaves(space)
    check_mutation(space)
    check_every_weight_learns(space, space.canonical)
    check_costs_of_many(space, TASKS[-1])
    for seed in seeds:
        small_or_large = sample_over_sizes(space, seed)
        for task in TASKS:
            check_structure(space, small_or_large, task)
            check_built(space, small_or_large, task)
        check_no_weight_is_idle(space, small_or_large, TASKS[0])
        check_peak_memory(space, small_or_large, TASKS[0], exact=exact_peak)
        check_runs(space, small_or_large, LARGE)
        check_source(space, small_or_large, TASKS[seed % len(TASKS)])
        check_ids(space, alike_samples(space, seed, SMALL), SMALL)


def sample_over_sizes(space: SearchSpace, seed: int) -> Sample:
    """A sample, small or large as likely as of any other size."""
    return space.decode(space.sample_over_sizes(np.random.default_rng(seed), 1)[0])


def check_structure(space: SearchSpace, sample: Sample, task: Task) -> None:
    """The parameters and MACs of the tree of layers are those of the cost reading."""
    layer, cost = space.structure(sample, task), cost_of(space, sample, task)
    for what, found, said in (("parameters", layer.total_params, cost.params), ("MACs", layer.total_macs, cost.macs)):
        assert found == said, f"{space.text(sample)} has {found:,} {what} as a structure, but costs {said:,} ({task})"


def check_built(space: SearchSpace, sample: Sample, task: Task) -> None:
    """The parameters and bytes of the cost reading are those of the built module; its MACs are those of thop."""
    cost = cost_of(space, sample, task)
    with torch.device("meta"):  # costs do not depend on the weights, which would take most of the time
        model = space.build(sample, task.input_shape, task.num_classes)
    costs = {
        "parameters": (sum(parameter.numel() for parameter in model.parameters()), cost.params),
        "bytes": (sum(tensor.nbytes for tensor in model.state_dict().values()), cost.size_bytes),
        "MACs by thop": (count_by_thop(model.to_empty(device="cpu"), task.input_shape)[1], cost.macs),
    }
    for what, (found, said) in costs.items():
        assert found == said, f"{space.text(sample)} has {found:,} {what} as built, but costs {said:,} ({task})"


def check_runs(space: SearchSpace, sample: Sample, task: Task) -> None:
    """The built module takes a batch of two images and gives finite logits (2, classes)."""
    model = space.build(sample, task.input_shape, task.num_classes).eval()
    with torch.no_grad():
        out = model(torch.zeros(2, *task.input_shape))
    assert out.shape == (2, task.num_classes), f"{space.text(sample)} answers two images with {tuple(out.shape)}"
    assert out.isfinite().all(), f"{space.text(sample)} gives logits that are not finite ({task})"


def check_source(space: SearchSpace, sample: Sample, task: Task) -> None:
    """The source of a network, executed with torch alone, makes the built module: from a seed the same weights under
    the same names, in training the same logits and gradients, then in use the same logits."""
    defined: dict[str, Any] = {"torch": torch, "nn": nn, "OrderedDict": OrderedDict}
    exec(network_source(space.structure(sample, task)), defined)
    images = torch.randn(2, *task.input_shape, generator=torch.Generator().manual_seed(0))
    makers = (lambda: space.build(sample, task.input_shape, task.num_classes), defined["Network"])
    (built, *expected), (source, *found) = (_course(make, images) for make in makers)
    names, others = ({key: tuple(t.shape) for key, t in model.state_dict().items()} for model in (built, source))
    assert others == names, f"the source of {space.text(sample)} has weights {others}, not {names} ({task})"
    for what, right, given in zip(
        ("fresh weights", "logits", "gradients", "logits in use"), expected, found, strict=True
    ):
        assert torch.equal(right, given), f"the source of {space.text(sample)} has other {what} than built ({task})"


def _course(make: Callable[[], nn.Module], images: Tensor) -> tuple[nn.Module, Tensor, Tensor, Tensor, Tensor]:
    """A network from a seed; its weights, what it answers in training, its gradients, what it answers after that."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make()
    fresh = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    logits = model.train()(images)
    logits.logsumexp(1).sum().backward()
    gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    with torch.no_grad():
        return model, fresh, logits, gradients, model.eval()(images)


def check_peak_memory(space: SearchSpace, sample: Sample, task: Task, *, exact: bool = True) -> None:
    """The peak memory of the cost reading is that of the traced module; not ``exact``: that, or up to twice as much."""
    measured = measured_peak(space.build(sample, task.input_shape, task.num_classes), task.input_shape)
    said = cost_of(space, sample, task).peak_memory
    right = said == measured if exact else measured <= said <= 2 * measured
    assert right, f"{space.text(sample)} needs {measured:,} bytes at its peak, but costs {said:,} ({task})"


def check_costs_of_many(space: SearchSpace, task: Task, *, count: int = 5000) -> None:
    """Costs that are read for many samples at once are those of each, in the same order."""
    rng = np.random.default_rng(1)
    rows = space.sample_uniform(rng, count)
    costs = costs_of(space, rows, task)
    for index in rng.choice(count, 100):
        alone = costs_of(space, rows[index : index + 1], task)[0]
        assert costs[int(index)] == alone, f"{space.text(space.decode(rows[index]))} costs something else among others"


def check_every_weight_learns(space: SearchSpace, sample: Sample) -> None:
    """Each gets a gradient from some start; from a single one a gate of one unit may happen to be closed."""
    learnt: set[str] = set()
    named: set[str] = set()
    for start in range(4):
        generator = torch.Generator().manual_seed(start)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(start)
            model = space.build(sample, (1, 16, 16), 10)
        model(torch.randn(8, 1, 16, 16, generator=generator)).logsumexp(1).sum().backward()
        named = {key for key, _ in model.named_parameters()}
        learnt |= {key for key, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert learnt == named, f"{space.text(sample)} has weights that never learn: {sorted(named - learnt)}"


def check_no_weight_is_idle(space: SearchSpace, sample: Sample, task: Task) -> None:
    """Each entry of every weight has a part in the logits: a gradient from some of 32 images, where no activation can
    close. On maps that are not square, entries of a square kernel may see nothing above or beside the map."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _open(space.build(sample, task.input_shape, task.num_classes).double())
    images = torch.randn(32, *task.input_shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        model.train()(images)  # running statistics that keep the signal in proportion
    (model.eval()(images) * torch.randn(task.num_classes, generator=generator, dtype=torch.float64)).sum().backward()
    idle = {}
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None
        if count := int((parameter.grad == 0).sum()):
            idle[key] = f"{count:,} of {parameter.numel():,}"
    assert not idle, f"{space.text(sample)} has entries of weights without a part in the logits: {idle} ({task})"


def _open(model: nn.Module) -> nn.Module:
    """``model`` with activations of which none is flat anywhere, mean pools for max pools, and normalizations that take
    their running statistics from one batch."""
    for parent in list(model.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, (nn.ReLU, nn.ReLU6)):
                setattr(parent, name, nn.Softplus())
            elif isinstance(part, nn.MaxPool2d):
                setattr(parent, name, nn.AvgPool2d(part.kernel_size, part.stride, part.padding))
            elif isinstance(part, nn.BatchNorm2d):
                part.momentum = 1.0
    return model


def check_ids(space: SearchSpace, samples: Sequence[Sample], task: Task) -> int:
    """Ids of two samples agree exactly if they build the same network, whatever the order of a sample's keys.

    How many pairs of unlike samples agreed.
    """
    known = []
    for sample in samples:
        found, backwards = (space.architecture_id(s, task) for s in (sample, dict(reversed(sample.items()))))
        assert found == backwards, f"the id of {space.text(sample)} depends on the order of its keys"
        with torch.device("meta"):
            form = computed_form(space.build(sample, task.input_shape, task.num_classes))
        known.append((sample, found, form))
    equal = 0
    for (one, id_one, form_one), (two, id_two, form_two) in combinations(known, 2):
        names = f"{space.text(one)} and {space.text(two)}"
        if form_one == form_two:
            assert id_one == id_two, f"{names} build one network, but have two ids"
        else:
            assert id_one != id_two, f"{names} build two networks, but have one id"
        equal += one != two and id_one == id_two
    return equal


def alike_samples(space: SearchSpace, seed: int, task: Task) -> list[Sample]:
    """Five samples a mutation apart, and up to four pairs of samples with as many parameters."""
    rng = np.random.default_rng(seed)
    samples = [space.sample(rng)]
    for _ in range(4):
        samples.append(space.mutate(samples[-1], rng))
    rows, _ = distinct(space.sample_over_sizes(rng, 20_000))
    params = costs_of(space, rows, task).params
    order = params.argsort(kind="stable")
    twins = np.flatnonzero(np.diff(params[order]) == 0)
    for first in rng.choice(twins, 4) if len(twins) else ():
        samples += [space.decode(row) for row in rows[order[first : first + 2]]]
    return samples


def check_text(space: SearchSpace) -> None:
    """The text of a sample is one line of at most 200 characters and tells it from every other."""
    samples = [space.decode(row) for row in np.unique(space.sample_uniform(np.random.default_rng(0), 200), axis=0)]
    by_text: dict[str, Sample] = {}
    for sample in samples:
        text = space.text(sample)
        assert "\n" not in text, f"{text!r} is more than one line"
        assert len(text) <= LONGEST, f"{text!r} has {len(text)} characters, more than {LONGEST}"
        assert text not in by_text, f"{text!r} is the text of {sample} and of {by_text[text]}"
        by_text[text] = sample


def check_leaves(space: SearchSpace) -> None:
    """The leaves of a structure are called as the modules that hold their weights, and add up to the whole."""
    task = TASKS[-1]
    layer = space.structure(space.canonical, task)
    model = space.build(space.canonical, task.input_shape, task.num_classes)
    named = dict(leaves(layer))
    for key, leaf in named.items():
        held = sum(p.numel() for p in model.get_submodule(key).parameters())
        assert held == leaf.params, f"{key} of {space.name} holds {held:,} weights, its structure {leaf.params:,}"
    sums = sum(leaf.params for leaf in named.values()), sum(leaf.macs for leaf in named.values())
    whole = layer.total_params, layer.total_macs
    assert sums == whole, f"the leaves of {space.name} have {sums} parameters and MACs, the whole {whole}"


def check_mutation(space: SearchSpace) -> None:
    """A mutation resamples at most three choices, changes something in some of many, and stays inside the space."""
    rng = np.random.default_rng(0)
    parent = space.encode(space.canonical)
    changed = (space.mutants(parent, rng, 2000) != parent).sum(axis=1)
    assert changed.max() <= 3, f"a mutation of {space.name} changed {changed.max()} choices"
    assert changed.any() or space.num_samples == 1, f"2,000 mutations of {space.name} changed nothing"
    space.validate(space.mutate(space.canonical, rng))
