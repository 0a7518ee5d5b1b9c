"""From a configuration to a data set: find the source, look, check, decode once, split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nas.config import DataConfig
from nas.data.cache import Cache, cache_root, held, writing
from nas.data.dataset import DataReport, Dataset, Duplicates, Pair, Preprocessing
from nas.data.dealing import GroupsTooFew
from nas.data.decode import Survey, decode, read_survey, survey_of
from nas.data.duplicates import identical_groups, near_duplicates
from nas.data.groups import group_remarks, parted_group_faults, too_few_groups
from nas.data.printable_names import printable, printable_names
from nas.data.selection import OUT, Selection, select
from nas.data.sources.base import PARTS, TEST, TRAIN, VAL, Found, Progress
from nas.data.sources.find import find_source
from nas.data.splits import Rows, long_tail, make_splits
from nas.data.validation import (
    Proposal,
    broken_faults,
    duplicate_faults,
    few_different_faults,
    few_images_faults,
    proposed_size,
    split_remarks,
    structure_faults,
)
from nas.errors import DataError, attempt
from nas.files import write_atomically

_FORMAT = "5"  # of the cached arrays and of the splits; a change makes old caches and keys unknown
_NAMES = "names.txt"  # of the decoded images, a line each


@dataclass(frozen=True)
class _Examined:
    """What is known of a source; ``folder`` holds its arrays unless ``faults`` or ``proposal`` kept it from being
    decoded."""

    name: str
    survey: Survey
    selection: Selection
    folder: Path | None
    faults: tuple[str, ...]
    remarks: tuple[str, ...]
    rows: dict[str, Rows]  # of each split; none with ``faults``
    proposal: Proposal | None = None
    identical: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # groups of identical images
    copies: Rows | None = None  # those of them that splitting does not tear apart, if there are any


def open_data(config: DataConfig, *, progress: Progress | None = None) -> Dataset:
    """The data set that ``config`` describes, decoded into the cache on its first use.

    ``progress(done, total)`` is called while files are looked at and decoded, in the calling thread. Raises
    DataError with everything that is wrong with the source.
    """
    examined = _examine(config, progress)
    faults = [*examined.faults, *_broken(config, examined)]
    if not config.allow_duplicates and examined.folder is not None:
        faults += duplicate_faults(_identical(examined.folder, examined))
    if examined.proposal:
        faults.append(examined.proposal.fault)
    if faults or examined.folder is None:
        raise DataError(*faults)
    return _dataset(config, examined, examined.folder)


def describe_data(config: DataConfig, *, progress: Progress | None = None) -> DataReport:
    """What is in the source, and what ``open_data`` would make or say of it.

    Broken files and unusable contents are reported, not raised, and a size that images need is proposed; DataError if
    there is no such source.
    """
    examined = _examine(config, progress)
    survey, selection, proposal = examined.survey, examined.selection, examined.proposal
    duplicates = Duplicates()
    if examined.folder is not None:
        near = near_duplicates(examined.folder, _images(examined.folder), examined.identical)
        identical = _identical(examined.folder, examined)
        duplicates = Duplicates(identical=identical, similar=_pairs(examined.folder, examined, near))
    faults = [*examined.faults, *_broken(config, examined)]
    faults += [] if config.allow_duplicates else duplicate_faults(duplicates.identical)
    own = selection.own_parts
    return DataReport(
        name=examined.name,
        classes=selection.classes,
        input_shape=survey.input_shape,
        found={"all" if own == [TRAIN] else PARTS[part]: selection.present[part].tolist() for part in own},
        splits=_counts(selection, examined.rows),
        image_sizes=survey.image_sizes,
        modes=survey.modes,
        formats=survey.formats,
        broken=survey.broken,
        num_ignored=survey.num_ignored,
        faults=tuple(faults),
        cache_path=examined.folder,
        cache_bytes=(held(examined.folder), held(examined.folder.parent)) if examined.folder else None,
        levels=survey.levels,
        preprocessing=survey.input_shape and Preprocessing.of(survey.input_shape, config.fit, survey.levels),
        notes=survey.notes,
        remarks=examined.remarks,
        duplicates=duplicates,
        proposal=proposal.flags if proposal else None,
        proposal_reason=proposal.reason if proposal else None,
    )


def _broken(config: DataConfig, examined: _Examined) -> list[str]:
    survey = examined.survey
    return [] if config.skip_broken else broken_faults(survey.broken, survey.present)


def _examine(config: DataConfig, progress: Progress | None) -> _Examined:
    root = cache_root(config.cache_dir)
    source = find_source(config, root)
    cache = Cache(root)
    wanted = f"{config.image_size}:{config.fit}" if config.image_size else "own"
    quick = _hash(_FORMAT, source.fingerprint(), wanted, *([config.colours] if config.colours else []))
    name, told = printable(source.name), tuple(map(printable, source.remarks))
    folder = cache.lookup(quick)
    if folder is None or not (folder / _NAMES).is_file():
        found = printable_names(source.look(progress))
        survey = survey_of(found)
        selection = select(config, found.classes, found.present, found.labels, found.parts)
        faults = [*selection.faults, *structure_faults(selection, told)]
        proposal = None if config.size else proposed_size(found)
        if faults or proposal or not len(found.labels):  # without a readable image there is nothing to decode
            return _concluded(config, name, told, survey, selection, found.groups, proposal=proposal)
        folder = _decoded(cache, found, _preprocessing(found, config), progress)
        if found.repeatable:
            cache.remember(quick, folder)
    survey = read_survey(folder)
    selection = select(config, survey.classes, np.array(survey.present), *_labels_and_parts(folder))
    groups = np.load(folder / "groups.npy") if survey.grouped_by else None
    return _concluded(config, name, told, survey, selection, groups, folder=folder)


def _concluded(
    config: DataConfig, name: str, told: tuple[str, ...], survey: Survey, selection: Selection, groups: Rows | None,
    *, folder: Path | None = None, proposal: Proposal | None = None,
) -> _Examined:  # fmt: skip
    """The splits, or why there cannot be any."""
    faults = [*selection.faults, *structure_faults(selection, told)]
    faults += [] if faults else few_images_faults(selection)
    if groups is not None and not faults:
        faults += parted_group_faults(survey.grouped_by, selection.parts, groups)
    identical = np.arange(len(selection.labels)) if folder is None else identical_groups(folder, _images(folder))
    copies = _copies(config, selection, identical, faults)
    remarks = (*told, *survey.remarks, *selection.remarks, *_about_splits(selection))
    rows = None if faults else attempt(lambda: _dealt(config, survey, selection, groups, copies), faults)
    if rows is not None and groups is not None:
        remarks += group_remarks(survey.grouped_by, selection.classes, selection.labels, groups, rows)
    rows = {} if rows is None else _thinned(config, selection, rows)
    if rows:
        remarks += split_remarks(selection.classes, _counts(selection, rows), copies)
    return _Examined(name, survey, selection, folder, tuple(faults), remarks, rows, proposal, identical, copies)


def _copies(config: DataConfig, selection: Selection, identical: Rows, faults: list[str]) -> Rows | None:
    """Groups of identical images of one part, if any is to be kept together; a fault where that leaves too few."""
    in_part, used = identical * (OUT + 1) + selection.parts, selection.parts != OUT
    if faults or len(np.unique(in_part[used])) == used.sum():
        return None
    if few := few_different_faults(selection, identical):
        faults += [] if config.allow_duplicates else few
        return None
    return in_part


def _about_splits(selection: Selection) -> list[str]:
    """What becomes of the source's own parts, where it is not plain."""
    own = selection.own_parts
    if VAL not in own:
        return []
    test = "" if TEST in own else "; there is no test, so it is a fifth of train"
    return [f"val is halved into select, which chooses epochs, and rank, which ranks trials{test}"]


