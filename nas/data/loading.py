"""Loading of a data set from its settings: find the source, inspect, check, decode once, split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nas.config import DataConfig
from nas.data import looks
from nas.data.cache import Cache, cache_root, held
from nas.data.dataset import Broken, DataReport, Dataset, Duplicates, Pair, Preprocessing
from nas.data.dealing import GroupsTooFew
from nas.data.decode import decode, failures_in
from nas.data.duplicates import identical_groups, near_duplicates
from nas.data.groups import group_remarks, parted_group_errors, too_few_groups
from nas.data.printable_names import printable, printable_names
from nas.data.selection import OUT, Selection, select
from nas.data.sources.base import PARTS, TEST, TRAIN, VAL, Found, Progress, Unread
from nas.data.sources.find import find_source
from nas.data.sources.folders.masks import flat_images, flat_remarks
from nas.data.sources.tree import Patterns
from nas.data.splits import NOT_TEST, Rows, long_tail, make_splits, part_of
from nas.data.survey import Survey, clipped_notes, survey_of
from nas.data.validation import (
    Proposal,
    TooFew,
    broken_errors,
    duplicate_errors,
    few_different,
    few_images,
    proposed_size,
    split_remarks,
    structure_errors,
    synthetic_remarks,
    val_remarks,
)
from nas.errors import DataError

_FORMAT = "5"  # of the cached arrays and of the splits; a change makes old caches and keys unknown


@dataclass(frozen=True)
class _Examined:
    """Examined source; ``folder`` holds its images unless ``errors`` or ``proposal`` kept it from being decoded."""

    name: str
    found: Found
    selection: Selection
    survey: Survey
    target: Preprocessing | None
    folder: Path | None
    errors: tuple[str, ...]
    remarks: tuple[str, ...]
    rows: dict[str, Rows]  # of each split; none with ``errors``
    proposal: Proposal | None
    identical: Rows  # groups of identical images
    copies: Rows | None  # those of them that splitting does not tear apart, if there are any


@dataclass(frozen=True)
class _Choice:
    """Chosen part of a source and its pixels; ``key`` names the decoded copy. Neither with ``errors`` or a
    ``proposal``, nor without a readable image."""

    selection: Selection
    errors: list[str]
    survey: Survey
    proposal: Proposal | None
    target: Preprocessing | None
    key: str


@dataclass(frozen=True)
class _Splits:
    """Rows of each split, or why there are none; where small classes alone are the reason, which."""

    rows: dict[str, Rows] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    too_few: TooFew | None = None
    copies: Rows | None = None


def open_data(config: DataConfig, *, progress: Progress | None = None) -> Dataset:
    """The data set that ``config`` describes, decoded into the cache on its first use.

    ``progress(done, total)`` is called while files are looked at and decoded, in the calling thread. Raises
    DataError with everything that is wrong with the source.
    """
    examined = _examine(config, progress)
    errors = [*examined.errors, *_broken(config, examined)]
    if not config.allow_duplicates and examined.folder is not None:
        errors += duplicate_errors(_identical(examined))
    if examined.proposal:
        errors.append(examined.proposal.error)
    if errors or examined.folder is None:
        raise DataError(*errors)
    return _dataset(config, examined, examined.folder)


def describe_data(config: DataConfig, *, progress: Progress | None = None) -> DataReport:
    """Describe the source, and what ``open_data`` would make or say of it.

    Broken files and unusable contents are reported, not raised, and a size that images need is proposed; DataError if
    there is no such source.
    """
    examined = _examine(config, progress)
    survey, selection, folder = examined.survey, examined.selection, examined.folder
    target, proposal = examined.target, examined.proposal
    duplicates = Duplicates()
    if folder is not None:
        near = near_duplicates(folder, _images(folder), examined.identical)
        duplicates = Duplicates(identical=_identical(examined), similar=_pairs(examined, near))
    errors = [*examined.errors, *_broken(config, examined)]
    errors += [] if config.allow_duplicates else duplicate_errors(duplicates.identical)
    own = selection.own_parts
    return DataReport(
        name=examined.name,
        classes=selection.classes,
        input_shape=target.shape if target else None,
        found={"all" if own == [TRAIN] else PARTS[part]: selection.present[part].tolist() for part in own},
        splits=_counts(selection, examined.rows),
        image_sizes=survey.image_sizes,
        modes=survey.modes,
        formats=survey.formats,
        broken=tuple(Broken(one.name, one.reason) for one in selection.broken),
        num_ignored=examined.found.num_ignored,
        errors=tuple(errors),
        cache_path=folder,
        cache_bytes=(held(folder), held(folder.parent)) if folder else None,
        levels=survey.levels,
        preprocessing=target,
        notes=survey.notes | dict(examined.found.notes.most_common()) | clipped_notes(survey),
        remarks=examined.remarks,
        duplicates=duplicates,
        proposal=proposal.flags if proposal else None,
        proposal_reason=proposal.reason if proposal else None,
    )


def image_names(config: DataConfig) -> Sequence[str] | None:
    """Names of the images' files in their source, by the rows of ``Split``; None where images are no files. DataError
    as ``open_data``."""
    names = _examine(config, None).found.names
    return None if names[:1] == ["image 0"] else names


def _broken(config: DataConfig, examined: _Examined) -> list[str]:
    return [] if config.skip_broken else broken_errors(examined.selection)


def _examine(config: DataConfig, progress: Progress | None) -> _Examined:
    """Look at the source, or recall what a look found, and decode what has not been decoded."""
    root = cache_root(config.cache_dir)
    source, cache = find_source(config, root), Cache(root)
    quick = _hash(looks.VERSION, source.fingerprint())
    name, told = printable(source.name), tuple(map(printable, source.remarks))
    recalled = cache.recall(quick)
    found = looks.read(recalled) if recalled else None
    choice = _choose(config, found, told) if found else None
    folder = cache.lookup(choice.key) if choice and choice.key else None
    if found is None or choice is None or (choice.key and folder is None):
        found = printable_names(source.look(progress))
        if found.repeatable:
            cache.remember(quick, looks.written(found))
        choice = _choose(config, found, told)
        folder = _decoded(cache, name, found, choice, progress) if choice.key else None
    if folder and (failed := failures_in(folder)):
        found = _without(found, failed)
        choice = _choose(config, found, told, choice)
    return _concluded(config, name, told, found, choice, folder)


def _choose(config: DataConfig, found: Found, told: tuple[str, ...], before: _Choice | None = None) -> _Choice:
    """``before``: what was chosen until some images did not decode; their copy is what it is."""
    selection = select(config, found)
    errors = list(selection.errors) or structure_errors(selection, told, _patterns(config))
    if config.drop_small_classes and found.groups is not None:
        alone = np.arange(len(found.labels))
        selection, _ = _resolved(config, found, selection, errors, alone, told)
        errors = errors or structure_errors(selection, told, _patterns(config))
    survey = survey_of(found, selection.looked_at)
    proposal = None if config.size else proposed_size(survey.sizes)
    if before:
        return _Choice(selection, errors, survey, proposal, before.target, before.key)
    if errors or proposal or not len(survey.sizes):
        return _Choice(selection, errors, survey, proposal, None, "")
    width, height = config.size or (int(side) for side in survey.sizes[0][::-1])
    is_grey = config.colours == "grey" if config.colours else survey.grey
    target = Preprocessing.of((1 if is_grey else 3, height, width), config.fit, survey.levels)
    groups = [] if found.groups is None else [hashlib.blake2b(found.groups.tobytes()).hexdigest(), found.grouped_by]
    has_all = len({*np.unique(found.labels).tolist(), *(one.label for one in found.broken)}) == len(found.classes)
    empty = [] if has_all else [repr(found.classes)]
    key = _hash(_FORMAT, found.digest, str(target), *groups, *empty)
    return _Choice(selection, errors, survey, proposal, target, key)


def _patterns(config: DataConfig) -> Patterns:
    return Patterns.of(config.match, config.ignore)


def _decoded(cache: Cache, name: str, found: Found, choice: _Choice, progress: Progress | None) -> Path:
    target = choice.target
    assert target is not None, "there is something to decode"
    return cache.fill(choice.key, lambda folder: decode(found, target, folder, progress, name=name))


def _without(found: Found, failed: Mapping[int, str]) -> Found:
    """The same where some images turned out to be broken, by row."""
    broken = [
        Unread(found.names[row], why, int(found.parts[row]), int(found.labels[row])) for row, why in failed.items()
    ]
    good = np.setdiff1d(np.arange(len(found.labels)), list(failed))
    return replace(
        found,
        labels=found.labels[good],
        parts=found.parts[good],
        names=[found.names[row] for row in good],
        kinds=found.kinds[good],
        groups=None if found.groups is None else found.groups[good],
        synthetic=None if found.synthetic is None else found.synthetic[good],
        broken=tuple(sorted([*found.broken, *broken])),
        read=None,
    )


def _concluded(
    config: DataConfig, name: str, told: tuple[str, ...], found: Found, choice: _Choice, folder: Path | None
) -> _Examined:
    """The splits, or why there cannot be any."""
    identical = np.arange(len(found.labels))
    if folder is not None:
        images = _images(folder)
        if len(images) != len(found.labels):
            raise DataError(
                f"{folder} in the cache is damaged: it holds {len(images):,} images in place of "
                f"{len(found.labels):,}. Remove it: it is created again."
            )
        identical = identical_groups(folder, images)
    selection, splits = _resolved(config, found, choice.selection, choice.errors, identical, told)
    survey = survey_of(found, selection.looked_at, choice.target.levels if choice.target else None)
    rows = splits.rows
    remarks = [*told, *found.remarks]
    if folder:
        flat = flat_images(folder, _images(folder))
        remarks += flat_remarks(found.names, flat, selection.parts != OUT, _patterns(config))
    remarks += [*selection.remarks, *selection.dropped]
    remarks += val_remarks(selection)
    if rows and found.groups is not None:
        remarks += group_remarks(found.grouped_by, selection.classes, selection.labels, found.groups, rows)
    if rows:
        rows = _thinned(config, selection, rows)
        if config.max_images:
            used = sum(len(rows[name]) for name in NOT_TEST)
            remarks.append(f"{used:,} images without test, stratified by class (--max-images)")
        counts = {} if selection.held else _counts(selection, rows)  # held-out identities rank, not classes
        remarks += split_remarks(selection.classes, counts, splits.copies)
        remarks += synthetic_remarks(found.synthetic, selection.own_parts, rows, ignores_val=config.ignore_val)
    return _Examined(
        name, found, selection, survey, choice.target, folder, splits.errors, tuple(remarks), rows, choice.proposal,
        identical, splits.copies,
    )  # fmt: skip


def _resolved(
    config: DataConfig, found: Found, selection: Selection, errors: Sequence[str], identical: Rows, told: Sequence[str]
) -> tuple[Selection, _Splits]:
    """The splits, and what they are of: the selection, or what is left of it without classes that are too small."""
    splits = _split(config, found, selection, identical, errors)
    while config.drop_small_classes and splits.too_few:
        selection = selection.without(splits.too_few.small, splits.too_few.why)
        splits = _split(config, found, selection, identical, structure_errors(selection, told, _patterns(config)))
    return selection, splits


def _split(config: DataConfig, found: Found, selection: Selection, identical: Rows, errors: Sequence[str]) -> _Splits:
    groups, own = found.groups, selection.own_parts
    if errors:
        return _Splits(errors=tuple(errors))
    if few := few_images(selection):
        return _Splits(errors=few.errors, too_few=few)
    if groups is not None and (parted := parted_group_errors(found.grouped_by, selection.parts, groups)):
        return _Splits(errors=tuple(parted))
    copies = _copies(selection, identical)
    if copies is not None and (few := few_different(selection, identical)):
        if not config.allow_duplicates:
            return _Splits(errors=few.errors, too_few=few)
        copies = None
    number, seed = len(selection.classes), config.split_seed
    try:
        rows = make_splits(
            selection.labels, selection.parts, own, num_classes=number, seed=seed, groups=groups, copies=copies,
            keep_small=config.keep_small_classes,
            test_per_class=config.test_per_class,
        )  # fmt: skip
    except GroupsTooFew as error:
        few = too_few_groups(found.grouped_by, selection.classes, error)
        return _Splits(errors=few.errors, too_few=few)
    return _Splits(rows, copies=copies)


def _copies(selection: Selection, identical: Rows) -> Rows | None:
    """Groups of identical images of one part, if any is to be kept together."""
    in_part, used = identical * (OUT + 1) + selection.parts, selection.parts != OUT
    return None if len(np.unique(in_part[used])) == used.sum() else in_part


def _thinned(config: DataConfig, selection: Selection, rows: dict[str, Rows]) -> dict[str, Rows]:
    labels, num_classes, seed = selection.labels, len(selection.classes), config.split_seed
    if not config.hold_out and VAL not in selection.own_parts:
        rows["train"] = np.sort(np.concatenate([rows[name] for name in NOT_TEST]))
    if config.imbalance_factor > 1:
        factor = config.imbalance_factor
        rows["train"] = long_tail(rows["train"], labels, num_classes=num_classes, factor=factor, seed=seed)
    if config.max_images:
        rows = part_of(rows, labels, most=config.max_images, num_classes=num_classes, seed=seed)
    return rows


def _counts(selection: Selection, rows: dict[str, Rows]) -> dict[str, list[int]]:
    number = len(selection.classes)
    return {split: np.bincount(selection.labels[chosen], minlength=number).tolist() for split, chosen in rows.items()}


def _dataset(config: DataConfig, examined: _Examined, folder: Path) -> Dataset:
    selection, target = examined.selection, examined.target
    assert target is not None, "a decoded set has a shape"
    own_key = [] if config.hold_out else ["nothing held out"]
    own_key += [config.selection] if config.selection else []
    own_key += [f"test {config.test_per_class}"] if config.test_per_class and TEST not in selection.own_parts else []
    own_key += [repr(selection.classes)] if config.drop_small_classes else []
    own_key += [] if examined.copies is None else ["copies together"]
    return Dataset(
        name=examined.name,
        key=_hash(_FORMAT, folder.name, str(config.split_seed), repr(float(config.imbalance_factor)), *own_key),
        classes=selection.classes,
        input_shape=target.shape,
        counts=_counts(selection, examined.rows),
        cache_path=folder,
        rows=examined.rows,
        labels=selection.labels,
        levels=target.levels,
        remarks=examined.remarks,
        grouped_by=examined.found.grouped_by,
        identities=selection.identities,
    )


def _images(folder: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(np.load(folder / "images.npy", mmap_mode="r"))


def _identical(examined: _Examined) -> tuple[Pair, ...]:
    """Every image that is used with the first one like it."""
    first, used = _first_used(examined), np.flatnonzero(examined.selection.parts != OUT)
    return _pairs(examined, np.stack([examined.identical[used], used], axis=1)[first[used] != used])


def _first_used(examined: _Examined) -> Rows:
    """For each image the first one with the same pixels that is used; itself where there is none."""
    used = np.flatnonzero(examined.selection.parts != OUT)
    first = np.arange(len(examined.identical))
    groups, place = np.unique(examined.identical[used], return_index=True)
    first[groups] = used[place]
    return first[examined.identical]


def _pairs(examined: _Examined, pairs: Rows) -> tuple[Pair, ...]:
    """Pairs of rows (P, 2) as people know them, of images that are used or have a copy that is."""
    selection = examined.selection
    labels, parts, names = selection.labels, selection.looked_at, examined.found.names
    classes = (*selection.classes, *selection.held)
    first = _first_used(examined)
    pairs = np.where(parts[pairs] == OUT, first[pairs], pairs)
    pairs = pairs[(parts[pairs] != OUT).all(axis=1)]
    splits = np.full(len(labels), "none", dtype=object)
    for name, chosen in {**examined.rows, **selection.identities}.items():
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


def _hash(*words: str) -> str:
    return hashlib.blake2b("\0".join(words).encode(errors="surrogateescape"), digest_size=16).hexdigest()
