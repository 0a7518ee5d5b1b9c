"""Files that seem to be masks of others: the same name with another suffix, or with a word for a mask in it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data.kept import kept
from nas.data.sources.tree import Node, Patterns, ignoring
from nas.data.threads import map_chunks
from nas.errors import DataError
from nas.units import counted

# Of all images, from which on twins are no accident.
_SHARE = 0.1
# What folders of masks are called: no class is; a class may be; only beside one that is called "images" they are.
_SURE = re.compile(r"masks|gts?|ground[-_ ]?truths?|annotations?|segmentations?|trimaps?|bbox(es)?", re.IGNORECASE)
_LIKELY = re.compile(
    rf"(?!(with|without|no|non|not)[-_ ])(.*[-_ ])?(masks?|annots?|segmaps?|mattes?|{_SURE.pattern})"
    r"([-_ ]?(\d+|class|object))?",
    re.IGNORECASE,
)
_PERHAPS = re.compile(r"labels?|boxes|contours?|outlines?|overlays?|edges|segm?|depths?|heat[-_ ]?maps?", re.IGNORECASE)
_IMAGES = re.compile(
    r"(.*[-_ ])?(images?|imgs?|photos?|pictures?|jpe?gs?([-_ ]?images)?|rgb|originals?)", re.IGNORECASE
)
_VERSION = 1  # of what is flat
_NEAR, _MOST, _BLACK = 16, 0.9, 0.98  # grey levels from an end of the range; shares of pixels, and of images
_WORD = re.compile(
    r"[-_. ]?(masks?|seg|segm|segmentation|labels?|gt|ground_?truth|annotations?|annot|matte)$", re.IGNORECASE
)


def check_twins(names: Sequence[str], patterns: Patterns) -> None:
    """DataError if a tenth of the images or more seem to be the masks of others.

    ``names`` are those of images, relative to the data folder, which were chosen by ``patterns``.
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
            f"{counted(len(twins), 'image')} with the same name as an image of another file type, as masks "
            f"have: {first} and "
            f"{second}. Choose what to train on: --match '*{_suffix(first)}' or --match '*{kind}'; '*' takes all."
        )
    marked = [stem for stem in by_stem if (bare := _WORD.sub("", stem)) != stem and bare in by_stem]
    if len(marked) >= max(2, _SHARE * len(names)):
        name = by_stem[marked[0]][0]
        word = marked[0][len(_WORD.sub("", marked[0])) :]
        raise DataError(
            f"{counted(len(marked), 'image')} seem to be masks of others: {name} beside "
            f"{by_stem[_WORD.sub('', marked[0])][0]}. Leave them out: "
            f"{patterns.ignoring(f'*{word}.*')}; or take all: --match '*'."
        )


def check_folders(starts: Sequence[Node], patterns: Patterns) -> None:
    """DataError if a folder below these, where the classes are, seems to hold masks of the images beside it."""
    found: dict[str, Node] = {}
    for node in (each for start in starts for each in start.walk()):
        full = node.full
        for f in full:
            if any(each.fullmatch(f.name) for each in (_LIKELY, _PERHAPS)) and _holds_masks(f, full):
                found[f.name] = f
    if found:
        names = sorted(found)
        seem, take = ("seems", "it as a class") if len(names) == 1 else ("seem", "them as classes")
        raise DataError(
            f"The {'folder' if len(names) == 1 else 'folders'} {', '.join(names)} {seem} to hold masks or annotations "
            f"of the other images, rather than be a class. Leave out: {ignoring(names, patterns)}; or "
            f"take {take}: --match '*'."
        )


def _holds_masks(node: Node, siblings: Sequence[Node]) -> bool:
    """True if it is called so, and the folders beside it are not of the same kind: ``with_mask``, ``without_mask``."""
    others = [each for each in siblings if "mask" not in each.name.lower() and not _SURE.fullmatch(each.name)]
    others = [each for each in others if each is not node]
    if not others:
        return False
    if _SURE.fullmatch(node.name):
        return True
    if any(_IMAGES.fullmatch(each.name) for each in others):
        return bool(_LIKELY.fullmatch(node.name) or _PERHAPS.fullmatch(node.name))
    if not _LIKELY.fullmatch(node.name):
        return False
    lower = node.name.lower()
    if any(
        lower.startswith(name := each.name.lower()) and _LIKELY.fullmatch(lower.removeprefix(name)) for each in others
    ):
        return True  # cat_masks beside cat
    bare = {stem for name in _names(node) if not re.fullmatch(r"\d{1,5}", stem := _bare(name))}
    return len(bare & {_stem(name) for each in others for name in _names(each)}) >= max(1, len(bare) / 2)


def _names(node: Node) -> list[str]:
    """Names of the files in a folder and below it, without those of their folders."""
    return [file.name.rpartition("/")[2] for each in node.walk() for file in each.files]


def flat_images(folder: Path, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Mask of a set's decoded images that ``is_flat``; kept in their folder."""

    def make() -> npt.NDArray[np.bool_]:
        parts = map_chunks(lambda rows: [is_flat(images[row]) for row in rows], len(images), lambda done: None)
        return np.array([each for part in parts for each in part], dtype=bool)

    def fits(found: npt.NDArray[Any]) -> bool:
        return found.shape == (len(images),) and found.dtype == bool

    return kept(folder, "flat", _VERSION, make, fits)


def is_flat(pixels: npt.NDArray[np.uint8]) -> bool:
    """True if an image (C, H, W) has hardly more than two values, or is nearly black, as masks are."""
    low, high = int(pixels.min()), int(pixels.max())
    ends = (pixels < low + _NEAR) | (pixels > high - _NEAR)
    return high < _NEAR or float(ends.mean()) > _MOST or float((pixels < _NEAR).mean()) > _BLACK


def flat_remarks(
    names: Sequence[str], flat: npt.NDArray[np.bool_], used: npt.NDArray[np.bool_], patterns: Patterns
) -> list[str]:
    """Remarks where images that ``is_flat`` are those of one suffix, or of one word at the end of their names.

    Nothing where most images are flat, or hardly any, or where no name tells them apart.
    """
    flat = flat[used]
    if not len(flat) or not _SHARE <= flat.mean() <= 1 - _SHARE:
        return []
    names = [name for name, is_used in zip(names, used.tolist(), strict=True) if is_used]
    for kind_of, pattern in ((_suffix, "*{}"), (_last_word, "*{}.*")):
        kinds = np.array([kind_of(name) for name in names])
        for kind in np.unique(kinds).tolist():
            is_it = kinds == kind
            if kind and is_it.any() and flat[is_it].mean() > _MOST and flat[~is_it].mean() < 1 - _MOST:
                shown = pattern.format(kind)
                return [
                    f"{int(is_it.sum()):,} of {len(flat):,} images have only two pixel values or are nearly "
                    f"black, and are exactly those named {shown}: if they are masks, leave them out (in a folder by "
                    f"{patterns.ignoring(shown)}, in a table by removing their lines)"
                ]
    return []


def _last_word(name: str) -> str:
    """'_m' of 'a/12_m.png'."""
    found = re.search(r"[-_. ][A-Za-z]+\d*$", _stem(name))
    return found[0] if found else ""


def _bare(name: str) -> str:
    """'a' of 'a_mask.png'."""
    return _WORD.sub("", _stem(name))


def _stem(name: str) -> str:
    return name.removesuffix(_suffix(name))


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix
