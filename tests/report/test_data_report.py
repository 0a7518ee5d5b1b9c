"""The report of ``nasctl data`` prints names as they are, whatever they look like."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from nas.data.dataset import Broken, DataReport
from nas.report.tables.data import print_data


def test_names_are_no_markup() -> None:
    report = DataReport(
        name="set [/x]",
        classes=("[/x]", "[red]b[/red]"),
        input_shape=(3, 8, 8),
        found={"all": [5, 6]},
        splits={"train": [2, 2], "select": [1, 1], "rank": [1, 1], "test": [1, 1]},
        image_sizes={"8x8": 11},
        modes={"[/m]": 11},
        formats={"PNG": 11},
        broken=(Broken("[/x]/a.png", "not [/good]"),),
        num_ignored=1,
        faults=(),
        cache_path=Path("/cache"),
    )
    output = io.StringIO()
    print_data(Console(file=output, width=120), report)
    for text in ("set [/x]: 2 classes", "[red]b[/red]", "[/m] (11)", "[/x]/a.png: not [/good]"):
        assert text in output.getvalue()