def _decoded(cache: Cache, found: Found, target: Preprocessing, progress: Progress | None) -> Path:
    empty = [] if found.present.any(axis=0).all() else [repr(found.classes)]
    groups = [] if found.groups is None else [hashlib.blake2b(found.groups.tobytes()).hexdigest(), found.grouped_by]
    key = _hash(_FORMAT, found.digest, str(target), *groups, *empty)
    folder = cache.fill(key, lambda folder: decode(found, target, folder, progress))
    broken = {one.name for one in read_survey(folder).broken}
    with writing(cache.root):
        write_atomically(folder / _NAMES, "".join(f"{name}\n" for name in found.names if name not in broken))
    return folder


def _preprocessing(found: Found, config: DataConfig) -> Preprocessing:
    width, height = config.size or (int(side) for side in found.sizes[0][::-1])
    is_grey = config.colours == "grey" if config.colours else found.grey
    return Preprocessing.of((1 if is_grey else 3, height, width), config.fit, found.levels)


def _dealt(
    config: DataConfig, survey: Survey, selection: Selection, groups: Rows | None, copies: Rows | None
) -> dict[str, Rows]:
    number, seed, own = len(selection.classes), config.split_seed, selection.own_parts
    try:
        return make_splits(
            selection.labels, selection.parts, own, num_classes=number, seed=seed, groups=groups, copies=copies
        )
    except GroupsTooFew as error:
        raise DataError(too_few_groups(survey.grouped_by, selection.classes, error)) from error


