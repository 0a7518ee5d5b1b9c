"""``model.py`` of an exported folder: the network as a file of its own, which needs torch and none of our packages."""

from __future__ import annotations

import textwrap

from baselines.source import is_standard, network_source
from nas.export.request import ExportRequest
from search_spaces import Task, get_space, source

_USE = """\
    from model import Network, load

    network = load()  # with the weights of weights.safetensors, in eval mode
    network = Network()  # with fresh weights, initialized as in training"""

_LOAD = '''\
def load(folder: str | Path = Path(__file__).parent) -> Network:
    """The trained network, in eval mode."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(Path(folder) / "weights.safetensors"))
    return network.eval()
'''


def model_source(request: ExportRequest) -> str:
    """The text of ``model.py``: formatted, and equal for equal requests."""
    lines, network = _definitions(request)
    lines = sorted({*lines, "from pathlib import Path"}, key=lambda line: (line.startswith("from"), line))
    standard, others = ([line for line in lines if is_standard(line) == wanted] for wanted in (True, False))
    imports = ["from __future__ import annotations", "", *standard, "", *others]
    constants = [f"{name} = {tuple(values)!r}" for name, values in (("MEAN", request.mean), ("STD", request.std))]
    top = [f'"""{_docstring(request)}\n"""', "", *imports, "", *constants, "", "", network, "", _LOAD]
    return "\n".join(top)


def _definitions(request: ExportRequest) -> tuple[list[str], str]:
    """Imports, a line each, and definitions of ``Network``."""
    if request.network:
        construction = request.network.construction(request.input_shape, request.num_classes)
        return network_source(construction, request.input_shape)
    task = Task(request.input_shape, request.num_classes, request.has_head)
    text = source.network_source(get_space(str(request.space)).structure(request.sample, task))
    ordered = ["from collections import OrderedDict"] if "OrderedDict" in text else []
    return [*ordered, "import torch", "from torch import nn"], text


def _docstring(request: ExportRequest) -> str:
    shape = ", ".join(map(str, request.input_shape))
    kind, answer = "network", f"Logits are (N, {request.num_classes}), in the order of the classes in model.json"
    if not request.has_head:
        kind, answer = "embedder", f"Embeddings are (N, {request.num_outputs}), their length not yet 1; see model.json"
    paragraphs = [
        f"A {request.family} {kind} with {request.params:,} parameters, in plain torch: to fine-tune, or to modify.",
        request.text,
        _USE,
        f"Images are float32 (N, {shape}), normalized channel by channel: (pixel / 255 - MEAN) / STD for pixels of 0 "
        f"to 255. {answer}, which also says how images are preprocessed.",
    ]
    return "\n\n".join(part if part == _USE else textwrap.fill(part, 120) for part in paragraphs)
