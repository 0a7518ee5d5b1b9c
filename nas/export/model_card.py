"""Model card of an exported network: ``model.json`` for programs, ``README.md`` for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from baselines.verification import COUNTS, FARS
from nas.config.recipe import Metrics
from nas.config.recipe_rules import Setting
from nas.export.request import Confirmation, ExportRequest, Quantized
from nas.text import both_ends, in_markdown, shown
from nas.units import counted

MOST_CLASSES = 100  # of the table of recalls
_ORIGIN = {
    False: "Its architecture was found by a search under a budget",
    True: "It is a fixed network, trained for comparison by a baseline study",
}
_OPTIMISM = {
    False: "The search used `select` to choose the epoch and `rank` to choose the architecture: metrics on "
    "these two are optimistic. Only `test`, where there is one, was not looked at before.",
    True: "The study used `select` to choose the epoch: metrics on it are optimistic. Nothing was chosen by the "
    "other splits, except the seed, by the best metric on `rank`, where no seed was given.",
}
_LEAKED = (
    "Its images were oversampled before they were split, as the origin study did (`--as-published`): it was trained on "
    "images made from those of `select` and `rank`, so that metrics on these two are too optimistic. Only "
    "those on `test` are not."
)


_ON_ALL = (
    "It was trained on all images but those of `test`; none was held out to choose by. No other metrics are given, "
    "since they would be on images that it was trained on."
)


def _honesty(request: ExportRequest) -> str:
    """Statement on which of the metrics can be believed."""
    if request.trained_on_all:
        return _ON_ALL
    return _LEAKED if request.leaked else _OPTIMISM[request.network is not None]


def description(request: ExportRequest) -> dict[str, Any]:  # JSON: ``write.py`` dumps it, other programs read it
    """The content of ``model.json``: enough to prepare an image, run the model and name its answer."""
    confirm = request.provenance.confirm
    return {
        "format": 1,
        "space": request.space,
        "sample": request.sample,
        "network": asdict(request.network) if request.network else None,
        "architecture": request.text,
        "input": {
            "name": "images",
            "shape": ["batch", *request.input_shape],
            "layout": "NCHW",
            "dtype": "float32",
            "preprocessing": request.preprocessing.facts(),
            "normalization": {
                "mean": request.mean,
                "std": request.std,
                "apply": "(pixel / 255 - mean) / std, channel by channel, for pixels of 0 to 255",
            },
        },
        "output": {
            "name": request.output,
            "shape": ["batch", request.num_outputs],
            "dtype": "float32",
            "test_flip": request.test_flip,
            "prior": request.prior,
            "train_frequencies": [round(float(share), 9) for share in request.train_frequencies],
            "calibration": asdict(request.calibration) if request.calibration else None,
        },
        "classes": list(request.classes),
        "cost": {
            "params": request.params,
            "macs": request.macs,
            "size_bytes": request.size_bytes,
            "peak_memory": request.peak_memory,
        },
        "budget": request.budget,
        "objective": request.objective,
        "metrics": _without_nan(request.metrics),
        "verification": _thresholds(request.metrics.get("rank", {})),
        "floor": asdict(request.floor) if request.floor else None,
        "int8": asdict(request.quantized) if request.quantized else None,
        "provenance": _without_nan(request.provenance.facts() | ({"confirm": confirm.facts()} if confirm else {})),
    }


def _thresholds(rank: Metrics) -> dict[str, Any] | None:
    """By false accept rate on the pairs of rank the least similarity that is taken for the same identity; None of a
    network whose run held out no identities."""
    thresholds, tars, pairs = (rank.get(f"verification_{name}") for name in ("thresholds", "tars", "different"))
    if not isinstance(thresholds, list) or not isinstance(tars, list) or not isinstance(pairs, int | float):
        return None
    return {
        "similarity": "cosine of what enters the last linear layer",
        "fars": list(FARS[: len(thresholds)]),
        "thresholds": thresholds,
        "tars": tars,
        "different": int(pairs),
    }


def _without_nan(value: object) -> object:
    """``value`` with null where a number is not finite (the recall of a class without images): JSON has none."""
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def model_card(request: ExportRequest, onnx_versions: tuple[int, int] | None = None) -> str:
    """The content of ``README.md``. ``onnx_versions`` are the operator set and the IR version of ``model.onnx``."""
    channels, height, width = request.input_shape
    colour = "grey" if channels == 1 else "colour"
    sections = [
        f"# A {in_markdown(request.family)} {_kind(request)}",
        f"{_summary(request)} for {colour} images of {width}x{height} "
        f"pixels, trained on {in_markdown(request.provenance.data)}. {_ORIGIN[request.network is not None]} (nasctl).",
        "`" + shown(request.text).replace("`", "'") + "`",
        "## Size",
        _size_table(request),
        "## Quality",
        "" if request.has_head else "Metrics of classes are those with the last layer, which is not exported.",
        _metrics_table(request.metrics),
        _confirmation(request.provenance.confirm),
        _floor(request),
        _honesty(request),
        "### Recall by class",
        recall_table(request.classes, request.metrics),
        *(["### Scores", _scores(request)] if request.has_head else []),
        _int8(request.quantized),
        _verifying(_thresholds(request.metrics.get("rank", {}))),
        "## Use",
        _use(request, onnx_versions) if request.has_head else _use_of_embedder(request, onnx_versions),
        "## Origin",
        _table(["what", "value"], _origin_rows(request)),
        "## Limits and intended use",
        "Meant for images like those it was trained on, prepared in the same way; on others its predictions are "
        "meaningless, and it has no way to say so. For classes with few images, recall is uncertain. It "
        "was not tested for robustness or fairness, nor for any use in which a wrong answer harms somebody.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _origin_rows(request: ExportRequest) -> Iterable[Sequence[str]]:
    return ([key, in_markdown(_words(value))] for key, value in request.provenance.facts().items())


def _size_table(request: ExportRequest) -> str:
    values = {
        "max_params": ("parameters", request.params),
        "max_macs": ("MACs for one image", request.macs),
        "max_bytes": ("bytes of weights (tensors only, without the file's header)", request.size_bytes),
        "max_peak_memory": ("bytes of activations at the peak, for one image", request.peak_memory),
    }
    limits = {name: f"{limit:,}" for name, limit in request.budget.items()}
    return _table(
        ["what", "is", "budget"],
        ([what, f"{value:,}", limits.get(name, "-")] for name, (what, value) in values.items()),
    )


def _metrics_table(metrics: dict[str, Metrics]) -> str:
    names = dict.fromkeys(
        name
        for values in metrics.values()
        for name, value in values.items()
        if isinstance(value, int | float) and name not in COUNTS
    )
    return _table(
        ["metric", *metrics],
        ([name.replace("_", " "), *(_metric(values.get(name)) for values in metrics.values())] for name in names),
    )


def recall_table(classes: Sequence[str], metrics: dict[str, Metrics]) -> str:
    """Recall of each class on each split, in Markdown; of many classes the best and the worst."""
    found = {split: values.get("recall_by_class") for split, values in metrics.items()}
    splits = {split: recalls for split, recalls in found.items() if isinstance(recalls, list)}
    if not splits:
        return "Not recorded."
    order: Sequence[int] = range(len(classes))
    if len(order) > MOST_CLASSES:
        last = np.array(list(splits.values())[-1], np.float64)
        order = [at for at in np.argsort(-last, kind="stable").tolist() if np.isfinite(last[at])]  # with images there
    best, between, worst = both_ends(order, MOST_CLASSES)
    table = _table(
        ["class", *splits],
        ([in_markdown(classes[i]), *(_metric(of[i]) for of in splits.values())] for i in (*best, *worst)),
    )
    if not between:
        return table
    words = f"The {len(best)} best and the {len(worst)} worst of {len(classes):,} classes by `{list(splits)[-1]}`"
    return f"{words}; model.json has all.\n\n{table}"


def _confirmation(confirm: Confirmation | None) -> str:
    if confirm is None:
        return ""
    chance = ""
    if confirm.probability is not None:
        chance = f"Probability that it is the best of the {confirm.rivals + 1} confirmed: {confirm.probability:.2f}. "
    return (
        f"Trained again {counted(confirm.runs, 'time')} with other seeds: {confirm.metric.replace('_', ' ')} on "
        f"`{confirm.split}` {confirm.mean:.4f} ± {confirm.std:.4f} (standard deviation). {chance}The metrics above are "
        "those of the exported weights."
    )


def _floor(request: ExportRequest) -> str:
    """Score of a classical method, and that the network is below it where it is."""
    floor = request.floor
    if floor is None:
        return ""
    words = floor.metric.replace("_", " ")
    images = f"{floor.images:,} of the {floor.of_images:,}" if floor.images < floor.of_images else "the same"
    reached = request.metrics.get("test", {}).get(floor.metric)
    below = isinstance(reached, int | float) and reached < floor.test
    return (
        f"The classical baseline: {floor.method}, without a neural network, trained on {images} images, has a "
        f"{words} of {floor.test:.4f} "
        "on `test`." + (" This network is below it." if below else "")
    )


def _scores(request: ExportRequest) -> str:
    """Meaning of the scores, and how far they can be believed."""
    frequent = "all equally frequent" if request.prior == "uniform" else "as frequent as among the training images"
    found = request.calibration
    calibrated = (
        "The data was not at hand when this was exported, so the logits are not divided by a temperature, and "
        "how well the scores are calibrated is not known."
        if found is None
        else f"The temperature is {found.temperature:g}, fitted on {found.images:,} images of `select`: the expected "
        f"calibration error on `rank` is {found.error_after:.4f} with it and {found.error_before:.4f} without."
    )
    flipped = (
        "All metrics here, and `predict.py`, use test-time augmentation (`--test-flip`): the mean of the logits of an "
        "image and its mirror image. The ONNX files alone do not, nor does the check of int8.\n\n"
        if request.test_flip
        else ""
    )
    return (
        f"{flipped}The score of `predict.py` is the softmax of the logits divided by a temperature. It takes the "
        f"classes to be {frequent}; where frequencies differ, `--prior train`, `--prior uniform` or `--prior FILE` "
        f"(JSON, one number per class) corrects scores and labels. {calibrated}"
    )


def _verifying(known: dict[str, Any] | None) -> str:
    """Thresholds from which on two images show the same identity, for readers."""
    if known is None:
        return ""
    rows = [
        [f"{far:g}", f"{threshold:.4f}", f"{tar:.4f}"]
        for far, threshold, tar in zip(known["fars"], known["thresholds"], known["tars"], strict=True)
    ]
    return (
        "### Verification\n\nTwo images show the same identity if the cosine of what enters the last linear layer is "
        f"at least the threshold of a false accept rate, measured on {known['different']:,} pairs of two identities of "
        "`rank` that the network was not trained on: `nasctl verify`.\n\n"
        + _table(["false accept rate", "threshold", "true accept rate"], rows)
    )


def _int8(found: Quantized | None) -> str:
    """The network in int8 beside that in float."""
    if found is None:
        return ""
    words = found.objective.replace("_", " ")
    table = _table(
        ["file", f"{words} on rank", f"{words} on test", "bytes"],
        [
            ["float32, for one image", _metric(found.float_rank), _metric(found.float_test), f"{found.float_bytes:,}"],
            ["`model.int8.onnx`", _metric(found.int8_rank), _metric(found.int8_test), f"{found.num_bytes:,}"],
        ],
    )
    return (
        "### In 8-bit integers\n\n"
        "`model.int8.onnx` (QDQ, per-channel weights, one image at a time) is for processors that compute in integers: "
        "microcontrollers, phones' accelerators. On a PC it is often slower than float32.\n\n"
        f"{table}\n\n{found.agreement:.1%} of the images of `rank` get the same label from both. The ranges of "
        f"activations were chosen ({found.method}) on {found.images:,} training images."
    )


def _use(request: ExportRequest, onnx_versions: tuple[int, int] | None) -> str:
    versions = "; operator set {}, IR version {}".format(*onnx_versions) if onnx_versions else ""
    others = {
        "`model.batch1.onnx` is the same network for one image at a time.": request.extras.static,
        "`model.uint8.onnx` takes pixels as they are (uint8, NCHW) and returns `logits` and `probabilities`, which are "
        "the scores.": request.extras.with_preprocessing,
    }
    more = "".join(f"\n{sentence}" for sentence, is_there in others.items() if is_there)
    return f"""With numpy, Pillow and onnxruntime, for pictures and folders of them:

