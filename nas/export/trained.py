"""The network that a request is about, with its weights."""

from __future__ import annotations

from safetensors import SafetensorError
from torch import nn

from nas.errors import ExportError
from nas.export.request import ExportRequest
from nas.trials.weights import load_into, normalization_error, tensors_in


def trained_model(request: ExportRequest) -> nn.Module:
    """The network with its weights, in eval mode on the CPU; ExportError if the weights are not its own."""
    if len(request.classes) != request.num_classes:
        raise ExportError(f"{len(request.classes)} class names for {request.num_classes} classes.")
    model = request.build()
    if message := normalization_error(request.mean, request.std, request.input_shape[0]):
        raise ExportError(f"The weights in {request.weights} cannot be used: {message}.")
    try:
        tensors = tensors_in(request.weights)
        if not request.has_head:  # of the last layer alone
            own = model.state_dict()
            tensors = {name: tensor for name, tensor in tensors.items() if name in own}
        load_into(model, tensors)
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise ExportError(f"The weights in {request.weights} cannot be used: {error}") from error
    return model.eval()
