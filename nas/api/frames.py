"""Frames of pandas: one with paths and labels as data, kept as a label file; and one of results."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.config import DataConfig
from nas.data.given import keep_text
from nas.data.sources.tables.label_columns import usual_column
from nas.errors import UsageError
from nas.files import at_home
from nas.units import listed

if TYPE_CHECKING:
    import pandas

_SHOWN = 20


def as_frame(rows: Sequence[Mapping[str, object]]) -> pandas.DataFrame:
    """A frame with these rows. UsageError without pandas."""
    try:
        import pandas
    except ImportError as error:
        raise UsageError("to_pandas needs pandas, which is not installed: pip install pandas") from error
    return pandas.DataFrame(rows)


def is_frame(data: object) -> bool:
    """True if it is a frame of pandas, which need not be imported to tell."""
    return type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "to_csv") and hasattr(data, "columns")


def kept_frame(frame: Any, config: DataConfig, name: str, folder: str | Path | None, root: Path) -> Path:
    """The file NAME.csv of a frame, with absolute paths. UsageError if no column has paths or files are missing."""
    frame = frame.rename(columns=str)
    columns = list(frame.columns)
    column = config.column_of.get("path") or usual_column("path", columns)
    if column not in columns:
        raise UsageError(
            f"No column of the frame is known to hold paths; its columns are: {listed(columns, _SHOWN)}. Name "
            "the column of paths 'path' and the column of labels 'label', or say"
            " which is which: columns='path=FILE,label=KIND'."
        )
    home = at_home(folder or Path.cwd()).resolve()
    paths = [os.path.normpath(home / str(path)) for path in frame[column]]
    missing = [path for path in paths if not os.path.exists(path)]  # noqa: PTH110  # of a million files
    if missing and not config.skip_broken:
        raise UsageError(
            f"{len(missing):,} of {len(paths):,} files of column {column!r} do not exist; the first is {missing[0]} "
            f"(paths are relative to {home}; folder=... changes that)."
        )
    frame[column] = paths  # of our copy
    text = str(frame.to_csv(index=False))
    return keep_text(text, f"{name}.csv", root)