```
python predict.py photo.jpg folder/ --csv out.csv --top 3
```

Pictures are prepared by the code of training: {request.preprocessing.words}; then normalized.
`model.json` says how, and so do the metadata of `model.onnx`, which takes `images` and answers `logits`, for any batch
size (the axis `batch`{versions}).{more}

With torch alone, the same pixels:

```python
import numpy as np, torch
from predict import Classifier

images = np.stack([Classifier().read("photo.jpg")])
logits = torch.export.load("model.pt2").module()(torch.from_numpy(images))
```

To train on, or to change the network: `model.py` is its source in plain torch, `weights.safetensors` its state dict.

```python
from model import load

network = load()  # in eval mode
```"""


def _kind(request: ExportRequest) -> str:
    if request.has_head:
        return f"network for {request.num_classes} classes"
    return f"embedder, trained on {request.num_classes} classes"


def _summary(request: ExportRequest) -> str:
    if request.has_head:
        return f"An image classifier with {request.params:,} parameters"
    return (
        f"An embedder with {request.params:,} parameters, the network without the layer that gave the classes: "
        f"{request.num_outputs} numbers of an image, to compare it with others by the cosine,"
    )


def _use_of_embedder(request: ExportRequest, onnx_versions: tuple[int, int] | None) -> str:
    versions = "; operator set {}, IR version {}".format(*onnx_versions) if onnx_versions else ""
    return f"""With nasctl, in this folder's parent:

```
nasctl verify {request.out.name} one.jpg other.jpg
nasctl embed {request.out.name} pictures/ --out vectors.npz
```

Pictures are prepared by the code of training: {request.preprocessing.words}; then normalized.
`model.json` says how, and so do the metadata of `model.onnx`, which takes `images` and answers `embedding`, for any
batch size (the axis `batch`{versions}). The cosine of two embeddings is the inner product of these, each divided by its
length.

To train on, or to change the network: `model.py` is its source in plain torch, `weights.safetensors` its state dict.

```python
from model import load

network = load()  # in eval mode
```"""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _metric(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) and math.isfinite(value) else "-"


def _words(value: Setting | Mapping[str, Setting]) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)