def _thinned(config: DataConfig, selection: Selection, rows: dict[str, Rows]) -> dict[str, Rows]:
    labels, num_classes, seed = selection.labels, len(selection.classes), config.split_seed
    if not config.hold_out and VAL not in selection.own_parts:
        rows["train"] = np.sort(np.concatenate([rows[name] for name in ("train", "select", "rank")]))
    if config.imbalance_factor > 1:
        factor = config.imbalance_factor
        rows["train"] = long_tail(rows["train"], labels, num_classes=num_classes, factor=factor, seed=seed)
    return rows


def _counts(selection: Selection, rows: dict[str, Rows]) -> dict[str, list[int]]:
    number = len(selection.classes)
    return {split: np.bincount(selection.labels[chosen], minlength=number).tolist() for split, chosen in rows.items()}


def _dataset(config: DataConfig, examined: _Examined, folder: Path) -> Dataset:
    survey, selection = examined.survey, examined.selection
    assert survey.input_shape is not None, "a decoded set has a shape"
    own_key = [] if config.hold_out else ["nothing held out"]
    own_key += [config.selection] if config.selection else []
    own_key += [] if examined.copies is None else ["copies together"]
    return Dataset(
        name=examined.name,
        key=_hash(_FORMAT, folder.name, str(config.split_seed), repr(float(config.imbalance_factor)), *own_key),
        classes=selection.classes,
        input_shape=survey.input_shape,
        counts=_counts(selection, examined.rows),
        cache_path=folder,
        rows=examined.rows,
        labels=selection.labels,
        levels=survey.levels,
        remarks=examined.remarks,
    )


def _images(folder: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(np.load(folder / "images.npy", mmap_mode="r"))


def _identical(folder: Path, examined: _Examined) -> tuple[Pair, ...]:
    """Every image that is used with the first one like it."""
    used = np.flatnonzero(examined.selection.parts != OUT)
    _, first, which = np.unique(examined.identical[used], return_index=True, return_inverse=True)
    one = used[first[which.reshape(-1)]]
    return _pairs(folder, examined, np.stack([one, used], axis=1)[one != used])


def _pairs(folder: Path, examined: _Examined, pairs: Rows) -> tuple[Pair, ...]:
    """Pairs of rows (P, 2) as people know them, of images that are used."""
    selection = examined.selection
    labels, parts, classes = selection.labels, selection.parts, selection.classes
    pairs = pairs[(parts[pairs] != OUT).all(axis=1)]
    if not len(pairs):
        return ()
    names = (folder / _NAMES).read_text().split("\n")
    splits = np.full(len(labels), "none", dtype=object)
    for name, chosen in examined.rows.items():
        splits[chosen] = name
    return tuple(
        Pair(
            names=(names[one], names[other]),
            classes=(classes[labels[one]], classes[labels[other]]),
            parts=(PARTS[parts[one]], PARTS[parts[other]]),
            splits=(str(splits[one]), str(splits[other])),
        )
        for one, other in pairs.tolist()
    )


def _labels_and_parts(folder: Path) -> tuple[Rows, np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    return np.load(folder / "labels.npy"), np.load(folder / "parts.npy")


def _hash(*words: str) -> str:
    return hashlib.blake2b("\0".join(words).encode(errors="surrogateescape"), digest_size=16).hexdigest()
