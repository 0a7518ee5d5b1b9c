"""The supernet against the torch reading: with every choice made, both compute the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nas.strategies.nni_one_shot import STRATEGIES, Choices
from nas.testing.supernets import TASK, check_faithful, check_gradients, check_supernet
from search_spaces import Task, get_space, space_names
from search_spaces.channels import Number, Segment, Segments
from search_spaces.errors import NotRepresentable
from search_spaces.space import SearchSpace
from search_spaces.supernet import Supernet
from search_spaces.vocabulary import (
    INCOMING,
    Act,
    Concat,
    Conv,
    Either,
    Gate,
    GlobalPool,
    Linear,
    Norm,
    Pool,
    Residual,
    conv_norm_act,
    repeat,
    sequence,
)
from search_spaces.vocabulary import Choice as SpaceChoice

SURE = 1e5  # an alpha so far above the others that its softmax is one, noise or not


def make_space(choices, define):
    listed = tuple(SpaceChoice(label, tuple(values)) for label, values in choices.items())
    return SearchSpace("made-up", "for tests", listed, define, str, {c.label: c.values[0] for c in listed})


def choose(choices: Choices, sample) -> None:
    """Make ``choices`` decide for ``sample`` and nothing else."""
    if not choices.weighted:
        choices.take(sample)
        return
    values = {choice.label: choice.values for choice in choices._space.choices}
    for label, alpha in choices.alphas.items():
        index = torch.tensor(values[label].index(sample[label]))
        alpha.data = SURE * F.one_hot(index, len(alpha)).to(alpha.dtype)


@pytest.mark.parametrize("name", space_names())
def test_keeps_its_promises(name):
    check_supernet(get_space(name), count=2)


@pytest.mark.parametrize("name", space_names())
def test_one_hot_choices_give_the_network_of_the_torch_reading_on_larger_colour_images(name):
    check_faithful(get_space(name), Task((3, 32, 32), 10), count=1, dtype=torch.float32, tolerance=1e-3)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", space_names())
def test_sure_choices_of_every_strategy_are_one_hot_or_indices(name, strategy):
    space = get_space(name)
    choices = Choices(strategy, space, seed=0).train()  # with noise, if it has any
    for row in space.sample_uniform(np.random.default_rng(0), 8):
        choose(choices, space.decode(row))
        decided = choices.decide()
        assert list(decided) == [choice.label for choice in space.choices]
        for index, found in zip(row.tolist(), decided.values(), strict=True):
            if choices.weighted:
                assert found.argmax() == index and found.max() == 1 and found.sum() == 1
            else:
                assert found == index


@pytest.mark.parametrize("name", space_names())
def test_every_alpha_of_nnis_choices_gets_a_gradient(name):
    space = get_space(name)
    torch.manual_seed(0)
    choices = Choices("gumbel-darts", space, seed=0).train()
    net = Supernet(space, TASK, choices.decide).train()
    F.cross_entropy(net(torch.randn(8, 1, 8, 8)), torch.arange(8)).backward()
    assert list(choices.alphas) == [choice.label for choice in space.choices]
    used = {choice.label for choice in space.choices_for(TASK)}
    for label, alpha in choices.alphas.items():
        learns = alpha.grad is not None and alpha.grad.abs().max() > 0
        assert learns == (label in used), label


def test_weighted_branches_depths_and_widths_are_weighted_means_of_the_paths():
    """The mixture is the expectation over the paths where nothing after a choice bends the signal."""

    def define(c, task):
        return sequence(
            Conv(4),
            Either(c["kind"], {"a": Conv(6, 1), "b": Conv(6, 3)}),
            repeat(lambda _: Conv(6), c["depth"]),
            Conv(c["width"]),
            GlobalPool(),
            Linear(task.num_classes),
        )

    space = make_space({"kind": ("a", "b"), "depth": (0, 1, 3), "width": (2, 3, 7)}, define)
    torch.manual_seed(0)
    shares = {c.label: torch.rand(len(c.values), dtype=torch.float64).softmax(0) for c in space.choices}
    now: dict = dict(shares)
    net = Supernet(space, TASK, lambda: now).double().eval()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    mixture = net(x)
    rows = np.array(np.meshgrid(*[np.arange(len(c.values)) for c in space.choices])).reshape(3, -1).T
    expected = torch.zeros_like(mixture)
    for row in rows:
        now = {c.label: int(i) for c, i in zip(space.choices, row, strict=True)}
        weight = torch.stack([shares[label][index] for label, index in now.items()]).prod()
        assert torch.allclose(net(x), net.inherit(space.decode(row)).eval()(x))
        expected += weight * net(x)
    assert torch.allclose(mixture, expected)


def odd_space():
    """Everything that the families leave out: depth 0, a block that appends or not, gates, mixed widths."""

    def define(c, task):
        block = sequence(conv_norm_act(c["width"]), Gate(INCOMING // 4), Concat(conv_norm_act(c["growth"])))
        return sequence(
            conv_norm_act(c["width"]),
            repeat(lambda _: Concat(conv_norm_act(c["growth"])), c["depth"]),
            Residual(sequence(conv_norm_act(None, depthwise=True, kernel=c["kernel"]), Norm())),
            Either(c["kind"], {"same": sequence(), "wide": Conv(c["width"] * 3)}),
            Pool("max"),
            Norm(),
            Act(),
            block,
            repeat(lambda i: sequence(Conv(c["width"] + i), Norm()), c["depth"]),
            GlobalPool(),
            Linear(task.num_classes),
        )  # fmt: skip

    return make_space(
        {"width": (4, 5, 9), "growth": (2, 5), "depth": (0, 1, 2), "kernel": (3, 5), "kind": ("same", "wide")}, define
    )


def test_what_no_family_does_is_faithful_too():
    check_faithful(odd_space(), TASK, count=30, tolerance=1e-8)
    check_gradients(odd_space(), TASK)


def test_the_chance_of_a_channel_is_that_of_all_widths_above_it():
    space = get_space("densenet")
    c = {choice.label: choice for choice in space.choices}
    names = ("stem", "growth", "layers1", "compression")

    def of(at):
        stem, growth, layers, kept = (np.array(c[n].values)[at[n]] for n in names)
        return (stem + growth * layers) * kept // 100

    number = Number("transition", [c[n] for n in names], of)
    generator = torch.Generator().manual_seed(0)
    shares = {n: torch.rand(len(c[n].values), generator=generator).softmax(0) for n in names}
    net = Supernet(space, TASK, lambda: shares)
    net.decided.begin(shares)
    tail = number.tail(net.decided)
    rng = np.random.default_rng(0)
    sampled = {n: rng.choice(len(c[n].values), 200_000, p=(p := shares[n].double().numpy()) / p.sum()) for n in names}
    widths = of(sampled)
    assert len(tail) == number.most == (64 + 32 * 6)
    for channel in (0, 5, 20, 60, 150):
        assert float(tail[channel]) == pytest.approx((widths > channel).mean(), abs=5e-3)


def test_concatenated_channels_keep_their_place():
    wide = SpaceChoice("wide", (1, 3))
    segments = Segments(
        Segment(Number("w", [wide], lambda at: np.array(wide.values)[at["wide"]])),
        Segment(Number(2, (), lambda at: 2), ((wide, (1,)),)),
    )
    net = Supernet(odd_space(), TASK, dict)
    net.decided.begin({"wide": 0})
    assert segments.index(net.decided).tolist() == [0] and segments.total.value(net.decided) == 1
    net.decided.begin({"wide": 1})
    assert segments.index(net.decided).tolist() == [0, 1, 2, 3, 4] and segments.total.value(net.decided) == 5
    net.decided.begin({"wide": torch.tensor([0.25, 0.75])})
    assert segments.mask(net.decided).tolist() == [1.0, 0.75, 0.75, 0.75, 0.75]


def test_inherited_weights_are_copies():
    space = get_space("resnet")
    net = Supernet(space, TASK, dict)
    before = [parameter.clone() for parameter in net.parameters()]
    for parameter in net.inherit(space.canonical).parameters():
        parameter.data.zero_()
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_a_width_that_hangs_on_too_much_is_refused():
    labels = [f"w{i}" for i in range(8)]

    def define(c, task):
        width = c[labels[0]]
        for label in labels[1:]:
            width = width + c[label]
        return sequence(Conv(width), GlobalPool(), Linear(task.num_classes))

    with pytest.raises(NotRepresentable, match="43,046,721 combinations"):
        Supernet(make_space({label: range(1, 10) for label in labels}, define), TASK, dict)


def test_choices_are_sampled_once_a_pass_and_cooled_as_nni_does():
    space = get_space("vgg")
    choices = Choices("gumbel-darts", space, seed=3).train()
    assert choices.cool(0.0) == 1.0 and choices.cool(1.0) == pytest.approx(0.33)
    torch.manual_seed(0)
    first, second = choices.decide(), choices.decide()
    assert not torch.equal(first["width1"], second["width1"])
    assert torch.equal(choices.eval().decide()["width1"], choices.probabilities()["width1"])
    assert Choices("darts", space, seed=0).cool(0.5) is None


def test_equal_seeds_give_equal_first_alphas():
    space = get_space("cell")
    a, b, other = (Choices("darts", space, seed=seed) for seed in (5, 5, 6))
    assert all(torch.equal(a.alphas[label], b.alphas[label]) for label in a.alphas)
    assert not torch.equal(a.alphas["width"], other.alphas["width"])
