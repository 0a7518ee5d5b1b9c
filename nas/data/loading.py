"""From a configuration to a data set: find the source, look, check, decode once, split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.config import DataConfig
from nas.data.cache import Cache, cache_root
from nas.data.dataset import DataReport, Dataset, Preprocessing
from nas.data.decode import Survey, decode, read_survey, survey_of
from nas.data.printable_names import printable, printable_names
from nas.data.sources.base import PARTS, TRAIN, VAL, Found, Progress
from nas.data.sources.find import find_source
from nas.data.splits import Rows, long_tail, make_splits
from nas.data.validation import broken_faults, few_images_faults, size_faults, structure_faults
from nas.errors import DataError

_FORMAT = "5"  # of the cached arrays and of the splits; a change makes old caches and keys unknown


@dataclass(frozen=True)
class _Examined:
    """What is known of a source; ``folder`` holds its arrays unless ``faults`` kept it from being decoded."""

    name: str
    survey: Survey
    folder: Path | None
    faults: tuple[str, ...]


def open_data(config: DataConfig, *, progress: Progress | None = None) -> Dataset:
    """The data set that ``config`` describes, decoded into the cache on its first use.

    ``progress(done, total)`` is called while files are looked at and decoded, in the calling thread. Raises
    DataError with everything that is wrong with the source.
    """
    examined = _examine(config, progress)
    faults = list(examined.faults)
    if not config.skip_broken:
        faults += broken_faults(examined.survey.broken, examined.survey.present)
    if faults or examined.folder is None:
        raise DataError(*faults)
    return _dataset(config, examined.name, examined.survey, examined.folder)


def describe_data(config: DataConfig, *, progress: Progress | None = None) -> DataReport:
    """What is in the source, and what ``open_data`` would make or say of it.

    Broken files and unusable contents are reported, not raised; DataError if there is no such source.
    """
    examined = _examine(config, progress)
    survey = examined.survey
    splits: dict[str, list[int]] = {}
    if not examined.faults and examined.folder is not None:
        splits = _dataset(config, examined.name, survey, examined.folder).counts
    faults = list(examined.faults)
    if not config.skip_broken:
        faults += broken_faults(survey.broken, survey.present)
    own = survey.own_parts
    return DataReport(
        name=examined.name,
        classes=survey.classes,
        input_shape=survey.input_shape,
        found={"all" if own == [TRAIN] else PARTS[part]: survey.present[part] for part in own},
        splits=splits,
        image_sizes=survey.image_sizes,
        modes=survey.modes,
        formats=survey.formats,
        broken=survey.broken,
        num_ignored=survey.num_ignored,
        faults=tuple(faults),
        cache_path=examined.folder,
        levels=survey.levels,
        preprocessing=survey.input_shape and Preprocessing.of(survey.input_shape, config.fit, survey.levels),
        notes=survey.notes,
    )


def _examine(config: DataConfig, progress: Progress | None) -> _Examined:
    root = cache_root(config.cache_dir)
    source = find_source(config.source, root)
    cache = Cache(root)
    wanted = f"{config.image_size}:{config.fit}" if config.image_size else "own"
    quick = _hash(_FORMAT, source.fingerprint(), wanted, *([config.colours] if config.colours else []))
    folder = cache.lookup(quick)
    if folder is None:
        found = printable_names(source.look(progress))
        survey = survey_of(found)
        faults = [*structure_faults(found), *([] if config.size else size_faults(found))]
        if faults:
            return _Examined(printable(source.name), survey, None, tuple(faults))
        folder = _decoded(cache, found, _preprocessing(found, config), progress)
        if found.repeatable:
            cache.remember(quick, folder)
    survey = read_survey(folder)
    labels, parts = _labels_and_parts(folder)
    return _Examined(printable(source.name), survey, folder, tuple(few_images_faults(survey, labels, parts)))


def _decoded(cache: Cache, found: Found, target: Preprocessing, progress: Progress | None) -> Path:
    key = _hash(_FORMAT, found.digest, str(target))
    return cache.fill(key, lambda folder: decode(found, target, folder, progress))


def _preprocessing(found: Found, config: DataConfig) -> Preprocessing:
    width, height = config.size or (int(side) for side in found.sizes[0][::-1])
    is_grey = config.colours == "grey" if config.colours else found.grey
    return Preprocessing.of((1 if is_grey else 3, height, width), config.fit, found.levels)


def _dataset(config: DataConfig, name: str, survey: Survey, folder: Path) -> Dataset:
    assert survey.input_shape is not None, "a decoded set has a shape"
    labels, parts = _labels_and_parts(folder)
    num_classes = len(survey.classes)
    factor = config.imbalance_factor
    rows = make_splits(labels, parts, survey.own_parts, num_classes=num_classes, seed=config.split_seed)
    own_key = [] if config.hold_out else ["nothing held out"]
    if not config.hold_out and VAL not in survey.own_parts:
        rows["train"] = np.sort(np.concatenate([rows[name] for name in ("train", "select", "rank")]))
    if factor > 1:
        rows["train"] = long_tail(rows["train"], labels, num_classes=num_classes, factor=factor, seed=config.split_seed)
    counts = {split: np.bincount(labels[chosen], minlength=num_classes).tolist() for split, chosen in rows.items()}
    return Dataset(
        name=name,
        key=_hash(_FORMAT, folder.name, str(config.split_seed), repr(float(factor)), *own_key),
        classes=survey.classes,
        input_shape=survey.input_shape,
        counts=counts,
        cache_path=folder,
        rows=rows,
        levels=survey.levels,
    )


def _labels_and_parts(folder: Path) -> tuple[Rows, np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    return np.load(folder / "labels.npy"), np.load(folder / "parts.npy")


def _hash(*words: str) -> str:
    return hashlib.blake2b("\0".join(words).encode(errors="surrogateescape"), digest_size=16).hexdigest()
