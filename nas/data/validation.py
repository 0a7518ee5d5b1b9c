"""Checks of a data set, each error a sentence with its cure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.config.data import LARGEST_SIDE, SMALLEST_SIDE
from nas.data.dataset import Pair
from nas.data.selection import Selection
from nas.data.sources.base import PARTS, TEST, TRAIN, VAL
from nas.data.sources.tree import Patterns, ignoring
from nas.data.splits import Rows
from nas.units import counted

_SHOWN = 20
_PAIRS_SHOWN = 5
_FEW_TO_RANK = 10  # images of a class: one of them is ten points of its recall
_SIDES = (16, 24, 32, 48, 64)  # that are proposed
_LONG = 1.5  # times the shorter side: a tenth of the images longer than that, and they are padded, not squeezed


def structure_errors(found: Selection, remarks: Sequence[str], patterns: Patterns) -> list[str]:
    """No images, one class only, classes that are empty or in one part alone. ``remarks`` may know where labels are;
    ``patterns`` chose the files."""
    present, dropped = found.present, "".join(f" {words}." for words in found.dropped)
    if not present.any():
        if dropped:
            return [f"No class is left.{dropped}"]
        return ["There are no images. Give a folder whose class folders hold images, or another data set."]
    errors = []
    totals = present.sum(axis=0)
    empty = [name for name, total in zip(found.classes, totals, strict=True) if total == 0]
    only = [name for name in found.classes if name not in empty] if len(empty) == len(found.classes) - 1 else []
    if empty and not only:
        errors.append(
            f"No images in: {some(empty)}. Add images to these class folders, or leave them out: "
            f"{ignoring(empty, patterns)}."
        )
    if only:
        beside = f" (there are no images in {some(empty)})" if empty else ""
        how = " Put the images of each class in a folder of its own, or give a table of labels: --data labels.csv."
        hint = next((f" {remark}." for remark in remarks if "--data" in remark or "--match '*'" in remark), "")
        errors.append(f"There is only one class, {only[0]!r}; at least two are needed{beside}.{dropped}{hint or how}")
    own = [part for part in (TRAIN, VAL, TEST) if present[part].any()]
    if TRAIN not in own:
        there = " and ".join(PARTS[part] for part in own)
        usual = (
            "Add some: in a folder train/, in arrays 'images' and 'labels', or in lines of a table whose split is "
            "train (or let nasctl split a table: --columns split=)"
        )
        way = next((each for each in remarks if "in train/" in each), usual)
        errors.append(f"The data has images of {there} but none of train. {way}.")
        return errors
    for part in own[1:]:
        name = PARTS[part]
        unknown = [found.classes[c] for c in np.flatnonzero((present[TRAIN] == 0) & (present[part] > 0))]
        if unknown:
            way = " (or leave val out: --ignore-val)" if part == VAL else ""
            errors.append(
                f"Classes in {name} that train lacks: {some(unknown)}. Add training images of them, or "
                f"remove them from {name}{way}."
            )
        absent = [found.classes[c] for c in np.flatnonzero((present[TRAIN] > 0) & (present[part] == 0))]
        if absent and not found.keeps_small:
            way = "by --ignore-val" if part == VAL else "(of folders, by --ignore and what that folder is called)"
            errors.append(
                f"Classes in train that {name} lacks: {some(absent)}. Add images of them to {name}, or leave "
                f"{name} out {way}, to have images of train held out, or take them as they are by "
                "--keep-small-classes."
            )
    return errors


@dataclass(frozen=True)
class Proposal:
    """A size that images can be brought to, where they need one: flags to type, and why."""

    flags: str
    reason: str

    @property
    def error(self) -> str:
        """Message where no size was given and one is needed."""
        return f"{self.reason} Add {self.flags}, or another size."


def proposed_size(sizes: Rows) -> Proposal | None:
    """A size for images of several ``sizes`` (N, 2: height, width), or of one that is too small or too large; None:
    their own will do.

    At most 64 pixels a side: a search trains dozens of networks, and twice the side is four times the time. Never more
    than half of the images have.
    """
    if not len(sizes):
        return None
    low, high = sizes.min(axis=0), sizes.max(axis=0)
    several = bool((low != high).any())
    if not several and low.min() >= SMALLEST_SIDE and high.max() <= LARGEST_SIDE:
        return None
    short = float(np.median(sizes.min(axis=1)))
    side = max((each for each in _SIDES if each <= short), default=_SIDES[0])
    ratios = sizes[:, 1] / sizes[:, 0]
    pad = several and float(np.quantile(np.maximum(ratios, 1 / ratios), 0.9)) > _LONG
    if several:
        what = f"The images have several sizes: {low[1]} to {high[1]} pixels wide, {low[0]} to {high[0]} high"
        what += f", half of them at least {short:.0f} on their shorter side."
    else:
        what = f"The images are {low[1]}x{low[0]}, and must be {SMALLEST_SIDE} to {LARGEST_SIDE} pixels on each side."
    return Proposal(f"--image-size {side}{' --fit pad' if pad else ''}", what)


@dataclass(frozen=True)
class TooFew:
    """Classes that cannot stand in every split: ``small`` has a number of each, and ``why`` says of what."""

    errors: tuple[str, ...]
    small: Mapping[int, int]
    why: str


def few_images(selection: Selection) -> TooFew | None:
    """Classes that cannot have an image in each split."""
    counts = {
        part: np.bincount(selection.labels[selection.parts == part], minlength=len(selection.classes))
        for part in selection.least
    }
    return _few(selection, counts, "readable")


def few_different(selection: Selection, groups: Rows) -> TooFew | None:
    """Classes that cannot have an image in each split when identical ones (``groups``) stay together."""
    counts = {
        part: _to_deal(
            selection.labels[selection.parts == part], groups[selection.parts == part], len(selection.classes)
        )
        for part in selection.least
        if part != TEST
    }
    return _few(selection, counts, "different", ", or allow copies in several splits by --allow-duplicates")


def _few(selection: Selection, counts: dict[int, npt.NDArray[np.int64]], what: str, more: str = "") -> TooFew | None:
    errors, small = [], dict[int, int]()
    why = " to train on" if selection.keeps_small else ", so that train has 2 and select, rank and test have 1 each"
    fine = np.all([of_part >= selection.least[part] for part, of_part in counts.items()], axis=0)
    keep = "" if selection.keeps_small else ", or keep classes of 2 images or more by --keep-small-classes"
    drop = ", or leave such classes out by --drop-small-classes" if fine.sum() > 1 else ""  # that leaves a set
    for part, of_part in counts.items():
        least = selection.least[part]
        few = np.flatnonzero(of_part < least).tolist()
        if few:
            where = "" if selection.own_parts == [TRAIN] else f" in {PARTS[part]}"
            named = some([f"{selection.classes[c]} ({of_part[c]})" for c in few])
            errors.append(
                f"Too few {what} images{where} of: {named}. Every class needs at least {least}{where}"
                f"{why}. Add images{drop}{keep}{more}."
            )
            small = {c: int(of_part[c]) for c in few} | small
    return TooFew(tuple(errors), small, f"too few {what} images for every split") if errors else None


def _to_deal(labels: Rows, groups: Rows, num_classes: int) -> npt.NDArray[np.int64]:
    """Of each class the images that can be dealt out one by one, and up to two that stand in other classes too, which
    are only good to train on."""
    each = np.unique(np.stack([groups, labels]), axis=1)
    _, which, times = np.unique(each[0], return_inverse=True, return_counts=True)
    mixed = times[which.reshape(-1)] > 1
    alone, shared = (np.bincount(each[1][rows], minlength=num_classes) for rows in (~mixed, mixed))
    counts: npt.NDArray[np.int64] = alone + np.minimum(shared, 2)
    return counts


def duplicate_errors(identical: Sequence[Pair]) -> list[str]:
    """Identical images on both sides of the source's own parts, or in two classes."""
    errors = []
    across = [pair for pair in identical if pair.parts[0] != pair.parts[1]]
    for parts in dict.fromkeys(tuple(sorted(pair.parts, key=PARTS.index)) for pair in across):
        pairs = [pair for pair in across if set(pair.parts) == set(parts)]
        errors.append(
            f"Identical images in {parts[0]} and {parts[1]}, {len(pairs):,} of them: {_pairs(pairs)}. Metrics on "
            f"{parts[1]} would be too optimistic: remove them from {parts[0]}, or continue with them by "
            "--allow-duplicates."
        )
    if pairs := [pair for pair in identical if pair.classes[0] != pair.classes[1]]:
        errors.append(
            f"Identical images in two classes, {len(pairs):,} of them: {_pairs(pairs)}. Remove what is labelled "
            "wrongly, or continue with them by --allow-duplicates."
        )
    return errors


