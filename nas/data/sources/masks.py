"""Files that seem to be masks of others: the same name with another suffix, or with a word for a mask in it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from nas.errors import DataError
from nas.units import counted

# Of all images, from which on twins are no accident.
_SHARE = 0.1
_FOLDER = re.compile(r"(.*[-_ ])?(masks?|gt|ground[-_ ]?truths?|annotations?|segmentations?)", re.IGNORECASE)
_NEAR, _MOST, _BLACK = 16, 0.9, 0.98  # grey levels from an end of the range; shares of pixels, and of images
_WORD = re.compile(
    r"[-_. ]?(masks?|seg|segm|segmentation|labels?|gt|ground_?truth|annotations?|annot|matte)$", re.IGNORECASE
)


def check_twins(names: Sequence[str]) -> None:
    """DataError if a tenth of the images or more seem to be the masks of others.

    ``names`` are those of images, relative to the data folder.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_stem[_stem(name)].append(name)
    suffixes = {stem: {_suffix(name) for name in same} for stem, same in by_stem.items()}
    twins = [stem for stem, kinds in suffixes.items() if len(kinds) > 1 and len(kinds) == len(by_stem[stem])]
    if len(twins) >= max(2, _SHARE * len(names)):
        first, second = sorted(by_stem[twins[0]], key=_suffix)
        kind = _suffix(second)
        raise DataError(
            f"{counted(len(twins), 'image')} share their name with another of another kind, as masks do: {first} and "
            f"{second}. Choose what to train on: --match '*{_suffix(first)}' or --match '*{kind}'; '*' takes all."
        )
    marked = [stem for stem in by_stem if (bare := _WORD.sub("", stem)) != stem and bare in by_stem]
    if len(marked) >= max(2, _SHARE * len(names)):
        name = by_stem[marked[0]][0]
        word = marked[0][len(_WORD.sub("", marked[0])) :]
        raise DataError(
            f"{counted(len(marked), 'image')} seem to be masks of others: {name} beside "
            f"{by_stem[_WORD.sub('', marked[0])][0]}. Leave them out: --ignore '*{word}.*'; or take all: --match '*'."
        )


def check_folders(classes: Sequence[str]) -> None:
    """DataError if a class is called as a folder of masks is."""
    masks = [name for name in classes if _FOLDER.fullmatch(name)]
    if masks:
        raise DataError(
            f"The folder {masks[0]} seems to hold masks or annotations of the other images, and to be no class. "
            f"Leave it out: --ignore {masks[0]}; or take it as a class: --match '*'."
        )


def is_flat(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether an image (C, H, W) has hardly more than two values, or is nearly black, as masks are."""
    low, high = int(pixels.min()), int(pixels.max())
    ends = (pixels < low + _NEAR) | (pixels > high - _NEAR)
    return high < _NEAR or float(ends.mean()) > _MOST or float((pixels < _NEAR).mean()) > _BLACK


def flat_kind(names: Sequence[str], flat: npt.NDArray[np.bool_]) -> str | None:
    """What to say where images that ``is_flat`` are those of one suffix, or of one word at the end of their names.

    None where most images are flat, or hardly any, or where no name tells them apart.
    """
    if not _SHARE <= flat.mean() <= 1 - _SHARE:
        return None
    for kind_of, pattern in ((_suffix, "*{}"), (_last_word, "*{}.*")):
        kinds = np.array([kind_of(name) for name in names])
        for kind in np.unique(kinds).tolist():
            is_it = kinds == kind
            if kind and is_it.any() and flat[is_it].mean() > _MOST and flat[~is_it].mean() < 1 - _MOST:
                return (
                    f"{int(is_it.sum()):,} of {len(flat):,} images have two values or are nearly black, and are those "
                    f"named {pattern.format(kind)}: if they are masks, leave them out by --ignore "
                    f"'{pattern.format(kind)}'"
                )
    return None


def _last_word(name: str) -> str:
    """'_m' of 'a/12_m.png'."""
    found = re.search(r"[-_. ][A-Za-z]+\d*$", _stem(name))
    return found[0] if found else ""


def _stem(name: str) -> str:
    return name.removesuffix(_suffix(name))


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix
