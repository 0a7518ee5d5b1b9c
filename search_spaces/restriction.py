"""Parts of a space: some of its choices left with fewer values. The one place where a space is narrowed.

Rows of a part are its own; samples, costs, modules and architecture ids are those of the whole space. So whatever takes
a space takes a part of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from search_spaces.errors import UsageError, nearest
from search_spaces.space import Restriction, SearchSpace, Values
from search_spaces.vocabulary import Choice

SIGNS = "*?["  # of a pattern


def with_values(space: SearchSpace, values: Mapping[str, Values]) -> SearchSpace:
    """``space`` with these values of each choice alone, in their order."""
    choices = tuple(replace(choice, values=values[choice.label]) for choice in space.choices)
    if choices == space.choices or all(a.values == b.values for a, b in zip(choices, space.choices, strict=True)):
        return space
    canonical = {c.label: v if (v := space.canonical[c.label]) in c.values else c.values[0] for c in choices}
    return replace(space, choices=choices, canonical=canonical, _definitions={}, _decisive={})


def restricted(space: SearchSpace, restriction: Restriction) -> SearchSpace:
    """The part of ``space`` in which some choices have these of their values alone; UsageError if it has no such."""
    values = {choice.label: choice.values for choice in space.choices}
    errors = [
        f"{space.name} has no choice {label}={','.join(map(str, left))}: the restriction was made by another version."
        for label, left in restriction.items()
        if not left or not set(left) <= set(values.get(label, ()))
    ]
    if errors:
        raise UsageError(*errors)
    left = {label: tuple(v for v in every if v in restriction.get(label, every)) for label, every in values.items()}
    part = with_values(space, left)
    return part if part is space else replace(part, whole=space)


def read_restriction(space: SearchSpace, fix: Sequence[str], choices: Sequence[str]) -> Restriction:
    """Read ``--fix LABEL=VALUE`` and ``--choices LABEL=V1,V2``: the values that are left, by label.

    A label may be a pattern: every choice that it names keeps those of its values that are listed. A label that is
    written out counts before patterns. UsageError with every error, also if a choice keeps none.
    """
    errors: list[str] = []
    found: dict[str, Values] = {}
    given: dict[tuple[str, bool], str] = {}  # by label and whether a pattern named it: what was typed
    for typed, label, texts in _typed(space, fix, choices, errors):
        is_pattern = any(sign in label for sign in SIGNS)
        named = [choice for choice in space.choices if fnmatchcase(choice.label, label)]
        errors += _errors_of_values(typed, named, texts) if named else [_no_choice(space, typed, label)]
        for choice in named:
            if before := given.get((choice.label, is_pattern)):
                errors.append(f"{typed} and {before} are both about {choice.label}: give one of them.")
            given[choice.label, is_pattern] = typed
            if not is_pattern or (choice.label, False) not in given:
                found[choice.label] = tuple(value for value in choice.values if str(value) in texts)
    if errors:
        raise UsageError(*dict.fromkeys(errors))
    every = {choice.label: choice.values for choice in space.choices}
    return {label: found[label] for label in space.labels if found.get(label, every[label]) != every[label]}


def restriction_words(space: SearchSpace) -> str:
    """Restriction of a part, as ``--fix`` and ``--choices`` take it: "kernel*=3; width3=16,24"; "" for a whole."""
    if space.whole is None:
        return ""
    left, said, done = space.restriction, list[str](), set[str]()
    for label, values in left.items():
        pattern = stem(label) + "*"
        alike = [other for other in space.labels if fnmatchcase(other, pattern)]
        together = len(alike) > 1 and all(left.get(other) == values for other in alike)
        if label not in done:
            said.append(f"{pattern if together else label}={','.join(map(str, values))}")
        done |= set(alike) if together else {label}
    return "; ".join(said)


def stem(label: str) -> str:
    """Common stem of the labels of all stages: "kernel" of "kernel3"."""
    return label.rstrip("0123456789")


def _typed(
    space: SearchSpace, fix: Sequence[str], choices: Sequence[str], errors: list[str]
) -> Iterator[tuple[str, str, list[str]]]:
    """(as it was typed, label or pattern, values) of each flag that has the right form."""
    for flag, texts in (("--fix", fix), ("--choices", choices)):
        for text in texts:
            typed = f"{flag} {text!r}" if any(sign in text for sign in SIGNS) else f"{flag} {text}"
            label, _, listed = (part.strip() for part in text.partition("="))
            values = [part.strip() for part in listed.split(",") if part.strip()]
            if not label or not values:
                first, form = space.choices[0], "LABEL=VALUE" if flag == "--fix" else "LABEL=V1,V2"
                values = [*map(str, first.values[: form.count("V")])]
                errors.append(f"{typed} cannot be used: write {form}, as {first.label}={','.join(values)}.")
            elif flag == "--fix" and len(values) > 1:
                errors.append(f"{typed} cannot be used: it takes one value. For several: --choices {text!r}.")
            else:
                yield typed, label, values


def _no_choice(space: SearchSpace, typed: str, label: str) -> str:
    hint = nearest(label.rstrip("*"), space.labels)
    return f"{typed}: {space.name} has no such choice.{hint} 'nasctl space {space.name}' lists them."


def _errors_of_values(typed: str, named: Sequence[Choice], texts: Sequence[str]) -> list[str]:
    """Values that no named choice has, and choices that have none of the values."""
    every = dict.fromkeys(value for choice in named for value in choice.values)
    who = f"{named[0].label} has no" if len(named) == 1 else f"none of the {len(named)} choices that match has a"
    unknown = [text for text in texts if text not in map(str, every)]
    if unknown:
        return [f"{typed}: {who} value {text!r}.{_nearest_value(text, list(every))}" for text in unknown]
    return [
        f"{typed} leaves no value of {choice.label}, which takes {', '.join(map(str, choice.values))}."
        for choice in named
        if not set(map(str, choice.values)) & set(texts)
    ]


def _nearest_value(text: str, values: Sequence[int | str]) -> str:
    """The nearest of ``values`` to what was typed, and all of them."""
    numbers = [value for value in values if isinstance(value, int)]
    hint = "" if numbers else nearest(text, [str(value) for value in values])
    if numbers and text.isascii() and text.isdigit():
        hint = f" Did you mean {min(numbers, key=lambda number: abs(number - int(text)))}?"
    return f"{hint} Values: {', '.join(map(str, values))}."
