"""Files that seem to be masks of others: the same name with another suffix, or with a word for a mask in it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from nas.errors import DataError
from nas.units import counted

# Of all images, from which on twins are no accident.
_SHARE = 0.1
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


def _stem(name: str) -> str:
    return name[: len(name) - len(_suffix(name))]


def _suffix(name: str) -> str:
    last = name.rpartition("/")[2]
    stem, dot, suffix = last.rpartition(".")
    return f".{suffix}" if dot and stem else ""