def _pairs(pairs: Sequence[Pair]) -> str:
    more = f" ... and {len(pairs) - _PAIRS_SHOWN:,} more ('nasctl data --json' lists all)"
    shown = ", ".join(" = ".join(pair.names) for pair in pairs[:_PAIRS_SHOWN])
    return shown + (more if len(pairs) > _PAIRS_SHOWN else "")


def split_remarks(classes: Sequence[str], counts: dict[str, list[int]], together: Rows | None) -> tuple[str, ...]:
    """Remarks on splits that can be used: few images to rank by, copies kept together."""
    notes = []
    rank = counts.get("rank", [])
    few = sorted((count, name) for name, count in zip(classes, rank, strict=False) if 0 < count < _FEW_TO_RANK)
    if none := {split: of_split.count(0) for split, of_split in counts.items() if 0 in of_split}:
        listed = ", ".join(f"{number:,} have none in {split}" for split, number in none.items())
        notes.append(f"Of {len(classes):,} classes {listed}: metrics are of the other classes (--keep-small-classes)")
    if few:
        more = f"{len(few) - 1:,} more class{'es' * (len(few) > 2)}"
        others = f", and fewer than {_FEW_TO_RANK} of {more}" if len(few) > 1 else ""
        images = f"{few[0][0]} image{'s' * (few[0][0] != 1)}"
        notes.append(
            f"Trials are ranked on {images} of {few[0][1]}{others}: a single image changes the recall of that "
            f"class by {100 / max(few[0][0], 1):.0f} points, so the order of close trials is down to chance"
        )
    if together is not None:
        num_copies = len(together) - len(np.unique(together))
        notes.append(f"{counted(num_copies, 'image')} repeated pixel by pixel: copies are kept in one split")
    return tuple(notes)


