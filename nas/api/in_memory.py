"""Data of a Python program (arrays, tensors, data sets, tables) as the data settings that all else reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.api.arrays import Labelled, labelled
from nas.api.data_sets import is_data_set, of_data_set
from nas.api.frames import is_frame, kept_frame
from nas.config import DataConfig, checked, raise_all
from nas.data.cache import cache_root
from nas.data.given import keep_arrays
from nas.data.sources.base import PART_OF, PARTS
from nas.data.sources.registry import is_name
from nas.errors import UsageError, attempt, nearest
from nas.files import at_home
from nas.runs.folders import LONGEST_NAME

Data = Any
"""What ``data_config`` takes: pandas and torch are not imported to say it in types."""

_TAKEN = (
    "a path or the name of a set, (X, y) of arrays or tensors, a torch Dataset, a pandas DataFrame with the "
    "columns path "
    'and label, or a dictionary of these by part: {"train": (X, y), "test": (X_test, y_test)}'
)


def data_config(
    data: Data, *, name: str = "arrays", folder: str | Path | None = None, **settings: object
) -> DataConfig:
    """Settings that name ``data``, which is kept in a file if it is only in memory.

    ``data`` is one of these:

    - a folder, a file or the name of a set, as ``--data`` takes them; or a ``DataConfig``;
    - ``(X, y)``: images uint8 from 0 to 255 or floats from 0 to 1, which are rounded to 256 levels, of the shape
      (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels; labels (N,), whole numbers or strings. Arrays, torch
      tensors or lists;
    - a torch ``Dataset`` with a length, whose items are an image and its label: an image of Pillow, a tensor
      or an array as above. Each is read once, so random transforms do not belong in it;
    - a pandas frame with columns of paths and labels, called as in label files (docs/data.md). Paths begin in
      ``folder``, by default the current one;
    - ``{"train": ..., "val": ..., "test": ...}`` of arrays or data sets, where splits are made already; "val", "test"
      or both may be left out.

    ``name`` is what the set, and runs on it, are called. ``settings`` are fields of ``DataConfig``: image_size,
    max_images, cache_dir... Files go into the cache, once for each content (``nas.data.given``): a run can be resumed
    and exported when the program is gone, as long as they are there.

    UsageError with everything that is wrong with the data or the settings; DataError if the cache cannot be written.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.random((60, 8, 8)), np.repeat(["cat", "dog"], 30)
    >>> config = data_config((X, y), name="pets", max_images=40)
    >>> Path(config.source).name, config.max_images
    ('pets.npz', 40)
    >>> data_config((X * 255, y))
    Traceback (most recent call last):
    ...
    search_spaces.errors.UsageError: X must be uint8 from 0 to 255 or floats from 0 to 1, and is float64 from ...
    """
    base = data if isinstance(data, DataConfig) else DataConfig()
    config = _with_settings(base, settings)
    if isinstance(data, DataConfig):
        return config
    if isinstance(data, str | Path):
        path = at_home(data)
        is_path = path.exists() and not is_name(str(data))
        return config.model_copy(update={"source": str(path.resolve() if is_path else data)})
    _check_name(name)
    root = cache_root(config.cache_dir)
    if is_frame(data):
        return config.model_copy(update={"source": str(kept_frame(data, config, name, folder, root))})
    parts = _parts(data, config)
    return config.model_copy(update={"source": str(keep_arrays(_arrays(parts), name, root))})


def _check_name(name: str) -> None:
    clean = name.isprintable() and name.strip(". ") and not set(name) & set("/\\:")
    if not clean or len(os.fsencode(name)) > LONGEST_NAME:
        raise UsageError(
            f"name={name[:40]!r} cannot name a file: use letters and digits, {LONGEST_NAME} bytes at most."
        )


def _with_settings(base: DataConfig, settings: Mapping[str, object]) -> DataConfig:
    known = list(DataConfig.model_fields)
    errors = [f"There is no data setting {name!r}.{nearest(name, known)}" for name in settings if name not in known]
    told = {name: value for name, value in settings.items() if name in known}
    config = checked(DataConfig, {**base.model_dump(), **told}, errors)
    raise_all(errors)
    assert config is not None
    return config


def _parts(data: Any, config: DataConfig) -> dict[str, Labelled]:
    """Data of each given part. UsageError with every error of all of them."""
    if not isinstance(data, Mapping):
        return {"train": _labelled(data, "X", config)}
    names = [PARTS[PART_OF[word]] if (word := str(key).lower()) in PART_OF else "" for key in data]
    if "" in names or "train" not in names or len(set(names)) < len(names):
        called = ", ".join(map(str, data))
        raise UsageError(f'Parts must be called "train" and perhaps "val" and "test", and are {called}.')
    errors = list[str]()
    read = {
        name: attempt(partial(_labelled, part, f"X of {name}", config), errors)
        for name, part in zip(names, data.values(), strict=True)
    }
    found = {name: part for name, part in read.items() if part is not None}
    if "train" in found:
        errors += [error for name, part in found.items() for error in _disagreements(found["train"], name, part)]
    raise_all(errors)
    return found


def _disagreements(train: Labelled, name: str, part: Labelled) -> Iterator[str]:
    one, other = train.images.shape[1:], part.images.shape[1:]
    if one != other:
        yield f"Images of train are {one} and those of {name} {other}: they must agree."
    if train.labels.dtype.kind != part.labels.dtype.kind:
        yield f"Labels of train and of {name} must both be whole numbers or both be strings."


def _labelled(data: Any, what: str, config: DataConfig) -> Labelled:
    if isinstance(data, Labelled):
        return data
    if isinstance(data, tuple | list) and len(data) == 2:
        images, labels = data
        return labelled(images, labels, what)
    if is_data_set(data):
        return of_data_set(data, config, what)
    raise UsageError(f"{what.replace('X', 'Data', 1)} cannot be of type {type(data).__name__}: give {_TAKEN}.")


def _arrays(parts: Mapping[str, Labelled]) -> dict[str, np.ndarray[Any, Any]]:
    """As ``nas.data.sources.npz`` reads them."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, part in parts.items():
        prefix = "" if name == "train" else f"{name}_"
        arrays |= {f"{prefix}images": part.images, f"{prefix}labels": part.labels}
    classes, labels = parts["train"].classes, parts["train"].labels
    if classes and labels.dtype.kind == "i" and labels.min() >= 0 and labels.max() < len(classes):
        arrays["class_names"] = np.array(classes, dtype=np.str_)
    return arrays
