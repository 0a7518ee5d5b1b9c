"""An analysis on the disk: read as it was written, and damage is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nas.analysis import Analysis, analysis_folder, kept_analysis, read_analysis, write_analysis
from nas.analysis.record import Bin, Calibration, Curve, Curves, Embedding, Prepared, Shown
from nas.errors import RunError


def small() -> Analysis:
    """Of two classes, with something in every field."""
    curves = Curves([Curve(0.5, [(0.0, 0.0), (1.0, 1.0)]), Curve(None)], Curve(0.5, [(0.0, 0.0)]), 3)
    return Analysis(
        nasctl="0", network="a net", run="r", trial="1", model=None, data="d", split="rank", num_images=3,
        num_classes=2, classes=["$a", "\u202eb"], input_shape=(1, 8, 8), train_counts=[4, 2], counts=[3, 0],
        right=[2, 0],
        recalls=[2 / 3, None], precisions=[1.0, 0.0], accuracy=2 / 3, balanced_accuracy=2 / 3, macro_f1=0.4,
        confusion=[[2, 1], [0, 0]], worst_pairs=[(0, 1, 1)],
        calibration=Calibration(0.1, [Bin(0.0, 0.5, 0, None, None), Bin(0.5, 1.0, 3, 0.9, 2 / 3)]), roc=curves,
        pr=curves, layer="body", misclassified=[Shown(2, "a.png", 0, 1, 0.9, "images/0.png", None)], examples=[],
        augmented=[Prepared(0, 0, "images/1.png", "images/2.png")],
        embedding=Embedding(4, [0, 2], [0, 0], [True, False], [(0.0, 1.0), (1.0, 0.0)], (0.5, 0.25)),
        pictures={"roc": "roc.png"}, remarks=["One."],
    )  # fmt: skip


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = analysis_folder(tmp_path, "3.1")
    assert kept_analysis(tmp_path, "3.1") is None
    folder.mkdir(parents=True)
    for analysis in (small(), replace(small(), confusion=None, embedding=None, train_counts=None, run=None)):
        write_analysis(folder, analysis)
        assert read_analysis(folder) == kept_analysis(tmp_path, "3.1") == analysis
    assert [path.name for path in folder.iterdir()] == ["analysis.json"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:-20], "is damaged"),
        (lambda text: json.dumps(json.loads(text) | {"recalls": ["x"]}), r"is damaged \(recalls.0"),
        (lambda text: json.dumps({**json.loads(text), "format": 2}), "json is in format 2"),
        (lambda text: json.dumps({**json.loads(text), "counts": [1]}), "lists differ in length"),
        (lambda text: "[]", "is damaged"),
        (lambda text: "\x00\xff", "is damaged"),
    ],
)
def test_damage_is_named_with_the_file(tmp_path: Path, damage, words) -> None:
    write_analysis(tmp_path, small())
    path = tmp_path / "analysis.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(RunError, match=words) as told:
        read_analysis(tmp_path)
    assert str(path) in str(told.value) and "nasctl analyze" in str(told.value)


def test_without_a_file_it_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        read_analysis(tmp_path)
