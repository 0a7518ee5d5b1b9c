"""Parts of spaces: what is sampled, mutated and proposed obeys them, and costs and is what it is in the whole space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets import Budget, costs_of
from budgets.sampling import resolve_budget, sample_feasible
from nas.strategies.proposals import Proposer
from search_spaces import SearchSpace, Task, get_space
from search_spaces.errors import UsageError
from search_spaces.restriction import read_restriction, restricted, restriction_words
from search_spaces.space import Restriction

TASK = Task((1, 8, 8), 10)
MOBILENET = get_space("mobilenet")


@st.composite
def parts(draw: st.DrawFn) -> SearchSpace:
    """A space with some choices that have fewer values."""
    space = get_space(draw(st.sampled_from(["vgg", "mobilenet", "cell"])))
    left = {
        choice.label: tuple(draw(st.lists(st.sampled_from(choice.values), min_size=1, max_size=3, unique=True)))
        for choice in space.choices
        if draw(st.booleans())
    }
    return restricted(space, left)


@settings(max_examples=15, deadline=None)
@given(parts(), st.integers(0, 2**31))
def test_samples_of_a_part_obey_it_and_are_what_they_are_in_the_whole(part: SearchSpace, seed: int) -> None:
    whole, rng = get_space(part.name), np.random.default_rng(seed)
    rows = np.concatenate([part.sample_uniform(rng, 20), part.sample_over_sizes(rng, 20)])
    rows = np.concatenate([rows, part.mutants(rows, rng, len(rows))])
    samples = [part.decode(row) for row in rows]
    for sample in samples:
        assert all(sample[label] in values for label, values in part.restriction.items())
    in_whole = np.array([whole.encode(sample) for sample in samples])
    for mine, theirs in zip(costs_of(part, rows, TASK), costs_of(whole, in_whole, TASK), strict=True):
        assert mine == theirs
    for sample in samples[::20]:
        assert part.architecture_id(sample, TASK) == whole.architecture_id(sample, TASK)
    assert restriction_words(part) or part is whole


@settings(max_examples=15, deadline=None)
@given(parts())
def test_the_words_of_a_part_can_be_typed(part: SearchSpace) -> None:
    typed = [words for words in restriction_words(part).split("; ") if words]
    assert read_restriction(get_space(part.name), [], typed) == part.restriction


def test_proposals_obey_a_part_until_nothing_is_left() -> None:
    fixed = read_restriction(get_space("cell"), ["stages=2", "cells=1", "edge*=conv3"], ["width=16,18,20"])
    part, budget = restricted(get_space("cell"), fixed), Budget(max_params=150_000)
    proposer, rng = Proposer(part, TASK, budget), np.random.default_rng(0)
    first = proposer.fresh(rng)
    assert first
    widths = {first["width"], *(sample["width"] for _ in range(2) if (sample := proposer.mutant(first, rng)))}
    assert widths == {16, 18, 20} and proposer.fresh(rng) is None
    assert part.num_samples == part.num_samples_for(TASK) == 3


def test_mutants_change_what_is_left_to_change() -> None:
    part = restricted(
        MOBILENET, {label: MOBILENET.choices[i].values[:1] for i, label in enumerate(MOBILENET.labels) if i}
    )
    rows = part.mutants(part.encode(part.canonical), np.random.default_rng(0), 200)
    assert len(np.unique(rows[:, 0])) == len(MOBILENET.choices[0].values) and not rows[:, 1:].any()


def test_a_pattern_leaves_what_each_choice_has_and_a_label_counts_before_it() -> None:
    read = read_restriction(MOBILENET, ["kernel*=3", "gate*=none"], ["kernel2=3,5", "repeats*=2,4", "width3=24,16"])
    assert read["kernel1"] == (3,) and "kernel2" not in read and read["gate7"] == ("none",)
    assert (read["repeats3"], read["repeats4"], read["width3"]) == ((2,), (2, 4), (16, 24))
    assert "repeats2" in read and list(read) == [label for label in MOBILENET.labels if label in read]


def test_every_error_is_told_at_once_with_the_nearest() -> None:
    with pytest.raises(UsageError) as refused:
        read_restriction(
            MOBILENET,
            ["kernl1=3", "gate*=no", "stem=13", "head", "stages=3,4"],
            ["repeats*=4", "width1=8", "width1=12"],
        )
    wanted = [
        "--fix kernl1=3: mobilenet has no such choice. Did you mean 'kernel1'?",
        "--fix 'gate*=no': none of the 7 choices that match has a value 'no'. Did you mean 'none'?",
        "--fix stem=13: stem has no value '13'. Did you mean 12?",
        "--fix head cannot be used: write LABEL=VALUE, as stages=3.",
        "--fix stages=3,4 cannot be used: it takes one value. For several: --choices 'stages=3,4'.",
        "--choices 'repeats*=4' leaves no value of repeats2, which takes 1, 2.",
        "--choices width1=12 and --choices width1=8 are both about width1: give one of them.",
    ]
    told = {error for error in refused.value.messages for start in wanted if error.startswith(start)}
    assert len(told) == len(wanted), refused.value.messages


@pytest.mark.parametrize(("most", "some_fit"), [(3_000, True), (10, False)])
def test_a_part_with_nothing_in_the_budget_is_named(most: int, some_fit: bool) -> None:
    part = restricted(get_space("vgg"), {"stages": (5,), "width1": (64,)})
    with pytest.raises(UsageError) as refused:
        resolve_budget(part, TASK, Budget(max_params=most))
    assert "No vgg network with stages=5; width1=64 for 1x8x8" in str(refused.value)
    assert ("Some architectures fit without --fix and --choices" in str(refused.value)) == some_fit
    assert (
        bool(len(sample_feasible(get_space("vgg"), TASK, Budget(max_params=most), np.random.default_rng(0))[0]))
        == some_fit
    )


@pytest.mark.parametrize("wrong", [{"stem": (13,)}, {"stm": (8,)}, {"stem": ()}], ids=str)
def test_a_recorded_restriction_that_a_space_has_not_is_refused(wrong: Restriction) -> None:
    with pytest.raises(UsageError, match="restriction was made by another version"):
        restricted(MOBILENET, wrong)
