"""Grad-CAM (Selvaraju et al. 2017): where in an image a network finds what speaks for a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.errors import UsageError, nearest

BATCH = 16  # images at once: their gradients are kept
NO_MAP = "No layer of this network has a feature map larger than 1x1, so Grad-CAM cannot locate anything in the image."

Maps = npt.NDArray[np.floating[Any]]


def grad_cam_maps(
    model: nn.Module,
    images: Tensor | npt.NDArray[Any],
    classes: Sequence[int] | Tensor | npt.NDArray[Any] | None = None,
    layer: str | None = None,
) -> Maps:
    """Grad-CAM maps (N, H, W) from 0 to 1 of ``images`` (N, C, H, W), prepared as ``model`` takes them: how much each
    place speaks for a class. The largest of each image is 1; all are 0 where nothing speaks for it.

    ``classes`` (N,): for which class, the predicted one unless told. ``layer``: whose maps are weighed, by its name in
    ``model.named_modules()``; the last with a map larger than 1x1 unless told. The model's mode is restored. UsageError
    if there is no such layer or class, or it has no map.
    """
    inputs = torch.as_tensor(images)
    if inputs.ndim != 4:
        raise UsageError(f"Images must be (N, C, H, W), and these are {tuple(inputs.shape)}.")
    wanted = None if classes is None else torch.as_tensor(classes)
    if wanted is not None and wanted.shape != inputs.shape[:1]:
        raise UsageError(f"Give a class for each of the {len(inputs)} images: these are {tuple(wanted.shape)}.")
    with evaluating(model):
        name = map_layer(model, inputs[:1]) if layer is None else layer
        if name is None:
            raise UsageError(NO_MAP)
        module = find_layer(model, name)
        size = min(BATCH, getattr(model, "most_at_once", BATCH))
        parts = [
            _maps(model, module, name, inputs[at : at + size], None if wanted is None else wanted[at : at + size])
            for at in range(0, len(inputs), size)
        ]
    return torch.cat(parts).cpu().numpy() if parts else np.zeros((0, *inputs.shape[2:]))


def map_layer(model: nn.Module, images: Tensor) -> str | None:
    """The layer that gives the last map larger than 1x1, as ``images`` pass; None if none does.

    A block ends after the layers in it, so that what branches add up to comes before what one of them gives."""
    found: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: found.append(name) if _is_map(output) else None

    handles = [module.register_forward_hook(note(name)) for name, module in model.named_modules() if name]
    try:
        with torch.no_grad(), evaluating(model):
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return found[-1] if found else None


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The layer called ``name``. UsageError names the nearest."""
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name not in modules or not name:
        raise UsageError(
            f"The network has no layer {name!r}.{nearest(name, list(modules))} 'model.named_modules()' lists them."
        )
    return modules[name]


def _maps(model: nn.Module, layer: nn.Module, name: str, images: Tensor, classes: Tensor | None) -> Tensor:
    """(n, H, W) of one batch."""
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    try:
        with torch.enable_grad():
            logits_NC = model(images.detach().requires_grad_())  # so that there is a graph, whatever is frozen
            if not kept or not _is_map(kept[-1]):
                raise UsageError(
                    f"The layer {name!r} gives no feature map (N, channels, height, width) larger than 1x1: "
                    "choose another layer."
                )
            maps_NKHW = kept[-1]
            index_N = logits_NC.argmax(1) if classes is None else classes.to(logits_NC.device)
            if not ((index_N >= 0) & (index_N < logits_NC.shape[1])).all():
                raise UsageError(f"Classes are whole numbers from 0 to {logits_NC.shape[1] - 1}.")
            scores_N = logits_NC.gather(1, index_N.view(-1, 1).long())
            (slope_NKHW,) = torch.autograd.grad(scores_N.sum(), maps_NKHW, allow_unused=True)
            if slope_NKHW is None:
                raise UsageError(
                    f"The layer {name!r} has no influence on the logits of these classes: choose another layer."
                )
    finally:
        handle.remove()
    weight_NK11 = slope_NKHW.mean(dim=(2, 3), keepdim=True)  # equation 1
    heat_N1HW = (weight_NK11 * maps_NKHW.detach()).sum(1, keepdim=True).relu()  # equation 2
    heat_NHW = F.interpolate(heat_N1HW, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    most_N11 = heat_NHW.amax(dim=(1, 2), keepdim=True)
    return heat_NHW / most_N11.where(most_N11 > 0, 1.0)


def _is_map(output: object) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """``model`` in evaluation mode inside the block."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
