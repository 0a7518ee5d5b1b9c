"""Selection of a set's classes and images: what ``DataConfig`` leaves out, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nas.config import DataConfig
from nas.data.dataset import IDENTITY_SPLITS
from nas.data.sources.base import PARTS, TRAIN, VAL, Found, Unread
from nas.data.splits import Rows, least_images
from nas.errors import nearest
from nas.units import counted, listed

_MOST, _IDENTITIES = 3, 5  # the seed's streams of --max-per-class and --verify-identities
_SHOWN = 20


@dataclass(frozen=True)
class Selection:
    """Selected part of a set. ``labels`` and ``parts`` are those of all its readable images; what is left out has part
    ``OUT`` and a label without meaning. ``broken`` are files that would be used if they could be read."""

    classes: tuple[str, ...]
    labels: Rows
    parts: npt.NDArray[np.uint8]
    broken: tuple[Unread, ...]
    remarks: tuple[str, ...]
    errors: tuple[str, ...]
    dropped: tuple[str, ...] = ()  # what was too small, in words
    keeps_small: bool = False  # classes need not be in every split
    held: tuple[str, ...] = ()  # classes held out for verification, whose labels follow those of ``classes``

    @cached_property
    def present(self) -> npt.NDArray[np.int64]:
        """(parts, classes) how many images there are, broken ones included."""
        return _counts(self.labels, self.parts, len(self.classes)) + _counts(
            np.array([one.label for one in self.broken], dtype=np.int64),
            np.array([one.part for one in self.broken], dtype=np.uint8),
            len(self.classes),
        )

    @property
    def identities(self) -> dict[str, Rows]:
        """Rows of the splits of identities that are held out for verification, if any are."""
        parts = zip(IDENTITY_SPLITS, HELD, strict=True) if self.held else ()
        return {name: np.flatnonzero(self.parts == part) for name, part in parts}

    @property
    def looked_at(self) -> npt.NDArray[np.uint8]:
        """Parts, where what is held out for verification counts as images to train on."""
        return np.where(np.isin(self.parts, HELD), TRAIN, self.parts).astype(np.uint8)

    @property
    def own_parts(self) -> list[int]:
        """The parts (TRAIN, VAL, TEST) that it has."""
        return [part for part, counts in enumerate(self.present) if counts.any()]

    @property
    def least(self) -> dict[int, int]:
        """Images that every class needs in each part."""
        return least_images(self.own_parts, keep_small=self.keeps_small)

    def without(self, small: Mapping[int, int], why: str) -> Selection:
        """The same without some classes; of each a number that tells ``why``."""
        if not small:
            return self
        keep = np.ones(len(self.classes), dtype=bool)
        keep[list(small)] = False
        named = listed([f"{self.classes[c]} ({small[c]})" for c in sorted(small)], _SHOWN)
        said = f"{counted(len(small), 'class', 'classes')} left out, with {why}: {named}"
        return replace(_only(self, keep), dropped=(*self.dropped, said))


OUT = 255
HELD = (RANK_IDENTITIES, TEST_IDENTITIES) = (253, 254)  # parts of images of identities that nothing trains on


def select(config: DataConfig, found: Found) -> Selection:
    """Leave out what the configuration says; errors are names in it that the set does not have."""
    whole = Selection(found.classes, found.labels, found.parts, found.broken, (), ())
    parts, broken = found.parts.copy(), found.broken
    remarks: list[str] = []
    num_val = int(whole.present[VAL].sum())
    if config.ignore_val and num_val:
        remarks.append(f"val left out: {counted(num_val, 'image')} (--ignore-val)")
        parts[parts == VAL] = OUT
        broken = tuple(one for one in broken if one.part != VAL)
    chosen = replace(whole, parts=parts, broken=broken, keeps_small=config.keep_small_classes)
    known = set(found.classes)
    errors = [
        f"--classes: there is no class {name!r}.{nearest(name, list(found.classes))}"
        for name in config.classes or ()
        if name not in known
    ]
    if config.classes:
        chosen = _only(chosen, np.array([name in config.classes for name in found.classes], dtype=bool))
    if config.min_per_class:
        chosen = _without_small(chosen, {TRAIN: config.min_per_class}, f"fewer than {config.min_per_class} images")
    if config.drop_small_classes:
        chosen = _without_small(chosen, chosen.least, "too few images for every split")
    if config.max_per_class:
        chosen = _thinned(chosen, config.max_per_class, config.split_seed)
        remarks.append(f"at most {config.max_per_class:,} training images per class (--max-per-class)")
    if config.verify_identities and not errors:
        chosen, told, errors = with_identities_held_out(
            chosen, config.verify_identities, config.split_seed, found.groups
        )
        remarks += told
    return replace(chosen, remarks=tuple(remarks), errors=tuple(errors))


def with_identities_held_out(
    chosen: Selection, share: float, seed: int, groups: Rows | None
) -> tuple[Selection, list[str], list[str]]:
    """The same with two times ``share`` of its classes, of two images or more, held out for verification; what is to
    be told of it, or why it cannot be."""
    used, number = chosen.parts != OUT, len(chosen.classes)
    images_C = np.bincount(chosen.labels[used], minlength=number)
    able = np.flatnonzero(images_C >= 2)
    each = max(2, round(share * number))
    flag = f"--verify-identities {share:g}"
    if len(able) < 2 * each or number - 2 * each < 2:
        few = f", of which {len(able):,} have two images or more" if len(able) < number else ""
        most = max(0.0, (min(number - 2, len(able)) // 2) / max(number, 1))
        cure = f"at most --verify-identities {most:.2g}" if most * number >= 2 else "data with more classes"
        return chosen, [], [
            f"{flag} holds out 2 x {each:,} of {number:,} classes{few}: two at least have to be left to train on. "
            f"Give {cure}."
        ]  # fmt: skip
    held = np.random.default_rng([seed, _IDENTITIES]).permutation(able)[: 2 * each]
    held = np.concatenate([np.sort(held[:each]), np.sort(held[each:])])
    part_C = np.full(number, OUT)
    part_C[held[:each]], part_C[held[each:]] = HELD
    place_C = np.empty(number, np.int64)
    place_C[part_C == OUT], place_C[held] = np.arange(number - 2 * each), np.arange(number - 2 * each, number)
    parts = np.where(used & (part_C[chosen.labels] != OUT), part_C[chosen.labels], chosen.parts).astype(np.uint8)
    parted = in_several(groups[used], parts[used]) if groups is not None else ()
    if len(parted):
        return chosen, [], [
            f"{flag} cannot be used: {counted(len(parted), 'group')} of images, which are to stay together, have "
            "images of classes that are held out and of others, or of rank and of test identities. Leave out the "
            "groups, or --verify-identities."
        ]  # fmt: skip
    names = np.array(chosen.classes, dtype=object)
    broken = tuple(
        one._replace(label=int(place_C[one.label]), part=int(part_C[one.label]) if one.label in held else one.part)
        for one in chosen.broken
    )
    kinds = " and ".join(
        f"{each:,} ({counted(int((parts == part).sum()), 'image')}) for {name} pairs"
        for part, name in zip(HELD, ("rank", "test"), strict=True)
    )
    told = f"classes held out for verification: {kinds}; {number - 2 * each:,} are trained on ({flag})"
    selection = replace(
        chosen, classes=tuple(names[part_C == OUT]), held=tuple(names[held]), parts=parts, broken=broken,
        labels=np.where(parts == OUT, 0, place_C[chosen.labels]),
    )  # fmt: skip
    return selection, [told], []


def in_several(groups: Rows, parts: npt.NDArray[np.uint8]) -> Rows:
    """Groups of which images are of two of these: rank identities, test identities, and what is trained on."""
    side = np.where(np.isin(parts, HELD), parts, TRAIN)
    pairs = np.unique(np.stack([groups, side]), axis=1)
    found, times = np.unique(pairs[0], return_counts=True)
    several: Rows = found[times > 1]
    return several


def _counts(labels: Rows, parts: npt.NDArray[np.uint8], num_classes: int) -> npt.NDArray[np.int64]:
    return np.stack([np.bincount(labels[parts == part], minlength=num_classes) for part in range(len(PARTS))])


def _only(chosen: Selection, keep: npt.NDArray[np.bool_]) -> Selection:
    """The same with the classes alone that are to be kept."""
    keep = np.append(keep, np.ones(len(chosen.held), dtype=bool))
    place = np.cumsum(keep) - 1
    parts = np.where(keep[chosen.labels], chosen.parts, OUT).astype(np.uint8)
    return replace(
        chosen,
        classes=tuple(name for name, kept in zip(chosen.classes, keep, strict=False) if kept),
        labels=np.where(parts == OUT, 0, place[chosen.labels]),
        parts=parts,
        broken=tuple(one._replace(label=int(place[one.label])) for one in chosen.broken if keep[one.label]),
    )


def _without_small(chosen: Selection, least: Mapping[int, int], why: str) -> Selection:
    """The same without classes that have fewer readable images in some part than ``least`` says."""
    counts = _counts(chosen.labels, chosen.parts, len(chosen.classes))
    small = np.any([counts[part] < number for part, number in least.items()], axis=0)
    return chosen.without({int(c): int(counts[TRAIN, c]) for c in np.flatnonzero(small)}, why)


def _thinned(chosen: Selection, most: int, seed: int) -> Selection:
    """The same without what a class has beyond ``most`` training images, chosen at random. Broken ones are not needed
    where there are enough others."""
    labels, parts = chosen.labels, chosen.parts.copy()
    rng = np.random.default_rng([seed, _MOST])
    order = rng.permutation(np.flatnonzero(parts == TRAIN))
    order = order[np.argsort(labels[order], kind="stable")]
    position = np.arange(len(order)) - np.searchsorted(labels[order], labels[order])
    parts[order[position >= most]] = OUT
    enough = np.bincount(labels[order], minlength=len(chosen.classes)) >= most
    broken = tuple(one for one in chosen.broken if one.part != TRAIN or not enough[one.label])
    return replace(chosen, labels=np.where(parts == OUT, 0, labels), parts=parts, broken=broken)
