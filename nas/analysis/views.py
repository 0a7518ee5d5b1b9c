"""The pictures of an analysis as matplotlib figures: each a function of what was found, so that a picture and the JSON
never differ. ``figure.savefig("x.png")`` writes one, and a notebook shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nas.analysis import figures
from nas.analysis.convolutions import filters_canvas, filters_in, layer_errors, layers_in, left_out_words
from nas.analysis.figures import Figure, Line
from nas.analysis.heat_maps import evaluating, grad_cam_maps
from nas.analysis.record import Analysis, Curves
from nas.analysis.thumbnails import Entry, fitted, heated, sheet, shown_name
from nas.config import raise_all
from nas.errors import UsageError
from nas.units import counted

if TYPE_CHECKING:
    from torch import Tensor, nn

FILTERS = 16  # of a layer that are drawn
BESIDE = "The brighter a region, the more it contributes to the class (Grad-CAM; each image has its own scale)."


def title_of(found: Analysis) -> str:
    """Title: the network and its images."""
    where = f"{shown_name(found.data, 40)}, {found.split}" if found.split != "given" else shown_name(found.data, 40)
    return f"{name_of(found)} on {where}: {counted(found.num_images, 'image')}"


def name_of(found: Analysis) -> str:
    """Name of the network."""
    return shown_name(f"{found.run}:{found.trial}" if found.run else found.model or found.network or "a network", 60)


def order_of(found: Analysis) -> list[int]:
    """Classes, those with most training images first; where those are not known, with most images."""
    counts = found.train_counts or found.counts
    return sorted(range(found.num_classes), key=lambda label: -counts[label])


def confusion(found: Analysis) -> Figure:
    """The confusion matrix; above 200 classes the pairs that are confused most."""
    title = f"Confusion matrix: {title_of(found)}"
    if found.confusion is not None:
        return figures.confusion_figure(title, found.classes, np.array(found.confusion))
    pairs = [(found.classes[true], found.classes[given], count) for true, given, count in found.worst_pairs]
    return figures.pairs_figure(title, pairs)


def recall(found: Analysis) -> Figure:
    """Recall of each class against its number of training images."""
    counts = found.train_counts or found.counts
    axis = "training images" if found.train_counts else "images (how many of them were trained on is not known)"
    known = [(found.classes[at], counts[at], share) for at, share in enumerate(found.recalls) if share is not None]
    names, numbers, shares = zip(*known, strict=True)
    return figures.recall_figure(f"Recall by class: {title_of(found)}", names, numbers, shares, axis=axis)


def bars(found: Analysis) -> Figure:
    """All images of each class beside those recognised."""
    order = order_of(found)
    words = "those with most training images first" if found.train_counts else "those with most images first"
    return figures.bars_figure(
        title_of(found), [found.classes[at] for at in order], [found.counts[at] for at in order],
        [found.right[at] for at in order], what="images", order=words,
    )  # fmt: skip


def roc(found: Analysis) -> Figure:
    """ROC curves of each class against all others, and their mean."""
    return figures.lines_figure(
        f"ROC: {title_of(found)}", *_lines(found, found.roc, "AUC"), x="false positive rate", y="true positive rate",
        diagonal=True, note=_note(found, found.roc),
    )  # fmt: skip


def precision_recall(found: Analysis) -> Figure:
    """Precision-recall curves of each class against all others, and their mean."""
    return figures.lines_figure(
        f"Precision and recall: {title_of(found)}", *_lines(found, found.pr, "AP"), x="recall", y="precision",
        steps=True, note=_note(found, found.pr),
    )  # fmt: skip


def reliability(found: Analysis) -> Figure:
    """The reliability diagram, with the expected calibration error."""
    title = f"Confidence and accuracy: {title_of(found)}"
    return figures.reliability_figure(title, found.calibration.bins, found.calibration.ece)


def embedding(found: Analysis, method: Literal["pca", "tsne"] = "pca") -> Figure:
    """Inputs of the last layer in two dimensions, a point an image. UsageError if the analysis has none such."""
    here = found.embedding
    points = None if here is None else here.pca if method == "pca" else here.tsne
    if here is None or points is None:
        raise UsageError(
            "There is no t-SNE in this analysis: make it with tsne=True, or nasctl analyze --tsne."
            if here
            else "The network does not end in a linear layer, so there is no embedding."
        )
    order = order_of(found)
    few = len(order) <= figures.MOST_POINTED
    drawn = order if few else [*order[: figures.ENDS], *order[-figures.ENDS :]]
    groups = {at: [point for point, label in zip(points, here.labels, strict=True) if label == at] for at in drawn}
    others = [point for point, label in zip(points, here.labels, strict=True) if label not in groups]
    share = [f", {100 * each:.0f} % of the variance" for each in here.explained]
    x, y = (
        (f"first principal component{share[0]}", f"second{share[1]}")
        if method == "pca"
        else ("t-SNE, first dimension", "t-SNE, second dimension (distances between groups mean little)")
    )
    sample = f", {len(points):,} of them" if len(points) < found.num_images else ""
    return figures.embedding_figure(
        f"Embeddings, the input of the last layer ({here.num_features} features): {title_of(found)}{sample}",
        {shown_name(found.classes[at]): some for at, some in groups.items() if some},
        [point for point, right in zip(points, here.right, strict=True) if not right],
        x=x, y=y, others=others, note=f"{len(order) - len(drawn):,} more classes in between",
    )  # fmt: skip


def filters(
    model: nn.Module, layers: Sequence[str] = (), *, count: int = FILTERS, title: str = "Filters"
) -> Figure | None:
    """The first ``count`` filters of ``layers``, by name or number, or without any of every trained convolution larger
    than 1x1; None if there is none. Bright is a large weight. UsageError for a layer that there is not."""
    found = layers_in(model)
    raise_all(layer_errors({"the network": found}, layers))
    chosen = found.chosen(layers)
    if not chosen:
        return None
    words = left_out_words(found, chosen, by_name=bool(layers))
    return figures.picture_figure(*filters_canvas(title, filters_in(model.state_dict(), chosen, count), words))


def grad_cam(
    model: nn.Module,
    images: Tensor | npt.NDArray[Any],
    classes: Sequence[int] | None = None,
    layer: str | None = None,
    *,
    names: Sequence[str] | None = None,
    title: str = "Grad-CAM",
) -> Figure:
    """Each of ``images`` (N, C, H, W), prepared as ``model`` takes them, with its heat map beside it: see
    ``grad_cam_maps``. ``names``: what classes are called."""
    import torch

    inputs = torch.as_tensor(images)
    if classes is None:
        with torch.no_grad(), evaluating(model):
            classes = model(inputs).argmax(1).tolist()
    maps = grad_cam_maps(model, inputs, classes, layer)
    entries = [
        Entry([fitted(pixels), heated(pixels, heat)], shown_name(names[label] if names else f"class {label}", 22))
        for pixels, heat, label in zip(map(_as_pixels, inputs.detach().cpu().numpy()), maps, classes, strict=True)
    ]
    return figures.picture_figure(*sheet(title, BESIDE, entries))


def _as_pixels(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """An image of any scale from its darkest, 0, to its lightest, 255."""
    low, high = float(image.min()), float(image.max())
    return np.rint(255 * (image - low) / ((high - low) or 1.0)).astype(np.uint8)


def _lines(found: Analysis, curves: Curves, area: str) -> tuple[list[Line], Line]:
    lines = [
        Line(f"{shown_name(name)}: {area} {curve.area:.3f}", curve.points)
        for name, curve in zip(found.classes, curves.classes, strict=True)
        if curve.points and curve.area is not None
    ]
    mean = curves.macro.area
    return lines, Line(f"mean over classes: {area} {'-' if mean is None else f'{mean:.3f}'}", curves.macro.points)


def _note(found: Analysis, curves: Curves) -> str:
    shown = sum(bool(curve.points) for curve in curves.classes)
    words = []
    if shown < sum(curve.area is not None for curve in curves.classes):
        words.append(f"the {shown} worst of {found.num_classes:,} classes")
    if curves.num_images < found.num_images:
        words.append(f"on {curves.num_images:,} of the images")
    return "\n".join(words)