def val_remarks(selection: Selection) -> list[str]:
    """Remarks on the use of the source's own parts, where it is not plain."""
    own = selection.own_parts
    if VAL not in own:
        return []
    test = "" if TEST in own else "; there is no test split, so a fifth of train is used as test"
    return [f"val is halved into select, which chooses epochs, and rank, which ranks trials{test}"]


def synthetic_remarks(
    synthetic: npt.NDArray[np.bool_] | None, own_parts: Sequence[int], rows: Mapping[str, Rows], *, ignores_val: bool
) -> tuple[str, ...]:
    """Remarks on splits of a set that was oversampled before: that validation and test images of its own are sound, and
    that those split off here are not."""
    if synthetic is None or not synthetic.any():
        return ()
    count = f"{synthetic[rows['train']].sum():,} of the {counted(len(rows['train']), 'training image')} are synthetic"
    lacking = [part for part in (VAL, TEST) if part not in own_parts]
    if not lacking:
        return (f"{count}: the set was oversampled after its splits were made, and has val and test of its own",)
    names = [*(["select", "rank"] if VAL in lacking else []), *(["test"] if TEST in lacking else [])]
    inside = counted(sum(int(synthetic[rows[name]].sum()) for name in names), "synthetic image")
    instead = "give the set as it was before, with --oversample"
    way = f"leave out --ignore-val, or {instead}" if ignores_val and lacking == [VAL] else instead
    return (
        f"{count}: the set was oversampled before {', '.join(names)} {'are' if names[1:] else 'is'} split off here. "
        f"These contain {inside}, and images from which some of train were made, so that metrics on them are "
        f"too optimistic: {way}",
    )


def broken_errors(selection: Selection) -> list[str]:
    """The files that should be images and are not."""
    broken, total = selection.broken, int(selection.present.sum())
    if not broken:
        return []
    shown = "".join(f"\n  {one.name}: {one.reason}" for one in broken[:_SHOWN])
    more = f"\n  ... and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    skip = "remove them, or continue without them by --skip-broken" if len(broken) < total else "convert them"
    return [f"Broken images, {len(broken)} of {total}:{shown}{more}\nRepair or {skip}."]


def some(names: Sequence[str]) -> str:
    """'a, b, c', or the first twenty '... and N more'."""
    more = f" ... and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
