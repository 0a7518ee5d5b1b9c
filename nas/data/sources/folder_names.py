"""Names of splits and classes, as folders and tables write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

from nas.data.sources.base import PART_WORDS

_WORDS = {part: set(words) for part, words in PART_WORDS.items()}
# What folders of images are called, and what a split's may be called beside its word.
OF_IMAGES = {"images", "image", "imgs", "img", "pictures", "photos"}
_BESIDE = {"set", "sets", "data", "dataset", "split", *OF_IMAGES, "folder", "folders", "files", "seg", "part", "new",
           "final"}  # fmt: skip
_NO_LABEL = re.compile(
    r"unlabell?(ed)?|(no|non|not|without|to)label(s|l?ed)?|unsup(ervised)?|unannotated|(un|to)sort(ed)?"
)


def part_of(name: str, sibling_names: Sequence[str] = ()) -> int | None:
    """The part (TRAIN, VAL or TEST) that a folder's name tells, in any case and with usual words beside it; or None.

    Other words are allowed where the names of siblings have them too: ``pets_train`` beside ``pets_test``.
    """
    part, words = part_said(name), _words(name)
    if part is None:
        return None
    rest = [word for word in words if word not in _WORDS[part] and word not in _BESIDE]
    if not rest:
        return part
    for sibling in sibling_names:
        others = _words(sibling)
        told = {other for other, known in _WORDS.items() for word in others if word in known} - {part}
        known = _BESIDE.union(*(_WORDS[other] for other in told))
        if len(told) == 1 and rest == [word for word in others if word not in known]:
            return part
    return None


def part_said(name: str) -> int | None:
    """The one part that words of a name tell, whatever it says beside: TRAIN of ``trainLabels``."""
    found = {part for part, known in _WORDS.items() for word in _words(name) if word in known}
    return found.pop() if len(found) == 1 else None


def part_and_class(name: str) -> tuple[int, str, bool] | None:
    """'train_cat' and 'cat-test' as part, class, and whether the part comes first; None for other names."""
    for pattern, is_first in ((r"([A-Za-z]+)[ _.-]+(.+)", True), (r"(.+?)[ _.-]+([A-Za-z]+)", False)):
        if found := re.fullmatch(pattern, name):
            word, rest = found.groups() if is_first else found.groups()[::-1]
            part = next((part for part, known in _WORDS.items() if word.lower() in known), None)
            if part is not None and part_of(rest) is None and not _BESIDE.issuperset(_words(rest)):
                return part, rest, is_first
    return None


def is_unlabelled(name: str) -> bool:
    """True if a folder's name says that its images have no class."""
    known = _BESIDE.union(*_WORDS.values())
    return _NO_LABEL.fullmatch("".join(word for word in _words(name) if word not in known)) is not None


def likeness(name: str) -> str:
    """Key that names of one class have in common, be they those of folders or labels in a table."""
    bare = re.sub(r" - copy( \(\d+\))?$", "", unicodedata.normalize("NFKC", name).casefold().strip())
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", bare).strip(" _")


@lru_cache(100_000)  # thousands of folders, each looked at for several layouts
def _words(name: str) -> tuple[str, ...]:
    """'trainSet-2' as train, set; 'testdata' as test, data."""
    words: list[str] = []
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name):
        lower = word.lower()
        stem = next((lower.removesuffix(end) for end in _BESIDE if lower.endswith(end) and lower != end), lower)
        words += [stem, lower.removeprefix(stem)] if any(stem in known for known in _WORDS.values()) else [lower]
    return tuple("holdout" if pair == ("hold", "out") else pair[0] for pair in _pairs(words))


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Every word with the next one; what is told by two stands once."""
    skip = False
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if not skip and word:
            yield word, following
        skip = (word, following) == ("hold", "out")
