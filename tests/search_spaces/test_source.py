"""The source of a network is the network, of every registered space and of words put together in other ways."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from exported_files import lint

from nas.testing.spaces import check_source, sample_over_sizes
from search_spaces import SearchSpace, Task, get_space, modules, source, space_names
from search_spaces.source import network_source
from search_spaces.space import Choices
from search_spaces.vocabulary import (
    INCOMING,
    Act,
    Choice,
    Concat,
    Conv,
    Gate,
    GlobalPool,
    Linear,
    Node,
    Pool,
    Residual,
    conv_norm_act,
    sequence,
)

pytestmark = pytest.mark.usefixtures("one_thread")

GREY, COLOUR = Task((1, 8, 8), 2), Task((3, 32, 32), 10)
IMPORTS = "from collections import OrderedDict\n\nimport torch\nfrom torch import nn\n\n\n"

every_space = pytest.mark.parametrize("name", space_names())


@every_space
def test_it_is_the_built_module(name: str) -> None:
    space = get_space(name)
    for sample in (space.canonical, *(sample_over_sizes(space, seed) for seed in (0, 1, 4))):
        check_source(space, sample, GREY)
    for seed in (0, 5):  # large networks would take seconds: 2 and 3 have millions of weights
        check_source(space, sample_over_sizes(space, seed), COLOUR)


def test_it_is_as_the_formatter_leaves_it(tmp_path: Path) -> None:
    for name in space_names():
        space = get_space(name)
        for at, sample in enumerate((space.canonical, *(sample_over_sizes(space, seed) for seed in range(8)))):
            task = (GREY, COLOUR)[at % 2]
            text = IMPORTS + network_source(space.structure(sample, task))
            (tmp_path / f"{name}{at}.py").write_text(text)
    lint(tmp_path)


def test_it_has_all_words() -> None:
    assert source._LEAVES.keys() | source._HELPERS.keys() == modules._BUILDERS.keys()


# Words put together as no family does: blocks within blocks, with everything a function may differ in; a network
# without any sequence in it.


def nested(choices: Choices, task: Task) -> Node:
    def block(hidden: int, kernel: int, stride: int = 1) -> Node:
        inner = Residual(sequence(conv_norm_act(hidden, kernel), Gate(INCOMING // 2), Conv(hidden, 1)))
        body = sequence(conv_norm_act(hidden, kernel, stride=stride), inner, conv_norm_act(INCOMING, 1, act=None))
        return sequence(Residual(body), Residual(Pool("max", stride=1)), Act("relu6"))

    dense = [Concat(sequence(Conv(None, kernel, depthwise=True), Conv(4, 1))) for kernel in (1, 3)]
    return sequence(
        sequence(conv_norm_act(choices["width"]), name="stem"),
        *(block(*numbers) for numbers in ((8, 3), (8, 5), (12, 3, 2), (16, 5, 2))),
        *dense, GlobalPool(), Linear(task.num_classes),
    )  # fmt: skip


def flat(choices: Choices, task: Task) -> Node:
    return sequence(Conv(choices["width"]), GlobalPool(), Linear(task.num_classes))


def own(define: object) -> SearchSpace:
    return SearchSpace("own", "for this test", (Choice("width", (8, 12)),), define, str, {"width": 8})  # type: ignore[arg-type]


@pytest.mark.parametrize("define", [nested, flat])
def test_words_put_together_otherwise(define: object, tmp_path: Path) -> None:
    for width in (8, 12):
        check_source(own(define), {"width": width}, COLOUR)
    text = network_source(own(define).structure({"width": 12}, COLOUR))
    assert ("OrderedDict" in text) == ("def sequence" in text) == (define is nested)
    (tmp_path / "network.py").write_text((IMPORTS if define is nested else IMPORTS.partition("\n\n")[2]) + text)
    lint(tmp_path)


def test_blocks_that_differ_in_numbers_are_written_once() -> None:
    text = network_source(own(nested).structure({"width": 12}, COLOUR))
    functions = re.findall(r"^def (\w+\(.*\)) -> [\w.]+:", text, re.MULTILINE)
    assert functions == [
        "sequence(**layers: nn.Module)",
        "initialize(network: nn.Module)",
        "projected_block(in_channels: int, out_channels: int, kernel: int, stride: int, squeezed: int)",
        "residual_block1(channels: int, kernel: int, squeezed: int)",
        "residual_block2()",
        "dense_layer(channels: int, kernel: int)",
    ]
    assert "self.residual5 = projected_block(8, 12, kernel=3, stride=2, squeezed=6)\n" in text
    canonical = get_space("densenet").canonical
    text = network_source(get_space("densenet").structure(canonical, COLOUR))
    assert text.count("Concat(\n") == 1
    assert text.count("=dense_layer(") == sum(canonical[f"layers{block}"] for block in range(1, 5))


def test_helpers_that_a_network_does_not_need_are_left_out() -> None:
    text = {
        name: network_source(get_space(name).structure(get_space(name).canonical, COLOUR)) for name in space_names()
    }
    found = {name: re.findall(r"^class (\w+)", text[name], re.MULTILINE) for name in text}
    assert found["vgg"] == ["Network"]
    assert found["densenet"] == ["Concat", "Network"]
    assert found["resnet"] == found["mobilenet"] == ["Residual", "Network"]
    assert found["cell"] == ["Residual", "Cell", "Network"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("conv", "has weights"),
        ("act", "has other logits"),
        ("pool", "has other logits"),
    ],
)
def test_what_is_not_the_network_is_noticed(monkeypatch: pytest.MonkeyPatch, changed: str, message: str) -> None:
    wrong = {
        "conv": lambda layer, channels, out, kernel, stride: f"nn.Conv2d({channels}, {out}, {kernel}, padding='same')",
        "act": lambda layer: "nn.GELU()",
        "pool": lambda layer: "nn.AvgPool2d(2)",
    }
    monkeypatch.setitem(source._LEAVES, changed, (source._LEAVES[changed][0], wrong[changed]))
    with pytest.raises(AssertionError, match=rf"the source of vgg .* {message}"):
        check_source(get_space("vgg"), get_space("vgg").canonical, GREY)


def test_other_fresh_weights_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "nas.testing.spaces.network_source", lambda layer: network_source(layer).replace("fan_out", "fan_in")
    )
    with pytest.raises(AssertionError, match="other fresh weights"):
        check_source(get_space("vgg"), get_space("vgg").canonical, GREY)
